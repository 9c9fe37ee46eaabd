//! This folder's readers, for the fuzz targets.

use super::{journal, unit};
use crate::platform::Part;

/// What `systemctl show` and `journalctl` print.
pub(in crate::platform) fn answers(bytes: &[u8]) {
    for part in [Part::Api, Part::Db] {
        let _journal = journal::read(bytes, part);
        for unit in unit::read(&String::from_utf8_lossy(bytes)) {
            let _instance = unit.instance(part);
            let _wraps = unit.wraps();
        }
    }
}

//! This folder's readers, for the fuzz targets.

use super::{logs, machines, volumes};
use serde_json::Value;

/// The lists that the Machines API answers with.
pub(in crate::platform) fn answers(bytes: &[u8]) {
    if let Ok(Value::Array(list)) = serde_json::from_slice(bytes) {
        let _machines = machines::read(&list, "renderflow-db");
        let _volumes = volumes::read(&list, "renderflow-db");
        let _log = logs::read(&list);
    }
}

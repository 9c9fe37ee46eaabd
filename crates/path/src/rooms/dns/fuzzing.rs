//! This room's readers, for the fuzz targets.

use super::nameserver;
use super::resolv_conf::ResolvConf;
use simple_dns::TYPE;

/// A nameserver's answer to a question of ours, whose id it knows; and /etc/resolv.conf. The first byte chooses.
pub fn dns(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    if choice & 1 == 0 {
        let _candidates = ResolvConf::parse(&String::from_utf8_lossy(bytes)).candidates("db.internal");
        return;
    }
    let Ok((id, query)) = nameserver::question("db.internal", TYPE::A) else { return };
    let answer = [&id.to_be_bytes()[..], bytes].concat();
    let _reading = nameserver::read(&answer, id, &query);
}

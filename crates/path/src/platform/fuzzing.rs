//! This folder's readers, for the fuzz targets: logs, what a host tells, what platforms tell.

use super::evidence::HaproxyView;
use super::listeners::Sockets;
use super::log_end::LogEnd;
use super::log_lines::{self, Format};
use super::systemd::fuzzing as systemd;
use super::{conf, fly, haproxy, haproxy_log, log_prefix, pooler_log, procfs, sock_diag, titles, volumes};
use pgmedic_model::Timestamp;
use std::path::Path;

const NOW: Timestamp = Timestamp(1_795_000_000_000);

/// Forms of `log_line_prefix`, for the first byte to choose from.
const PREFIXES: [&str; 5] =
    [log_prefix::DEFAULT, "%t:%r:%u@%d:[%p]: ", "%m %e %a %q%u@%d ", "<%n %p-%l> ", ""];

/// The logs of a server, of HAProxy and of PgBouncer. The first byte chooses prefix and syslog form.
pub fn logs(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(bytes).into_owned();
    let prefix = PREFIXES[usize::from(*choice) % PREFIXES.len()];
    for format in [Format::Stderr, Format::Csv, Format::Json] {
        let _entries = log_lines::entries(&text, format, prefix);
    }
    let end = LogEnd { text, written: Some(NOW) };
    let _haproxy = haproxy_log::view(Path::new("log"), &end, choice & 1 == 0, NOW);
    let _pooler = pooler_log::view(Path::new("log"), &end, NOW);
}

/// What a host tells: tables of /proc, netlink answers, configuration files, titles, HAProxy's stats. The first byte
/// chooses.
pub fn host(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(bytes).into_owned();
    match choice % 7 {
        0 => {
            let _sockets = Sockets::parse(&[text.clone(), String::new()], &text);
        }
        1 => {
            let _tcp = sock_diag::inet_backlog(bytes, 7);
            let _unix = sock_diag::unix_backlog(bytes, 7);
            let _info = sock_diag::tcp_info(bytes, (std::net::Ipv4Addr::LOCALHOST, 5432).into());
        }
        2 => {
            let _settings = text.lines().filter_map(conf::parse).count();
        }
        3 => {
            let _titles = titles::read(text.lines());
        }
        4 => haproxy::read_answer(&text, &mut HaproxyView::default()),
        5 => {
            let mut configuration = haproxy::Configuration::default();
            text.lines().for_each(|line| configuration.take(line));
        }
        _ => {
            let _mounts = text.lines().filter_map(volumes::parse_mount).count();
            let _stat = procfs::parse_stat(&text);
            let words: Vec<String> = text.split('\0').map(str::to_owned).collect();
            let _shown = procfs::shown(&words);
        }
    }
}

/// What platforms tell. The first byte chooses.
pub fn platforms(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    if choice & 1 == 0 {
        fly::fuzzing::answers(bytes);
    } else {
        systemd::answers(bytes);
    }
}

//! The API's machines vanish with their sessions: no FIN, no reset, and no answer to the server's keepalive probes. Needs
//! root.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError, firewall, wait};
use std::time::Duration;

/// The server asks after a second of rest, and each second from then on; it would give up long after the drill.
const KEEPALIVES: &str =
    "set tcp_keepalives_idle = 1; set tcp_keepalives_interval = 1; set tcp_keepalives_count = 100";

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lab.restart_api();
    let (postgres, port) = (lab.postgres(), lab.postgres().port());
    let sessions = Sessions::fill(postgres, &Login::of_api(postgres))?;
    sessions.run(KEEPALIVES)?;
    // An answer that is not acknowledged yet would be sent again and again: that is another fault.
    settled("acknowledged answers", || rows(port, |row| row.unacknowledged).len(), 0)?;
    // What the machines (127.0.0.8 to 15) send is lost, so that they answer no probes.
    let gone = format!("INPUT -i lo -p tcp -s 127.0.0.8/29 --dport {port} -j DROP");
    let guard = firewall::rule(lab, &gone)?;
    settled("probes without an answer", || rows(port, |row| !row.mute).len(), 0)?;
    Ok(guard.and_holding(sessions))
}

/// Waits until there are no more than so many.
fn settled(what: &str, count: impl Fn() -> usize, most: usize) -> Result<(), LabError> {
    wait::until(what, Duration::from_secs(15), || {
        let now = count();
        Ok(if now <= most { Ok(()) } else { Err(format!("{now} are not")) })
    })
}

/// A connection from one of the machines, at the server's end (proc_net_tcp.txt of the kernel).
struct Row {
    /// Data waits for its acknowledgement.
    unacknowledged: bool,
    /// Two keepalive probes or more have had no answer.
    mute: bool,
}

/// The connections of this kind at the server's port.
fn rows(port: u16, kind: impl Fn(&Row) -> bool) -> Vec<Row> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let local = format!(":{port:04X}");
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, at, from, "01", queues, timer, _, _, probes, ..] = fields.as_slice() else { return None };
        let machine = from.get(..2).and_then(|last| u8::from_str_radix(last, 16).ok())?;
        (at.ends_with(&local) && (8..16).contains(&machine)).then(|| Row {
            unacknowledged: !queues.starts_with("00000000:"),
            mute: timer.starts_with("02:") && probes.parse::<u64>().is_ok_and(|n| n >= 2),
        })
    };
    table.lines().filter_map(row).filter(|row| kind(row)).collect()
}

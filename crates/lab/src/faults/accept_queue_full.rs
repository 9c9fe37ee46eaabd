//! The server is stopped, and so many clients wait at its door that the kernel takes no more.

use crate::{Guard, Lab, LabError, wait};
use rustix::process::Signal;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// More clients than any queue of the lab's server holds (`max_connections` twice, pqcomm.c).
const MOST: usize = 1000;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.signal(Signal::STOP)?;
    let door: SocketAddr = (Ipv4Addr::LOCALHOST, postgres.port()).into();
    let mut waiting = Vec::new();
    // A SYN that is dropped is sent again after a second: one that has not passed by then finds the queue full.
    while let Ok(client) = TcpStream::connect_timeout(&door, Duration::from_millis(900)) {
        waiting.push(client);
        if waiting.len() > MOST {
            let what = "a full accept queue".to_owned();
            return Err(LabError::Late { what, waited: Duration::ZERO, last: format!("{MOST} connected") });
        }
    }
    lab.restart_api();
    Ok(Guard::holding(waiting).and_undone_by(move || {
        postgres.signal(Signal::CONT)?;
        wait::until("a queue that is worked off", Duration::from_secs(10), || {
            Ok(postgres.sql("select 1").map(drop))
        })
    }))
}

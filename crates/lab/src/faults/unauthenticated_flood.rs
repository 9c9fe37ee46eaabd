//! Clients connect and say nothing, until the postmaster turns everybody away.

use crate::{Guard, Lab, LabError, wait};
use pgmedic_model::pooler_words::{Words, says};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// No flood opens more than this.
const MOST: usize = 500;
/// How many are opened before it is tried whether somebody is still let in.
const AT_A_TIME: usize = 20;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lab.restart_api();
    let postgres = lab.postgres();
    let door = SocketAddr::from((Ipv4Addr::LOCALHOST, postgres.port()));
    let mut silent = Vec::new();
    // A session that is just ending gives its place back: the house is full once it was so twice, with more at the door.
    let mut refused = 0;
    wait::until("a server that turns everybody away", Duration::from_secs(20), || {
        for _ in 0..AT_A_TIME {
            let what = || format!("connection {} to {door}", silent.len());
            silent.push(TcpStream::connect(door).map_err(|source| LabError::Io { what: what(), source })?);
        }
        match postgres.sql("select 1") {
            Err(LabError::Sql { said, .. }) if says(&said, Words::TooManyClients) && refused > 0 => {
                Ok(Ok(()))
            }
            Err(LabError::Sql { said, .. }) if says(&said, Words::TooManyClients) => {
                refused += 1;
                Ok(Err("full once".to_owned()))
            }
            _ if silent.len() >= MOST => {
                Err(LabError::PartAbsent("a limit of connections that do not log in"))
            }
            Ok(_) | Err(_) => Ok(Err(format!("{} clients are let in", silent.len()))),
        }
    })?;
    Ok(Guard::holding(silent))
}

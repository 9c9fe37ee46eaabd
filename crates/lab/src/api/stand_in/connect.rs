//! How the API reaches its database: by name or address, with a password, as any driver does.

use super::READY_WITHIN;
use crate::api::Place;
use crate::dns;
use crate::postgres::{DATABASE, PASSWORD, ROLE};
use std::net::{IpAddr, SocketAddr};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

/// Opens a connection.
pub(super) async fn connect(place: Place) -> Result<(Client, JoinHandle<()>), String> {
    let (addresses, port) = match place {
        Place::Uninitialised => return Err("Database not initialised".to_owned()),
        Place::At(address) => (vec![address.ip()], address.port()),
        Place::Named { nameserver, port } => (resolve(nameserver).await?, port),
    };
    let mut config = Config::new();
    // As libpq does, it tries each address in turn.
    for ip in addresses {
        config.hostaddr(ip);
    }
    config.port(port).user(ROLE).password(PASSWORD).dbname(DATABASE);
    config.application_name("renderflow-api").connect_timeout(READY_WITHIN);
    let (client, connection) = config.connect(NoTls).await.map_err(|e| words(&e))?;
    let driver = tokio::spawn(async move { drop(connection.await) });
    Ok((client, driver))
}

/// The addresses of the database's name; in getaddrinfo(3)'s words where there is none.
async fn resolve(nameserver: SocketAddr) -> Result<Vec<IpAddr>, String> {
    let within = READY_WITHIN / 2;
    let answer = tokio::task::spawn_blocking(move || dns::ask(nameserver, dns::NAME, within)).await;
    let failed = |why: &str| format!("getaddrinfo {why} {}", dns::NAME);
    match answer.map_err(|e| e.to_string())? {
        Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        Ok(Ok(_) | Err(simple_dns::RCODE::NameError)) => Err(failed("ENOTFOUND")),
        Ok(Err(_)) | Err(_) => Err(failed("EAI_AGAIN")),
    }
}

/// An error with what caused it: the driver's own words alone say little.
pub(super) fn words(e: &tokio_postgres::Error) -> String {
    match (e.as_db_error(), std::error::Error::source(e)) {
        (Some(db), _) => format!("{} {}: {}", db.severity(), db.code().code(), db.message()),
        (None, Some(source)) => format!("{e}: {source}"),
        (None, None) => e.to_string(),
    }
}

//! More clients than there are slots, each of which connects, asks one thing, hangs up and connects again; whoever is
//! refused tries again almost at once.

use crate::postgres::Postgres;
use crate::sessions::Login;
use crate::{Guard, Lab, LabError};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Clients: half as many again as the lab's server has slots.
const CLIENTS: usize = 150;
/// What each asks for when it is let in.
const REQUEST: &str = "select pg_sleep(1)";
/// How long a refused client waits.
const PAUSE: Duration = Duration::from_millis(150);

/// Clients that keep coming. Dropped, no more come.
struct Storm(Vec<JoinHandle<()>>);

impl Drop for Storm {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lab.restart_api();
    let postgres = Arc::clone(lab.postgres());
    let login = Login::of_api(&postgres);
    let client = |_| lab.runtime().spawn(come_and_go(login.clone()));
    let storm = Storm((0..CLIENTS).map(client).collect());
    // Refusals are many before it is a storm: the log's last lines must be of nothing else.
    crate::wait::until("refusals one after the other", Duration::from_secs(20), || {
        let refused = refusals(&postgres);
        Ok(if refused >= 60 { Ok(()) } else { Err(refused.to_string()) })
    })?;
    Ok(Guard::holding(storm).and_undone_by(move || quiet(&postgres)))
}

/// One client, for ever.
async fn come_and_go(login: Login) {
    loop {
        match login.open().await {
            // Whether it is answered does not matter: it hangs up and comes again.
            Ok(client) => drop(client.simple_query(REQUEST).await),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Logins that the server's log shows refused.
fn refusals(postgres: &Postgres) -> usize {
    let log = std::fs::read_to_string(postgres.log()).unwrap_or_default();
    log.lines().filter(|line| line.contains(" 53300 ")).count()
}

/// Waits until the last of them is gone.
fn quiet(postgres: &Postgres) -> Result<(), LabError> {
    let none = "select count(*) = 0 from pg_stat_activity where application_name = 'renderflow-api' and state = 'active'";
    crate::wait::until("a quiet server", Duration::from_secs(10), || {
        Ok(match postgres.value(none) {
            Ok(quiet) if quiet == "t" => Ok(()),
            Ok(_) => Err("some are left".to_owned()),
            Err(e) => Err(e.to_string()),
        })
    })
}

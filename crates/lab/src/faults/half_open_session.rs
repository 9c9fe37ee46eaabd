//! A client's machine goes away while its answer is on the way: no FIN, no reset, and nobody acknowledges. Needs root.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError, firewall};
use std::time::Duration;

/// How long the server has written to nobody: by then it has sent the same segment several times.
const AGE: Duration = Duration::from_millis(3500);

/// Injects it. The client's address is of its own, so that other machines of the API are not cut off.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (postgres, port) = (lab.postgres(), lab.postgres().port());
    let login = Login::of_api(postgres);
    let session = Sessions::open(postgres, &login, 1)?;
    // The rule takes what the client would acknowledge with; its question has passed by then.
    session.begin("select pg_sleep(0.3); select repeat('.', 1000) from generate_series(1, 20000)");
    session.wait_state("state = 'active'")?;
    let guard = firewall::rule(lab, &format!("INPUT -i lo -p tcp -s {} --dport {port} -j DROP", login.from))?;
    let age = AGE.as_millis();
    session
        .wait_state(&format!("wait_event = 'ClientWrite' and query_start < now() - interval '{age} ms'"))?;
    Ok(guard.and_holding(session))
}

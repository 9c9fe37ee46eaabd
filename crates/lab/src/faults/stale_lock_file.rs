//! The server was killed and left its lock file; by now another process of its user has the pid that stands in it.

use crate::postgres::Stop;
use crate::process::Launch;
use crate::{Guard, Lab, LabError, wait};
use pgmedic_model::pooler_words::{self, Words};
use rustix::process::Signal;
use std::sync::Arc;
use std::time::Duration;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.stop(Stop::Immediate)?;
    let bystander = Launch {
        name: "sleep",
        program: "sleep".into(),
        arguments: vec!["3600".into()],
        folder: postgres.data(),
        log: postgres.log(),
        account: postgres.account(),
        end: Signal::KILL,
    };
    let bystander = bystander.start()?;
    let data = postgres.data().display();
    postgres.write(
        "postmaster.pid",
        &format!("{}\n{data}\n1795444033\n{}\n", bystander.pid(), postgres.port()),
    )?;
    postgres.launch()?;
    postgres.wait_stopped()?;
    wait::until("a start that was given up", Duration::from_secs(5), || {
        let said = crate::process::tail(postgres.log(), 3);
        Ok(if pooler_words::says(&said, Words::LockFileStands) { Ok(()) } else { Err(said) })
    })?;
    lab.restart_api();
    let up = move || {
        postgres.remove("postmaster.pid")?;
        postgres.up()
    };
    Ok(Guard::undone_by(up).and_holding(bystander))
}

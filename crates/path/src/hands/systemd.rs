//! Hands on systemd: `systemctl restart UNIT` and `systemctl start UNIT`, then looked at until it is active.
//!
//! A unit is named as `systemctl show` names it, looked up anew before each deed; Debian's wrapper `postgresql.service` is
//! never acted on, its clusters' units are. `systemctl` waits for the job and is not killed at the deadline; the job is
//! systemd's and would go on anyway. Volumes are not systemd's. Not in here: looking (`platform/systemd`).

use super::answer::in_time;
use super::running::{Ran, run};
use super::{Doing, Done, Hands, Listing, Order, Target, Undone};
use crate::platform::systemd::Systemd;
use crate::platform::told::{Instance, InstanceState};
use crate::platform::{Part, Untold};
use pgmedic_model::Deed;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// Between two looks.
const LOOKS: Duration = Duration::from_millis(200);

const NO_PROXY: &str = "no unit is named that is the proxy: `proxy` in [service.platform]";
const NO_VOLUME: &str = "systemd extends no volume; `extend_volume` in [service.platform] can name a command";

/// systemctl's exit statuses for a call that systemd refused (systemd 252, `systemctl-start-unit.c`,
/// `translate_bus_error_to_exit_status`): not implemented, no permission, not installed, not configured.
const REFUSALS: [i32; 4] = [3, 4, 5, 6];
/// What systemctl says under `LC_ALL=C` where no job was made (the same file: `Failed to %s %s: %s`; `bus-util.c`).
const NO_JOB: [&str; 4] = [
    "Failed to restart ",
    "Failed to start ",
    "Failed to connect to ",
    "System has not been booted with systemd",
];
/// Reasons behind such words that leave open whether systemd has made the job all the same (sd-bus, errno).
const NOT_HEARD: [&str; 4] =
    ["Connection timed out", "Connection reset by peer", "No reply", "Transport endpoint"];
/// Reasons that a person mends, and how (polkit's, as 252 says them).
const STEPS: [(&str, &str); 4] = [
    ("Interactive authentication required", POLKIT),
    ("Access denied", POLKIT),
    ("Permission denied", POLKIT),
    ("not been booted with systemd", "platform.kind = \"systemd\" is for a host that systemd runs"),
];
const POLKIT: &str = "run pgmedic as root, or let its user do this by a polkit rule for the action \
    org.freedesktop.systemd1.manage-units";

/// Whoever acts on units of this host.
#[derive(Clone, Debug)]
pub struct SystemdHands {
    systemd: Systemd,
    proxy: Option<String>,
}

impl SystemdHands {
    /// Hands that ask as this window does. `proxy`: the unit that is the proxy or pooler.
    #[must_use]
    pub const fn new(systemd: Systemd, proxy: Option<String>) -> Self {
        Self { systemd, proxy }
    }

    /// Whom a deed is for, by name.
    fn named(&self, deed: Deed) -> Result<(&str, Part), Untold> {
        match deed {
            Deed::RestartApi => Ok((self.systemd.unit(Part::Api)?, Part::Api)),
            Deed::RestartDb | Deed::StartDb => Ok((self.systemd.unit(Part::Db)?, Part::Db)),
            Deed::RestartProxy => Ok((self.proxy.as_deref().ok_or(Untold::NotOffered(NO_PROXY))?, Part::Api)),
            Deed::ExtendVolume => Err(Untold::NotOffered(NO_VOLUME)),
        }
    }

    async fn units(&self, deed: Deed, until: Instant) -> Result<Vec<Instance>, Untold> {
        let (name, part) = self.named(deed)?;
        self.systemd.named(name, part, until).await
    }

    async fn list(&self, deed: Deed, until: Instant) -> Result<Vec<Target>, Untold> {
        let mut all = self.units(deed, until).await?;
        // Debian's wrapper stands for every cluster of the host: which of them is the service's it does not say.
        if matches!(deed, Deed::StartDb | Deed::RestartDb) && all.len() > 1 {
            let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
            return Err(Untold::Failed(format!(
                "`platform.db` stands for {}: name the cluster's own unit, as in postgresql@15-main",
                names.join(", ")
            )));
        }
        if deed == Deed::StartDb {
            all.retain(|one| matches!(one.state, InstanceState::Stopped | InstanceState::Failed));
        }
        Ok(all.into_iter().map(|one| Target { id: one.id, name: one.name, size_gb: None }).collect())
    }

    async fn done(&self, order: &Order, until: Instant) -> Result<Done, Undone> {
        let (deed, target) = (order.deed(), order.target());
        let (name, _) = self.named(deed).map_err(|untold| Undone::NotOffered(untold.to_string()))?;
        let untouched = |why: String| Undone::refused(format!("{why}; nothing was asked of it"));
        let all = self.units(deed, until).await.map_err(|untold| untouched(untold.to_string()))?;
        let Some(unit) = all.iter().find(|one| one.id == target.id) else {
            return Err(untouched(format!("{name} stands for no unit {:?}", target.id)));
        };
        let verb = if deed == Deed::StartDb { "start" } else { "restart" };
        let mut command = Command::new(self.systemd.systemctl());
        command.args([verb, "--no-ask-password", "--no-pager", "--", &unit.id]);
        command.env("LC_ALL", "C").env("TZ", "UTC");
        let what = format!("systemctl {verb} {}", unit.id);
        in_time(until).map_err(|end| end.undone(&what, Vec::new()))?;
        match run(command, until).await {
            Ok(Ran::Ended(status, _)) if status.success() => {
                self.runs_again(&what, deed, &unit.id, until).await
            }
            Ok(Ran::Ended(status, words)) => Err(failed(&what, status, &words)),
            Ok(Ran::GoesOn) => Err(Undone::unknown(format!(
                "{what}: systemd had not finished in time, and goes on; systemctl list-jobs shows it"
            ))),
            Err(error) => Err(untouched(format!("{what} was not run: {error}"))),
        }
    }

    /// Waits until it is active.
    async fn runs_again(&self, what: &str, deed: Deed, id: &str, until: Instant) -> Result<Done, Undone> {
        let mut last = "nothing was seen of it".to_owned();
        while Instant::now() < until {
            match self.units(deed, until).await {
                Err(untold) => last = untold.to_string(),
                Ok(all) => match all.iter().find(|one| one.id == id) {
                    Some(unit)
                        if unit.state == InstanceState::Running || unit.word.starts_with("active (") =>
                    {
                        return Ok(Done { said: format!("{what}: it is {}", unit.word), ..Done::default() });
                    }
                    Some(unit) => last = format!("it is {}", unit.word),
                    None => last = "it is gone".to_owned(),
                },
            }
            sleep(LOOKS.min(until.saturating_duration_since(Instant::now()))).await;
        }
        Err(Undone::unknown(format!(
            "{what}: the job was done, and it was not seen to be active in time: {last}"
        )))
    }
}

/// What a failure of systemctl means: no job was made, or one that failed, or was it?
fn failed(what: &str, status: ExitStatus, words: &str) -> Undone {
    let step = STEPS.iter().find(|(said, _)| words.contains(said));
    let step = step.map(|(_, step)| format!("; {step}")).unwrap_or_default();
    let words = if words.is_empty() { status.to_string() } else { words.to_owned() };
    let no_job = NO_JOB.iter().any(|said| words.starts_with(said))
        || status.code().is_some_and(|code| REFUSALS.contains(&code));
    if no_job && !NOT_HEARD.iter().any(|said| words.contains(said)) {
        return Undone::refused(format!("{what}: {words}{step}; nothing has changed"));
    }
    Undone::unknown(format!("{what}: {words}{step}; it was begun and failed: journalctl -u shows why"))
}

impl Hands for SystemdHands {
    fn kind(&self) -> &'static str {
        "systemd"
    }

    fn offers(&self) -> Vec<Deed> {
        let all = [Deed::RestartApi, Deed::RestartProxy, Deed::StartDb, Deed::RestartDb];
        all.into_iter().filter(|deed| self.named(*deed).is_ok()).collect()
    }

    fn targets(&self, deed: Deed, until: Instant) -> Listing<'_> {
        Box::pin(self.list(deed, until))
    }

    fn act<'a>(&'a self, order: &'a Order, until: Instant) -> Doing<'a> {
        Box::pin(self.done(order, until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_call_that_was_refused_made_no_job_and_a_job_that_failed_was_begun() {
        let end = |code: i32, words: &str| {
            failed("systemctl restart a.service", ExitStatus::from_raw(code << 8), words)
        };
        for (code, words, says) in [
            (4, "Failed to restart a.service: Access denied", "manage-units"),
            (1, "Failed to restart a.service: Interactive authentication required.", "manage-units"),
            (5, "Failed to restart a.service: Unit a.service not found.", "not found"),
            (1, "Failed to connect to bus: No such file or directory", "bus"),
            (
                1,
                "System has not been booted with systemd as init system (PID 1). Can't operate.",
                "a host that",
            ),
            (4, "", "exit status: 4"),
        ] {
            let undone = end(code, words);
            assert!(matches!(&undone, Undone::Refused { why, .. } if why.contains(says)), "{undone:?}");
        }
        for (code, words) in [
            (1, "Job for a.service failed because the control process exited with error code."),
            (1, "A dependency job for a.service failed. See 'journalctl -xe' for details."),
            (1, "Failed to restart a.service: Connection timed out"),
            (1, ""),
        ] {
            assert!(matches!(end(code, words), Undone::Unknown { .. }), "{words}");
        }
    }
}

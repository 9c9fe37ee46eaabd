//! Hands on Docker: one container restarted, started or let go on, by the Engine API (v1.41: `POST
//! /containers/{id}/restart`, `/start`, `/unpause`); Podman's socket speaks the same.
//!
//! A container is named by its whole id, looked up by name anew before each deed. It runs again when it has a new start,
//! is still up a second later, and is healthy where it has a health check. The engine has no limits of its own for volumes:
//! nothing is extended. Not in here: looking (`platform/docker`).

use super::answer::{End, carried_out, in_time};
use super::{Doing, Done, Hands, Listing, Order, Target, Undone};
use crate::platform::docker::ask::refusal;
use crate::platform::docker::{Docker, escape};
use crate::platform::told::{CheckStatus, Instance, InstanceState};
use crate::platform::{Part, Untold};
use pgmedic_model::{Deed, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Bytes read of an answer.
const BODY: usize = 64 * 1024;
/// Seconds that a container has to end by itself (docker-stop(1)).
const GRACE: u64 = 10;
/// Between two looks.
const LOOKS: Duration = Duration::from_millis(200);
/// A container that ends at once has not ended yet when it is looked at for the first time.
const STEADY: Duration = Duration::from_secs(1);

const NO_PROXY: &str = "no container is named that is the proxy: `proxy` in [service.platform]";
const NO_VOLUME: &str = "Docker extends no volume; `extend_volume` in [service.platform] can name a command";

/// Whoever acts on an engine's containers.
#[derive(Debug)]
pub struct DockerHands {
    docker: Arc<Docker>,
    proxy: Option<String>,
}

impl DockerHands {
    /// Hands that ask as this window does. `proxy`: the container or compose service that is the proxy or pooler.
    #[must_use]
    pub const fn new(docker: Arc<Docker>, proxy: Option<String>) -> Self {
        Self { docker, proxy }
    }

    /// Whom a deed is for, by name.
    fn named(&self, deed: Deed) -> Result<&str, Untold> {
        match deed {
            Deed::RestartApi => self.docker.name(Part::Api),
            Deed::RestartDb | Deed::StartDb => self.docker.name(Part::Db),
            Deed::RestartProxy => self.proxy.as_deref().ok_or(Untold::NotOffered(NO_PROXY)),
            Deed::ExtendVolume => Err(Untold::NotOffered(NO_VOLUME)),
        }
    }

    async fn list(&self, deed: Deed, until: Instant) -> Result<Vec<Target>, Untold> {
        let mut all = self.docker.named(self.named(deed)?, until).await?;
        if deed == Deed::StartDb {
            all.retain(|one| matches!(one.state, InstanceState::Stopped | InstanceState::Failed));
        }
        Ok(all.into_iter().map(|one| Target { id: one.id, name: one.name, size_gb: None }).collect())
    }

    async fn done(&self, order: &Order, until: Instant) -> Result<Done, Undone> {
        let (deed, target) = (order.deed(), order.target());
        let name = self.named(deed).map_err(|untold| Undone::NotOffered(untold.to_string()))?;
        let untouched = |why: String| {
            Undone::refused(format!("container {}: {why}; nothing was asked of it", target.name))
        };
        let all = self.docker.named(name, until).await.map_err(|untold| untouched(untold.to_string()))?;
        let Some(before) = all.into_iter().find(|one| one.id == target.id) else {
            return Err(untouched(format!("{name:?} has no container {:?} any more", target.id)));
        };
        let (verb, query) = match (deed, before.word.as_str()) {
            (Deed::StartDb, "paused") => ("unpause", String::new()),
            (Deed::StartDb, _) if before.state == InstanceState::Running => {
                let said = format!("container {} runs already: {}", before.name, before.word);
                return Ok(Done { said, ..Done::default() });
            }
            (Deed::StartDb, _) => ("start", String::new()),
            _ => {
                let left = until.saturating_duration_since(Instant::now()).as_secs();
                ("restart", format!("?t={}", (left / 2).clamp(1, GRACE)))
            }
        };
        self.ask_for(verb, &query, &before, until).await?;
        self.runs_again(verb, &before, until).await
    }

    /// Asks once.
    async fn ask_for(
        &self,
        verb: &str,
        query: &str,
        before: &Instance,
        until: Instant,
    ) -> Result<(), Undone> {
        let path = format!("/containers/{}/{verb}{query}", escape(&before.id));
        let what = format!("{verb} of container {}", before.name);
        in_time(until).map_err(|end| end.undone(&what, Vec::new()))?;
        let result = self.docker.post(&path, BODY, until).await;
        let result = result.map_err(|untold| End::Refused(untold.to_string()).undone(&what, Vec::new()))?;
        // It runs already (Engine API, `ContainerStart`).
        if result.as_ref().is_ok_and(|answer| answer.status == 304) {
            return Ok(());
        }
        match carried_out(result, refusal) {
            Ok(_) => Ok(()),
            // A restart is a stop and a start: where the start is refused the container has ended all the same.
            Err(End::Refused(why)) => match self.docker.look(&before.id, until).await {
                Ok(now) if is_as_before(&now, before) => Err(End::Refused(why).undone(&what, Vec::new())),
                Ok(now) => {
                    Err(End::Unknown(format!("{why}; it is {} now", now.word)).undone(&what, Vec::new()))
                }
                Err(_) => Err(End::Unknown(why).undone(&what, Vec::new())),
            },
            Err(end) => Err(end.undone(&what, Vec::new())),
        }
    }

    /// Waits until it runs anew, and is well where it has a check.
    async fn runs_again(&self, verb: &str, before: &Instance, until: Instant) -> Result<Done, Undone> {
        let mut since: Option<(Option<Timestamp>, Instant)> = None;
        let mut last = "nothing was seen of it".to_owned();
        while Instant::now() < until {
            match self.docker.look(&before.id, until).await {
                Err(untold) => last = untold.to_string(),
                Ok(now) => {
                    last = format!("it is {}", now.word);
                    let anew = verb == "unpause" || now.started_at > before.started_at;
                    if now.state != InstanceState::Running || !anew {
                        since = None;
                    } else if since.is_none_or(|(start, _)| start != now.started_at) {
                        since = Some((now.started_at, Instant::now()));
                    }
                    let steady = since.is_some_and(|(_, since)| since.elapsed() >= STEADY);
                    if steady && now.checks.iter().all(|check| check.status == CheckStatus::Passing) {
                        let said = format!("{verb} of container {}: it is {}", now.name, now.word);
                        return Ok(Done { said, ..Done::default() });
                    }
                }
            }
            sleep(LOOKS.min(until.saturating_duration_since(Instant::now()))).await;
        }
        let name = &before.name;
        Err(Undone::unknown(format!(
            "{verb} of container {name}: the engine took it, and it was not seen to run well in time: {last}"
        )))
    }
}

fn is_as_before(now: &Instance, before: &Instance) -> bool {
    (now.state, now.started_at) == (before.state, before.started_at)
}

impl Hands for DockerHands {
    fn kind(&self) -> &'static str {
        "docker"
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

//! Hands on Fly.io: one machine restarted or started, a volume extended, by the Machines API.
//!
//! Facts: superfly/fly-go 22d6e51, `flaps/flaps_machines.go`, `flaps_machines_wait.go`, `flaps_volumes.go`; superfly/docs,
//! `machines/api`; fly-apps/postgres-flex d263c9e, `cmd/start/main.go`. The proxy within a database machine is not offered
//! alone: postgres-flex restarts its HAProxy by the stats socket of that same HAProxy, which one that hangs does not
//! serve; `restart_proxy` can name a command. Not in here: looking (`platform/fly`).

mod errand;
mod machine;
mod pace;
mod volume;

use super::{Doing, Hands, Listing, Order, Target, Undone};
use crate::platform::fly::{Fly, is_app};
use crate::platform::told::{CheckLogin, Instance, InstanceState, MemberRole, PlatformVolume};
use crate::platform::{Part, Platform, Untold};
use errand::Errand;
use machine::Wish;
use pace::Pace;
use pgmedic_model::Deed;
use std::sync::Arc;
use tokio::time::Instant;

/// `size_gb` counts by this.
const GB: u64 = 1 << 30;

const NO_PROXY: &str =
    "Fly restarts no proxy by itself: it is part of its machine; `restart_proxy` can name a command";

/// Whoever acts on a Fly organisation's apps.
#[derive(Debug)]
pub struct FlyHands {
    fly: Arc<Fly>,
    pace: Pace,
}

impl FlyHands {
    /// Hands that ask as this window does, with its token, which must be allowed more than to read.
    #[must_use]
    pub fn new(fly: Arc<Fly>) -> Self {
        Self { fly, pace: Pace::default() }
    }

    async fn list(&self, deed: Deed, until: Instant) -> Result<Vec<Target>, Untold> {
        match deed {
            Deed::RestartProxy => Err(Untold::NotOffered(NO_PROXY)),
            Deed::ExtendVolume => Ok(self.fly.volumes(until).await?.into_iter().map(of_volume).collect()),
            Deed::RestartApi => {
                let mut all = self.fly.instances(Part::Api, until).await?;
                // One that Fly has stopped for want of requests is started by the next request.
                if all.iter().any(|one| one.state != InstanceState::Stopped) {
                    all.retain(|one| one.state != InstanceState::Stopped);
                }
                Ok(all.into_iter().map(of_machine).collect())
            }
            Deed::RestartDb => {
                let mut all = self.fly.instances(Part::Db, until).await?;
                // As `fly postgres restart` goes: whoever takes the writes comes last.
                all.sort_by_key(|one| one.server.role.as_ref().map(|role| role.value == MemberRole::Primary));
                Ok(all.into_iter().map(of_machine).collect())
            }
            Deed::StartDb => {
                let all = self.fly.instances(Part::Db, until).await?;
                Ok(all.into_iter().filter(does_not_run).map(of_machine).collect())
            }
        }
    }

    async fn done(&self, order: &Order, until: Instant) -> Result<super::Done, Undone> {
        let (part, id) = match order {
            Order::RestartProxy(_) => return Err(Undone::NotOffered(NO_PROXY.to_owned())),
            Order::Restart(part, target) => (*part, &target.id),
            Order::StartDb(target) | Order::Extend(target, _) => (Part::Db, &target.id),
        };
        let app = self.fly.app(part).map_err(|untold| Undone::NotOffered(untold.to_string()))?;
        if id.is_empty() || !is_app(id) {
            return Err(Undone::refused(format!("{id:?} is no id of Fly's; nothing was asked")));
        }
        let errand = Errand::new(&self.fly, &self.pace, app, id, until);
        match order {
            Order::Extend(target, size_gb) => errand.extend(target, *size_gb).await,
            Order::StartDb(_) => errand.run_again(part, Wish::Start).await,
            _ => errand.run_again(part, Wish::Restart).await,
        }
    }
}

/// True for a machine that does not run, or whose postmaster has died in it.
fn does_not_run(one: &Instance) -> bool {
    let login = one.server.login.as_ref().map(|login| &login.value);
    matches!(one.state, InstanceState::Stopped | InstanceState::Failed)
        || (one.state == InstanceState::Running && matches!(login, Some(CheckLogin::NothingListens(_))))
}

fn of_machine(one: Instance) -> Target {
    Target { id: one.id, name: one.name, size_gb: None }
}

fn of_volume(one: PlatformVolume) -> Target {
    Target { id: one.id, name: one.name, size_gb: one.size_bytes.map(|bytes| bytes / GB) }
}

impl Hands for FlyHands {
    fn kind(&self) -> &'static str {
        "fly"
    }

    fn offers(&self) -> Vec<Deed> {
        let mut offers = Vec::new();
        if self.fly.app(Part::Api).is_ok() {
            offers.push(Deed::RestartApi);
        }
        if self.fly.app(Part::Db).is_ok() {
            offers.extend([Deed::StartDb, Deed::RestartDb, Deed::ExtendVolume]);
        }
        offers
    }

    fn targets(&self, deed: Deed, until: Instant) -> Listing<'_> {
        Box::pin(self.list(deed, until))
    }

    fn act<'a>(&'a self, order: &'a Order, until: Instant) -> Doing<'a> {
        Box::pin(self.done(order, until))
    }
}

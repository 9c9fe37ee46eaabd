//! The hands of the lab: whoever would restart, start and extend, done to the lab's real parts. Each deed is what a
//! supervisor or a platform does: the process is killed and started anew, the volume mounted larger. Only what the lab has
//! is offered.

use pgmedic_lab::api::Api;
use pgmedic_lab::haproxy::Haproxy;
use pgmedic_lab::pgbouncer::Pgbouncer;
use pgmedic_lab::postgres::{Postgres, Stop};
use pgmedic_lab::volume::Mounted;
use pgmedic_lab::{Lab, LabError};
use pgmedic_model::Deed;
use pgmedic_path::hands::{Doing, Done, Hands, Listing, Order, Target, Undone};
use pgmedic_path::platform::Part;
use std::sync::Arc;
use tokio::time::Instant;

/// The parts that deeds are done to.
#[derive(Clone, Debug)]
pub(super) struct LabHands {
    api: Option<Arc<Api>>,
    proxy: Option<Arc<Haproxy>>,
    pooler: Option<Arc<Pgbouncer>>,
    postgres: Arc<Postgres>,
    mounted: Mounted,
}

impl LabHands {
    /// For this lab.
    pub(super) fn of(lab: &Lab) -> Self {
        Self {
            api: lab.api().ok().cloned(),
            proxy: lab.proxy().ok().cloned(),
            pooler: lab.pooler().ok().cloned(),
            postgres: Arc::clone(lab.postgres()),
            mounted: lab.mounted().clone(),
        }
    }

    /// To whom a deed would be done.
    fn listed(&self, deed: Deed) -> Vec<Target> {
        let part = |there: bool, name: &str| there.then(|| named(name, None));
        match deed {
            Deed::RestartApi => part(self.api.is_some(), "api").into_iter().collect(),
            Deed::RestartProxy => {
                let (proxy, pooler) = (self.proxy.is_some(), self.pooler.is_some());
                part(proxy, "haproxy").into_iter().chain(part(pooler, "pgbouncer")).collect()
            }
            Deed::StartDb | Deed::RestartDb => vec![named("postgres", None)],
            Deed::ExtendVolume => {
                let volumes = self.mounted.volumes();
                let gb = |bytes: u64| bytes / 1_000_000_000;
                volumes
                    .iter()
                    .map(|v| named(&v.path().display().to_string(), v.total().ok().map(gb)))
                    .collect()
            }
        }
    }

    fn done(&self, order: &Order) -> Result<String, LabError> {
        match order {
            Order::Restart(Part::Api, _) => {
                let api = self.api.as_ref().ok_or(LabError::PartAbsent("an API"))?;
                api.start_anew().map(|()| "its process was ended and started anew".to_owned())
            }
            Order::Restart(Part::Db, _) => {
                self.postgres.stop(Stop::Immediate)?;
                self.postgres.ensure_up().map(|()| "stopped at once, started, and it answers".to_owned())
            }
            Order::StartDb(_) => self.postgres.ensure_up().map(|()| "started, and it answers".to_owned()),
            Order::RestartProxy(target) => {
                match (&self.proxy, &self.pooler) {
                    (Some(proxy), _) if target.id == "haproxy" => proxy.kill_and_start()?,
                    (_, Some(pooler)) => pooler.kill_and_start()?,
                    (_, None) => return Err(LabError::PartAbsent("a proxy")),
                }
                Ok("its process was killed and started anew with its configuration".to_owned())
            }
            Order::Extend(target, gb) => {
                let mounted = self.mounted.volumes().into_iter();
                let volume = mounted.into_iter().find(|v| v.path().display().to_string() == target.id);
                let volume = volume.ok_or(LabError::PartAbsent("such a volume"))?;
                // A GB is so many bytes, as vendors count; a tmpfs takes MiB.
                let mib = (gb.saturating_mul(1_000_000_000)).div_ceil(1 << 20);
                volume.enlarge(u32::try_from(mib).unwrap_or(u32::MAX))?;
                Ok(format!("mounted with {gb} GB"))
            }
        }
    }
}

fn named(id: &str, size_gb: Option<u64>) -> Target {
    Target { id: id.to_owned(), name: id.to_owned(), size_gb }
}

impl Hands for LabHands {
    fn kind(&self) -> &'static str {
        "lab"
    }

    fn offers(&self) -> Vec<Deed> {
        let all = [Deed::RestartApi, Deed::RestartProxy, Deed::StartDb, Deed::RestartDb, Deed::ExtendVolume];
        all.into_iter().filter(|deed| !self.listed(*deed).is_empty()).collect()
    }

    fn targets(&self, deed: Deed, _: Instant) -> Listing<'_> {
        Box::pin(async move { Ok(self.listed(deed)) })
    }

    /// The lab is asked from ordinary code, which has runtimes of its own: on a thread where that may wait.
    fn act<'a>(&'a self, order: &'a Order, until: Instant) -> Doing<'a> {
        let (hands, order) = (self.clone(), order.clone());
        Box::pin(async move {
            let doing = tokio::task::spawn_blocking(move || hands.done(&order));
            match tokio::time::timeout_at(until, doing).await {
                Ok(Ok(Ok(said))) => Ok(Done { said, ..Done::default() }),
                Ok(Ok(Err(why))) => Err(Undone::unknown(why.to_string())),
                Ok(Err(why)) => Err(Undone::unknown(why.to_string())),
                Err(_) => Err(Undone::unknown("not done in time")),
            }
        })
    }
}

//! Orders, carried out: the configuration read anew, pauses, approvals. A configuration that is wrong changes nothing, and one
//! that is right disturbs only those services that it changes.

use super::files::{Change, Want};
use super::{Engine, News, Order, Plan, Reply};
use crate::hold::{Hold, Pause};
use crate::http::Declined;
use pgmedic_path::aside;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long reading a configuration may take, its secrets among it.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// A configuration that was read, or why not, and who waits for the answer.
#[derive(Debug)]
pub(super) struct Loaded {
    plan: Result<Plan, String>,
    reply: Option<Reply>,
}

impl Engine {
    pub(super) fn obey(&mut self, order: Order) {
        // Whoever asked may have gone.
        match order {
            Order::Stop => {}
            Order::Reload(reply) => self.reload(reply),
            Order::Approve(approval, reply) => self.approve(approval, reply),
            Order::Pause(scope, until, by, reply) => {
                let pause = Pause { since: self.clock.now(), until, reason: None, by };
                self.want(Want::Change(Change::Pause(pause), scope, reply));
            }
            Order::Resume(scope, by, reply) => self.want(Want::Change(Change::Resume(by), scope, reply)),
        }
    }

    /// Has the configuration read, on a thread of its own: a secret may be on a disk that hangs.
    fn reload(&mut self, reply: Option<Reply>) {
        if self.loading {
            if let Some(reply) = reply {
                let _gone = reply.send(Err(Declined::Conflict("it is being read already".to_owned())));
            }
            return;
        }
        self.loading = true;
        self.notify.reloading();
        let (host, to) = (Arc::clone(&self.host), self.loaded.clone());
        tokio::spawn(async move {
            let read = aside::call("configuration", Instant::now() + READ_WITHIN, move || host.load()).await;
            let plan = match read {
                Ok(plan) => plan,
                Err(error) => Err(format!("it could not be read: {error}")),
            };
            // The engine has ended.
            let _gone = to.send(Loaded { plan, reply });
        });
    }

    /// Takes a configuration that was read, whole or not at all.
    pub(super) async fn take_up(&mut self, loaded: Loaded) {
        self.loading = false;
        let Loaded { plan, reply } = loaded;
        let taken = match plan {
            Ok(plan) => self.change_to(plan).await,
            Err(why) => Err(why),
        };
        let outcome = if taken.is_ok() { "taken" } else { "refused" };
        *self.board.state().own.reloads.entry(outcome).or_default() += 1;
        if let Err(why) = &taken {
            self.host.tell(&News::Refused(why));
        }
        self.notify.ready(&self.status());
        if let Some(reply) = reply {
            let _gone = reply.send(taken.map_err(Declined::Refused));
        }
    }

    async fn change_to(&mut self, plan: Plan) -> Result<String, String> {
        let Plan { settings, services } = plan;
        let labels: BTreeMap<_, _> =
            services.iter().map(|p| (p.watched.service.name.clone(), p.watched.labels.clone())).collect();
        let alerts = self.outlets.alerts(&settings, labels).map_err(|error| error.to_string())?;
        if self.outlets.serves_otherwise(&settings) {
            self.outlets.reserve(&settings).await.map_err(|error| error.to_string())?;
        }
        self.outlets.retell(alerts, self.incidents.open().cloned().collect());
        self.keeper.tell(self.outlets.told().clone());
        let later = self.later(&settings);
        let rounds = self.rounds();
        if (&self.settings.state, &self.settings.stop_file) != (&settings.state, &settings.stop_file) {
            // Fixes in hand heed the places of before.
            self.mender.stop(None);
        }
        self.hold = Arc::new(Hold::new(settings.state.clone(), settings.stop_file.clone(), self.clock));
        self.mender.heed(Arc::clone(&self.hold));
        self.incidents.set_stable(settings.stable);
        self.settings = settings;
        let all = rounds != self.rounds();
        let wanted: BTreeSet<&str> = services.iter().map(|p| p.watched.service.name.as_str()).collect();
        let gone: Vec<Arc<str>> =
            self.services.keys().filter(|name| !wanted.contains(&***name)).cloned().collect();
        let (mut added, mut changed, removed) = (0, 0, gone.len());
        for name in gone {
            self.drop_service(&name);
        }
        for planned in services {
            match self.services.get(planned.watched.service.name.as_str()) {
                Some(tended) if tended.mark == planned.mark && !all => continue,
                Some(_) => {
                    changed += 1;
                    // What was allowed under the policy before may not be any more: no further step of it.
                    self.mender.stop(Some(&planned.watched.service.name));
                }
                None => added += 1,
            }
            self.begin_service(planned);
        }
        self.store.watches(self.services.keys().map(|name| name.to_string()));
        self.host.tell(&News::Reloaded { added, removed, changed, later: &later });
        Ok(format!("{added} service(s) added, {removed} removed, {changed} changed{}", words(&later)))
    }

    /// What of a configuration takes effect only at the next start.
    fn later(&self, settings: &crate::settings::Settings) -> Vec<&'static str> {
        let mut later = Vec::new();
        let now = &self.settings;
        if format!("{:?}", now.store) != format!("{:?}", settings.store) {
            later.push("store");
        }
        if (now.keep, now.keep_looks, now.store_limit)
            != (settings.keep, settings.keep_looks, settings.store_limit)
        {
            later.push("keep, keep_looks and store_limit");
        }
        later
    }

    /// Incidents that were kept of services which are watched no more: their shares end, and it is said that nothing proved
    /// them well. Else they would be told of for ever.
    pub(super) fn drop_strangers(&mut self) {
        let of_each = self.incidents.open().flat_map(|i| i.services.iter());
        let lasting = of_each.filter(|(_, affected)| affected.until.is_none()).map(|(name, _)| name.clone());
        let strangers: BTreeSet<String> =
            lasting.filter(|name| !self.services.contains_key(name.as_str())).collect();
        for name in strangers {
            let verdicts = self.incidents.drop_service(&name, self.clock.now());
            self.follow(verdicts);
        }
    }

    fn drop_service(&mut self, name: &Arc<str>) {
        self.mender.stop(Some(name));
        self.schedule.end(name);
        if let Some(tended) = self.services.remove(name) {
            tokio::spawn(async move { tended.sight.close().await });
        }
        self.board.state().services.remove(name);
        let verdicts = self.incidents.drop_service(name, self.clock.now());
        self.follow(verdicts);
    }
}

fn words(later: &[&str]) -> String {
    if later.is_empty() { String::new() } else { format!("; at the next start: {}", later.join(", ")) }
}

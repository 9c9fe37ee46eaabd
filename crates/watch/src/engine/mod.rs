//! The engine: takes what the schedule sees, folds it into incidents, keeps them, has them told, and has mended what the
//! policy allows. One loop, which waits for nothing but its next event: what may take long is elsewhere, on a task or a
//! thread of its own.
//!
//! Not in here: looking (`schedule`), what was seen means (`incidents`), whether something may be done (`policy`), doing it
//! (`mend`), keeping (`store`), telling (`alerts`), serving (`http`).

mod files;
mod keep;
mod mending;
mod orders;
mod outlets;
mod past;
mod plan;
mod record;
mod reload;

pub use orders::{Order, Remote, Reply};
pub use plan::{Host, Met, News, Plan, Planned};

use crate::alerts::{BadReceiver, Entry};
use crate::board::{Board, Patient};
use crate::clock::{Clock, Steady};
use crate::hold::{Hold, Holds};
use crate::http::ListenError;
use crate::incident::{Change, Incident};
use crate::incidents::{Incidents, Verdict};
use crate::mend::{Mended, Mender};
use crate::notify::Notify;
use crate::schedule::{Rounds, Schedule, Sight};
use crate::seen::Seen;
use crate::settings::{Settings, Watched};
use crate::store::{Keep, Store, StoreError};
use files::{Files, Got, Want};
use keep::{Keeper, Other};
use outlets::Outlets;
use past::Past;
use pgmedic_model::{Ms, Role, Timestamp};
use pgmedic_path::identity::of_the_front;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often time is told to pass.
const TICK: Duration = Duration::from_secs(1);
/// How soon a pause and the stop file are heeded where no fix is in hand.
const GLANCE: Duration = Duration::from_millis(250);
/// The whole end takes no longer than this and what the store and the alerts are given after it.
const STEP_IN_HAND: Duration = Duration::from_millis(800);
/// What the alerts have at the end to say what they can; what they cannot stays in the outbox.
const LAST_WORDS: Duration = Duration::from_millis(400);
/// What the store has at the end to write.
const LAST_LINES: Duration = Duration::from_millis(300);
/// What seen waits for the engine at the most.
const BACKLOG: usize = 1024;

/// Why there is nothing to watch with.
#[derive(Debug, thiserror::Error)]
pub enum Unable {
    /// The store cannot be had.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A receiver of alerts cannot be told anything.
    #[error("{0}")]
    Receiver(#[from] BadReceiver),
    /// It may not listen there.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// It cannot listen there.
    #[error("listen = \"{at}\": {error}; another pgmedic may be there already")]
    Bind {
        /// Where.
        at: std::net::SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

/// What the engine starts with.
#[derive(Debug)]
pub struct Start {
    /// The configuration.
    pub plan: Plan,
    /// Whoever starts it.
    pub host: Arc<dyn Host>,
    /// The service manager.
    pub notify: Notify,
    /// What time it is.
    pub clock: Clock,
    /// What tells this watcher from others that share its store, the same after a restart: host and configuration.
    pub watcher: String,
}

/// One service as the engine has it.
#[derive(Debug)]
struct Tended {
    watched: Arc<Watched>,
    mark: u64,
    sight: Arc<Sight>,
    /// The newest look that found a root, by the root's id, was begun then.
    roots_at: BTreeMap<String, Timestamp>,
    /// Its server is remembered, or pinned.
    remembered: bool,
    /// When the next fix may be thought of, by incident.
    retry: BTreeMap<String, Timestamp>,
    /// How often in a row a fix could do nothing for an incident.
    in_vain: BTreeMap<String, u32>,
}

/// The engine.
struct Engine {
    host: Arc<dyn Host>,
    notify: Notify,
    clock: Clock,
    board: Board,
    settings: Settings,
    services: BTreeMap<Arc<str>, Tended>,
    incidents: Incidents,
    schedule: Schedule,
    mender: Mender,
    hold: Arc<Hold>,
    /// What held its hands a moment ago.
    holds: Holds,
    files: Files,
    store: Store,
    keeper: Keeper,
    outlets: Outlets,
    /// Where a configuration that was read comes in.
    loaded: mpsc::UnboundedSender<reload::Loaded>,
    loading: bool,
    met: Vec<Met>,
    past: Past,
    last_seen: Instant,
    steady: Steady,
}

/// Where events come in.
struct Inlets {
    orders: mpsc::Receiver<Order>,
    seen: mpsc::Receiver<Seen>,
    mended: mpsc::UnboundedReceiver<Mended>,
    loaded: mpsc::UnboundedReceiver<reload::Loaded>,
    others: mpsc::UnboundedReceiver<Other>,
    filed: mpsc::UnboundedReceiver<Got>,
}

/// Watches until it is told to stop. `tell` is the other end of `orders`: the API sends by it.
///
/// # Errors
/// Where there is nothing to watch with. Nothing was begun then.
pub async fn run(
    start: Start,
    tell: mpsc::Sender<Order>,
    orders: mpsc::Receiver<Order>,
) -> Result<(), Unable> {
    let watching = async {
        let (mut engine, mut inlets) = Engine::new(start, tell, orders).await?;
        engine.look_first(&mut inlets).await;
        engine.settle_the_past();
        engine.drop_strangers();
        engine.announce();
        engine.watch(&mut inlets).await;
        engine.end(&mut inlets).await;
        Ok(())
    };
    LocalSet::new().run_until(watching).await
}

impl Engine {
    async fn new(
        start: Start,
        tell: mpsc::Sender<Order>,
        orders: mpsc::Receiver<Order>,
    ) -> Result<(Self, Inlets), Unable> {
        let Start { plan, host, notify, clock, watcher } = start;
        let Plan { settings, services } = plan;
        let board = Board::default();
        board.state().own.started_at = clock.now();
        board.beat();
        let listener = match settings.listen {
            Some(at) => Some(outlets::bind(at, &settings).await?),
            None => None,
        };
        let keep = Keep { incidents: settings.keep, looks: settings.keep_looks, limit: settings.store_limit };
        let store = Store::open(&settings.store, keep, &watcher, clock, board.clone()).await?;
        let (restored, past) = Past::ask(&store, &*host).await;
        let mut incidents = Incidents::new(settings.stable);
        incidents.restore(restored, clock.now());
        let labels = services.iter().map(|p| (p.watched.service.name.clone(), p.watched.labels.clone()));
        let outlets = Outlets::open(
            outlets::Around {
                host: Arc::clone(&host),
                store: store.clone(),
                board: board.clone(),
                clock,
                tell: tell.clone(),
            },
            &settings,
            labels.collect(),
            listener,
            incidents.open().cloned().collect(),
        )?;
        let (see, seen) = mpsc::channel(BACKLOG);
        let (mend, mended) = mpsc::unbounded_channel();
        let (load, loaded) = mpsc::unbounded_channel();
        let (adopt, others) = mpsc::unbounded_channel();
        let (file, filed) = mpsc::unbounded_channel();
        let hold = Arc::new(Hold::new(settings.state.clone(), settings.stop_file.clone(), clock));
        let mender = Mender::new(
            settings.state.clone(),
            settings.home.clone(),
            Arc::clone(&hold),
            store.clone(),
            clock,
            mend,
        );
        let mut engine = Self {
            schedule: Schedule::new(board.clone(), clock, see),
            host,
            notify,
            clock,
            board,
            settings,
            services: BTreeMap::new(),
            incidents,
            mender,
            hold,
            holds: Holds::unknown("not looked at yet".to_owned(), clock.now()),
            files: Files::open(file),
            keeper: Keeper::open(store.clone(), outlets.told().clone(), adopt),
            store,
            outlets,
            loaded: load,
            loading: false,
            met: Vec::new(),
            past,
            last_seen: Instant::now(),
            steady: Steady::by(clock),
        };
        engine.put_on_board();
        for planned in services {
            engine.begin_service(planned);
        }
        engine.store.watches(engine.services.keys().map(|name| name.to_string()));
        Ok((engine, Inlets { orders, seen, mended, loaded, others, filed }))
    }

    /// Begins to watch a service, or another version of it.
    fn begin_service(&mut self, planned: Planned) {
        let Planned { watched, mark } = planned;
        let name: Arc<str> = watched.service.name.as_str().into();
        let (service, timeout) = (watched.service.clone(), self.settings.timeout);
        let before = self.services.get(&name).map(|tended| Arc::clone(&tended.sight));
        let (sight, kept) = match &before {
            Some(before) => Sight::after(before, service, watched.standing, timeout),
            None => (Sight::of(service, watched.standing, timeout), false),
        };
        let sight = Arc::new(sight);
        let patient = Patient { labels: watched.labels.clone(), ..Patient::default() };
        self.board.state().services.entry(Arc::clone(&name)).or_insert(patient).labels =
            watched.labels.clone();
        match before {
            Some(before) => {
                self.schedule.replace(&name, Arc::clone(&sight) as _, self.rounds(), async move {
                    if !kept {
                        before.close().await;
                    }
                })
            }
            None => self.schedule.begin(&name, Arc::clone(&sight) as _, self.rounds()),
        }
        let tended = Tended {
            remembered: watched.service.expected.is_some(),
            watched: Arc::new(watched),
            mark,
            sight,
            roots_at: BTreeMap::new(),
            retry: BTreeMap::new(),
            in_vain: BTreeMap::new(),
        };
        self.services.insert(name, tended);
    }

    const fn rounds(&self) -> Rounds {
        let Settings { interval, walk, timeout, .. } = self.settings;
        Rounds { interval, walk, timeout }
    }

    fn put_on_board(&self) {
        let mut state = self.board.state();
        for incident in self.incidents.open() {
            state.incidents.insert(incident.id.clone(), Arc::clone(incident));
        }
    }

    fn announce(&self) {
        let (services, open) = (self.services.len(), self.incidents.open().count());
        let listen = self.outlets.listens();
        self.host.tell(&News::Started { services, listen, open });
        self.notify.ready(&self.status());
    }

    /// What it is at, in one line.
    fn status(&self) -> String {
        let (services, open) = (self.services.len(), self.incidents.open().count());
        let held = if self.board.state().paused.is_empty() { "" } else { ", paused" };
        format!("watches {services} service(s), {open} incident(s) open{held}")
    }

    async fn watch(&mut self, inlets: &mut Inlets) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut glance = interval(GLANCE);
        glance.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut alive = interval(self.notify.every().unwrap_or(Duration::from_secs(3600)));
        alive.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                order = inlets.orders.recv() => match order {
                    Some(Order::Stop) | None => return,
                    Some(order) => self.obey(order),
                },
                Some(mended) = inlets.mended.recv() => self.mended(mended),
                Some(loaded) = inlets.loaded.recv() => self.take_up(loaded).await,
                Some(other) = inlets.others.recv() => self.adopt(other),
                Some(got) = inlets.filed.recv() => self.filed(got),
                _ = alive.tick() => self.show_life(),
                _ = tick.tick() => {
                    self.tick();
                    self.take_up_the_past();
                }
                Some(seen) = inlets.seen.recv() => self.saw(&seen),
                _ = glance.tick() => self.glance(),
            }
        }
    }

    /// One look at a service.
    fn saw(&mut self, seen: &Seen) {
        self.last_seen = Instant::now();
        self.heed_the_clock();
        // It has left the configuration meanwhile.
        let Some(tended) = self.services.get_mut(&seen.service) else { return };
        for root in seen.report.findings.iter().filter(|f| f.role == Role::Root) {
            tended.roots_at.insert(root.cause.clone(), seen.at);
        }
        if !tended.remembered
            && let Some(met) = of_the_front(&seen.evidence)
        {
            tended.remembered = true;
            self.met.push(Met {
                service: seen.service.to_string(),
                address: seen.evidence.target.address.clone(),
                system_identifier: met.to_owned(),
                since: seen.evidence.started_at,
            });
        }
        self.board.saw(seen.clone());
        let verdicts = self.incidents.take(seen, self.clock.now());
        self.follow(verdicts);
        self.store.looked(seen);
        self.think_of_mending(&seen.service);
    }

    /// Does what follows from what was seen or done.
    fn follow(&mut self, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            match verdict {
                Verdict::Confirm(service) => self.schedule.walk_now(&service),
                Verdict::Noted(incident) => {
                    self.keep(&incident, Vec::new());
                    self.show(incident);
                }
                Verdict::Changed(change, incident) => self.changed(change, incident),
            }
        }
    }

    /// Somebody is to be told.
    fn changed(&mut self, change: Change, incident: Arc<Incident>) {
        let entries = self.outlets.told().entries(change, &incident);
        self.keep(&incident, entries);
        self.host.tell(&News::Incident(change, &incident));
        if change == Change::Opened {
            *self.board.state().own.incidents.entry(incident.cause.clone()).or_default() += 1;
        }
        if change == Change::Closed {
            let services = incident.services.keys().map(|name| name.as_str().into()).collect();
            self.want(Want::LeftOpen(incident.id.clone(), services));
            for tended in self.services.values_mut() {
                tended.retry.remove(&incident.id);
                tended.in_vain.remove(&incident.id);
            }
        }
        self.show(incident);
        self.notify.status(&self.status());
    }

    fn keep(&self, incident: &Arc<Incident>, entries: Vec<Entry>) {
        self.keeper.put(keep::Change { incident: Arc::clone(incident), entries });
    }

    fn show(&self, incident: Arc<Incident>) {
        self.board.state().incidents.insert(incident.id.clone(), incident);
    }

    /// A second has passed.
    fn tick(&mut self) {
        self.board.beat();
        self.heed_the_clock();
        let now = self.clock.now();
        let verdicts = self.incidents.tick(now);
        self.follow(verdicts);
        self.take_over();
        self.tell_who_is_unseen();
        self.forget_what_is_over(now);
        self.remember();
        let ready = {
            let mut state = self.board.state();
            let all = state.services.values().all(|patient| patient.last.is_some() || patient.blind);
            let first = all && state.own.ready_at.is_none();
            if first {
                state.own.ready_at = Some(now);
            }
            first
        };
        if ready {
            self.notify.status(&self.status());
        }
        let ill: Vec<Arc<str>> =
            self.incidents.open().flat_map(|i| i.services.keys().map(|name| name.as_str().into())).collect();
        for service in ill {
            self.think_of_mending(&service);
        }
    }

    /// Incidents that were closed a while ago leave the board; the store has them.
    fn forget_what_is_over(&self, now: Timestamp) {
        let span = Ms::from(Incidents::SAME);
        let lately = |closed: Timestamp| closed.plus(span) > now;
        self.board.state().incidents.retain(|_, i| i.closed_at.is_none_or(lately));
    }

    /// The watchdog is told for as long as looks come in.
    fn show_life(&self) {
        let patience = self.settings.interval + self.settings.timeout * 3 + Duration::from_secs(10);
        if self.services.is_empty() || self.last_seen.elapsed() < patience {
            self.notify.alive();
        }
    }

    /// Ends within 2 s: no fix begins another step, sessions are closed, and what is to be told and kept is, as far as that
    /// can be. What cannot stays in the outbox and in the record.
    async fn end(mut self, inlets: &mut Inlets) {
        let begun = Instant::now();
        self.notify.stopping();
        self.host.tell(&News::Stopping);
        self.mender.stop(None);
        let sights: Vec<Arc<Sight>> = self.services.values().map(|t| Arc::clone(&t.sight)).collect();
        self.schedule.end_all();
        let closing = futures_util::future::join_all(sights.iter().map(|sight| sight.close()));
        let _late = tokio::time::timeout(LAST_WORDS, closing).await;
        while self.mender.is_busy() {
            match tokio::time::timeout_at(begun + STEP_IN_HAND, inlets.mended.recv()).await {
                Ok(Some(mended)) => self.mended(mended),
                // The record has the step; whoever starts next reads there what came of it.
                Ok(None) | Err(_) => break,
            }
        }
        self.keeper.close(LAST_WORDS / 2).await;
        self.outlets.close(LAST_WORDS).await;
        let lost = self.store.close(LAST_LINES).await;
        if lost > 0 {
            self.host.tell(&News::Trouble(&format!("{lost} line(s) of history could not be written")));
        }
    }
}

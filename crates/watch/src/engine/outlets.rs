//! What leaves the daemon: alerts to their receivers, and the server of metrics and API. Each is a task that a reload replaces.

use super::orders::{Order, Remote};
use super::{Host, News, Unable};
use crate::alerts::{Alerts, BadReceiver, Hook, Plan};
use crate::board::Board;
use crate::clock::Clock;
use crate::http::{self, Server, may_serve};
use crate::incident::Incident;
use crate::settings::Settings;
use crate::store::Store;
use pgmedic_model::Secret;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// What a server that is replaced has for the requests in its hands, and for ending.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// Labels by service.
pub(super) type Labels = BTreeMap<String, BTreeMap<String, String>>;

/// What the outlets need of the rest.
#[derive(Clone, Debug)]
pub(super) struct Around {
    pub(super) host: Arc<dyn Host>,
    pub(super) store: Store,
    pub(super) board: Board,
    pub(super) clock: Clock,
    pub(super) tell: mpsc::Sender<Order>,
}

/// A task that ends when it is told to.
#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Tells it to end, and waits for that; what is too late is cut off.
    async fn end(self, within: Duration) {
        // It has ended by itself.
        let _gone = self.stop.send(());
        let mut task = self.task;
        if tokio::time::timeout(within, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// Everything that leaves.
pub(super) struct Outlets {
    around: Around,
    alerts: Alerts,
    telling: Option<Running>,
    serving: Option<Serving>,
}

struct Serving {
    at: SocketAddr,
    asked: SocketAddr,
    config: Made,
    spare: StdListener,
    running: Running,
}

/// A listener, and the same once more for whoever serves there next.
pub(super) type Listener = (TcpListener, StdListener);

/// Takes the address of a configuration, where that may be.
pub(super) async fn bind(at: SocketAddr, settings: &Settings) -> Result<Listener, Unable> {
    may_serve(at, settings.token.as_ref(), settings.read_token.as_ref())?;
    let bound = TcpListener::bind(at).await.and_then(TcpListener::into_std);
    let both = bound.and_then(|spare| Ok((doubled(&spare)?, spare)));
    both.map_err(|error| Unable::Bind { at, error })
}

/// The same listener once more: whoever is served next takes it over without a moment in which nobody listens.
fn doubled(of: &StdListener) -> std::io::Result<TcpListener> {
    TcpListener::from_std(of.try_clone()?)
}

impl Outlets {
    pub(super) fn open(
        around: Around,
        settings: &Settings,
        labels: Labels,
        listener: Option<Listener>,
        open: Vec<Arc<Incident>>,
    ) -> Result<Self, BadReceiver> {
        let alerts = alerts(&around, settings, labels)?;
        let mut outlets = Self { around, alerts, telling: None, serving: None };
        outlets.begin_telling(None, open);
        if let Some(listener) = listener {
            outlets.begin_serving(settings, listener);
        }
        Ok(outlets)
    }

    /// Where it listens.
    pub(super) fn listens(&self) -> Option<SocketAddr> {
        self.serving.as_ref().map(|serving| serving.at)
    }

    /// Whoever is told of incidents now.
    pub(super) const fn told(&self) -> &Alerts {
        &self.alerts
    }

    /// The receivers of another configuration, once those of the one before have ended.
    pub(super) fn retell(&mut self, alerts: Alerts, open: Vec<Arc<Incident>>) {
        self.alerts = alerts.after(&self.alerts);
        let before = self.telling.take();
        self.begin_telling(before, open);
    }

    /// Alerts of a configuration, not told yet.
    pub(super) fn alerts(&self, settings: &Settings, labels: Labels) -> Result<Alerts, BadReceiver> {
        alerts(&self.around, settings, labels)
    }

    fn begin_telling(&mut self, before: Option<Running>, open: Vec<Arc<Incident>>) {
        let (stop, stopped) = oneshot::channel();
        let (alerts, host) = (self.alerts.clone(), Arc::clone(&self.around.host));
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                before.end(Duration::from_secs(2)).await;
            }
            if let Err(error) = alerts.resume(&open).await {
                host.tell(&News::Trouble(&error.to_string()));
            }
            alerts.run(until(stopped)).await;
        });
        self.telling = Some(Running { stop, task });
    }

    /// True where another configuration is served elsewhere, or otherwise.
    pub(super) fn serves_otherwise(&self, settings: &Settings) -> bool {
        let now = self.serving.as_ref().map(|s| (s.asked, s.config.clone()));
        now != settings.listen.map(|at| (at, config_of(settings)))
    }

    /// Serves there from now on, or nowhere. Nothing is ended before the next one has all that it needs, and the one before
    /// is not waited for: the request that asks for this may be in its hands.
    pub(super) async fn reserve(&mut self, settings: &Settings) -> Result<(), Unable> {
        let next = match (settings.listen, &self.serving) {
            (Some(at), Some(before)) if before.asked == at => {
                may_serve(at, settings.token.as_ref(), settings.read_token.as_ref())?;
                let broken = |error| Unable::Bind { at, error };
                let spare = before.spare.try_clone().map_err(broken)?;
                Some((doubled(&spare).map_err(broken)?, spare))
            }
            (Some(at), _) => Some(bind(at, settings).await?),
            (None, _) => None,
        };
        if let Some(Serving { running, .. }) = self.serving.take() {
            tokio::spawn(running.end(LAST_REQUESTS));
        }
        if let Some(listener) = next {
            self.begin_serving(settings, listener);
        }
        Ok(())
    }

    fn begin_serving(&mut self, settings: &Settings, (listener, spare): Listener) {
        let Some(asked) = settings.listen else { return };
        let at = listener.local_addr().unwrap_or(asked);
        let config = http::Config {
            token: settings.token.clone(),
            read_token: settings.read_token.clone(),
            external_url: settings.external_url.clone(),
            clock: self.around.clock,
        };
        let past = self.around.store.clone();
        let remote = Remote::new(self.around.tell.clone());
        let server = Server::new(config, self.around.board.clone(), Arc::new(remote), Arc::new(past));
        let (stop, stopped) = oneshot::channel();
        let host = Arc::clone(&self.around.host);
        let task = tokio::spawn(async move {
            if let Err(error) = server.run(listener, until(stopped)).await {
                host.tell(&News::Trouble(&error.to_string()));
            }
        });
        let running = Running { stop, task };
        self.serving = Some(Serving { at, asked, config: config_of(settings), spare, running });
    }

    /// Ends both.
    pub(super) async fn close(&mut self, within: Duration) {
        let telling = async {
            if let Some(running) = self.telling.take() {
                running.end(within).await;
            }
        };
        let serving = async {
            if let Some(Serving { running, .. }) = self.serving.take() {
                running.end(within).await;
            }
        };
        tokio::join!(telling, serving);
    }
}

/// What of the configuration the server is made of, besides the address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    tokens: [Option<Secret>; 2],
    external_url: Option<String>,
}

fn config_of(settings: &Settings) -> Made {
    let tokens = [settings.token.clone(), settings.read_token.clone()];
    Made { tokens, external_url: settings.external_url.clone() }
}

fn alerts(around: &Around, settings: &Settings, labels: Labels) -> Result<Alerts, BadReceiver> {
    let plan = Plan { to: settings.alerts.clone(), external_url: settings.external_url.clone(), labels };
    let host = Arc::clone(&around.host);
    let hook: Hook = Arc::new(move |happened| host.tell(&News::Alert(happened)));
    let outbox = Arc::new(around.store.clone());
    Alerts::new(plan, outbox, around.board.clone(), around.clock, hook)
}

async fn until(stopped: oneshot::Receiver<()>) {
    // Whoever held the other end is gone: that is a word to end, too.
    let _dropped = stopped.await;
}

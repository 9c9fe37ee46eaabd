//! `pgmedic watch`: reads the configuration, passes signals on, and leaves when it is told to. Not in here: watching
//! (`pgmedic_watch::engine`), how a line looks (`tell`).

mod check;
mod tell;

use crate::args::{WatchArgs, When};
use crate::config::Config;
use crate::failure::Failure;
use crate::identity::Book;
use crate::output;
use crate::render::{style::Look, text};
use crate::surroundings::Surroundings;
use pgmedic_watch::clock::Clock;
use pgmedic_watch::engine::{Host, Met, News, Order, Plan, Start, run as watch};
use pgmedic_watch::notify::Notify;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tell::Teller;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

/// How long the engine has to end.
const END_WITHIN: Duration = Duration::from_millis(1700);
/// Open files for each service, and for everything else: a walk's connections, its files, the standing session.
const FILES_EACH: u64 = 12;
const FILES_BESIDES: u64 = 128;

/// Watches until it is told to end.
pub(crate) fn run(args: &WatchArgs, color: When) -> Result<i32, Failure> {
    let state = Surroundings::default().state_folder().unwrap_or_else(|| PathBuf::from("/var/lib/pgmedic"));
    let here = Here { config: args.config.clone(), state, teller: Teller::new(args.log) };
    let plan = here.read()?;
    if args.check {
        output::stdout(&check::page(&plan, &Look::of_stdout(color)));
        return Ok(0);
    }
    if let Some(why) = enough_files(plan.services.len() as u64) {
        here.tell(&News::Trouble(&why));
    }
    let broken = |error: std::io::Error| Failure::Defect(format!("no runtime: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
    let here = Arc::new(here);
    let start = Start {
        watcher: watcher(&plan),
        plan,
        host: Arc::clone(&here) as _,
        notify: by_the_environment(),
        clock: Clock::System,
    };
    let outcome = runtime.block_on(until_told_to_end(start));
    runtime.shutdown_background();
    here.teller.flush();
    outcome
}

async fn until_told_to_end(start: Start) -> Result<i32, Failure> {
    let broken = |error: std::io::Error| Failure::Defect(format!("no signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(broken)?;
    let (tell, orders) = mpsc::channel(16);
    let (late, too_late) = oneshot::channel();
    let to = tell.clone();
    let signals = async move {
        let mut late = Some(late);
        loop {
            let (order, exit) = tokio::select! {
                _ = interrupt.recv() => (Order::Stop, 130),
                _ = terminate.recv() => (Order::Stop, 143),
                _ = hangup.recv() => (Order::Reload(None), 0),
            };
            if !matches!(order, Order::Stop) {
                // One that waits already will do.
                let _full = to.try_send(order);
                continue;
            }
            match late.take() {
                Some(late) => {
                    let _ended = to.send(order).await;
                    tokio::spawn(async move {
                        tokio::time::sleep(END_WITHIN).await;
                        // The engine has ended in time.
                        let _gone = late.send(());
                    });
                }
                None => return exit,
            }
        }
    };
    tokio::select! {
        biased;
        ended = watch(start, tell, orders) => match ended {
            Ok(()) => Ok(0),
            Err(error) => Err(Failure::Environment(error.to_string())),
        },
        // Whatever it still waits for is in the record, in the outbox, or lost with nothing done.
        Ok(()) = too_late => Ok(0),
        exit = signals => Ok(exit),
    }
}

/// Whoever starts the engine: this process.
#[derive(Debug)]
struct Here {
    config: PathBuf,
    state: PathBuf,
    teller: Teller,
}

impl Here {
    fn read(&self) -> Result<Plan, Failure> {
        let mut around = Surroundings::default();
        let config = Config::load(&self.config)?;
        let mut plan = config.plan(&self.state, &mut around)?;
        for note in &around.notes {
            self.tell(&News::Trouble(note));
        }
        let services = plan.services.iter_mut().map(|planned| &mut planned.watched.service);
        if let Err(why) = self.book(&plan.settings.home).expect(services) {
            self.tell(&News::Trouble(&format!(
                "{why}; it is ignored, and nothing is remembered until it is removed"
            )));
        }
        Ok(plan)
    }

    fn book(&self, home: &str) -> Book {
        Book::of(self.state.clone(), home.to_owned())
    }
}

impl Host for Here {
    fn load(&self) -> Result<Plan, String> {
        self.read().map_err(|failure| failure.one_line())
    }

    fn remember(&self, met: &[Met]) -> Result<(), String> {
        let home = self.config.canonicalize().unwrap_or_else(|_| self.config.clone());
        self.book(&home.display().to_string()).remember(met.to_vec())
    }

    fn tell(&self, news: &News<'_>) {
        self.teller.tell(news);
    }
}

fn by_the_environment() -> Notify {
    let variable = |name: &str| std::env::var(name).ok();
    Notify::new(
        variable("NOTIFY_SOCKET").as_deref(),
        variable("WATCHDOG_USEC").as_deref(),
        variable("WATCHDOG_PID").as_deref(),
    )
}

/// `host:configuration`, the same after a restart.
fn watcher(plan: &Plan) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), plan.settings.home)
}

/// Raises the limit of open files as far as it goes; says where that is too few.
fn enough_files(services: u64) -> Option<String> {
    let wanted = FILES_BESIDES + FILES_EACH * services;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return None;
    }
    let maximum = limit.maximum;
    let current = maximum.map_or(wanted, |most| most.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum }).is_ok();
    let now = if raised { current } else { limit.current.unwrap_or(0) };
    (now < wanted).then(|| {
        text::visible(&format!(
            "{services} services may take {wanted} open files, and {now} are allowed: raise LimitNOFILE (ulimit -n)"
        ))
    })
}

//! A real server, a service that keeps a standing session on it, and a witness that counts pgmedic's sessions all the while.

use crate::real::Server;
use pgmedic_lab::Parts;
use pgmedic_lab::postgres::PASSWORD;
use pgmedic_path::standing::{Kept, Standing, look};
use pgmedic_path::{Evidence, Service, walk};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(4);

pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) service: Service,
}

impl Scene {
    pub(crate) fn new(user: &str) -> Self {
        Self::of(Parts::default(), user)
    }

    pub(crate) fn of(parts: Parts, user: &str) -> Self {
        let server = Server::build(parts);
        let service = Service { standing: Some(Arc::new(Standing::new())), ..server.service(user) };
        Self { server, service }
    }

    pub(crate) fn standing(&self) -> &Standing {
        self.service.standing.as_deref().unwrap()
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.server.run(future)
    }

    pub(crate) fn keep(&self) -> Kept {
        self.run(self.standing().keep(&self.service, soon(3000)))
    }

    pub(crate) fn opened(self) -> Self {
        let kept = self.keep();
        assert!(matches!(kept, Kept::Opened), "{kept:?}");
        self
    }

    pub(crate) fn walk(&self) -> Evidence {
        self.run(walk(&self.service, TIMEOUT, &|_| {}))
    }

    pub(crate) fn look(&self, last: &Evidence) -> Evidence {
        self.run(look(&self.service, last, soon(1000)))
    }

    /// Sessions of pgmedic's on the server.
    pub(crate) fn own(&self) -> usize {
        self.server
            .value("select count(*) from pg_stat_activity where application_name = 'pgmedic'")
            .parse()
            .unwrap()
    }
}

pub(crate) fn soon(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

/// Counts, as a superuser, pgmedic's sessions over and over, until it is asked for the most it saw.
pub(crate) struct Witness {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicU64>,
    counts: JoinHandle<u64>,
}

impl Witness {
    pub(crate) fn of(scene: &Scene) -> Self {
        let (stop, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ends, counted) = (Arc::clone(&stop), Arc::clone(&looks));
        let port = scene.server.lab().postgres().port();
        let counts = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(witness(port, &ends, &counted))
        });
        let this = Self { stop, looks, counts };
        pgmedic_lab::wait::until_true("the witness", Duration::from_secs(5), || this.looks() > 0).unwrap();
        this
    }

    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// The most sessions of pgmedic's that it saw at once.
    pub(crate) fn most(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.counts.join().unwrap()
    }
}

async fn witness(port: u16, stop: &AtomicBool, looks: &AtomicU64) -> u64 {
    let mut most = 0;
    while !stop.load(Ordering::Relaxed) {
        let config = format!(
            "host=127.0.0.1 port={port} user=rescue password={PASSWORD} dbname=postgres application_name=witness"
        );
        let Ok((client, connection)) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let connection = tokio::spawn(connection);
        // Logins that are under way have no name yet on older servers, and none is a session.
        let sql = "select count(*) from pg_stat_activity where application_name = 'pgmedic'";
        let statement = client.prepare(sql).await;
        while let (Ok(statement), false) = (&statement, stop.load(Ordering::Relaxed)) {
            let Ok(row) = client.query_one(statement, &[]).await else { break };
            most = most.max(u64::try_from(row.get::<_, i64>(0)).unwrap());
            looks.fetch_add(1, Ordering::Relaxed);
        }
        connection.abort();
    }
    most
}

//! The four pools, each behind the same two questions: a checkout that does nothing, and one that asks the database.
//!
//! Each is set up as its users would for speed: no ping before a checkout, the same maximum, and a timeout on waiting.
//! Ours runs with its defaults, explanations and leak detection included.

use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE};
use std::future::Future;
use std::time::{Duration, Instant};

/// Connections of each pool.
pub const MAX: u32 = 10;
/// How long a caller may wait.
const WAIT: Duration = Duration::from_secs(30);

/// What a holder does with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nothing at all.
    Nothing,
    /// Lets the others run once.
    Yield,
    /// `SELECT 1`, prepared.
    Query,
}

/// A pool under measurement.
pub trait Contender: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    fn build(port: u16) -> impl Future<Output = Self>;

    /// A checkout and what is done with it; gives how long the checkout took.
    fn once(&self, work: Work) -> impl Future<Output = Duration> + Send;
}

fn url(port: u16) -> String {
    format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}")
}

fn config(port: u16) -> tokio_postgres::Config {
    url(port).parse().expect("a URL")
}

macro_rules! once {
    ($acquire:expr, $work:expr, $client:ident => $query:expr) => {{
        let from = Instant::now();
        #[allow(unused_mut)]
        let mut $client = $acquire.await.expect("a connection");
        let took = from.elapsed();
        match $work {
            Work::Nothing => {}
            Work::Yield => tokio::task::yield_now().await,
            Work::Query => $query,
        }
        took
    }};
}

#[derive(Clone)]
pub struct Ours(pub pgmedic_pool::Pool);

impl Ours {
    /// With a name on its metrics.
    pub fn named(port: u16, name: &str) -> Self {
        let pool = pgmedic_pool::Pool::from_url(&url(port)).expect("a URL").max(MAX as usize).name(name);
        Self(pool.build().expect("a pool"))
    }
}

impl Contender for Ours {
    const NAME: &'static str = "pgmedic-pool";

    async fn build(port: u16) -> Self {
        let pool = pgmedic_pool::Pool::from_url(&url(port)).expect("a URL").max(MAX as usize);
        Self(pool.acquire_timeout(WAIT).build().expect("a pool"))
    }

    async fn once(&self, work: Work) -> Duration {
        once!(self.0.get(), work, client => {
            let statement = client.prepare_cached("SELECT 1").await.expect("prepared");
            client.query_one(&statement, &[]).await.expect("a row");
        })
    }
}

#[derive(Clone)]
pub struct Deadpool(pub deadpool_postgres::Pool);

impl Contender for Deadpool {
    const NAME: &'static str = "deadpool-postgres";

    async fn build(port: u16) -> Self {
        use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
        let how = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config(port), tokio_postgres::NoTls, how);
        let pool = Pool::builder(manager).max_size(MAX as usize).runtime(Runtime::Tokio1);
        Self(pool.wait_timeout(Some(WAIT)).build().expect("a pool"))
    }

    async fn once(&self, work: Work) -> Duration {
        once!(self.0.get(), work, client => {
            let statement = client.prepare_cached("SELECT 1").await.expect("prepared");
            client.query_one(&statement, &[]).await.expect("a row");
        })
    }
}

/// bb8 has no cache of statements; its connection carries the one that is needed.
pub struct Prepared {
    client: tokio_postgres::Client,
    statement: tokio_postgres::Statement,
}

#[derive(Clone)]
pub struct PreparedManager(bb8_postgres::PostgresConnectionManager<tokio_postgres::NoTls>);

impl bb8::ManageConnection for PreparedManager {
    type Connection = Prepared;
    type Error = tokio_postgres::Error;

    async fn connect(&self) -> Result<Prepared, tokio_postgres::Error> {
        let client = bb8::ManageConnection::connect(&self.0).await?;
        let statement = client.prepare("SELECT 1").await?;
        Ok(Prepared { client, statement })
    }

    async fn is_valid(&self, conn: &mut Prepared) -> Result<(), tokio_postgres::Error> {
        bb8::ManageConnection::is_valid(&self.0, &mut conn.client).await
    }

    fn has_broken(&self, conn: &mut Prepared) -> bool {
        bb8::ManageConnection::has_broken(&self.0, &mut conn.client)
    }
}

#[derive(Clone)]
pub struct Bb8(pub bb8::Pool<PreparedManager>);

impl Contender for Bb8 {
    const NAME: &'static str = "bb8-postgres";

    async fn build(port: u16) -> Self {
        let manager = bb8_postgres::PostgresConnectionManager::new(config(port), tokio_postgres::NoTls);
        let pool = bb8::Pool::builder().max_size(MAX).test_on_check_out(false).connection_timeout(WAIT);
        Self(pool.build(PreparedManager(manager)).await.expect("a pool"))
    }

    async fn once(&self, work: Work) -> Duration {
        once!(self.0.get(), work, client => {
            client.client.query_one(&client.statement, &[]).await.expect("a row");
        })
    }
}

#[derive(Clone)]
pub struct Sqlx(pub sqlx::PgPool);

impl Contender for Sqlx {
    const NAME: &'static str = "sqlx";

    async fn build(port: u16) -> Self {
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(MAX).acquire_timeout(WAIT);
        Self(pool.test_before_acquire(false).connect(&url(port)).await.expect("a pool"))
    }

    async fn once(&self, work: Work) -> Duration {
        once!(self.0.acquire(), work, client => {
            sqlx::query("SELECT 1").fetch_one(&mut *client).await.expect("a row");
        })
    }
}

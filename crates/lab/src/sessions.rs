//! Sessions that faults hold: real clients that log in and then idle, wait, lock or run for long.

use crate::error::LabError;
use crate::postgres::{DATABASE, PASSWORD, Postgres, ROLE};
use crate::wait;
use pgmedic_model::pooler_words::{self, Words};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{Client, Config, NoTls};

/// No fill opens more than this.
const MOST: usize = 500;

/// Who logs in, from where, to what.
#[derive(Clone, Debug)]
pub struct Login {
    /// Role.
    pub user: String,
    /// Database.
    pub database: String,
    /// `application_name`.
    pub application: String,
    /// The client's own address: one of the API's machines.
    pub from: Ipv4Addr,
    /// Where to: the server, the proxy, the pooler.
    pub to: SocketAddr,
    /// From how many machines in turn, with addresses from `from` upwards.
    pub machines: u8,
}

impl Login {
    /// The API, from one of its machines (127.0.0.9, .10, …), straight to the server.
    #[must_use]
    pub fn of_api(postgres: &Postgres) -> Self {
        Self {
            user: ROLE.to_owned(),
            database: DATABASE.to_owned(),
            application: "renderflow-api".to_owned(),
            from: Ipv4Addr::new(127, 0, 0, 9),
            to: (Ipv4Addr::LOCALHOST, postgres.port()).into(),
            machines: 4,
        }
    }

    /// The same from one machine alone, at this address.
    #[must_use]
    pub fn on_one_machine(mut self, at: Ipv4Addr) -> Self {
        (self.from, self.machines) = (at, 1);
        self
    }

    /// The same by another name.
    #[must_use]
    pub fn named(mut self, application: &str) -> Self {
        application.clone_into(&mut self.application);
        self
    }

    /// The same by another role.
    #[must_use]
    pub fn by(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// The same to another port of this host: a proxy's, a pooler's.
    #[must_use]
    pub fn through(mut self, port: u16) -> Self {
        self.to = (Ipv4Addr::LOCALHOST, port).into();
        self
    }

    /// Logs in.
    pub(crate) async fn client(&self) -> Result<Client, LabError> {
        self.open().await.map_err(|refused| refused.into_error(self))
    }

    /// Logs in. A server that does not answer within ten seconds is an error.
    pub(crate) async fn open(&self) -> Result<Client, Refused> {
        self.open_by().await.map(|(client, _)| client)
    }

    /// The same, with what reads and writes its socket: aborted, it closes the socket.
    pub(crate) async fn open_by(&self) -> Result<(Client, AbortHandle), Refused> {
        let mut config = Config::new();
        config.user(&self.user).dbname(&self.database).password(PASSWORD);
        config.application_name(&self.application);
        let attempt = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((self.from, 0).into())?;
            let stream = socket.connect(self.to).await?;
            let (client, connection) = config.connect_raw(stream, NoTls).await?;
            Ok((client, tokio::spawn(connection).abort_handle()))
        };
        tokio::time::timeout(Duration::from_secs(10), attempt).await.unwrap_or(Err(Refused::Silent))
    }
}

/// Why a login did not come about.
#[derive(Debug)]
pub(crate) enum Refused {
    Io(std::io::Error),
    Server(tokio_postgres::Error),
    Silent,
}

impl From<std::io::Error> for Refused {
    fn from(e: std::io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<tokio_postgres::Error> for Refused {
    fn from(e: tokio_postgres::Error) -> Self {
        Self::Server(e)
    }
}

impl Refused {
    /// True where a limit is reached: the server's (53300), or the pooler's, which has no code of its own.
    fn for_want_of_room(&self) -> bool {
        let Self::Server(e) = self else { return false };
        let pooler = |e: &DbError| pooler_words::says(e.message(), Words::MaxClientConn);
        e.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) || e.as_db_error().is_some_and(pooler)
    }

    fn into_error(self, login: &Login) -> LabError {
        let what = format!("login as {} ({})", login.user, login.application);
        match self {
            Self::Io(source) => LabError::Io { what, source },
            Self::Server(e) => LabError::sql(&what, &e),
            Self::Silent => LabError::Sql { statement: what, said: "no answer".to_owned(), code: None },
        }
    }
}

/// Held sessions; dropped, they are gone from the server.
#[derive(Debug)]
pub struct Sessions {
    clients: Vec<Arc<Client>>,
    sockets: Sockets,
    postgres: Arc<Postgres>,
    application: String,
}

/// Sessions that are used. Dropped, they rest.
#[derive(Debug)]
pub struct Use(Vec<JoinHandle<()>>);

impl Drop for Use {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// The sockets of held sessions: what their client's process has, and loses when it ends. Not the sessions: a server that
/// is at work for one of them does not notice at once.
#[derive(Clone, Debug, Default)]
pub struct Sockets(Arc<Mutex<Vec<AbortHandle>>>);

impl Sockets {
    fn add(&self, socket: AbortHandle) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
    }

    /// Closes them all.
    pub fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).for_each(|socket| socket.abort());
    }
}

impl Sessions {
    /// Logs in `count` times.
    ///
    /// # Errors
    /// Where a login is refused.
    pub fn open(postgres: &Arc<Postgres>, login: &Login, count: usize) -> Result<Self, LabError> {
        let mut sessions = Self::none(postgres, login);
        for n in 0..count {
            match sessions.add(login, n) {
                Ok(()) => {}
                Err(refused) => return Err(refused.into_error(login)),
            }
        }
        Ok(sessions)
    }

    /// Logs in until the server, or the pooler in between, refuses because a limit is reached.
    ///
    /// # Errors
    /// Where a login is refused for another reason, or never.
    pub fn fill(postgres: &Arc<Postgres>, login: &Login) -> Result<Self, LabError> {
        let mut sessions = Self::none(postgres, login);
        for n in 0..MOST {
            match sessions.add(login, n) {
                Ok(()) => {}
                Err(refused) if refused.for_want_of_room() => return Ok(sessions),
                Err(refused) => return Err(refused.into_error(login)),
            }
        }
        let what = format!("a full house ({MOST} sessions were let in)");
        Err(LabError::Late { what, waited: Duration::ZERO, last: String::new() })
    }

    fn none(postgres: &Arc<Postgres>, login: &Login) -> Self {
        let (postgres, application) = (Arc::clone(postgres), login.application.clone());
        Self { clients: Vec::new(), sockets: Sockets::default(), postgres, application }
    }

    /// Logs in once more. Sessions come from each of the login's machines in turn.
    fn add(&mut self, login: &Login, n: usize) -> Result<(), Refused> {
        let machine = u8::try_from(n % usize::from(login.machines.max(1))).unwrap_or_default();
        let [a, b, c, d] = login.from.octets();
        let login = Login { from: Ipv4Addr::new(a, b, c, d + machine), ..login.clone() };
        let (client, socket) = self.runtime().block_on(login.open_by())?;
        self.clients.push(Arc::new(client));
        self.sockets.add(socket);
        Ok(())
    }

    fn runtime(&self) -> Handle {
        self.postgres.runtime().clone()
    }

    /// Their sockets.
    #[must_use]
    pub fn sockets(&self) -> Sockets {
        self.sockets.clone()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// True where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Runs SQL to its end in each session.
    ///
    /// # Errors
    /// Where the server refuses.
    pub fn run(&self, statement: &str) -> Result<(), LabError> {
        for client in &self.clients {
            let outcome = self.runtime().block_on(client.simple_query(statement));
            outcome.map_err(|e| LabError::sql(statement, &e))?;
        }
        Ok(())
    }

    /// Starts SQL in each session and does not wait for its end.
    pub fn begin(&self, statement: &str) {
        for client in &self.clients {
            let (client, statement) = (Arc::clone(client), statement.to_owned());
            // How it ends does not matter: a fault's statement is cut off when the fault is removed.
            self.runtime().spawn(async move { drop(client.simple_query(&statement).await) });
        }
    }

    /// Uses each of them now and then, as an API does with its pool, for as long as what this gives is held.
    #[must_use = "they are used as long as this is held"]
    pub fn keep_using(&self, every: Duration) -> Use {
        let each = |client: &Arc<Client>| {
            let client = Arc::clone(client);
            self.runtime().spawn(async move {
                while client.simple_query("select 1").await.is_ok() {
                    tokio::time::sleep(every).await;
                }
            })
        };
        Use(self.clients.iter().map(each).collect())
    }

    /// Waits until so many sessions of this application are in a state, as `pg_stat_activity` has it.
    ///
    /// # Errors
    /// Where they are not in time.
    pub fn wait_state(&self, condition: &str) -> Result<(), LabError> {
        let (count, application) = (self.len(), &self.application);
        let statement = format!(
            "select count(*) >= {count} from pg_stat_activity \
             where application_name = '{application}' and ({condition})"
        );
        self.postgres.wait_true(&format!("{count} sessions with {condition}"), &statement)
    }

    /// Waits until the youngest of them has been in its state for longer than `age`.
    ///
    /// # Errors
    /// Where they are not in time.
    pub fn wait_age(&self, age: Duration) -> Result<(), LabError> {
        self.wait_state(&format!("state_change < now() - interval '{} ms'", age.as_millis()))
    }
}

impl Drop for Sessions {
    /// Hangs up, has the server end what does not notice (a sleep, a wait for a lock), and waits until all are gone.
    fn drop(&mut self) {
        self.clients.clear();
        let application = &self.application;
        let statement = format!(
            "select count(pg_terminate_backend(pid)) = 0 from pg_stat_activity \
             where application_name = '{application}' and backend_type = 'client backend'"
        );
        let _late = wait::until("the end of sessions", Duration::from_secs(3), || {
            Ok(match self.postgres.value(&statement) {
                Ok(gone) if gone == "t" => Ok(()),
                // The slots that we held are only now being given back.
                Err(LabError::Sql { code: Some(code), .. })
                    if code == SqlState::TOO_MANY_CONNECTIONS.code() =>
                {
                    Err("full")
                }
                Ok(_) => Err("some are left"),
                // A server that is down, starting or stopping has none, or ends them itself.
                Err(_) => Ok(()),
            })
        });
    }
}

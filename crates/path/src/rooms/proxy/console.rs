//! PgBouncer's admin console, read like any client reads it (PgBouncer manual, "Admin console"). Columns are found by their
//! names, since 1.16 to 1.25 each added some. Only `SHOW` is sent: commanding a pooler is not in here.

use super::evidence::{FirstBytes, PoolRow, PoolerDatabase, PoolerEvidence};
use crate::clock::Stopwatch;
use crate::evidence::RouteEvidence;
use crate::rooms::dns::probe::Resolver;
use crate::rooms::startup::evidence::StartupOutcome;
use crate::rooms::startup::session::{Limits, Reply, Session};
use crate::rooms::startup::wire::readable;
use crate::rooms::tls::evidence::TlsOutcome;
use crate::route::{Deadlines, Door, Way};
use crate::unrecognised::break_of;
use pgmedic_model::{Room, Target};
use tokio::time::Instant;

/// What is kept of one answer.
const KEPT: Limits = Limits { rows: 500, bytes: 1024 * 1024 };

/// Reads the console.
pub async fn read(
    target: &Target,
    resolver: &Resolver,
    deadlines: Deadlines,
    door: Option<&Door>,
) -> PoolerEvidence {
    let watch = Stopwatch::start();
    let mut evidence =
        PoolerEvidence { at: watch.at, address: target.address(), ..PoolerEvidence::default() };
    // PgBouncer refuses settings that it does not track, so the session asks for none.
    let way = Way { name: "pooler", target, resolver, bounds: None, deadlines, observer: &|_| {}, door };
    let mut walked = way.walk().await;
    match walked.take_session() {
        Some(mut session) => {
            // What else the way may tell, of nameservers and further addresses, is of no use here.
            drop(walked);
            show_all(&mut session, &mut evidence, deadlines.end).await;
            session.close().await;
        }
        None => not_admitted(&walked.settle().await, &mut evidence),
    }
    evidence.elapsed_ms = watch.elapsed();
    evidence
}

/// Why there is no session, by room and words.
fn not_admitted(route: &RouteEvidence, evidence: &mut PoolerEvidence) {
    evidence.silent = silent(route);
    evidence.failure = Some(match break_of(route) {
        Some(broken) => format!("{}: {}", broken.room.as_str(), broken.said),
        None => format!("{}: the way in led to no session", Room::Startup.as_str()),
    });
}

/// True where the peer was connected to and then said nothing (more).
fn silent(route: &RouteEvidence) -> bool {
    route.proxy.as_ref().is_some_and(|proxy| proxy.first == FirstBytes::Silent)
        || route.tls.as_ref().is_some_and(|tls| tls.outcome == TlsOutcome::Silent)
        || route.startup.as_ref().is_some_and(|s| matches!(s.outcome, StartupOutcome::Silent { .. }))
}

/// Asks for everything, until an answer fails to come.
async fn show_all(session: &mut Session, evidence: &mut PoolerEvidence, deadline: Instant) {
    for command in ["SHOW VERSION", "SHOW POOLS", "SHOW DATABASES", "SHOW CONFIG", "SHOW LISTS"] {
        let answer = session.simple_query_within(command, KEPT, deadline).await;
        let failure = match answer.reply {
            Reply::Rows { columns, rows } => {
                // Before 1.12 the version came as a notice.
                if let (true, Some(notice)) = (rows.is_empty(), answer.notices.first()) {
                    evidence.version.get_or_insert_with(|| notice.message.clone());
                }
                take(&Table { columns, rows }, command, evidence);
                continue;
            }
            Reply::Error(error) => error.to_string(),
            Reply::Closed => "the pooler hung up".to_owned(),
            Reply::Silent => {
                evidence.silent = true;
                "no answer before the deadline".to_owned()
            }
            Reply::Unreadable(what) => what,
        };
        evidence.failure = Some(format!("{command}: {failure}"));
        return;
    }
}

/// Takes what is wanted of one answer.
fn take(table: &Table, command: &str, evidence: &mut PoolerEvidence) {
    match command {
        "SHOW VERSION" => evidence.version = table.rows().next().and_then(|row| row.text("version")),
        "SHOW POOLS" => evidence.pools = table.rows().map(|row| pool(&row)).collect(),
        "SHOW DATABASES" => evidence.databases = table.rows().map(|row| database(&row)).collect(),
        "SHOW CONFIG" => {
            let of = |key: &str| table.rows().find(|row| row.is("key", key))?.text("value");
            evidence.max_client_conn = of("max_client_conn").and_then(|text| text.parse().ok());
            evidence.default_pool_size = of("default_pool_size").and_then(|text| text.parse().ok());
            evidence.max_prepared_statements =
                of("max_prepared_statements").and_then(|text| text.parse().ok());
            (evidence.admin_users, evidence.auth_type) = (of("admin_users"), of("auth_type"));
            evidence.query_wait_timeout_s = of("query_wait_timeout").and_then(|text| text.parse().ok());
        }
        _ => {
            let of = |list: &str| table.rows().find(|row| row.is("list", list))?.text("items");
            evidence.used_clients = of("used_clients").and_then(|text| text.parse().ok());
        }
    }
}

fn pool(row: &Row<'_>) -> PoolRow {
    PoolRow {
        database: row.text("database").unwrap_or_default(),
        user: row.text("user").unwrap_or_default(),
        cl_active: row.number("cl_active"),
        cl_waiting: row.number("cl_waiting"),
        // 1.18 and later count apart those that forward a cancel request or wait for one to be over: they are in use.
        sv_active: row.number("sv_active") + row.number("sv_active_cancel") + row.number("sv_being_canceled"),
        sv_idle: row.number("sv_idle"),
        sv_used: row.number("sv_used"),
        sv_tested: row.number("sv_tested"),
        sv_login: row.number("sv_login"),
        maxwait_s: row.float("maxwait") + row.float("maxwait_us") / 1e6,
        pool_mode: row.text("pool_mode").unwrap_or_default(),
    }
}

fn database(row: &Row<'_>) -> PoolerDatabase {
    PoolerDatabase {
        name: row.text("name").unwrap_or_default(),
        host: row.text("host").filter(|host| !host.is_empty()),
        port: u16::try_from(row.number("port")).unwrap_or(0),
        database: row.text("database").unwrap_or_default(),
        pool_size: row.number("pool_size"),
        current_connections: row.number("current_connections"),
        paused: row.number("paused") != 0,
        disabled: row.number("disabled") != 0,
    }
}

/// An answer, with its columns by name.
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

/// One row of it.
struct Row<'t> {
    columns: &'t [String],
    values: &'t [Option<String>],
}

impl Table {
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row { columns: &self.columns, values })
    }
}

impl Row<'_> {
    fn value(&self, column: &str) -> Option<&str> {
        let place = self.columns.iter().position(|name| name == column)?;
        self.values.get(place)?.as_deref()
    }

    fn text(&self, column: &str) -> Option<String> {
        self.value(column).map(|text| readable(text.as_bytes()))
    }

    fn is(&self, column: &str, text: &str) -> bool {
        self.value(column) == Some(text)
    }

    /// A count; 0 where this version has no such column.
    fn number(&self, column: &str) -> u64 {
        self.value(column).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn float(&self, column: &str) -> f64 {
        self.value(column).and_then(|text| text.parse().ok()).unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as psql prints it with `-A -F ,`.
    fn table(text: &str) -> Table {
        let mut lines =
            text.lines().map(|line| line.trim().split(',').map(str::to_owned).collect::<Vec<_>>());
        let columns = lines.next().unwrap();
        let value = |text: String| (text != "NULL").then_some(text);
        Table { columns, rows: lines.map(|line| line.into_iter().map(value).collect()).collect() }
    }

    fn taken(command: &str, text: &str) -> PoolerEvidence {
        let mut evidence = PoolerEvidence::default();
        take(&table(text), command, &mut evidence);
        evidence
    }

    #[test]
    fn pools_are_read_from_every_version() {
        for answer in [
            // 1.16 and 1.17
            "database,user,cl_active,cl_waiting,cl_cancel_req,sv_active,sv_idle,sv_used,sv_tested,sv_login,maxwait,maxwait_us,pool_mode
             app,api,5,3,0,2,0,0,0,1,4,120000,transaction",
            // 1.18 to 1.23
            "database,user,cl_active,cl_waiting,cl_active_cancel_req,cl_waiting_cancel_req,sv_active,sv_active_cancel,sv_being_canceled,sv_idle,sv_used,sv_tested,sv_login,maxwait,maxwait_us,pool_mode
             app,api,5,3,0,0,1,0,1,0,0,0,1,4,120000,transaction",
            // 1.24 and 1.25
            "database,user,cl_active,cl_waiting,cl_active_cancel_req,cl_waiting_cancel_req,sv_active,sv_active_cancel,sv_being_canceled,sv_idle,sv_used,sv_tested,sv_login,maxwait,maxwait_us,pool_mode,load_balance_hosts
             app,api,5,3,0,0,1,1,0,0,0,0,1,4,120000,transaction,NULL",
        ] {
            let pools = taken("SHOW POOLS", answer).pools;
            let expected = PoolRow {
                database: "app".into(),
                user: "api".into(),
                cl_active: 5,
                cl_waiting: 3,
                sv_active: 2,
                sv_login: 1,
                maxwait_s: 4.12,
                pool_mode: "transaction".into(),
                ..PoolRow::default()
            };
            assert_eq!(pools, [expected]);
        }
    }

    #[test]
    fn databases_are_read_with_what_was_done_to_them() {
        let answer = "name,host,port,database,force_user,pool_size,min_pool_size,reserve_pool_size,server_lifetime,pool_mode,load_balance_hosts,max_connections,current_connections,max_client_connections,current_client_connections,paused,disabled
                      app,NULL,5432,appdb,NULL,20,0,0,3600,NULL,NULL,0,7,0,9,1,0";
        let databases = taken("SHOW DATABASES", answer).databases;
        assert_eq!(databases.len(), 1);
        let database = &databases[0];
        assert_eq!((database.host.as_deref(), database.port, database.pool_size), (None, 5432, 20));
        assert_eq!((database.current_connections, database.paused, database.disabled), (7, true, false));
    }

    #[test]
    fn an_answer_of_another_shape_is_no_answer() {
        let empty = taken("SHOW CONFIG", "what,ever\nmax_client_conn,100");
        assert_eq!(empty.max_client_conn, None);
        assert_eq!(taken("SHOW LISTS", "list,items\nused_clients,x").used_clients, None);
        assert_eq!(taken("SHOW VERSION", "version").version, None);
    }
}

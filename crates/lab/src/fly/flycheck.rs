//! The checks of Fly's Postgres images, run on the lab's server: a superuser's login over TCP, statvfs(3) of the data's
//! filesystem, and the guard that turns a full server read-only. Words as postgres-flex d263c9e and postgres-ha 44ab26a
//! print them (`flycheck/{pg,role,vm}.go`), by superfly/fly-checks.

use super::{Generation, State};
use crate::error::LabError;
use crate::ports;
use crate::postgres::{DATABASE, PASSWORD};
use rustix::fs::StatVfs;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// What a check may take; on Fly it is 5 s.
const WITHIN: Duration = Duration::from_millis(500);
/// From this share of used space on the guard acts, in percent.
const THRESHOLD: f64 = 90.0;
const CONNECTIONS: &str = "select used, res_for_super as reserved, max_conn as max from \
     (select count(*) used from pg_stat_activity) q1, \
     (select setting::int res_for_super from pg_settings where name='superuser_reserved_connections') q2, \
     (select setting::int max_conn from pg_settings where name='max_connections') q3";

/// A check's result: passing or critical, and what it printed.
pub(super) type Outcome = Result<String, String>;

/// A line of a suite.
fn line(name: &str, outcome: &Outcome) -> String {
    match outcome {
        Ok(said) => format!("[✓] {name}: {said} (1.02ms)"),
        Err(said) => format!("[✗] {name}: {said} (1.02ms)"),
    }
}

/// A suite of lines: critical where one of them is.
fn suite(lines: &[(&str, Outcome)]) -> Outcome {
    let text: Vec<String> = lines.iter().map(|(name, outcome)| line(name, outcome)).collect();
    let well = lines.iter().all(|(_, outcome)| outcome.is_ok());
    if well { Ok(text.join("\n")) } else { Err(format!("500 Internal Server Error\n{}", text.join("\n"))) }
}

/// A share in percent.
#[expect(clippy::cast_precision_loss, reason = "a percentage with one decimal is shown")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

impl State {
    pub(super) fn statvfs(&self) -> Option<StatVfs> {
        rustix::fs::statvfs(self.data.as_ref()?).ok()
    }

    /// Used space as the images count it, in percent.
    fn used(&self) -> f64 {
        self.statvfs()
            .map_or(0.0, |stat| percent(stat.f_blocks - stat.f_bavail.min(stat.f_blocks), stat.f_blocks))
    }

    /// Runs a statement as the superuser, over TCP as the images do, and gives its first row.
    fn login(&self, statement: &str) -> Result<Vec<String>, String> {
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(self.postgres.port())
            .user("rescue")
            .password(PASSWORD)
            .dbname("postgres");
        config.application_name("flycheck");
        let asked = async {
            let (client, connection) = config.connect(NoTls).await?;
            let driver = tokio::spawn(connection);
            let rows = client.simple_query(statement).await;
            drop(client);
            let _ended = driver.await;
            rows
        };
        let asked = self.postgres.runtime().block_on(async { tokio::time::timeout(WITHIN, asked).await });
        let told = "failed to connect to `host=fdaa:0:1::3 user=postgres database=postgres`";
        match asked {
            Err(_) => Err(format!("{told}: failed to receive message (timeout: context deadline exceeded)")),
            Ok(Err(error)) => Err(format!("{told}: {}", in_pgx(&error))),
            Ok(Ok(rows)) => Ok(rows.iter().find_map(first_row).unwrap_or_default()),
        }
    }

    /// `/flycheck/pg`.
    pub(super) fn pg_check(&self) -> Outcome {
        let counted = match self.login(CONNECTIONS) {
            Ok(counted) => counted,
            Err(why) => {
                return Err(format!("500 Internal Server Error\nfailed to connect with local node: {why}"));
            }
        };
        let [used, reserved, max] = &counted[..] else { return Err("no count".to_owned()) };
        let connections = Ok(format!("{used} used, {reserved} reserved, {max} max"));
        if self.generation != Generation::Flex {
            return suite(&[("transactions", Ok("read/write".to_owned())), ("connections", connections)]);
        }
        let locks = if self.fenced.load(Ordering::Acquire) {
            Err("`zombie.lock` detected".to_owned())
        } else if self.read_only.load(Ordering::Acquire) {
            Err("`readonly.lock` detected".to_owned())
        } else {
            Ok("No active locks detected".to_owned())
        };
        let mut lines = vec![("connections", connections), ("cluster-locks", locks)];
        if self.data.is_some() {
            lines.push(("disk-capacity", self.disk_capacity()));
        }
        suite(&lines)
    }

    /// The guard of postgres-flex: read-only over the threshold, and back below it.
    fn disk_capacity(&self) -> Outcome {
        let used = self.used();
        let (over, was) = (used > THRESHOLD, self.read_only.load(Ordering::Acquire));
        if over != was {
            let value = if over {
                "set default_transaction_read_only=true"
            } else {
                "reset default_transaction_read_only"
            };
            // On a disk that is quite full this fails, as it does there.
            if self.login(&format!("alter database {DATABASE} {value}")).is_ok() {
                self.read_only.store(over, Ordering::Release);
            }
        }
        if over {
            return Err(format!(
                "{used:.1}% - readonly mode enabled, extend your volume to re-enable writes"
            ));
        }
        Ok(format!("{used:.1}% - readonly mode will be enabled at {THRESHOLD:.1}%"))
    }

    /// `/flycheck/role`.
    pub(super) fn role_check(&self) -> Outcome {
        let words = match self.generation {
            Generation::Ha => ("leader", "failed to connect to local node"),
            Generation::Flex | Generation::Plain => ("primary", "failed to connect to local node"),
        };
        let standby = match self.login("select pg_is_in_recovery()") {
            Ok(row) => row.first().is_some_and(|value| value == "t"),
            Err(why) => return Err(format!("500 Internal Server Error\n{}: {why}", words.1)),
        };
        Ok(match self.generation {
            Generation::Ha if self.used() > THRESHOLD => "readonly",
            _ if self.fenced.load(Ordering::Acquire) => "zombie",
            _ if standby => "replica",
            _ => words.0,
        }
        .to_owned())
    }

    /// `/flycheck/vm`. With not one byte free the images' own check panics (`dataSize` takes the logarithm of 0) and
    /// takes its HTTP server with it.
    pub(super) fn vm_check(&self) -> Outcome {
        let load = ("checkLoad", Ok("load averages: 0.00 0.00 0.00".to_owned()));
        let Some(stat) = self.statvfs() else { return suite(&[load]) };
        let free = stat.f_bavail * stat.f_frsize;
        if free == 0 {
            return Err("Get \"http://172.19.0.2:5500/flycheck/vm\": EOF".to_owned());
        }
        let share = percent(stat.f_bavail, stat.f_blocks);
        let said = format!("{} ({share:.1}%) free space on /data/", size(free));
        let disk = if share < 10.0 { Err(said) } else { Ok(said) };
        suite(&[("checkDisk", disk), load])
    }

    /// The machine's HAProxy, whose own health check asks for the role: without a server unless it takes writes.
    pub(super) fn heed(&self) -> Result<(), LabError> {
        let Some(proxy) = &self.proxy else { return Ok(()) };
        let takes_writes = self.role_check().is_ok_and(|role| role == "primary" || role == "leader");
        if takes_writes {
            proxy.point_at(self.postgres.port())?;
            return proxy.wait_server("UP");
        }
        proxy.point_at(ports::free()?)?;
        proxy.wait_server("DOWN")
    }
}

/// The driver's words for why it is not in, as pgx has them.
fn in_pgx(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("server error (FATAL: {} (SQLSTATE {}))", db.message(), db.code().code());
    }
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    match source.map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => {
            "dial error (dial tcp [fdaa:0:1::3]:5433: connect: connection refused)".to_owned()
        }
        _ => "failed to receive message (unexpected EOF)".to_owned(),
    }
}

fn first_row(message: &SimpleQueryMessage) -> Option<Vec<String>> {
    let row = crate::postgres::row(message)?;
    Some(row.into_iter().map(Option::unwrap_or_default).collect())
}

/// A size in units of 1024 with two decimals at most, as `dataSize` prints it.
#[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
fn size(bytes: u64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB"];
    let power = (0..units.len()).rev().find(|power| bytes >> (10 * power) > 0).unwrap_or(0);
    let value = bytes as f64 / (1_u64 << (10 * power)) as f64;
    let text = format!("{value:.2}");
    format!("{} {}", text.trim_end_matches('0').trim_end_matches('.'), units[power])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_printed_as_the_images_print_them() {
        assert_eq!([1, 1024, 867_843_440, 3 << 30].map(size), ["1 B", "1 KB", "827.64 MB", "3 GB"]);
    }
}

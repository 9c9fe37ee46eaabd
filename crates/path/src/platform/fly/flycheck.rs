//! What the health checks of Fly's Postgres images print, read back: by their own words, which have no codes.
//!
//! Sources: postgres-flex d263c9e and postgres-ha 44ab26a, `flycheck/{pg,role,vm}.go`; superfly/fly-checks,
//! `check/check.go` (`[✓] name: message (time)`); what pgx says of a login that failed. A check that is not theirs tells
//! nothing here.

use super::super::told::{CheckConnections, CheckDisk, CheckLogin, Checked, MemberRole, ServerReport};
use super::machines::Raw;
use pgmedic_model::{ServerError, SqlState, mask};

/// Characters of a check's words that are kept.
const WORDS: usize = 200;
/// What both images put before the driver's words where a check cannot log in to its own server.
const NO_LOGIN: [&str; 3] = [
    "failed to connect with local node",
    "failed to connect to local node",
    "failed to connect to repmgr node",
];
/// The words for a role, in both images, and what they mean.
const ROLES: [(&str, MemberRole); 6] = [
    ("primary", MemberRole::Primary),
    ("leader", MemberRole::Primary),
    ("replica", MemberRole::Replica),
    ("readonly", MemberRole::ReadOnly),
    ("zombie", MemberRole::Fenced),
    ("witness", MemberRole::Witness),
];

/// What all checks of a machine tell of its server. `image` is the machine's.
pub(super) fn read(checks: &[Raw<'_>], image: &str) -> ServerReport {
    let mut report = ServerReport { revived: revived(image), ..ServerReport::default() };
    for raw in checks {
        let checked = Note { raw };
        report.login = report.login.or_else(|| checked.note(login(raw.output)?));
        if let Some((_, role)) =
            ROLES.iter().find(|(word, _)| raw.name == "role" && raw.output.trim() == *word)
        {
            report.role = checked.note(*role);
        }
        for line in raw.output.lines().filter_map(line) {
            line_of(&mut report, &checked, line);
        }
    }
    report
}

/// The check that something is noted from.
struct Note<'a> {
    raw: &'a Raw<'a>,
}

impl Note<'_> {
    fn note<T>(&self, value: T) -> Option<Checked<T>> {
        Some(Checked { value, check: mask::excerpt(self.raw.name, 64), at: self.raw.updated_at })
    }
}

/// Whether a dead postmaster is started again within its machine: postgres-flex does so with everything but Postgres
/// (`cmd/start/main.go`); of other images it is not known here.
fn revived(image: &str) -> Option<bool> {
    image.ends_with("postgres-flex").then_some(false)
}

/// One line of a suite: the part's name and its message.
fn line(line: &str) -> Option<(&str, &str)> {
    let rest = ["[✓] ", "[✗] "].iter().find_map(|mark| line.trim_start().strip_prefix(mark))?;
    let (name, message) = rest.split_once(": ")?;
    // What it took stands behind, in parentheses.
    Some((name, message.rsplit_once(" (").map_or(message, |(message, _)| message)))
}

fn line_of(report: &mut ServerReport, check: &Note<'_>, (name, message): (&str, &str)) {
    match name {
        "connections" => {
            report.connections = connections(message).and_then(|told| check.note(told));
            if report.connections.is_some() {
                report.login = check.note(CheckLogin::Admitted);
            }
        }
        "cluster-locks" => {
            for (lock, role) in [("readonly.lock", None), ("zombie.lock", Some(MemberRole::Fenced))] {
                if message.contains(lock) {
                    report.guard = check.note(lock.to_owned());
                    report.role = role.and_then(|role| check.note(role)).or(report.role.take());
                }
            }
        }
        // Its own measure goes after the machine's, which has bytes.
        "disk-capacity" => {
            let used = message.split_once('%').and_then(|(percent, _)| share(percent));
            let bytes_told = report.disk.as_ref().is_some_and(|disk| disk.value.available_bytes.is_some());
            if let Some(used) = used.filter(|_| !bytes_told) {
                report.disk = check.note(CheckDisk { path: "/data".to_owned(), used, available_bytes: None });
            }
        }
        "checkDisk" => {
            report.disk = free_space(message).and_then(|told| check.note(told)).or(report.disk.take())
        }
        _ => {}
    }
}

/// `14 used, 3 reserved, 300 max`.
fn connections(message: &str) -> Option<CheckConnections> {
    let mut parts = message.splitn(3, ", ");
    let mut number = |unit: &str| parts.next()?.strip_suffix(unit)?.trim_end().parse().ok();
    Some(CheckConnections { used: number("used")?, reserved: number("reserved")?, max: number("max")? })
}

/// `827.64 MB (84.2%) free space on /data/`, in units of 1024.
fn free_space(message: &str) -> Option<CheckDisk> {
    let (amount, rest) = message.split_once(" (")?;
    let (percent, path) = rest.split_once("%) free space on ")?;
    let (number, unit) = amount.split_once(' ')?;
    let power = ["B", "KB", "MB", "GB", "TB"].iter().position(|name| *name == unit)?;
    let number: f64 = number.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size that is no more exact than this"
    )]
    let bytes = (number * 1024_f64.powi(i32::try_from(power).ok()?)) as u64;
    let path = mask::excerpt(path.trim_end_matches('/'), 100);
    Some(CheckDisk { path, used: 1.0 - share(percent)?, available_bytes: Some(bytes) })
}

/// `84.2` as a share.
fn share(percent: &str) -> Option<f64> {
    percent.trim().parse().ok().filter(|n: &f64| (0.0..=100.0).contains(n)).map(|n| n / 100.0)
}

/// How the login went, where the output says that it failed. What Fly's own prober says of the check's HTTP server is
/// not of Postgres.
fn login(output: &str) -> Option<CheckLogin> {
    let said = output.lines().find(|line| NO_LOGIN.iter().any(|words| line.contains(words)))?;
    Some(if let Some((message, code)) = said.split_once(" (SQLSTATE ") {
        CheckLogin::Refused(server_error(message, code))
    } else if said.contains("connection refused") {
        CheckLogin::NothingListens(mask::excerpt(said, WORDS))
    } else if ["deadline exceeded", "i/o timeout", "timeout:"].iter().any(|slow| said.contains(slow)) {
        CheckLogin::Silent
    } else {
        CheckLogin::Refused(ServerError { message: mask::excerpt(said, WORDS), ..ServerError::default() })
    })
}

/// `…: server error (FATAL: sorry, too many clients already`, `53300))`: the server's own error, as pgx repeats it
/// (pgconn, `PgError.Error`).
fn server_error(said: &str, code: &str) -> ServerError {
    let own = ["FATAL", "ERROR", "PANIC"].iter().find_map(|severity| {
        said.rsplit_once(&format!("{severity}: ")).map(|(_, message)| (*severity, message))
    });
    let (severity, message) = own.unwrap_or(("", said));
    let code = code.get(..5).filter(|code| code.bytes().all(|b| b.is_ascii_alphanumeric()));
    ServerError {
        severity: severity.to_owned(),
        code: code.map(SqlState::new),
        message: mask::excerpt(message, WORDS),
        ..ServerError::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, output: &str) -> ServerReport {
        read(&[Raw { name, status: "", output, updated_at: None }], "flyio/postgres-flex")
    }

    #[test]
    fn a_primary_that_is_well_is_read_whole() {
        let report = told(
            "pg",
            "[✓] connections: 14 used, 3 reserved, 300 max (2.56ms)\n[✓] cluster-locks: No active locks detected (1.02µs)\n\
             [✓] disk-capacity: 12.3% - readonly mode will be enabled at 90.0% (14.12µs)",
        );
        assert_eq!(report.connections.unwrap().value, CheckConnections { used: 14, reserved: 3, max: 300 });
        assert_eq!(report.login.unwrap().value, CheckLogin::Admitted);
        assert!((report.disk.unwrap().value.used - 0.123).abs() < 1e-9);
        assert!(report.guard.is_none() && report.role.is_none());
        assert_eq!(report.revived, Some(false));
    }

    #[test]
    fn the_guard_that_holds_writes_back_is_told_apart_from_the_fence() {
        let full = told(
            "pg",
            "500 Internal Server Error\n[✗] cluster-locks: `readonly.lock` detected (1µs)\n\
             [✗] disk-capacity: 95.1% - readonly mode enabled, extend your volume to re-enable writes (2µs)",
        );
        assert_eq!((full.guard.unwrap().value.as_str(), full.role), ("readonly.lock", None));
        assert!((full.disk.unwrap().value.used - 0.951).abs() < 1e-9);
        let fenced = told("pg", "[✗] cluster-locks: `zombie.lock` detected (1µs)");
        assert_eq!(fenced.role.unwrap().value, MemberRole::Fenced);
    }

    #[test]
    fn both_generations_name_their_roles() {
        for (word, role) in ROLES {
            assert_eq!(told("role", &format!("{word}\n")).role.map(|r| r.value), Some(role), "{word}");
        }
        for odd in ["unknown", "barman", "primary leader", ""] {
            assert_eq!(told("role", odd).role, None, "{odd}");
        }
    }

    #[test]
    fn the_machines_own_measure_has_bytes_and_goes_first() {
        let of_vm = |output: &'static str| Raw { name: "vm", status: "", output, updated_at: None };
        let vm = of_vm(
            "[✓] checkDisk: 827.64 MB (84.2%) free space on /data/ (43.87µs)\n[✓] checkLoad: load averages: 0.00 0.00 0.00 (9µs)",
        );
        let pg = Raw {
            name: "pg",
            output: "[✓] disk-capacity: 15.9% - readonly mode will be enabled at 90.0% (1µs)",
            ..of_vm("")
        };
        for checks in [[&vm, &pg], [&pg, &vm]] {
            let checks = checks.map(|c| Raw { name: c.name, status: "", output: c.output, updated_at: None });
            let disk = read(&checks, "").disk.unwrap().value;
            assert_eq!((disk.path.as_str(), disk.available_bytes), ("/data", Some(867_843_440)));
            assert!((disk.used - 0.158).abs() < 1e-9);
        }
        assert_eq!(
            told("vm", "[✗] checkDisk: 12 KB (0.1%) free space on /data/ (1µs)")
                .disk
                .unwrap()
                .value
                .available_bytes,
            Some(12_288)
        );
        assert_eq!(told("vm", "[✗] checkDisk: NaN XB (0.1%) free space on /data/ (1µs)").disk, None);
    }

    #[test]
    fn a_login_that_failed_says_how() {
        // pgx 5.5's words, by way of postgres-flex.
        let pgx = "failed to connect with local node: failed to connect to `host=fdaa::3 user=postgres database=postgres`: ";
        for (end, login) in [
            ("dial error (dial tcp [fdaa::3]:5433: connect: connection refused)", "nothing"),
            (
                "server error (FATAL: sorry, too many clients already (SQLSTATE 53300))",
                "FATAL 53300: sorry, too many clients already",
            ),
            (
                "server error (FATAL: the database system is starting up (SQLSTATE 57P03))",
                "FATAL 57P03: the database system is starting up",
            ),
            ("failed to receive message (timeout: context deadline exceeded)", "silent"),
            ("failed to receive message (unexpected EOF)", "refused"),
        ] {
            let said =
                match told("pg", &format!("500 Internal Server Error\n{pgx}{end}")).login.unwrap().value {
                    CheckLogin::NothingListens(_) => "nothing".to_owned(),
                    CheckLogin::Silent => "silent".to_owned(),
                    CheckLogin::Refused(error) if error.code.is_some() => error.to_string(),
                    CheckLogin::Refused(_) => "refused".to_owned(),
                    CheckLogin::Admitted => "admitted".to_owned(),
                };
            assert_eq!(said, login, "{end}");
        }
        let prober = "dial tcp 172.19.0.2:5500: connect: connection refused";
        assert_eq!(told("pg", prober).login, None);
        assert_eq!(told("pg", "failed to connect to proxy: unexpected EOF").login, None);
    }
}

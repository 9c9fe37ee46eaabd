//! Failed logins: the client is told the same for a wrong password, an expired one and a missing role, and the server's
//! log tells them apart, however it is written.

use crate::server::Server;
use pgmedic_lab::process::Account;
use pgmedic_model::target::Tls;
use pgmedic_model::{Confidence, Host, Secret, SslMode, Target};
use pgmedic_path::evidence::Evidence;
use pgmedic_path::service::Service;
use pgmedic_path::{diagnose, walk};
use std::path::Path;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Roles, and what keeps each of them out.
const ROLES: [(&str, &str); 5] = [
    ("wrong", "wrong-password"),
    ("wrong_md5", "wrong-password"),
    ("expired", "password-expired"),
    ("missing", "role-missing"),
    ("unset", "wrong-password"),
];

/// How the log is written: its settings, and the first major that knows them.
const LOGS: [(&str, u32); 7] = [
    ("log_line_prefix = '%m [%p] '\nlog_timezone = 'UTC'", 12),
    ("log_line_prefix = '%t:%r:%u@%d:[%p]:'\nlog_timezone = 'Europe/Berlin'", 12),
    ("log_line_prefix = '%n %e '", 12),
    ("log_line_prefix = ''", 12),
    (
        "log_line_prefix = '%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h '\nlog_timezone = 'Asia/Kolkata'",
        12,
    ),
    ("log_destination = 'csvlog'\nlogging_collector = on\nlog_timezone = 'Asia/Kolkata'", 12),
    ("log_destination = 'jsonlog'\nlogging_collector = on\nlog_timezone = 'Europe/Berlin'", 15),
];

pub(crate) fn failed_logins_are_told_apart_by_the_log(server: &mut Server) {
    server.postgres().run(
        "set password_encryption = 'scram-sha-256';
         create role wrong login password 'right';
         create role expired login password 'guess' valid until '2020-01-01';
         create role unset login;
         set password_encryption = 'md5';
         create role wrong_md5 login password 'right'",
    );
    let [conf, hba] = ["postgresql.conf", "pg_hba.conf"].map(|name| server.data().join(name));
    let [old_conf, old_hba] = [&conf, &hba].map(|path| std::fs::read_to_string(path).unwrap());
    let rules = "local all wrong,expired,missing,unset scram-sha-256\nlocal all wrong_md5 md5\n";
    write(server, &hba, &format!("{rules}{old_hba}"));
    for (settings, since) in LOGS {
        if server.major < since {
            continue;
        }
        write(server, &conf, &format!("{old_conf}{settings}\n"));
        server.down();
        server.up();
        for (role, cause) in ROLES {
            let evidence = refused(server, role);
            let found = diagnose(&evidence);
            let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.confidence)).collect();
            assert_eq!(told, [(cause, Confidence::Certain)], "{role} with {settings}: {:?}", evidence.host);
            assert_dated(&evidence, settings);
        }
    }
    write(server, &conf, &old_conf);
    write(server, &hba, &old_hba);
    server.down();
    server.up();
    server.postgres().run("drop role wrong, expired, unset, wrong_md5");
}

/// The line of the log that decides is dated to now, unless its prefix has no time.
fn assert_dated(evidence: &Evidence, settings: &str) {
    let entry = evidence.host.get().and_then(|h| h.log.as_ref()).and_then(|log| log.entries.last());
    let at = entry.expect("a log").at;
    assert_eq!(at.is_none(), settings.ends_with("''"), "{settings}: {entry:?}");
    let apart = at.map_or(0, |at| (evidence.started_at.0 - at.0).abs());
    assert!(apart < 10_000, "{apart} ms with {settings}: {entry:?}");
}

fn write(server: &Server, path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    Account::give(server.account(), path).unwrap();
}

/// A walk as `role` with a password that is not right.
fn refused(server: &Server, role: &str) -> Evidence {
    let service = service(server, role, "postgres");
    server.runtime.block_on(walk(&service, TIMEOUT, &|_| {}))
}

/// The server as a service: by its unix socket, as `role`.
pub(crate) fn service(server: &Server, role: &str, database: &str) -> Service {
    let target = Target {
        host: Host::Socket(server.folder().display().to_string()),
        hostaddr: None,
        port: 5432,
        user: role.to_owned(),
        database: database.to_owned(),
        password: Some(Secret::new("guess")),
        tls: Tls { mode: SslMode::Disable, ..Tls::default() },
        options: None,
        wants_standby: false,
        replication: None,
    };
    Service { name: "logins".to_owned(), named: true, ..Service::bare(target) }
}

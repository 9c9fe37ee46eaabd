//! The one table of message texts that are matched because no code tells them apart: PgBouncer's, and the few of
//! Postgres' own that share a SQLSTATE. Each row has its origin and a recorded sample that the test holds it to.

/// What a text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// PgBouncer: the client waited `query_wait_timeout` for a server connection.
    QueryWaitTimeout,
    /// PgBouncer (1.25+), a notice: the client has waited `query_wait_notify` (5 s) for a server connection.
    ClientQueued,
    /// PgBouncer: `max_client_conn` reached.
    MaxClientConn,
    /// PgBouncer (1.24+): `max_db_client_connections` or `max_user_client_connections` reached.
    ClientLimitOfDatabaseOrUser,
    /// PgBouncer: the database is disabled (`DISABLE db`).
    DatabaseDisabled,
    /// PgBouncer: it does not know the database and has no fallback.
    NoSuchDatabase,
    /// PgBouncer: a startup parameter that it does not pass on.
    UnsupportedStartupParameter,
    /// PgBouncer (1.18 and later): its own login to the server keeps failing.
    ServerLoginFailing,
    /// PgBouncer's log alone: a server could not be reached (TCP refused, or unanswered for `server_connect_timeout`).
    PoolerCannotReach,
    /// PgBouncer's log alone: a server refused its login; the server's words follow.
    PoolerLoginRefused,
    /// PgBouncer's log alone: a server's name does not resolve.
    PoolerCannotResolve,
    /// PgBouncer's log alone: a server would not speak TLS, or its TLS failed.
    PoolerTlsFailed,
    /// PgBouncer's log alone: TCP to a server came about.
    PoolerReachedServer,
    /// PgBouncer: it is shutting down.
    PoolerShuttingDown,
    /// PgBouncer: relayed "server closed the connection", or its own dead server connection.
    ServerConnectionLost,
    /// Postgres: only reserved slots are left.
    SlotsReserved,
    /// Postgres: every slot is taken.
    TooManyClients,
    /// Postgres: CONNECTION LIMIT of a role.
    RoleLimit,
    /// Postgres: CONNECTION LIMIT of a database.
    DatabaseLimit,
    /// Postgres: no line of pg_hba.conf matches.
    NoHbaEntry,
    /// Postgres: a `reject` line of pg_hba.conf matches.
    HbaRejects,
    /// Postgres: the client came without TLS (end of the pg_hba message).
    NoEncryption,
    /// Postgres: the role has NOLOGIN.
    RoleNotPermittedToLogIn,
    /// Postgres: the role does not exist.
    RoleDoesNotExist,
    /// Postgres: the database does not exist.
    DatabaseDoesNotExist,
    /// Postgres: ALLOW_CONNECTIONS false.
    DatabaseNotAccepting,
    /// Postgres: a database whose DROP was interrupted.
    DatabaseInvalid,
    /// Postgres: wrong password, missing role or expired password; the client is not told which. PgBouncer likewise.
    PasswordFailed,
    /// Postgres' log alone: the password is not the role's (MD5 and clear; SCRAM logs the matched line only).
    PasswordMismatch,
    /// Postgres' log alone: VALID UNTIL has passed.
    PasswordExpired,
    /// Postgres' log alone: the role has no password.
    NoPasswordAssigned,
    /// Postgres' log alone: the role's password is stored as MD5 and the line of pg_hba.conf demands SCRAM.
    NoScramSecret,
    /// Postgres' log alone: which line of pg_hba.conf was followed. With a failed SCRAM login and nothing else it means
    /// that the password is not the role's.
    HbaLineMatched,
    /// Postgres: a setting that the role may not make at login.
    SettingNotPermitted,
    /// Postgres: a method without a password (peer, ident, cert, LDAP, PAM, …) turned the client down.
    MethodFailed,
    /// Postgres: the line of pg_hba.conf demands a client certificate.
    ClientCertificateDemanded,
    /// Postgres: CONNECT on the database is not granted.
    ConnectNotGranted,
    /// PgBouncer: `client_tls_sslmode` demands TLS and the client came without.
    PoolerDemandsTls,
    /// PgBouncer: its `auth_file` and `auth_query` have no such role.
    RoleUnknownToPooler,
    /// PgBouncer: its own `auth_hba_file` has no line for the client, or rejects it.
    PoolerRejectsLogin,
    /// rustls: no protocol version or cipher suite in common.
    PeerIncompatible,
    /// Postgres: starting up.
    StartingUp,
    /// Postgres: in recovery (crash recovery).
    InRecovery,
    /// Postgres: shutting down.
    ShuttingDown,
    /// Postgres: not yet consistent: a standby or a restore (14+), and since 15 any recovery, that after a crash too.
    NotYetAccepting,
    /// Postgres: hot standby is off.
    NotAcceptingConnections,
    /// Postgres' log alone: recovery after a crash has begun.
    CrashRecovery,
    /// Postgres: WAL could not be written; the server stops with a PANIC.
    WalUnwritable,
    /// Postgres: /dev/shm is full; ENOSPC, but not of a disk.
    SharedMemoryFull,
    /// Postgres: a table in shared memory is full; as a rule that of locks.
    OutOfSharedMemory,
    /// Postgres (HINT): which of them it is where it is that of predicate locks, which serializable transactions take.
    PredicateLocks,
    /// Postgres: a query on a standby was in the way of replay.
    RecoveryConflict,
    /// Postgres' log alone: a start met a lock file that may be another server's.
    LockFileStands,
    /// Any: ENOSPC's text.
    NoSpaceLeft,
    /// Any: EROFS's text.
    ReadOnlyFileSystem,
    /// Postgres: could not write the relation cache's init file at login (0 bytes free on 15).
    InitFile,
    /// Postgres: fork failed (a protocol-2 error).
    CouldNotFork,
    /// Postgres' log alone: a process of the server was killed or crashed.
    TerminatedBySignal,
    /// Postgres' log alone: pg_hba.conf (or pg_ident.conf) is broken, the old one stays in force.
    NotReloaded,
    /// Postgres' log alone: a configuration file has errors.
    ConfigurationErrors,
    /// Postgres' log alone: the server is up; what was logged before this is over.
    ReadyForConnections,
    /// Postgres' log alone: a start that was given up, by what it says last.
    StartGivenUp,
    /// Postgres' log alone: someone stops the server.
    ShutdownRequest,
    /// Postgres' log alone: the postmaster's last words, after a stop and after a start that it gave up.
    ShutDown,
    /// Any: EMFILE's text.
    TooManyOpenFiles,
    /// Postgres' log alone: a client's machine, or the way to it, is gone; keepalives or retransmissions gave up.
    ClientTimedOut,
    /// Postgres: the postmaster is gone, and its backends noticed.
    PostmasterGone,
}

/// One row: meaning, the words, who says them since when, a recorded sample.
pub struct Row {
    /// What the words mean.
    pub words: Words,
    /// The text looked for, as a substring.
    pub text: &'static str,
    /// Who says it, and in which versions.
    pub origin: &'static str,
    /// A message as it was recorded.
    pub sample: &'static str,
}

macro_rules! rows {
    ($($words:ident: $text:literal, $origin:literal, $sample:literal;)*) => {
        &[$(Row { words: Words::$words, text: $text, origin: $origin, sample: $sample },)*]
    };
}

/// The table. The first row whose text the message holds wins, so the narrower text stands first.
pub const TABLE: &[Row] = rows! {
    QueryWaitTimeout: "query_wait_timeout", "PgBouncer 1.18", "query_wait_timeout";
    ClientQueued: "client being queued", "PgBouncer 1.25", "No server connection available in postgres backend, client being queued";
    MaxClientConn: "no more connections allowed (max_client_conn)", "PgBouncer 1.18", "no more connections allowed (max_client_conn)";
    ClientLimitOfDatabaseOrUser: "client connections exceeded", "PgBouncer 1.24", "client connections exceeded (max_db_client_connections)";
    DatabaseDisabled: "is disabled", "PgBouncer 1.18", "database \"appdb\" is disabled";
    NoSuchDatabase: "no such database", "PgBouncer 1.18", "no such database: nope";
    UnsupportedStartupParameter: "unsupported startup parameter", "PgBouncer 1.18", "unsupported startup parameter: extra_float_digits";
    UnsupportedStartupParameter: "unsupported options startup parameter", "PgBouncer 1.20 to 1.25", "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed";
    ServerLoginFailing: "server login has been failing, cached error", "PgBouncer 1.24 and 1.25", "server login has been failing, cached error: connect failed (server_login_retry)";
    ServerLoginFailing: "server login has been failing", "PgBouncer 1.18", "server login has been failing, try again later (server_login_retry)";
    PoolerCannotReach: "closing because: connect failed", "PgBouncer 1.18, log", "closing because: connect failed (age=0s)";
    PoolerCannotReach: "closing because: connect timeout", "PgBouncer 1.12 to 1.25, log (src/janitor.c)", "closing because: connect timeout (age=15s)";
    PoolerCannotResolve: "closing because: server DNS lookup failed", "PgBouncer 1.18, log", "closing because: server DNS lookup failed (age=0s)";
    PoolerCannotResolve: "DNS lookup failed: ", "PgBouncer 1.18, log", "DNS lookup failed: nosuch.invalid: result=0";
    PoolerLoginRefused: "server login failed: ", "PgBouncer 1.18, log", "server login failed: FATAL password authentication failed for user \"pwuser\"";
    PoolerLoginRefused: "closing because: login failed", "PgBouncer 1.18, log", "closing because: login failed (age=0s)";
    PoolerTlsFailed: "closing because: server refused SSL", "PgBouncer 1.12 to 1.25, log (src/server.c)", "closing because: server refused SSL (age=0s)";
    PoolerReachedServer: "new connection to server", "PgBouncer 1.18, log", "new connection to server (from 127.0.0.1:54026)";
    PoolerShuttingDown: "pgbouncer is shutting down", "PgBouncer 1.18", "pgbouncer is shutting down";
    ServerConnectionLost: "server conn crashed", "PgBouncer 1.18", "server conn crashed?";
    SlotsReserved: "remaining connection slots are reserved", "Postgres 12 to 18", "remaining connection slots are reserved for non-replication superuser connections";
    TooManyClients: "sorry, too many clients already", "Postgres 12 to 18", "sorry, too many clients already";
    RoleLimit: "too many connections for role", "Postgres 12 to 18", "too many connections for role \"app\"";
    DatabaseLimit: "too many connections for database", "Postgres 12 to 18", "too many connections for database \"app\"";
    HbaRejects: "pg_hba.conf rejects connection", "Postgres 12 to 18", "pg_hba.conf rejects connection for host \"127.0.0.1\", user \"app\", database \"app\", no encryption";
    NoHbaEntry: "no pg_hba.conf entry", "Postgres 12 to 18", "no pg_hba.conf entry for host \"127.0.0.1\", user \"app\", database \"app\", no encryption";
    PoolerDemandsTls: "SSL required", "PgBouncer 1.18", "SSL required";
    PoolerRejectsLogin: "login rejected", "PgBouncer 1.18", "login rejected";
    NoEncryption: ", no encryption", "Postgres 14 to 18", "no pg_hba.conf entry for host \"127.0.0.1\", user \"app\", database \"app\", no encryption";
    NoEncryption: ", SSL off", "Postgres 12 and 13", "no pg_hba.conf entry for host \"127.0.0.1\", user \"app\", database \"app\", SSL off";
    RoleNotPermittedToLogIn: "is not permitted to log in", "Postgres 12 to 18", "role \"app\" is not permitted to log in";
    PasswordMismatch: "Password does not match for user", "Postgres 12 to 18, log", "Password does not match for user \"app\".";
    PasswordExpired: "has an expired password", "Postgres 12 to 18, log", "User \"app\" has an expired password.";
    NoPasswordAssigned: "has no password assigned", "Postgres 12 to 18, log", "User \"app\" has no password assigned.";
    NoScramSecret: "does not have a valid SCRAM secret", "Postgres 12 to 18, log", "User \"app\" does not have a valid SCRAM secret.";
    PasswordFailed: "password authentication failed", "Postgres 12 to 18, PgBouncer 1.18", "password authentication failed for user \"app\"";
    HbaLineMatched: "Connection matched", "Postgres 12 to 18, log", "Connection matched pg_hba.conf line 3: \"host all all 127.0.0.1/32 scram-sha-256\"";
    SettingNotPermitted: "permission denied to set parameter", "Postgres 12 to 18", "permission denied to set parameter \"log_statement\"";
    SettingNotPermitted: "permission denied to set role", "Postgres 12 to 18", "permission denied to set role \"reporting\"";
    PasswordFailed: "SASL authentication failed", "PgBouncer 1.18", "SASL authentication failed";
    MethodFailed: "authentication failed for user", "Postgres 12 to 18", "Peer authentication failed for user \"app\"";
    ClientCertificateDemanded: "requires a valid client certificate", "Postgres 12 to 18", "connection requires a valid client certificate";
    ConnectNotGranted: "permission denied for database", "Postgres 12 to 18", "permission denied for database \"app\"";
    RoleUnknownToPooler: "no such user", "PgBouncer 1.18", "no such user: app";
    RoleUnknownToPooler: "\"trust\" authentication failed", "PgBouncer 1.18, auth_type trust", "\"trust\" authentication failed";
    DatabaseNotAccepting: "is not currently accepting connections", "Postgres 12 to 18", "database \"app\" is not currently accepting connections";
    DatabaseInvalid: "cannot connect to invalid database", "Postgres 15.4 to 18", "cannot connect to invalid database \"app\"";
    StartingUp: "the database system is starting up", "Postgres 12 to 18", "the database system is starting up";
    InRecovery: "the database system is in recovery mode", "Postgres 12 to 18", "the database system is in recovery mode";
    ShuttingDown: "the database system is shutting down", "Postgres 12 to 18", "the database system is shutting down";
    NotYetAccepting: "the database system is not yet accepting connections", "Postgres 14 to 18", "the database system is not yet accepting connections";
    NotAcceptingConnections: "the database system is not accepting connections", "Postgres 14 to 18", "the database system is not accepting connections";
    CrashRecovery: "automatic recovery in progress", "Postgres 12 to 18, log", "database system was not properly shut down; automatic recovery in progress";
    WalUnwritable: "could not write to file \"pg_wal/", "Postgres 12 to 18, log", "could not write to file \"pg_wal/xlogtemp.29\": No space left on device";
    SharedMemoryFull: "could not resize shared memory segment", "Postgres 12 to 18", "could not resize shared memory segment \"/PostgreSQL.1804289383\" to 1048576 bytes: No space left on device";
    OutOfSharedMemory: "out of shared memory", "Postgres 12 to 18", "out of shared memory";
    PredicateLocks: "max_pred_locks_per_transaction", "Postgres 12 to 18", "You might need to increase max_pred_locks_per_transaction.";
    RecoveryConflict: "due to conflict with recovery", "Postgres 12 to 18", "canceling statement due to conflict with recovery";
    NoSpaceLeft: "No space left on device", "glibc strerror(ENOSPC)", "could not extend file \"base/5/16384\": No space left on device";
    ReadOnlyFileSystem: "Read-only file system", "glibc strerror(EROFS)", "could not open file \"base/5/2601\": Read-only file system";
    InitFile: "could not write init file", "Postgres 15", "could not write init file";
    CouldNotFork: "could not fork new process for connection", "Postgres 12 to 18", "could not fork new process for connection: Resource temporarily unavailable";
    TerminatedBySignal: ") was terminated by signal", "Postgres 12 to 18, log", "server process (PID 4711) was terminated by signal 9: Killed";
    NotReloaded: "was not reloaded", "Postgres 12 to 18, log", "pg_hba.conf was not reloaded";
    ConfigurationErrors: "contains errors", "Postgres 12 to 18, log", "configuration file \"/data/postgresql.conf\" contains errors; unaffected changes were applied";
    ReadyForConnections: "database system is ready to accept", "Postgres 12 to 18, log", "database system is ready to accept connections";
    ClientTimedOut: "could not receive data from client: Connection timed out", "Postgres 12 to 18, log", "could not receive data from client: Connection timed out";
    StartGivenUp: "could not access file", "Postgres 12 to 18, log", "could not access file \"nolib\": No such file or directory";
    StartGivenUp: "has invalid permissions", "Postgres 12 to 18, log", "data directory \"/data\" has invalid permissions";
    StartGivenUp: "could not create any", "Postgres 12 to 18, log", "could not create any TCP/IP sockets";
    StartGivenUp: "could not map anonymous shared memory", "Postgres 12 to 18, log", "could not map anonymous shared memory: Cannot allocate memory";
    StartGivenUp: "could not load pg_hba.conf", "Postgres 12 to 17, log", "could not load pg_hba.conf";
    StartGivenUp: "could not find the database system", "Postgres 12 to 18, log", "could not find the database system";
    StartGivenUp: "has group or world access", "Postgres 12 to 18, log", "private key file \"server.key\" has group or world access";
    StartGivenUp: "could not load server certificate file", "Postgres 12 to 18, log", "could not load server certificate file \"server.crt\": No such file or directory";
    StartGivenUp: "could not load private key file", "Postgres 12 to 18, log", "could not load private key file \"server.key\": key values mismatch";
    LockFileStands: "lock file \"postmaster.pid\" already exists", "Postgres 12 to 18, log", "lock file \"postmaster.pid\" already exists";
    LockFileStands: "lock file \"postmaster.pid\" is empty", "Postgres 12 to 18, log", "lock file \"postmaster.pid\" is empty";
    StartGivenUp: "could not remove old lock file", "Postgres 12 to 18, log", "could not remove old lock file \"postmaster.pid\": Operation not permitted";
    StartGivenUp: "could not open lock file", "Postgres 12 to 18, log", "could not open lock file \"postmaster.pid\": Permission denied";
    StartGivenUp: "could not create lock file", "Postgres 12 to 18, log", "could not create lock file \"postmaster.pid\": Permission denied";
    StartGivenUp: "could not write lock file", "Postgres 12 to 18, log", "could not write lock file \"postmaster.pid\": Input/output error";
    StartGivenUp: "pre-existing shared memory block", "Postgres 12 to 18, log", "pre-existing shared memory block (key 10575874, ID 32778) is still in use";
    StartGivenUp: "could not locate a valid checkpoint record", "Postgres 12 to 18, log", "could not locate a valid checkpoint record";
    StartGivenUp: "could not locate required checkpoint record", "Postgres 12 to 18, log", "could not locate required checkpoint record";
    StartGivenUp: "database files are incompatible with server", "Postgres 12 to 18, log", "database files are incompatible with server";
    StartGivenUp: "must specify restore_command when standby mode is not enabled", "Postgres 12 to 18, log", "must specify restore_command when standby mode is not enabled";
    StartGivenUp: "recovery ended before configured recovery target was reached", "Postgres 13 to 18, log", "recovery ended before configured recovery target was reached";
    StartGivenUp: "insufficient parameter settings", "Postgres 12 to 18, log", "recovery aborted because of insufficient parameter settings";
    ShutDown: "database system is shut down", "Postgres 12 to 18, log", "database system is shut down";
    ShutdownRequest: "shutdown request", "Postgres 12 to 18, log", "received fast shutdown request";
    TooManyOpenFiles: "Too many open files", "glibc strerror(EMFILE)", "epoll_create1 failed: Too many open files";
    PostmasterGone: "unexpected postmaster exit", "Postgres 12 to 18", "terminating connection due to unexpected postmaster exit";
    PeerIncompatible: "peer is incompatible", "rustls 0.23", "peer is incompatible: ServerDoesNotSupportTls12Or13";
};

/// Words with two texts around a quoted name: (meaning, before, after).
const AROUND_A_NAME: &[(Words, &str, &str)] = &[
    (Words::RoleDoesNotExist, "role \"", "\" does not exist"),
    (Words::RoleDoesNotExist, "Role \"", "\" does not exist"),
    (Words::DatabaseDoesNotExist, "database \"", "\" does not exist"),
    // Postgres 18, log: with the whole path.
    (Words::StartGivenUp, "could not load ", "/pg_hba.conf"),
];

/// What a message means, if the table knows it.
#[must_use]
pub fn meaning(message: &str) -> Option<Words> {
    TABLE.iter().find(|row| message.contains(row.text)).map(|row| row.words).or_else(|| {
        AROUND_A_NAME.iter().find(|(_, a, b)| message.contains(a) && message.contains(b)).map(|t| t.0)
    })
}

/// True where `message` holds the text of `words`.
#[must_use]
pub fn says(message: &str, words: Words) -> bool {
    TABLE.iter().any(|row| row.words == words && message.contains(row.text))
        || AROUND_A_NAME.iter().any(|(w, a, b)| *w == words && message.contains(a) && message.contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_found_by_its_recorded_sample() {
        for row in TABLE {
            assert!(says(row.sample, row.words), "{}", row.sample);
            // How the client came stands at the end of a message that means something else in the first place.
            if row.words != Words::NoEncryption {
                assert_eq!(meaning(row.sample), Some(row.words), "{}", row.sample);
            }
            assert!(!row.origin.is_empty());
        }
        assert_eq!(meaning("role \"x\" does not exist"), Some(Words::RoleDoesNotExist));
        assert_eq!(meaning("Role \"x\" does not exist."), Some(Words::RoleDoesNotExist));
        assert_eq!(meaning("database \"x\" does not exist"), Some(Words::DatabaseDoesNotExist));
        assert_eq!(meaning("could not load /data/pg_hba.conf"), Some(Words::StartGivenUp));
        assert_eq!(meaning("something else"), None);
    }
}

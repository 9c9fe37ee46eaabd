//! HAProxy's log in two tables: how a session ended by its two flags, and what HAProxy says of itself and its servers.
//! Each row has its origin and a sample that the test holds it to. Not in here: reading a line's fields
//! (`platform::haproxy_log` of pgmedic-path).

use serde::{Deserialize, Serialize};

/// How a TCP session ended (configuration manual, 8.5 "Session state at disconnection").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Both ends closed in order.
    InOrder,
    /// The client sent and took nothing for `timeout client`.
    ClientIdle,
    /// The client left before it had a server: HAProxy was connecting, or the client stood in the queue.
    ClientLeftEarly,
    /// The client reset, or closed with data under way.
    ClientAborted,
    /// The server sent and took nothing for `timeout server`.
    ServerIdle,
    /// The server refused the connection, or there is none.
    ServerRefused,
    /// The server did not answer within `timeout connect`.
    ServerSilent,
    /// The server reset, or closed with data under way.
    ServerAborted,
    /// No server had room within `timeout queue`.
    QueuedTooLong,
    /// HAProxy's check found the server down, and `on-marked-down shutdown-sessions` cut its sessions.
    ServerMarkedDown,
    /// A server came back, and `on-marked-up shutdown-backup-sessions` cut those on the backup.
    BackupRetired,
    /// An administrator's `shutdown sessions`.
    ShutDownByAdministrator,
    /// HAProxy refused it by a rule or a limit of its own.
    RefusedByProxy,
    /// HAProxy had no memory, descriptor or source port left.
    OutOfResources,
    /// HAProxy found an error of its own.
    ProxyFault,
}

/// One row of the flags.
pub struct FlagRow {
    /// The two flags; `*` stands for any.
    pub flags: &'static str,
    /// What they mean.
    pub ended: Ended,
    /// Who says so, and in which version the sample was recorded.
    pub origin: &'static str,
    /// A line of `option tcplog`.
    pub sample: &'static str,
}

/// A message of HAProxy that is about no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HaproxyWords {
    /// Its check found a server down.
    ServerDown,
    /// Its check found a server up again.
    ServerUp,
    /// A server was taken out by an administrator.
    ServerInMaintenance,
    /// A backend has no server left.
    NoServerAvailable,
    /// A server's name does not resolve: HAProxy goes without that server.
    NameUnresolved,
    /// No source port is left for connections to a server.
    NoFreePorts,
    /// HAProxy's own limit of descriptors or memory is reached.
    LimitReached,
    /// A proxy (a frontend, a backend) was stopped: HAProxy reloads or ends.
    ProxyStopped,
}

/// One row of the messages.
pub struct EventRow {
    /// What it means.
    pub words: HaproxyWords,
    /// Texts that the message holds, all of them.
    pub texts: &'static [&'static str],
    /// Who says it, in which versions.
    pub origin: &'static str,
    /// A message as it was recorded.
    pub sample: &'static str,
}

macro_rules! flags {
    ($($ended:ident: $flags:literal, $origin:literal, $sample:literal;)*) => {
        &[$(FlagRow { flags: $flags, ended: Ended::$ended, origin: $origin, sample: $sample },)*]
    };
}

/// The flags. The first row that fits wins.
pub const FLAGS: &[FlagRow] = flags! {
    InOrder: "-*", "HAProxy 2.6.12", "127.0.0.1:42588 [23/Nov/2026:17:01:37.165] fe be/s1 1/0/23 476 -- 1/1/0/0/0 0/0";
    ClientLeftEarly: "CQ", "HAProxy 2.0 to 3.2, configuration manual 8.5", "127.0.0.1:50674 [23/Nov/2026:17:03:03.952] one one/<NOSRV> 302/-1/301 0 CQ 2/2/1/0/0 0/1";
    ClientLeftEarly: "CC", "HAProxy 2.0 to 3.2, configuration manual 8.5", "127.0.0.1:48746 [23/Nov/2026:17:03:02.032] drop drop/b1 1/-1/100 0 CC 1/1/0/0/0 0/0";
    ClientAborted: "C*", "HAProxy 2.6.12", "127.0.0.1:42868 [23/Nov/2026:17:03:02.733] echo echo/e1 1/0/206 0 CD 1/1/0/0/0 0/0";
    ClientIdle: "c*", "HAProxy 2.6.12", "127.0.0.1:42600 [23/Nov/2026:17:01:37.210] fe be/s1 1/1/2004 410 cD 1/1/0/0/0 0/0";
    ServerRefused: "SC", "HAProxy 2.6.12", "127.0.0.1:47424 [23/Nov/2026:17:01:39.252] dead dead/d1 1/-1/1001 0 SC 1/1/0/0/1 0/0";
    ServerAborted: "S*", "HAProxy 2.6.12", "127.0.0.1:42874 [23/Nov/2026:17:03:03.140] echo echo/e1 1/0/300 0 SD 1/1/0/0/0 0/0";
    QueuedTooLong: "sQ", "HAProxy 2.6.12", "127.0.0.1:42614 [23/Nov/2026:17:01:37.508] fe be/<NOSRV> 1503/-1/1502 0 sQ 2/2/1/0/0 0/1";
    ServerSilent: "sC", "HAProxy 2.6.12", "127.0.0.1:48734 [23/Nov/2026:17:03:01.232] drop drop/b1 1/-1/502 0 sC 1/1/0/0/0 0/0";
    ServerIdle: "s*", "HAProxy 2.6.12", "127.0.0.1:52610 [23/Nov/2026:17:01:43.289] nocheck nocheck/n1 1/0/1004 410 sD 1/1/0/0/0 0/0";
    RefusedByProxy: "P*", "HAProxy 2.6.12", "127.0.0.1:43460 [23/Nov/2026:17:03:04.854] rule rule/<NOSRV> -1/-1/0 0 PR 2/1/0/0/0 0/0";
    OutOfResources: "R*", "HAProxy 2.0 to 3.2, configuration manual 8.5", "127.0.0.1:43546 [23/Nov/2026:17:03:05.359] limited limited/e1 1/-1/0 0 RC 3/2/1/1/0 0/0";
    ServerMarkedDown: "D*", "HAProxy 2.6.12", "127.0.0.1:53270 [23/Nov/2026:17:03:06.798] marked marked/m1 1/0/485 0 D- 3/1/0/0/0 0/0";
    BackupRetired: "U*", "HAProxy 2.0 to 3.2, configuration manual 8.5", "127.0.0.1:53270 [23/Nov/2026:17:03:06.798] pg pg/b1 1/0/485 0 UD 3/1/0/0/0 0/0";
    ShutDownByAdministrator: "K*", "HAProxy 2.6.12", "127.0.0.1:55688 [23/Nov/2026:17:03:06.155] echo echo/e1 1/0/329 0 K- 3/1/0/0/0 0/0";
    ProxyFault: "I*", "HAProxy 2.0 to 3.2, configuration manual 8.5", "127.0.0.1:55688 [23/Nov/2026:17:03:06.155] echo echo/e1 1/0/329 0 ID 3/1/0/0/0 0/0";
};

macro_rules! events {
    ($($words:ident: $($text:literal)&+, $origin:literal, $sample:literal;)*) => {
        &[$(EventRow { words: HaproxyWords::$words, texts: &[$($text),+], origin: $origin, sample: $sample },)*]
    };
}

/// The messages. The first row that fits wins.
pub const EVENTS: &[EventRow] = events! {
    NoServerAvailable: "has no server available!", "HAProxy 2.6.12", "backend be has no server available!";
    NameUnresolved: "could not resolve address", "HAProxy 2.6.12", "'server named/m1' : could not resolve address 'nosuch.invalid', disabling server.";
    NameUnresolved: "Server " & "DOWN for maintenance (" & "DNS", "HAProxy 2.6.12", "Server be/n1 is going DOWN for maintenance (DNS NX status). 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.";
    ServerInMaintenance: "Server " & "enters maintenance", "HAProxy 2.6.12", "Server be/s1 was DOWN and now enters maintenance.";
    ServerInMaintenance: "Server " & "DOWN for maintenance", "HAProxy 2.6.12", "Server be/s1 is going DOWN for maintenance. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.";
    ServerDown: "Server " & " is DOWN", "HAProxy 2.6.12", "Server be/s1 is DOWN, reason: Layer4 connection problem, info: \"Connection refused\", check duration: 0ms. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.";
    ServerUp: "Server " & " is UP", "HAProxy 2.6.12", "Server be/s1 is UP/READY (leaving forced maintenance).";
    NoFreePorts: "Connect() failed for backend" & "no free ports", "HAProxy 2.6.12", "Connect() failed for backend limited: no free ports.";
    LimitReached: "Proxy " & " reached " & " limit", "HAProxy 2.0 to 3.2, src/sock.c", "Proxy fe reached process FD limit (maxsock=4012). Please check 'ulimit-n' and restart.";
    ProxyStopped: "Proxy " & " stopped (", "HAProxy 2.6.12", "Proxy fe stopped (cumulated conns: FE: 9, BE: 0).";
};

/// What the two termination flags mean, if they are flags of a TCP session.
#[must_use]
pub fn ended(flags: &str) -> Option<Ended> {
    let fits = |row: &&FlagRow| {
        flags.len() == 2 && flags.bytes().zip(row.flags.bytes()).all(|(is, want)| want == b'*' || is == want)
    };
    FLAGS.iter().find(fits).map(|row| row.ended)
}

/// What a message that is about no session means, if the table knows it.
#[must_use]
pub fn meaning(message: &str) -> Option<HaproxyWords> {
    EVENTS.iter().find(|row| row.texts.iter().all(|text| message.contains(text))).map(|row| row.words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_flags_is_found_by_its_sample() {
        for row in FLAGS {
            let flags = row.sample.split(' ').nth(6).expect("the seventh field");
            assert_eq!(ended(flags), Some(row.ended), "{flags}");
            assert!(!row.origin.is_empty());
        }
        assert_eq!((ended("--VN"), ended("x"), ended("LR"), ended("é")), (None, None, None, None));
    }

    #[test]
    fn each_message_is_found_by_its_sample() {
        for row in EVENTS {
            assert_eq!(meaning(row.sample), Some(row.words), "{}", row.sample);
            assert!(!row.origin.is_empty());
        }
        assert_eq!(meaning("Connect from 127.0.0.1:56340 to 127.0.0.1:21515 (def/TCP)"), None);
        assert_eq!(meaning(FLAGS[0].sample), None);
    }
}

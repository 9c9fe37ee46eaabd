//! What the processes of a Postgres server say of themselves in their titles, which anyone on the host may read.
//!
//! Since no slot is needed for it, this is how a server at its limit tells who holds the slots. Titles are set by
//! Postgres' ps_status.c: `postgres: [cluster_name: ]role database client(port) activity`. Not in here: reading them.

use super::evidence::TitleGroup;
use std::collections::BTreeMap;

/// Most groups told, the largest first.
const MOST_GROUPS: usize = 200;
/// Most auxiliaries told.
const MOST_AUXILIARIES: usize = 64;
/// What a child is called that has not set its title: a client of which no startup packet has come yet.
const UNTITLED: &str = "client before its startup packet";

/// Processes that every server has at least one of, by which a cluster_name in front is told from a role.
const LANDMARKS: [&str; 8] = [
    "checkpointer",
    "background writer",
    "walwriter",
    "autovacuum launcher",
    "logical replication launcher",
    "stats collector",
    "archiver",
    "startup recovering",
];

/// What the titles of a postmaster's children say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Titles {
    /// Client backends.
    pub(super) backends: Vec<TitleGroup>,
    /// All others: auxiliaries, walsenders, workers.
    pub(super) auxiliaries: Vec<String>,
    /// Children without a title yet.
    pub(super) untitled: u64,
}

/// Reads the titles of a postmaster's children.
pub(super) fn read<'a>(titles: impl Iterator<Item = &'a str> + Clone) -> Titles {
    let bodies = titles.clone().filter_map(body);
    let cluster = bodies.clone().find_map(cluster_prefix).unwrap_or_default();
    let mut groups: BTreeMap<Client<'_>, u64> = BTreeMap::new();
    let mut auxiliaries = Vec::new();
    let mut untitled = 0_u64;
    for title in titles {
        let Some(body) = body(title) else {
            untitled += 1;
            continue;
        };
        let body = body.strip_prefix(cluster).unwrap_or(body);
        match parse_client(body) {
            Some(client) => *groups.entry(client).or_default() += 1,
            None => auxiliaries.push(body.to_owned()),
        }
    }
    auxiliaries.sort();
    auxiliaries.truncate(MOST_AUXILIARIES);
    if untitled > 0 {
        auxiliaries.push(format!("{untitled} × {UNTITLED}"));
    }
    let mut backends: Vec<TitleGroup> =
        groups.into_iter().map(|(client, count)| client.group(count)).collect();
    backends.sort_by_key(|group| std::cmp::Reverse(group.count));
    backends.truncate(MOST_GROUPS);
    Titles { backends, auxiliaries, untitled }
}

/// What stands after `postgres: `. None for a child that has not set its title yet.
fn body(title: &str) -> Option<&str> {
    title.strip_prefix("postgres: ").map(str::trim)
}

/// `cluster_name: ` as it stands in front of a process that every server has.
fn cluster_prefix(body: &str) -> Option<&str> {
    LANDMARKS.iter().find_map(|landmark| {
        let (prefix, _) = body.split_once(landmark)?;
        (prefix.is_empty() || prefix.ends_with(": ")).then_some(prefix)
    })
}

/// A client backend's title.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Client<'a> {
    role: &'a str,
    database: &'a str,
    client: &'a str,
    activity: &'a str,
}

impl Client<'_> {
    fn group(&self, count: u64) -> TitleGroup {
        TitleGroup {
            role: self.role.to_owned(),
            database: self.database.to_owned(),
            client: self.client.to_owned(),
            activity: self.activity.to_owned(),
            count,
        }
    }
}

/// Parses `role database client(port) activity`; None for any other process. A role may hold spaces: the last word
/// before the client is then taken for the database.
fn parse_client(body: &str) -> Option<Client<'_>> {
    if body.starts_with("walsender ") {
        return None;
    }
    let (at, word) = words(body).find(|(at, word)| *at > 0 && is_client(word))?;
    let who = body[..at].trim_end();
    let (role, database) = who.rsplit_once(' ').unwrap_or((who, ""));
    Some(Client {
        role,
        database,
        client: word.rsplit_once('(').map_or(word, |(host, _)| host),
        activity: body[at + word.len()..].trim(),
    })
}

/// The words of a text, each with where it begins.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(' ').scan(0, |next, word| {
        let at = *next;
        *next += word.len() + 1;
        Some((at, word))
    })
}

/// `[local]`, `127.0.0.1(56604)`, `db.internal(56604)` where log_hostname is on.
fn is_client(word: &str) -> bool {
    let port = |inner: &str| !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_digit());
    let host_and_port = || word.strip_suffix(')')?.rsplit_once('(');
    word == "[local]" || host_and_port().is_some_and(|(host, inner)| !host.is_empty() && port(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(role: &str, database: &str, client: &str, activity: &str, count: u64) -> TitleGroup {
        Client { role, database, client, activity }.group(count)
    }

    /// Recorded on Postgres 15.18 with Debian's cluster_name.
    const PG15: &str = "postgres: 15/main: checkpointer \n\
        postgres: 15/main: background writer \n\
        postgres: 15/main: walwriter \n\
        postgres: 15/main: autovacuum launcher \n\
        postgres: 15/main: logical replication launcher \n\
        postgres: 15/main: app app [local] idle\n\
        postgres: 15/main: postgres postgres 127.0.0.1(56604) idle in transaction\n\
        /usr/lib/postgresql/15/bin/postgres\n\
        postgres: 15/main: walsender postgres 127.0.0.1(45910) streaming 0/1936CF8\n\
        postgres: 15/main: app app 127.0.0.1(45914) idle in transaction (aborted)\n\
        postgres: 15/main: postgres postgres 127.0.0.1(45926) SELECT waiting\n\
        postgres: 15/main: postgres postgres 127.0.0.1(45936) SELECT";

    /// Recorded on Postgres 18.4 without a cluster_name.
    const PG18: &str = "postgres: io worker 0\n\
        postgres: checkpointer \n\
        postgres: postgres postgres 127.0.0.1(45956) idle in transaction\n\
        postgres: app app [local] idle\n\
        postgres: app app [local] idle";

    /// Recorded on Postgres 12.22, which pads titles, with a colon in its cluster_name.
    const PG12: &str = "postgres: my:cluster: checkpointer   \n\
        postgres: my:cluster: stats collector   \n\
        postgres: my:cluster: app app [local] idle";

    #[test]
    fn a_cluster_name_is_no_role_and_walsenders_take_no_slot() {
        let titles = read(PG15.lines());
        assert_eq!(
            titles.backends,
            [
                group("app", "app", "127.0.0.1", "idle in transaction (aborted)", 1),
                group("app", "app", "[local]", "idle", 1),
                group("postgres", "postgres", "127.0.0.1", "SELECT", 1),
                group("postgres", "postgres", "127.0.0.1", "SELECT waiting", 1),
                group("postgres", "postgres", "127.0.0.1", "idle in transaction", 1),
            ]
        );
        assert_eq!(
            titles.auxiliaries,
            [
                "autovacuum launcher",
                "background writer",
                "checkpointer",
                "logical replication launcher",
                "walsender postgres 127.0.0.1(45910) streaming 0/1936CF8",
                "walwriter",
                "1 × client before its startup packet",
            ]
        );
    }

    #[test]
    fn titles_of_other_versions_are_read_alike() {
        let titles = read(PG18.lines());
        assert_eq!(titles.backends[0], group("app", "app", "[local]", "idle", 2));
        assert_eq!(titles.backends.len(), 2);
        assert_eq!(titles.auxiliaries, ["checkpointer", "io worker 0"]);
        let titles = read(PG12.lines());
        assert_eq!(titles.backends, [group("app", "app", "[local]", "idle", 1)]);
        assert_eq!(titles.auxiliaries, ["checkpointer", "stats collector"]);
    }

    #[test]
    fn every_stage_of_a_backend_is_an_activity() {
        for (title, expected) in [
            ("app app ::1(9) startup", group("app", "app", "::1", "startup", 1)),
            ("app app 10.0.0.1(9) authentication", group("app", "app", "10.0.0.1", "authentication", 1)),
            ("a b app api.internal(9) idle", group("a b", "app", "api.internal", "idle", 1)),
            (
                "app app [local] COMMIT waiting for 0/3",
                group("app", "app", "[local]", "COMMIT waiting for 0/3", 1),
            ),
            ("app app [local]", group("app", "app", "[local]", "", 1)),
        ] {
            assert_eq!(parse_client(title).map(|client| client.group(1)), Some(expected), "{title}");
        }
        for other in [
            "startup recovering 000000010000000000000003",
            "walreceiver streaming 0/3000148",
            "autovacuum worker app",
            "parallel worker for PID 4711",
            "logical replication apply worker for subscription 16399",
            "[local]",
            "",
        ] {
            assert_eq!(parse_client(other), None, "{other}");
        }
        let starting = read(["postgres: x: startup recovering 000000010000000000000003"].into_iter());
        assert_eq!(starting.auxiliaries, ["startup recovering 000000010000000000000003"]);
    }
}

//! What PgBouncer says to its clients, in the forms of both generations, through a scripted peer to the diagnosis. The texts
//! were recorded from PgBouncer 1.18.0 (Debian) and 1.25.2 (built from its tag) in front of Postgres 15.18; where another
//! source is named, it is that file of 1.25.2. Not in here: a real PgBouncer, which the drills have.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[expect(dead_code, reason = "the other suite of scripted peers uses the rest")]
mod scripted;

use pgmedic_path::{diagnose, walk};
use scripted::Act::{Read, Send};
use scripted::{Act, Peer, admitted, said};
use std::time::Duration;

/// At which stage a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// In the login.
    AtLogin,
    /// The pooler welcomes its client by what it remembers of the server, and refuses the first query.
    AtTheQuery,
}
use Told::{AtLogin, AtTheQuery};

/// One form: the PgBouncer that says it, when, with which SQLSTATE, in which words; and the root that it must lead to.
const FORMS: &[(&str, Told, &str, &str, &str)] = &[
    // Until 1.19 each error of the server's comes as 08P01; from 1.20 on its SQLSTATE is forwarded (NEWS.md of 1.20).
    ("1.18", AtLogin, "08P01", "database \"app\" does not exist", "database-missing"),
    ("1.25", AtLogin, "3D000", "database \"app\" does not exist", "database-missing"),
    ("1.18", AtLogin, "08P01", "role \"app\" does not exist", "role-missing"),
    ("1.25", AtLogin, "28000", "role \"app\" does not exist", "role-missing"),
    ("1.18", AtLogin, "08P01", "password authentication failed for user \"app\"", "wrong-password"),
    ("1.25", AtLogin, "28P01", "password authentication failed for user \"app\"", "wrong-password"),
    ("1.18", AtTheQuery, "08P01", "password authentication failed for user \"app\"", "wrong-password"),
    ("1.25", AtTheQuery, "28P01", "password authentication failed for user \"app\"", "wrong-password"),
    ("1.18", AtLogin, "08P01", "sorry, too many clients already", "all-slots-exhausted"),
    ("1.25", AtLogin, "53300", "sorry, too many clients already", "all-slots-exhausted"),
    (
        "1.25",
        AtTheQuery,
        "53300",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "slots-exhausted",
    ),
    // A server that cannot be logged in at. The cached error is there from 1.24 on (src/objects.c, check_fast_fail).
    (
        "1.18",
        AtTheQuery,
        "08P01",
        "server login has been failing, try again later (server_login_retry)",
        "pooler-upstream-failing",
    ),
    (
        "1.25",
        AtTheQuery,
        "08P01",
        "server login has been failing, cached error: connect failed (server_login_retry)",
        "pooler-upstream-failing",
    ),
    (
        "1.25",
        AtTheQuery,
        "08P01",
        "server login has been failing, cached error: password authentication failed for user \"app\" (server_login_retry)",
        "wrong-password",
    ),
    // Both say the same of a queue: at the query the pool may be full, at the login none of its servers was ever reached.
    ("1.18", AtTheQuery, "08P01", "query_wait_timeout", "pooler-pool-exhausted"),
    ("1.18", AtLogin, "08P01", "query_wait_timeout", "pooler-upstream-failing"),
    ("1.25", AtLogin, "08P01", "query_wait_timeout", "pooler-upstream-failing"),
    // Its own refusals.
    ("1.18", AtLogin, "08P01", "no such database: app", "database-missing"),
    ("1.18", AtLogin, "08P01", "database \"app\" is disabled", "pooler-database-disabled"),
    ("1.18", AtLogin, "08P01", "no more connections allowed (max_client_conn)", "pooler-client-limit"),
    (
        "1.25",
        AtLogin,
        "08P01",
        "client connections exceeded (max_db_client_connections)",
        "pooler-client-limit",
    ),
    (
        "1.25",
        AtLogin,
        "08P01",
        "client connections exceeded (max_user_client_connections)",
        "pooler-client-limit",
    ),
    ("1.18", AtLogin, "08P01", "\"trust\" authentication failed", "role-missing"),
    // It knows no `options` before 1.20, and looks into them from then on.
    ("1.18", AtLogin, "08P01", "unsupported startup parameter: options", "pooler-rejects-parameter"),
    (
        "1.25",
        AtLogin,
        "08P01",
        "unsupported startup parameter in options: search_path",
        "pooler-rejects-parameter",
    ),
    (
        "1.25",
        AtLogin,
        "08P01",
        "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed",
        "pooler-rejects-parameter",
    ),
];

/// The first connection is refused for pgmedic's own settings, as every PgBouncer does; the second is told.
async fn pooler(told: Told, code: &str, text: &str) -> Peer {
    let refused = said(b'E', "FATAL", code, text);
    let own_settings = said(b'E', "FATAL", "08P01", "unsupported startup parameter: statement_timeout");
    let script = match told {
        AtLogin => vec![Read, Send(refused)],
        AtTheQuery => vec![Read, Send(admitted()), Read, Send(refused)],
    };
    Peer::new(vec![vec![Read, Send(own_settings)], script]).await
}

#[tokio::test]
async fn each_form_of_both_generations_leads_to_its_cause() {
    let mut wrong = Vec::new();
    for (version, told, code, text, expected) in FORMS {
        let peer = pooler(*told, code, text).await;
        let evidence = walk(&peer.service(), Duration::from_secs(5), &|_| {}).await;
        let found = diagnose(&evidence);
        let root = found.first().map_or("nothing", |f| f.cause.as_str());
        if root != *expected {
            wrong.push(format!("{version} {told:?} {code} {text}: {root}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// From 1.25 on a client that has waited for `query_wait_notify` (5 s) is told so (src/janitor.c).
#[tokio::test]
async fn a_client_that_is_told_to_be_queued_knows_of_the_pooler() {
    let queued = said(
        b'N',
        "NOTICE",
        "00000",
        "No server connection available in postgres backend, client being queued",
    );
    let script = vec![Read, Send(admitted()), Read, Send(queued), Act::Never];
    let peer = Peer::new(vec![script]).await;
    let evidence = walk(&peer.service(), Duration::from_secs(2), &|_| {}).await;
    let found = diagnose(&evidence);
    assert_eq!(found[0].cause, "pooler-pool-exhausted", "{found:?}");
    let others: Vec<_> = found[0].alternatives.iter().map(|a| a.cause.as_str()).collect();
    assert!(others.contains(&"pooler-upstream-failing"), "{others:?}");
}

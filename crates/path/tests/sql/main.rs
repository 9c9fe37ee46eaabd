//! The one statement on real servers: this machine's Postgres, and every other that `PGMEDIC_PG_BINS` names (folders of
//! server programs, separated by colons; `scripts/fetch-postgres` gets Postgres 12 to 18). Each server goes through every
//! scenario. Needs PgBouncer.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod around;
mod audit;
mod encodings;
mod limits;
mod lock_trees;
mod logins;
mod roles;
mod server;
mod state;

use server::Server;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A scenario leaves the server as it found it.
type Scenario = (&'static str, fn(&mut Server));

const SCENARIOS: &[Scenario] = &[
    ("three roles see what each may", roles::three_roles_see_what_each_may),
    ("no setting of the session bends the answer", roles::no_setting_of_the_session_bends_the_answer),
    ("a hostile search_path is not followed", roles::a_hostile_search_path_is_not_followed),
    ("a failed transaction's lock and a NOINHERIT role", roles::a_noinherit_monitor),
    ("sessions are grouped, counted and bounded", state::sessions_are_grouped_counted_and_bounded),
    (
        "who idles in a transaction and who works is named",
        state::who_idles_in_a_transaction_and_who_works_is_named,
    ),
    ("a brief account counts what a whole one tells", state::a_brief_account_counts_what_a_whole_one_tells),
    ("a lock waiter stands out of a brief account", state::a_lock_waiter_stands_out_of_a_brief_account),
    ("a setting waits for a restart", state::a_setting_waits_for_a_restart),
    ("read-only is told with where it is set", state::read_only_is_told_with_where_it_is_set),
    ("a slot retains WAL and the archiver fails", state::a_slot_retains_wal_and_the_archiver_fails),
    ("limits are told with their use", limits::limits_are_told_with_their_use),
    ("twenty wait behind one", lock_trees::twenty_wait_behind_one),
    ("a chain of row locks leads to its root", lock_trees::a_chain_of_row_locks_leads_to_its_root),
    ("readers queue behind a waiting ALTER", lock_trees::readers_queue_behind_a_waiting_alter),
    ("among many waiters the root is found", lock_trees::among_many_waiters_the_root_is_found),
    (
        "a plain role sees who waits where slots run short",
        lock_trees::a_plain_role_sees_who_waits_where_slots_run_short,
    ),
    ("advisory locks are told", lock_trees::advisory_locks_are_told),
    ("a prepared transaction is blamed, also after a restart", lock_trees::a_prepared_transaction_is_blamed),
    ("texts of every encoding are survived", encodings::texts_of_every_encoding_are_survived),
    ("through PgBouncer in transaction mode", around::through_pgbouncer_in_transaction_mode),
    ("on a standby", around::on_a_standby),
    ("an audit is told what each role may see", audit::an_audit_is_told_what_each_role_may_see),
    ("an audit sees what a role's sessions get", audit::an_audit_sees_what_a_roles_sessions_get),
    ("failed logins are told apart by the log", logins::failed_logins_are_told_apart_by_the_log),
];

/// Servers at a time: a scenario mostly waits.
const AT_A_TIME: usize = 3;

#[test]
fn every_scenario_on_every_postgres() {
    // A missing program is a failure that says what to install, not a test left out.
    let folders = server::folders().unwrap_or_else(|missing| panic!("{missing}"));
    pgmedic_lab::programs::find("pgbouncer").unwrap_or_else(|missing| panic!("{missing}"));
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(folder) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
            go_through(folder);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    println!("{} scenarios on {} servers", SCENARIOS.len(), folders.len());
}

/// One server, every scenario.
fn go_through(folder: &Path) {
    let from = Instant::now();
    let mut server = Server::start(folder);
    println!("Postgres {} of {}: up in {:?}", server.major, folder.display(), from.elapsed());
    for (name, scenario) in SCENARIOS {
        let from = Instant::now();
        println!("Postgres {}: {name}", server.major);
        scenario(&mut server);
        server.wait_alone();
        println!("Postgres {}: {name}: {:?}", server.major, from.elapsed());
    }
}

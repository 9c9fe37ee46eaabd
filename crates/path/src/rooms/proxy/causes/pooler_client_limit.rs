//! `pooler-client-limit`: PgBouncer takes no more clients.

use super::console;
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// PgBouncer has as many clients as it may and refuses the next.
    ///
    /// ## What it is
    /// `max_client_conn` (or, since 1.24, a limit per database or user) is reached. The database may be idle behind it.
    ///
    /// ## What proves it
    /// The refusal `no more connections allowed (max_client_conn)` (08P01); `used_clients` of `SHOW LISTS` at
    /// `max_client_conn` of `SHOW CONFIG`.
    ///
    /// ## What mends it
    /// Find out who holds the clients (`SHOW CLIENTS`): a pool that leaks, or one instance too many. Raise `max_client_conn`
    /// and `RELOAD`; check the process's descriptor limit first (each client takes one, each server one more).
    ///
    /// ## What makes it worse
    /// Raising it without the descriptors; restarting PgBouncer, which drops every client at once.
    ///
    /// ## What prevents it
    /// An alert at 80 % of `max_client_conn`.
    ///
    /// ## References
    /// PgBouncer manual: `max_client_conn`, SHOW LISTS, SHOW CLIENTS.
    "pooler-client-limit" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let limit = |m: &str| says(m, Words::MaxClientConn) || says(m, Words::ClientLimitOfDatabaseOrUser);
    let refusal = e.front.refusal().filter(|r| limit(&r.message));
    let counts = e.pooler.get().and_then(|p| Some((p, p.used_clients?, p.max_client_conn?)));
    let full = counts.filter(|(_, used, max)| used >= max);
    let proof = match (refusal, full) {
        (Some(refusal), _) => console::refusal_fact(&e.front, refusal),
        (None, Some((pooler, used, max))) => {
            console::fact(pooler, "SHOW LISTS", format!("{used} clients of {max}")).value(used)
        }
        (None, None) => return None,
    };
    let how_many = counts.map_or_else(String::new, |(_, used, max)| format!(": {used} clients of {max}"));
    let severity = if e.front.facts().is_some() { Severity::Warning } else { Severity::Critical };
    let summary = format!("PgBouncer has as many clients as it may{how_many}");
    let command = e.pooler.get().map_or_else(
        || "SHOW CLIENTS; SHOW CONFIG;   -- on PgBouncer's admin console".to_owned(),
        |p| console::command(p, "SHOW CLIENTS"),
    );
    let finding = Finding::new(CAUSE.id, Room::Proxy, severity, Confidence::Certain, summary, proof);
    Some(finding.mended_by(RemedyPlan::by_hand(
        "raise-pooler-client-limit",
        RemedyKind::Settings,
        "find who holds the clients; then raise max_client_conn and RELOAD, within the descriptor limit",
        command,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused};

    #[test]
    fn pooler_client_limit_is_what_the_refusal_says() {
        let found = find(&refused("08P01", "no more connections allowed (max_client_conn)")).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert!(find(&healthy()).is_none());
    }
}

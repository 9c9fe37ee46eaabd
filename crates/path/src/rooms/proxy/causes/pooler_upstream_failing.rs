//! `pooler-upstream-failing`: PgBouncer itself cannot log in to the server.

use super::console;
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// PgBouncer cannot log in to the server behind it and says so to its clients.
    ///
    /// ## What it is
    /// The server refuses PgBouncer or is not there. PgBouncer waits `server_login_retry` (15 s) between attempts and answers
    /// with the last error it had; before 1.24 often without the reason.
    ///
    /// ## What proves it
    /// `server login has been failing…` (08P01). The reason stands in PgBouncer's log, and shows on a walk around it
    /// (`direct`).
    ///
    /// ## What mends it
    /// Whatever the walk around the pooler finds. Then wait `server_login_retry`, or `RECONNECT` on the console.
    ///
    /// ## What makes it worse
    /// Restarting PgBouncer: it drops the clients and changes nothing behind it.
    ///
    /// ## What prevents it
    /// `direct` configured, so that the reason is found at once.
    ///
    /// ## References
    /// PgBouncer manual: `server_login_retry`; NEWS of 1.20 and 1.24.
    "pooler-upstream-failing" in Proxy, proved by Proof::None("PgBouncer 1.18 words it only after server_login_retry; the test has the recorded text");
}

fn find(e: &Evidence) -> Option<Finding> {
    let failing = |m: &str| says(m, Words::ServerLoginFailing) || says(m, Words::ServerConnectionLost);
    let refusal = e.front.refusal().filter(|r| failing(&r.message))?;
    let proof = console::refusal_fact(&e.front, refusal);
    let summary = format!("PgBouncer at {} cannot log in to the server behind it", e.front.address);
    let finding =
        Finding::new(CAUSE.id, Room::Proxy, Severity::Critical, Confidence::Certain, summary, proof);
    let command = e.pooler.get().map_or_else(
        || "SHOW SERVERS;   -- on PgBouncer's admin console; the reason is in its log".to_owned(),
        |p| console::command(p, "SHOW DATABASES"),
    );
    let plan = "find why the server refuses the pooler: walk around it, or read PgBouncer's log";
    Some(finding.mended_by(RemedyPlan::by_hand("mend-upstream", RemedyKind::Advice, plan, command)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused};

    #[test]
    fn pooler_upstream_failing_is_what_the_refusal_says() {
        let said = "server login has been failing, try again later (server_login_retry)";
        assert!(find(&refused("08P01", said)).is_some());
        assert!(find(&refused("08P01", "query_wait_timeout")).is_none());
        assert!(find(&healthy()).is_none());
    }
}

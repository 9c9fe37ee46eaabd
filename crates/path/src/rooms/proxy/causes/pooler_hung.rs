//! `pooler-hung`: PgBouncer is stopped or stuck.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::proxy::silence::{Silent, weigh};
use pgmedic_model::{Action, Finding, RemedyKind, RemedyPlan, Room};

cause! {
    /// PgBouncer hangs: it is connected to and never answers.
    ///
    /// ## What it is
    /// PgBouncer is one process on one core. Stopped, stuck, or with that core used up, it accepts nothing and passes nothing
    /// on, while the database behind it is well.
    ///
    /// ## What proves it
    /// TCP connects, then silence, on its console (`pooler`) as well; its process is stopped (`T`) or stuck (`D`), or burns a
    /// whole core; the way around it (`direct`) works.
    ///
    /// ## What mends it
    /// Restart PgBouncer's process only (`SHUTDOWN`, else the supervisor). A stopped process may only want `kill -CONT`.
    ///
    /// ## What makes it worse
    /// Restarting the database: nothing is wrong with it.
    ///
    /// ## What prevents it
    /// Several PgBouncers with `so_reuseport` where one core is not enough; an alert on that core.
    ///
    /// ## References
    /// PgBouncer manual, `so_reuseport`; proc(5) on process states.
    "pooler-hung" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let verdict = weigh(e).filter(|v| v.who == Silent::Pooler)?;
    let pid = e.host.get().and_then(|h| h.proxy.as_ref()).map(|p| p.pid);
    let command = pid.map_or_else(
        || "ps -o pid,stat,wchan:32,pcpu,cmd -C pgbouncer   # on the pooler's host".to_owned(),
        |pid| {
            format!("ps -o pid,stat,wchan:32,pcpu,cmd -p {pid}; kill -CONT {pid}   # else restart it alone")
        },
    );
    Some(
        verdict.into_finding(CAUSE.id, Room::Proxy).mended_by(
            RemedyPlan::by_hand(
                "restart-pooler",
                RemedyKind::ProxyRestart,
                "restart PgBouncer's process, not the database",
                command,
            )
            .doing(Action::RestartProxy),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{first_bytes, healthy};
    use crate::rooms::proxy::evidence::{FirstBytes, PoolerEvidence};

    #[test]
    fn pooler_hung_is_silent_on_its_console_too() {
        let mut e = first_bytes(FirstBytes::Silent);
        e.pooler = Seen::Seen(PoolerEvidence { silent: true, ..PoolerEvidence::default() });
        assert!(find(&e).is_some());
        e.pooler = Seen::Seen(PoolerEvidence::default());
        assert!(find(&e).is_none());
        assert!(find(&healthy()).is_none());
    }
}

//! `server-descriptors-exhausted`: the postmaster has no descriptor left for a connection.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::platform::evidence::ProcessView;
use crate::rooms::server::log;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The server has no file descriptor left: connections are hung up or stay unaccepted.
    ///
    /// ## What it is
    /// Each process may open so many files (`LimitNOFILE`, `ulimit -n`). Where the postmaster has none left it cannot
    /// accept, or hands out sessions that fail at once; the client sees a reset without a byte.
    ///
    /// ## What proves it
    /// The server's log: `Too many open files` (EMFILE, ENFILE), as in `epoll_create1 failed` or `could not accept new
    /// connection`. Or the postmaster's open descriptors at its limit while the way in breaks without a byte.
    ///
    /// ## What mends it
    /// Raise the limit of the running process: `prlimit --pid PID --nofile=65536`; no restart is needed. Then put it
    /// into the unit (`LimitNOFILE=`) or the container's ulimits.
    ///
    /// ## What makes it worse
    /// A restart: clients come back at once and the limit is the same. Restarting the proxy in front.
    ///
    /// ## What prevents it
    /// `LimitNOFILE` well above `max_files_per_process` times processes; PgBouncer.
    ///
    /// ## References
    /// getrlimit(2) `RLIMIT_NOFILE`, prlimit(1); Postgres manual: "Managing Kernel Resources", `max_files_per_process`.
    "server-descriptors-exhausted" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    // Where nothing listens there is nobody whose descriptors could run out.
    if e.front.admitted() || e.front.proxy.is_none() {
        return None;
    }
    let postmaster = e.host.get().and_then(|h| h.postmaster.as_ref());
    let logged = log::recent(e, Words::TooManyOpenFiles).map(|(_, fact)| fact);
    let counted = postmaster.and_then(|p| at_its_limit(e, p)).filter(|_| said_nothing(e));
    let confidence = if logged.is_some() { Confidence::Certain } else { Confidence::Likely };
    let mut facts = logged.into_iter().chain(counted);
    let proof = facts.next()?;
    let limit = postmaster.and_then(|p| p.descriptors);
    let of = limit.map(|(n, limit)| format!(": {n} are open, {limit} allowed")).unwrap_or_default();
    let summary = format!("the server has no file descriptor left for a connection{of}");
    let pid = postmaster.map_or_else(|| "$(pgrep -o -x postgres)".to_owned(), |p| p.pid.to_string());
    Some(
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, confidence, summary, proof)
            .and_all(facts)
            .mended_by(RemedyPlan::by_hand(
                "raise-descriptor-limit",
                RemedyKind::Advice,
                "raise the limit of the running postmaster, without a restart; then in its unit or container",
                format!("grep 'open files' /proc/{pid}/limits; ls /proc/{pid}/fd | wc -l; prlimit --pid {pid} --nofile=65536   # as postgres"),
            )),
    )
}

/// Connected, and hung up on or left without a byte.
fn said_nothing(e: &Evidence) -> bool {
    e.front.proxy.is_some() && e.front.refusal().is_none()
}

fn at_its_limit(e: &Evidence, p: &ProcessView) -> Option<Fact> {
    let (open, limit) = p.descriptors.filter(|(open, limit)| open >= limit)?;
    let at = e.host.get().map_or(e.started_at, |h| h.at);
    let text = format!("the postmaster has {open} descriptors open, and {limit} allowed");
    Some(Fact::new(Source::Host, at, format!("/proc/{}/fd", p.pid), text).value(open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{first_bytes, healthy, log_of, window};
    use crate::rooms::proxy::evidence::FirstBytes;

    fn hung_up(open: u64, logged: Option<&str>) -> Option<Finding> {
        let mut e = first_bytes(FirstBytes::Closed);
        window(&mut e, |host| {
            host.postmaster =
                Some(ProcessView { pid: 9, descriptors: Some((open, 12)), ..ProcessView::default() });
            host.log = logged.map(|text| log_of("XX000", text));
        });
        find(&e)
    }

    #[test]
    fn server_descriptors_exhausted_by_the_log_or_by_the_count() {
        let found = hung_up(12, Some("epoll_create1 failed: Too many open files")).unwrap();
        assert_eq!(found.confidence, Confidence::Certain);
        assert_eq!(
            found.summary,
            "the server has no file descriptor left for a connection: 12 are open, 12 allowed"
        );
        assert_eq!(hung_up(12, None).unwrap().confidence, Confidence::Likely);
        assert!(hung_up(8, None).is_none());
        assert!(find(&healthy()).is_none());
    }
}

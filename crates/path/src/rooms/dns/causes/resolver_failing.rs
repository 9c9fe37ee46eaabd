//! `resolver-failing`: a nameserver answers that it cannot.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::dns::reading::{
    Verdict, blame, dig, lame, lookup_fact, name, nameserver_fact, nameserver_facts, subject,
};
use crate::ways::{Around, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Severity};

cause! {
    /// The resolver fails: a nameserver answers SERVFAIL or REFUSED, or its port is closed.
    ///
    /// ## What it is
    /// The question reaches a nameserver (or its host) and comes back unanswered at once. Other names fail as
    /// well. libpq says `Temporary failure in name resolution` (EAI_AGAIN) within milliseconds, Node
    /// `EAI_AGAIN`.
    ///
    /// ## What proves it
    /// Asked by itself the nameserver answers SERVFAIL or REFUSED, or the system says ECONNREFUSED for its
    /// port 53. While another nameserver still answers, this is a warning: every lookup goes through the
    /// broken one first.
    ///
    /// ## What mends it
    /// 1. Ask a second resolver: `dig @OTHER NAME`. If it knows the name, put it first in `/etc/resolv.conf`.
    /// 2. Restart or mend the broken one; SERVFAIL of a forwarder means that its upstream fails.
    /// 3. Pin the last known address only where TLS (`verify-full`) or the server's identity is checked as
    ///    well.
    ///
    /// ## What makes it worse
    /// Hard-coding an address: internal addresses change with the machine, and then it leads to nobody or to
    /// a stranger.
    ///
    /// ## What prevents it
    /// Two nameservers on different machines; a cache that serves stale answers (RFC 8767).
    ///
    /// ## References
    /// RFC 1035 section 4.1.1 (RCODE 2 and 5), RFC 8767; getaddrinfo(3), EAI_AGAIN; resolv.conf(5).
    "resolver-failing" in Dns, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let failed = struck(e, Around::Aside, |r| blame(r).is_some_and(|b| b.verdict == Verdict::Failing));
    let Some(way) = failed else { return contributing(e) };
    let dns = &way.route.dns;
    let (name, confidence) = (name(dns)?, blame(way.route)?.confidence);
    let (who, several) = subject(dns, Verdict::Failing);
    let fail = if several { "fail" } else { "fails" };
    let summary = format!("{who} {fail}, so {name} cannot be looked up{}", way.on_the_way());
    let mut finding =
        Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, lookup_fact(dns)?)
            .and_all(nameserver_facts(dns));
    if confidence != Confidence::Certain {
        finding = finding.or_else("resolver-silent", "each nameserver asked by itself: an error, or nothing");
    }
    let plan = "ask the nameserver by itself, mend it, or put one that answers first in /etc/resolv.conf";
    let command = format!("cat /etc/resolv.conf; {}", dig(dns, Verdict::Failing));
    Some(finding.mended_by(RemedyPlan::by_hand("fix-resolver", RemedyKind::Advice, plan, command)))
}

/// The first nameserver fails while another stands in for it.
fn contributing(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Aside, |r| lame(r, Verdict::Failing).is_some())?;
    let dns = &way.route.dns;
    let server = lame(way.route, Verdict::Failing)?;
    let summary =
        format!("nameserver {}, the first to be asked, fails; another still answers", server.server.ip());
    let proof = nameserver_fact(dns, server);
    let finding = Finding::new(CAUSE.id, CAUSE.room, Severity::Warning, Confidence::Certain, summary, proof)
        .and_all(lookup_fact(dns));
    let plan = "mend the nameserver, or put one that answers first in /etc/resolv.conf";
    let command = format!("cat /etc/resolv.conf; {}", dig(dns, Verdict::Failing));
    Some(finding.mended_by(RemedyPlan::by_hand("fix-resolver", RemedyKind::Advice, plan, command)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{eai, healthy, nameserver, unresolved};
    use crate::rooms::dns::evidence::AnswerOutcome;
    use pgmedic_model::Errno;

    #[test]
    fn resolver_failing_is_certain_where_every_nameserver_fails() {
        let refused_port = AnswerOutcome::Unreachable(Errno::from_number(111));
        for outcome in [AnswerOutcome::ServFail, AnswerOutcome::Refused, refused_port] {
            let e = unresolved(eai("EAI_AGAIN", "Temporary failure in name resolution"), 2.0, &[outcome]);
            let found = find(&e).expect("found");
            assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
            assert!(found.summary.starts_with("nameserver 10.0.0.53 fails"));
        }
    }

    #[test]
    fn resolver_failing_is_likely_where_only_the_haste_of_the_failure_tells() {
        let found = find(&unresolved(eai("EAI_AGAIN", "Temporary failure"), 2.0, &[])).expect("found");
        assert_eq!(found.confidence, Confidence::Likely);
        assert!(find(&unresolved(eai("EAI_AGAIN", "Temporary failure"), 10_010.0, &[])).is_none());
    }

    #[test]
    fn resolver_failing_is_a_warning_where_another_nameserver_stands_in() {
        let mut e = healthy();
        let broken = nameserver(52, &AnswerOutcome::ServFail, &AnswerOutcome::ServFail);
        e.front.dns.nameservers.insert(0, broken.clone());
        let found = find(&e).expect("found");
        assert_eq!((found.severity, found.evidence.len()), (Severity::Warning, 2));
        e.front.dns.nameservers.swap(0, 1);
        assert!(find(&e).is_none(), "the second nameserver is asked only when the first is silent");
        e.front.dns.nameservers = vec![broken];
        assert!(find(&e).is_none(), "a name from /etc/hosts needs no nameserver");
    }
}

//! `resolver-silent`: a nameserver does not answer at all.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::dns::reading::{
    Verdict, blame, dig, lame, lookup_fact, name, nameserver_fact, nameserver_facts, servers_that, subject,
};
use crate::ways::{Around, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Severity};

cause! {
    /// The resolver is silent: questions to a nameserver get no answer.
    ///
    /// ## What it is
    /// The nameserver is down, unreachable, or a filter drops its packets. The system waits 5 s and asks once
    /// more, so a lookup takes 10 s and ends with `Temporary failure in name resolution` (EAI_AGAIN). libpq's
    /// `connect_timeout` does not bound it: with `connect_timeout=3` a lookup still took 10.04 s.
    ///
    /// ## What proves it
    /// `dig +tries=1 +time=2 @NAMESERVER NAME` times out, and the failure takes whole seconds where a failing
    /// resolver takes milliseconds. While another nameserver still answers, this is a warning: each lookup
    /// first waits for the silent one.
    ///
    /// ## What mends it
    /// 1. Put a nameserver that answers first in `/etc/resolv.conf`.
    /// 2. See whether the silent one runs and whether UDP port 53 passes to it and back.
    /// 3. Until then: `options timeout:1 attempts:2` in `/etc/resolv.conf` bounds the wait.
    ///
    /// ## What makes it worse
    /// Raising the API's connect timeout: the lookup is not part of it, and requests pile up for longer.
    ///
    /// ## What prevents it
    /// Two nameservers, `options timeout:1 attempts:2`, a local cache; time each lookup by itself.
    ///
    /// ## References
    /// resolv.conf(5), `timeout` and `attempts`; getaddrinfo(3), EAI_AGAIN; Postgres manual, "Parameter Key
    /// Words", `connect_timeout`.
    "resolver-silent" in Dns, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let failed = struck(e, Around::Aside, |r| blame(r).is_some_and(|b| b.verdict == Verdict::Silent));
    let Some(way) = failed else { return contributing(e) };
    let dns = &way.route.dns;
    let (name, confidence) = (name(dns)?, blame(way.route)?.confidence);
    let (who, several) = subject(dns, Verdict::Silent);
    let does = if several { "do" } else { "does" };
    let waited = dns.system.as_ref()?.elapsed_ms;
    // The system asks the next nameserver after 5 s, which may be longer than the walk waits.
    let known = servers_that(dns, Verdict::Found);
    let but = if known.is_empty() { String::new() } else { format!("; {known} knows it, once it is asked") };
    let summary =
        format!("{who} {does} not answer: no address of {name} within {waited}{but}{}", way.on_the_way());
    let mut finding =
        Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, lookup_fact(dns)?)
            .and_all(nameserver_facts(dns));
    if confidence != Confidence::Certain {
        finding =
            finding.or_else("resolver-failing", "each nameserver asked by itself: nothing, or an error");
    }
    let plan = "put a nameserver that answers first in /etc/resolv.conf; see why this one is silent";
    let command = format!("cat /etc/resolv.conf; {}", dig(dns, Verdict::Silent));
    Some(finding.mended_by(RemedyPlan::by_hand("fix-resolver", RemedyKind::Advice, plan, command)))
}

/// A nameserver is silent while another stands in for it.
fn contributing(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Aside, |r| lame(r, Verdict::Silent).is_some())?;
    let dns = &way.route.dns;
    let server = lame(way.route, Verdict::Silent)?;
    let took = dns.system.as_ref()?.elapsed_ms;
    let silent = server.server.ip();
    let summary = match &dns.stand_in {
        Some(other) => format!(
            "nameserver {silent} does not answer; {} knows {}, and each lookup first waits for the silent one (5 s, \
             unless resolv.conf says otherwise)",
            other.server.ip(),
            name(dns)?
        ),
        None => format!("nameserver {silent} does not answer; the lookup still succeeded, in {took}"),
    };
    let proof = nameserver_fact(dns, server);
    // One lost datagram looks the same where the lookup itself was quick.
    let confidence = if took.0 >= 1000.0 { Confidence::Certain } else { Confidence::Likely };
    let finding = Finding::new(CAUSE.id, CAUSE.room, Severity::Warning, confidence, summary, proof)
        .and_all(lookup_fact(dns));
    let plan = "take the silent nameserver out of /etc/resolv.conf, or bound the wait for it";
    let command = "cat /etc/resolv.conf   # options timeout:1 attempts:2 bounds the wait for each nameserver";
    Some(finding.mended_by(RemedyPlan::by_hand("fix-resolver", RemedyKind::Advice, plan, command)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{eai, healthy, nameserver, unresolved};
    use crate::rooms::dns::evidence::{AnswerOutcome, StandIn, SystemOutcome};
    use pgmedic_model::Ms;

    #[test]
    fn resolver_silent_is_certain_where_every_nameserver_is_silent() {
        for system in [eai("EAI_AGAIN", "Temporary failure in name resolution"), SystemOutcome::Silent] {
            let found = find(&unresolved(system, 10_010.0, &[AnswerOutcome::Silent])).expect("found");
            assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
            assert!(
                found.summary.contains("no address of renderflow-db.internal within 10.0 s"),
                "{}",
                found.summary
            );
        }
    }

    #[test]
    fn resolver_silent_tells_of_a_nameserver_that_would_answer() {
        let knows = AnswerOutcome::Addresses { addresses: healthy().front.dns.addresses(), ttl_s: 5 };
        let found =
            find(&unresolved(SystemOutcome::Silent, 2000.0, &[AnswerOutcome::Silent, knows])).expect("found");
        assert_eq!(found.confidence, Confidence::Likely);
        assert!(found.summary.ends_with("; 10.0.0.54 knows it, once it is asked"), "{}", found.summary);
    }

    #[test]
    fn resolver_silent_is_likely_where_only_the_time_tells() {
        let found = find(&unresolved(eai("EAI_AGAIN", "Temporary failure"), 10_010.0, &[])).expect("found");
        assert_eq!(found.alternatives[0].cause, "resolver-failing");
    }

    #[test]
    fn resolver_silent_is_a_warning_where_the_lookup_was_slowed() {
        let mut e = healthy();
        let silent = nameserver(54, &AnswerOutcome::Silent, &AnswerOutcome::Silent);
        e.front.dns.nameservers.push(silent);
        assert!(find(&e).is_none(), "the second nameserver was not needed");
        if let Some(system) = &mut e.front.dns.system {
            system.elapsed_ms = Ms(5003.0);
        }
        let found = find(&e).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Certain));
        assert!(found.summary.contains("10.0.0.54") && found.summary.contains("5.0 s"));
    }

    #[test]
    fn resolver_silent_is_a_warning_where_the_next_nameserver_knows_the_name() {
        let mut e = healthy();
        let knows = e.front.dns.nameservers[0].clone();
        let silent = nameserver(52, &AnswerOutcome::Silent, &AnswerOutcome::Silent);
        let addresses = e.front.dns.addresses();
        e.front.dns.stand_in = Some(StandIn { server: knows.server, addresses });
        e.front.dns.nameservers = vec![silent, knows];
        if let Some(system) = &mut e.front.dns.system {
            (system.outcome, system.elapsed_ms) = (SystemOutcome::Silent, Ms(1500.0));
        }
        let found = crate::diagnose(&e);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].cause.as_str(), found[0].severity), (CAUSE.id, Severity::Warning));
        assert!(found[0].summary.starts_with("nameserver 10.0.0.52 does not answer; 10.0.0.53 knows"));
    }
}

//! `name-not-found`: the database's name does not exist.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste;
use crate::rooms::dns::reading::{
    Verdict, blame, dig, lookup_fact, name, nameserver_facts, servers_that, subject,
};
use crate::ways::{Around, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan};

cause! {
    /// The database's host name does not exist in DNS.
    ///
    /// ## What it is
    /// The resolver says that there is no such name (NXDOMAIN): the name is mistyped or from another network,
    /// the app was renamed, or all machines behind an internal name are stopped and it went with them. libpq
    /// says `could not translate host name "…" to address: Name or service not known`, Node `ENOTFOUND`,
    /// Elixir `nxdomain`.
    ///
    /// ## What proves it
    /// A nameserver answers NXDOMAIN when asked by itself: `dig NAME`. `getent hosts NAME` finds
    /// nothing (exit status 2). Where no nameserver could be asked, EAI_NONAME alone may also mean a name
    /// without an address.
    ///
    /// ## What mends it
    /// 1. Compare the name in `DATABASE_URL` with the one that the platform knows, letter by letter.
    /// 2. If the name is right: start the stopped machine; it registers its name again.
    /// 3. If another nameserver knows the name: mend the order in `/etc/resolv.conf`. The first NXDOMAIN ends
    ///    a search.
    ///
    /// ## What makes it worse
    /// Flushing caches: it hides which answer was given. Writing today's address into the URL: addresses
    /// move.
    ///
    /// ## What prevents it
    /// Resolve the name when the API boots and refuse to start without it. Keep at least one machine of the
    /// database up.
    ///
    /// ## References
    /// RFC 1035 section 4.1.1 (RCODE 3), RFC 2308 section 2.1; getaddrinfo(3), EAI_NONAME; resolv.conf(5),
    /// nsswitch.conf(5).
    "name-not-found" in Dns, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let ours = |b: &crate::rooms::dns::reading::Blame| b.verdict == Verdict::NoSuchName;
    let way = struck(e, Around::Behind, |r| blame(r).as_ref().is_some_and(ours))?;
    let dns = &way.route.dns;
    let (name, confidence) = (name(dns)?, blame(way.route)?.confidence);
    let known = servers_that(dns, Verdict::Found);
    let but = if known.is_empty() { String::new() } else { format!(", although {known} knows it") };
    let (who, several) = subject(dns, Verdict::NoSuchName);
    let say = if several { "say" } else { "says" };
    let summary = format!("{name} does not exist: {who} {say} so{but}{}", way.on_the_way());
    let mut finding =
        Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, lookup_fact(dns)?)
            .and_all(nameserver_facts(dns));
    if confidence != Confidence::Certain {
        finding = finding
            .or_else("name-without-address", "a nameserver's own answer: NXDOMAIN, or NOERROR without data");
    }
    let plan = "compare the name with the one in the service's database URL; if it is right, start the machine behind it";
    let command = format!("getent ahosts {}; {}", paste::argument(name), dig(dns, Verdict::NoSuchName));
    Some(finding.mended_by(RemedyPlan::by_hand("correct-name", RemedyKind::Advice, plan, command)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{eai, healthy, resolved, unresolved};
    use crate::rooms::dns::evidence::AnswerOutcome;
    use pgmedic_model::Severity;

    #[test]
    fn name_not_found_is_certain_where_a_nameserver_says_nxdomain() {
        let e = unresolved(eai("EAI_NONAME", "Name or service not known"), 30.0, &[AnswerOutcome::NxDomain]);
        let found = find(&e).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert_eq!(found.summary, "renderflow-db.internal does not exist: nameserver 10.0.0.53 says so");
        assert_eq!(found.evidence.len(), 2);
        let command = &found.remedies[0].command;
        assert!(command.contains("dig +tries=1 +time=2 @10.0.0.53 renderflow-db.internal A"), "{command}");
    }

    #[test]
    fn name_not_found_is_likely_where_no_nameserver_was_asked() {
        let found =
            find(&unresolved(eai("EAI_NONAME", "Name or service not known"), 30.0, &[])).expect("found");
        assert_eq!(found.confidence, Confidence::Likely);
        assert_eq!(found.alternatives[0].cause, "name-without-address");
    }

    #[test]
    fn name_not_found_tells_of_a_nameserver_that_knows_better() {
        let knows = AnswerOutcome::Addresses { addresses: resolved(&["10.0.0.7"]).addresses(), ttl_s: 5 };
        let e = unresolved(eai("EAI_NONAME", "unknown"), 3.0, &[AnswerOutcome::NxDomain, knows]);
        assert!(find(&e).expect("found").summary.ends_with("says so, although 10.0.0.54 knows it"));
    }

    #[test]
    fn name_not_found_is_not_a_resolvers_failure() {
        let e = unresolved(eai("EAI_AGAIN", "Temporary failure"), 1.0, &[AnswerOutcome::ServFail]);
        assert!(find(&e).is_none());
        assert!(find(&healthy()).is_none());
    }
}

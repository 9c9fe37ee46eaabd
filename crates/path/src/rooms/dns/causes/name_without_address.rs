//! `name-without-address`: the database's name exists and has no address.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::dns::reading::{Verdict, blame, dig, lookup_fact, name, nameserver_facts, servers_that};
use crate::ways::{Around, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan};

cause! {
    /// The database's host name exists in DNS but has no address that this host can use.
    ///
    /// ## What it is
    /// The nameserver knows the name and answers without an address (NODATA): its A and AAAA records are
    /// gone, or it has only one family and the client asks for the other. The client's words are the same as
    /// for a name that does not exist.
    ///
    /// ## What proves it
    /// `dig NAME A` and `dig NAME AAAA` answer NOERROR with no answer section. `getent ahostsv4` and `getent
    /// ahostsv6` tell the families apart.
    ///
    /// ## What mends it
    /// 1. Restore the record, or start the machine that registers it.
    /// 2. If only IPv6 addresses exist, let the client use IPv6 (Ecto: `socket_options: [:inet6]`).
    ///
    /// ## What makes it worse
    /// Adding an A record that points to a machine which does not listen on IPv4: the client then fails one
    /// room later.
    ///
    /// ## What prevents it
    /// Test the name on the network where the API runs, for the family that the API uses. Alert on an empty
    /// answer.
    ///
    /// ## References
    /// RFC 2308 section 2.2 (NODATA); getaddrinfo(3), EAI_NODATA and EAI_ADDRFAMILY; getent(1).
    "name-without-address" in Dns, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Behind, |r| blame(r).is_some_and(|b| b.verdict == Verdict::NoAddress))?;
    let dns = &way.route.dns;
    let (name, confidence) = (name(dns)?, blame(way.route)?.confidence);
    let known = servers_that(dns, Verdict::Found);
    let summary = if known.is_empty() {
        format!("{name} exists but has no address{}", way.on_the_way())
    } else {
        format!("{name} has no address of a family that this host uses{}", way.on_the_way())
    };
    let mut finding =
        Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, lookup_fact(dns)?)
            .and_all(nameserver_facts(dns));
    if confidence != Confidence::Certain {
        finding =
            finding.or_else("name-not-found", "a nameserver's own answer: NXDOMAIN, or NOERROR without data");
    }
    let plan = "restore the name's A or AAAA record, or start the machine that registers it";
    Some(finding.mended_by(RemedyPlan::by_hand(
        "restore-address",
        RemedyKind::Advice,
        plan,
        dig(dns, Verdict::NoAddress),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{eai, healthy, resolved, unresolved};
    use crate::rooms::dns::evidence::AnswerOutcome;

    #[test]
    fn name_without_address_is_certain_where_a_nameserver_says_nodata() {
        for code in ["EAI_NODATA", "EAI_NONAME"] {
            let found =
                find(&unresolved(eai(code, "no address"), 20.0, &[AnswerOutcome::NoData])).expect("found");
            assert_eq!(found.confidence, Confidence::Certain);
            assert_eq!(found.summary, "renderflow-db.internal exists but has no address");
        }
    }

    #[test]
    fn name_without_address_is_likely_where_only_another_family_is_known() {
        let six = AnswerOutcome::Addresses { addresses: resolved(&["fdaa::3"]).addresses(), ttl_s: 5 };
        let found = find(&unresolved(eai("EAI_NONAME", "unknown"), 20.0, &[six])).expect("found");
        assert_eq!(found.confidence, Confidence::Likely);
        assert!(found.summary.contains("family"));
    }

    #[test]
    fn name_without_address_is_not_a_name_that_does_not_exist() {
        let e =
            unresolved(eai("EAI_NONAME", "unknown"), 20.0, &[AnswerOutcome::NxDomain, AnswerOutcome::NoData]);
        assert!(find(&e).is_none());
        assert!(find(&healthy()).is_none());
    }
}

//! What the lookups of one name add up to: which of the room's causes is to blame, weighed once for all of
//! them, so that a failed lookup has one root. Pure; not in here: asking.

use super::evidence::{AnswerOutcome, DnsEvidence, NameserverEvidence, Subject, SystemLookup, SystemOutcome};
use crate::evidence::RouteEvidence;
use pgmedic_model::{Confidence, Fact, Source};
use std::net::IpAddr;

/// A lookup from which a nameserver's silence can be felt: glibc waits whole seconds, a healthy answer takes
/// none.
const SLOWED_MS: f64 = 1000.0;

/// What a nameserver's two answers say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// At least one address.
    Found,
    /// NXDOMAIN.
    NoSuchName,
    /// NODATA for both families.
    NoAddress,
    /// SERVFAIL, REFUSED, another code, an undeliverable datagram, or garbage.
    Failing,
    /// No answer.
    Silent,
}

/// Which cause a failed lookup has.
pub(crate) struct Blame {
    /// `NoSuchName`, `NoAddress`, `Failing` or `Silent`.
    pub(crate) verdict: Verdict,
    /// Certain where a nameserver and the system's resolver agree.
    pub(crate) confidence: Confidence,
}

/// What a nameserver's two answers say together.
pub(crate) fn verdict(server: &NameserverEvidence) -> Verdict {
    let outcomes = [&server.a.outcome, &server.aaaa.outcome];
    let any = |test: fn(&AnswerOutcome) -> bool| outcomes.iter().any(|o| test(o));
    if any(|o| matches!(o, AnswerOutcome::Addresses { .. })) {
        Verdict::Found
    } else if any(|o| *o == AnswerOutcome::NxDomain) {
        Verdict::NoSuchName
    } else if outcomes.iter().all(|o| **o == AnswerOutcome::NoData) {
        Verdict::NoAddress
    } else if any(|o| !matches!(o, AnswerOutcome::NoData | AnswerOutcome::Silent)) {
        Verdict::Failing
    } else {
        Verdict::Silent
    }
}

/// The name that a route needs, where it needs one.
pub(crate) fn name(dns: &DnsEvidence) -> Option<&str> {
    match &dns.subject {
        Subject::Name(name) => Some(name),
        Subject::Address(_) | Subject::Socket(_) => None,
    }
}

/// Who is to blame for a route's failed lookup. None where it did not fail.
pub(crate) fn blame(route: &RouteEvidence) -> Option<Blame> {
    name(&route.dns)?;
    let system = route.dns.system.as_ref()?;
    if route.dns.stand_in.is_some() {
        return None;
    }
    let verdicts: Vec<Verdict> = route.dns.nameservers.iter().map(verdict).collect();
    let (verdict, confidence) = match &system.outcome {
        SystemOutcome::Resolved(addresses) if addresses.is_empty() => {
            (Verdict::NoAddress, Confidence::Likely)
        }
        SystemOutcome::Resolved(_) => return None,
        SystemOutcome::Failed { code, .. } => match code.as_str() {
            "EAI_NONAME" | "EAI_NODATA" | "EAI_ADDRFAMILY" => no_answer(code, &verdicts),
            _ => no_resolver(system, &verdicts),
        },
        SystemOutcome::Silent => no_resolver(system, &verdicts),
    };
    Some(Blame { verdict, confidence })
}

/// The resolver says that there is nothing to be had: the first nameserver that says why decides.
fn no_answer(code: &str, verdicts: &[Verdict]) -> (Verdict, Confidence) {
    let says_why = |v: &&Verdict| matches!(v, Verdict::NoSuchName | Verdict::NoAddress);
    if let Some(why) = verdicts.iter().find(says_why) {
        return (*why, Confidence::Certain);
    }
    let family_missing = code != "EAI_NONAME" || verdicts.contains(&Verdict::Found);
    (if family_missing { Verdict::NoAddress } else { Verdict::NoSuchName }, Confidence::Likely)
}

/// The resolver could not tell: the first nameserver that did not do its work decides, or the time that was
/// lost.
fn no_resolver(system: &SystemLookup, verdicts: &[Verdict]) -> (Verdict, Confidence) {
    let broken = |v: &&Verdict| matches!(v, Verdict::Failing | Verdict::Silent);
    if let Some(first) = verdicts.iter().find(broken) {
        let all = verdicts.iter().all(|v| broken(&v));
        return (*first, if all { Confidence::Certain } else { Confidence::Likely });
    }
    let slow = system.outcome == SystemOutcome::Silent || system.elapsed_ms.0 >= SLOWED_MS;
    (if slow { Verdict::Silent } else { Verdict::Failing }, Confidence::Likely)
}

/// A nameserver that does not do its work while the name still resolves, where that costs something: the
/// lookup was slowed, or the one that is asked first is the broken one and another stands in for it.
pub(crate) fn lame(route: &RouteEvidence, kind: Verdict) -> Option<&NameserverEvidence> {
    let elapsed_ms = route.dns.system.as_ref()?.elapsed_ms;
    let addresses = &route.dns.addresses();
    if addresses.is_empty() {
        return None;
    }
    let servers = &route.dns.nameservers;
    if kind == Verdict::Silent && elapsed_ms.0 >= SLOWED_MS {
        let silent = |s: &&NameserverEvidence| {
            s.a.outcome == AnswerOutcome::Silent || s.aaaa.outcome == AnswerOutcome::Silent
        };
        return servers.iter().find(silent);
    }
    let first = servers.first().filter(|s| verdict(s) == kind)?;
    // A name from /etc/hosts or a cache needs no nameserver: only one that is stood in for is missed.
    servers.iter().any(|s| gave(s, addresses)).then_some(first)
}

/// True where the nameserver gave one of these addresses.
fn gave(server: &NameserverEvidence, wanted: &[IpAddr]) -> bool {
    [&server.a.outcome, &server.aaaa.outcome].into_iter().any(
        |o| matches!(o, AnswerOutcome::Addresses { addresses, .. } if addresses.iter().any(|a| wanted.contains(a))),
    )
}

/// The system's lookup, as a fact.
pub(crate) fn lookup_fact(dns: &DnsEvidence) -> Option<Fact> {
    let (name, system) = (name(dns)?, dns.system.as_ref()?);
    let (said, value) = match &system.outcome {
        SystemOutcome::Resolved(found) => {
            let list: Vec<String> = found.iter().map(ToString::to_string).collect();
            (format!("resolved to {}", list.join(", ")), "resolved".to_owned())
        }
        SystemOutcome::Failed { code, text } => (format!("{code} ({text})"), code.clone()),
        SystemOutcome::Silent => ("no answer".to_owned(), "silent".to_owned()),
    };
    let at = dns.at.plus(system.elapsed_ms);
    let fact = format!("the lookup of {name}: {said} after {}", system.elapsed_ms);
    Some(Fact::new(Source::Dns, at, "getaddrinfo(3)", fact).value(value))
}

/// Each nameserver's answers, as facts.
pub(crate) fn nameserver_facts(dns: &DnsEvidence) -> Vec<Fact> {
    dns.nameservers.iter().map(|server| nameserver_fact(dns, server)).collect()
}

/// One nameserver's answers, as a fact.
pub(crate) fn nameserver_fact(dns: &DnsEvidence, server: &NameserverEvidence) -> Fact {
    let slowest = if server.a.elapsed_ms.0 > server.aaaa.elapsed_ms.0 { &server.a } else { &server.aaaa };
    let (a, aaaa) = (words(&server.a.outcome), words(&server.aaaa.outcome));
    let fact = format!("asked for {}: A {a}, AAAA {aaaa}, within {}", server.asked, slowest.elapsed_ms);
    let place = format!("nameserver {} ({})", server.server, server.configured_in);
    Fact::new(Source::Dns, dns.at.plus(slowest.elapsed_ms), place, fact).value(a)
}

/// An answer in few words.
fn words(outcome: &AnswerOutcome) -> String {
    match outcome {
        AnswerOutcome::Addresses { addresses, .. } => {
            let list: Vec<String> = addresses.iter().take(4).map(ToString::to_string).collect();
            list.join(" ")
        }
        AnswerOutcome::NxDomain => "NXDOMAIN".to_owned(),
        AnswerOutcome::NoData => "none (NODATA)".to_owned(),
        AnswerOutcome::ServFail => "SERVFAIL".to_owned(),
        AnswerOutcome::Refused => "REFUSED".to_owned(),
        AnswerOutcome::OtherCode(code) => format!("response code {code}"),
        AnswerOutcome::Silent => "no answer".to_owned(),
        AnswerOutcome::Unreachable(errno) => format!("undeliverable ({errno})"),
        AnswerOutcome::Malformed(what) => format!("garbage ({what})"),
    }
}

/// The nameservers of one verdict as a subject, and whether there are several: `nameserver 10.0.0.53`, or `the resolver`
/// where none was asked by itself.
pub(crate) fn subject(dns: &DnsEvidence, kind: Verdict) -> (String, bool) {
    match servers_that(dns, kind) {
        servers if servers.is_empty() => ("the resolver".to_owned(), false),
        servers if servers.contains(", ") => (format!("nameservers {servers}"), true),
        servers => (format!("nameserver {servers}"), false),
    }
}

/// The nameservers of one verdict, by address.
pub(crate) fn servers_that(dns: &DnsEvidence, kind: Verdict) -> String {
    let list: Vec<String> =
        dns.nameservers.iter().filter(|s| verdict(s) == kind).map(|s| s.server.ip().to_string()).collect();
    list.join(", ")
}

/// `dig` at the first nameserver of one verdict (or at the system's), for pasting.
pub(crate) fn dig(dns: &DnsEvidence, kind: Verdict) -> String {
    let name = crate::paste::argument(name(dns).unwrap_or_default());
    let server = dns.nameservers.iter().find(|s| verdict(s) == kind).map(|s| s.server);
    let at = server.map_or_else(String::new, |s| match s.port() {
        53 => format!(" @{}", s.ip()),
        port => format!(" @{} -p {port}", s.ip()),
    });
    format!("dig +tries=1 +time=2{at} {name} A {name} AAAA")
}

//! `hba-open`: somebody is let in from afar without proving a password.

use crate::audit::facts::HbaRule;
use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Change, Confidence, Nearness, Needs, Severity};
use std::net::IpAddr;

weakness! {
    /// A rule of pg_hba.conf lets others' machines in without a password, or has them send it in clear.
    ///
    /// ## What it is
    /// `trust` for more than this host's own addresses, mostly left from an incident in which somebody wanted to be rid of an
    /// error; `password` on a connection without TLS.
    ///
    /// ## What breaks
    /// Whoever reaches the port is whoever he says. No API breaks by it, which is why it stays.
    ///
    /// ## What proves it
    /// `pg_hba_file_rules`, which a superuser may read, and whoever was granted it.
    ///
    /// ## What mends it
    /// `scram-sha-256` in that line, once the roles that it lets in have passwords; then a reload. A rule as narrow as its
    /// clients.
    ///
    /// ## References
    /// Postgres manual: "The pg_hba.conf File", "Trust Authentication", `pg_hba_file_rules`.
    "hba-open" in Startup, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let rules = view.told.hba.get()?;
    let open: Vec<&HbaRule> = rules.iter().filter(|rule| is_open(rule)).collect();
    let first = open.first()?;
    let more = if open.len() > 1 { format!(" (and {} more)", open.len() - 1) } else { String::new() };
    let what =
        if first.method == "trust" { "lets in without a password" } else { "has passwords sent in clear" };
    let summary = format!("line {} of pg_hba.conf{more} {what}: {}", first.line, text(first, &first.method));
    let fact = view.fact("pg_hba_file_rules", format!("line {}: {}", first.line, text(first, &first.method)));
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(Severity::Warning, Confidence::Certain)
            .breaks(Nearness::SomeDay, "whoever reaches the port is whoever he says")
            .mended_by(open.iter().map(|rule| change(rule))),
    )
}

fn is_open(rule: &HbaRule) -> bool {
    let afar = rule.kind.starts_with("host") && !is_local(rule);
    let clear = rule.method == "password" && rule.kind != "hostssl";
    afar && (rule.method == "trust" || clear)
}

/// Loopback, or an address of this very host.
fn is_local(rule: &HbaRule) -> bool {
    let address = rule.address.as_deref().unwrap_or_default();
    address == "samehost"
        || address == "localhost"
        || address.parse::<IpAddr>().is_ok_and(|ip| {
            let wide = rule
                .netmask
                .as_deref()
                .is_some_and(|mask| mask.parse().is_ok_and(|m: IpAddr| m.is_unspecified()));
            ip.is_loopback() && !wide
        })
}

fn change(rule: &HbaRule) -> Change {
    let file = rule.file.as_deref().unwrap_or("pg_hba.conf");
    let setting = format!("line {}", rule.line);
    let change = changes::line(
        file,
        &setting,
        (&rule.method, "scram-sha-256"),
        (&text(rule, &rule.method), &text(rule, "scram-sha-256")),
        Needs::Reload,
    );
    changes::noting(
        change,
        "first see that each role that it lets in has a password: select rolname from pg_authid where rolpassword is null",
    )
}

/// The rule as a line, its options left out.
fn text(rule: &HbaRule, method: &str) -> String {
    let mask = rule.netmask.as_ref().map(|mask| format!(" {mask}")).unwrap_or_default();
    let address = rule.address.as_deref().unwrap_or_default();
    format!("{} {} {} {address}{mask} {method}", rule.kind, rule.databases, rule.roles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::evidence::Seen;
    use pgmedic_model::By;

    fn rule(kind: &str, address: &str, mask: &str, method: &str) -> Option<AuditFinding> {
        find(&audited(|told| {
            told.hba = Seen::Seen(vec![HbaRule {
                file: None,
                line: 7,
                kind: kind.into(),
                databases: "all".into(),
                roles: "all".into(),
                address: Some(address.into()),
                netmask: Some(mask.into()),
                method: method.into(),
            }]);
        }))
    }

    #[test]
    fn hba_open_to_others_and_not_to_this_host() {
        for (kind, address, mask, method) in [
            ("host", "10.0.0.0", "255.0.0.0", "scram-sha-256"),
            ("host", "127.0.0.1", "255.255.255.255", "trust"),
            ("host", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "trust"),
            ("hostssl", "10.0.0.0", "255.0.0.0", "password"),
            ("local", "", "", "trust"),
        ] {
            assert!(rule(kind, address, mask, method).is_none(), "{kind} {address} {method}");
        }
        let found = rule("host", "0.0.0.0", "0.0.0.0", "trust").unwrap();
        assert_eq!(found.changes[0].by, By::Line);
        assert_eq!(found.changes[0].statement, "host all all 0.0.0.0 0.0.0.0 scram-sha-256");
        assert_eq!(found.changes[0].undo, "host all all 0.0.0.0 0.0.0.0 trust");
        assert!(rule("host", "10.0.0.0", "255.0.0.0", "password").is_some());
    }
}

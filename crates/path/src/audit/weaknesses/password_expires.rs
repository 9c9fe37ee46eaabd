//! `password-expires`: a role's password ends soon.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::identifier;
use pgmedic_model::{AuditFinding, Confidence, Needs, ObjectKind, Severity};

weakness! {
    /// A role's password ends within 30 days.
    ///
    /// ## What it is
    /// `VALID UNTIL` of a role ends its password, not its sessions: they go on, and each that reconnects is refused.
    ///
    /// ## What breaks
    /// `28P01 password authentication failed`, exactly as for a wrong password: only the server's log says that it has
    /// expired.
    ///
    /// ## What proves it
    /// `pg_roles.rolvaliduntil` of every role that may log in.
    ///
    /// ## What mends it
    /// Whoever owns the password decides: a new one with a new end, or `alter role … valid until`. No script does that for
    /// you.
    ///
    /// ## References
    /// Postgres manual: "CREATE ROLE" (VALID UNTIL), `pg_roles`.
    "password-expires" in Startup, proved by Proof::Drill;
}

const DAY_MS: i64 = 86_400_000;
const AHEAD: i64 = 30 * DAY_MS;

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let now = view.told.at;
    let apis = view.api_roles();
    let ends = |r: &crate::audit::facts::RoleView| r.valid_until.filter(|until| until.0 - now.0 < AHEAD);
    let mut soon: Vec<_> = view.told.roles.iter().filter_map(|r| Some((ends(r)?, r.name.as_str()))).collect();
    // One that ended long ago is no surprise any more, unless it is the API's.
    soon.retain(|(until, name)| until.0 > now.0 - AHEAD || apis.contains(name));
    soon.sort_unstable();
    let (until, first) = *soon.first()?;
    let more = if soon.len() > 1 { format!(" (and {} more)", soon.len() - 1) } else { String::new() };
    let ended = if until <= now { "ended" } else { "ends" };
    let summary = format!("the password of role {first}{more} {ended} at {until}");
    let fact = view.fact("pg_roles", format!("{first}: rolvaliduntil {until}")).value(until.to_string());
    let of_the_api = soon.iter().any(|(_, name)| apis.contains(name));
    let severity = if of_the_api { Severity::Critical } else { Severity::Warning };
    let change = |(until, name): &(pgmedic_model::Timestamp, &str)| {
        let how = format!(
            "decide: a new password with a new end, or alter role {} valid until '…' (infinity for none)",
            identifier(name)
        );
        changes::person(
            ObjectKind::Role,
            name,
            "valid until",
            (&until.to_string(), "later"),
            how,
            Needs::Nothing,
        )
    };
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(severity, Confidence::Certain)
            .breaks_by(now, until, "sessions go on, and each that reconnects is refused (28P01)")
            .mended_by(soon.iter().map(change)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::evidence::fixture::AT;
    use pgmedic_model::{Nearness, Timestamp};

    fn until(role: &str, days: i64) -> Option<AuditFinding> {
        find(&audited(|told| {
            told.roles
                .iter_mut()
                .filter(|r| r.name == role)
                .for_each(|r| r.valid_until = Some(Timestamp(AT.0 + days * DAY_MS)));
        }))
    }

    #[test]
    fn password_expires_within_a_month_and_the_apis_is_critical() {
        assert!(until("app", 60).is_none() && until("pgmedic", -100).is_none());
        assert_eq!(until("app", 20).unwrap().severity, Severity::Critical);
        assert_eq!(until("app", -100).unwrap().nearness, Nearness::Now);
        let other = until("pgmedic", 5).unwrap();
        assert_eq!((other.severity, other.nearness), (Severity::Warning, Nearness::Days));
    }
}

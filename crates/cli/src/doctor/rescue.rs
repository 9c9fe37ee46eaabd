//! The rescue role: whether it is let in, and may use slots that the API cannot take. A check tries it only when the other
//! is refused; the doctor walks by it once everything else is over.

use super::{By, Check, Subject, login};
use pgmedic_path::paste::identifier;
use pgmedic_path::{Evidence, diagnose, report};

const WITHOUT: &str =
    "get in when every ordinary slot is taken, to say who holds them and to end the idle ones";
/// Since when a role that is no superuser can have reserved slots.
const RESERVES: u32 = 160_000;

pub(super) fn checks(s: Subject<'_>) -> Vec<Check> {
    let Some(target) = &s.service.rescue else {
        return vec![Check::not_configured(
            "rescue-login",
            "a role that may use reserved slots (`rescue`)",
            WITHOUT,
        )];
    };
    let Some(e) = s.rescue else {
        return vec![Check::not_seen("rescue-login", login::place(target), "not walked", WITHOUT)];
    };
    let path = report(e, diagnose(e)).path;
    let mut all = vec![login::way("rescue-login", &e.front, target, &path, WITHOUT)];
    if let Some(facts) = e.front.facts() {
        all.push(slots(e));
        let looked = format!("role {}: pg_monitor", facts.me.role);
        all.push(if facts.me.sees_all {
            Check::ok("rescue-sees", looked, "sees every session")
        } else {
            let line = format!("grant pg_monitor to {};", identifier(&facts.me.role));
            Check::missing(
                "rescue-sees",
                looked,
                "sees its own sessions alone",
                "see who holds the slots once it is in",
            )
            .grant(By::Sql, &facts.me.database, line)
        });
    }
    all
}

/// Whether it may use slots that others cannot (`InitPostgres`, postinit.c: superusers use both reserves, members of
/// pg_use_reserved_connections that of `reserved_connections`).
fn slots(e: &Evidence) -> Check {
    let Some(facts) = e.front.facts() else {
        return Check::not_seen("rescue-slots", "reserved slots", "the server told nothing", WITHOUT);
    };
    let (me, a) = (&facts.me, &facts.admission);
    let looked = format!("role {}: reserved slots", me.role);
    let place = &me.database;
    let set = |name: &str| format!("alter system set {name} = 3;");
    let role = identifier(&me.role);
    let may = e.audit.get().and_then(|audit| audit.role(&me.role)).is_some_and(|role| role.reserves);
    if let Some(pooler) = e.front.startup.as_ref().and_then(|startup| startup.pooler.as_ref()) {
        let said = format!("its way leads through a pooler ({pooler}), whose slots are everybody's");
        return Check::missing("rescue-slots", looked, said, WITHOUT);
    }
    if me.superuser {
        return match a.superuser_reserved + a.reserved {
            0 => Check::missing("rescue-slots", looked, "a superuser, and no slot is reserved", WITHOUT)
                .grant(By::Sql, place, set("superuser_reserved_connections"))
                .note("it takes a restart"),
            slots => Check::ok("rescue-slots", looked, format!("a superuser: {slots} reserved slots")),
        };
    }
    if facts.version_num < RESERVES {
        return Check::missing(
            "rescue-slots",
            looked,
            "no superuser: before Postgres 16 only those have reserved slots",
            WITHOUT,
        )
        .grant(By::Sql, place, format!("alter role {role} superuser;"))
        .note("a superuser may do anything: keep its password apart from the API's");
    }
    let check = match (may, a.reserved) {
        (true, slots @ 1..) => return Check::ok("rescue-slots", looked, format!("{slots} reserved slots")),
        (true, _) => Check::missing("rescue-slots", looked, "reserved_connections is 0", WITHOUT),
        (false, _) => Check::missing(
            "rescue-slots",
            looked,
            "neither a superuser nor a member of pg_use_reserved_connections",
            WITHOUT,
        )
        .grant(By::Sql, place, format!("grant pg_use_reserved_connections to {role};")),
    };
    if a.reserved == 0 {
        return check
            .grant(By::Sql, place, set("reserved_connections"))
            .note("reserved_connections takes a restart");
    }
    check
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::fixture::Scene;
    use super::*;

    /// The check of its slots, on a server of this version with so many of `reserved_connections`.
    fn of(version: u32, reserved: u64, may: bool, superuser: bool) -> Check {
        let mut scene = Scene::default();
        scene.facts(|facts| {
            facts.version_num = version;
            facts.me.superuser = superuser;
            facts.admission.reserved = reserved;
        });
        scene.audit(|audit| audit.roles[0].reserves = may);
        slots(&scene.evidence)
    }

    #[test]
    fn before_16_only_a_superuser_is_one() {
        let plain = of(150_000, 0, false, false);
        assert_eq!(
            (plain.state, plain.grants[0].line.as_str()),
            (State::Missing, "alter role \"app\" superuser;")
        );
        assert_eq!(of(150_000, 0, false, true).state, State::Ok);
    }

    #[test]
    fn from_16_on_a_grant_and_a_reserve_will_do() {
        let lines = |check: Check| check.grants.into_iter().map(|grant| grant.line).collect::<Vec<_>>();
        let grant = "grant pg_use_reserved_connections to \"app\";";
        assert_eq!(lines(of(160_000, 3, false, false)), [grant]);
        assert_eq!(
            lines(of(160_000, 0, false, false)),
            [grant, "alter system set reserved_connections = 3;"]
        );
        assert_eq!(lines(of(160_000, 0, true, false)), ["alter system set reserved_connections = 3;"]);
        assert_eq!(of(160_000, 3, true, false).state, State::Ok);
    }

    #[test]
    fn none_is_no_lack() {
        let mut scene = Scene::default();
        scene.service.rescue = None;
        let all = checks(scene.subject());
        assert_eq!((all[0].state, all[0].lacks()), (State::NotConfigured, false));
    }
}

//! What the service's own role may see and do on the server. Not in here: whether it is let in (`login`).

use super::{By, Check, Subject};
use pgmedic_model::RemedyKind;
use pgmedic_path::paste::identifier;
use pgmedic_path::sql::facts::SqlFacts;
use pgmedic_path::{Evidence, Seen};

const SESSIONS: &str =
    "see what other roles' sessions do: who holds the slots, who blocks whom, who idles in a transaction";
const SETTINGS: &str =
    "see where data directory and logs are, nor settings that only pg_read_all_settings shows";
const RULES: &str = "see a broken pg_hba.conf or postgresql.conf before the next start ends at it; the gate of a restart of \
                     the database stays closed";
const SIGNALS: &str = "end other roles' sessions (`fix`, policy kind sessions)";
const LIMIT: &str = "count on its two connections: a check takes one and at times a second";

/// Sessions that pgmedic needs for itself.
const OWN: i64 = 2;

pub(super) fn checks(s: Subject<'_>) -> Vec<Check> {
    let Some(facts) = own(s.evidence) else {
        let looked = format!("rights of role {}", s.service.target.user);
        return vec![Check::not_seen(
            "sees-sessions",
            looked,
            "no way in led to the server's own account",
            SESSIONS,
        )];
    };
    let me = &facts.me;
    let mut all = vec![sessions(s.evidence, facts), settings(facts)];
    all.extend(rules(s, &me.role, &me.database));
    all.extend([signals(s, facts), limit(s.evidence, facts), superuser(facts)]);
    all
}

/// The server's account as the service's own role got it.
fn own(e: &Evidence) -> Option<&SqlFacts> {
    e.front.facts().or_else(|| e.direct.get().and_then(|route| route.facts()))
}

fn sessions(e: &Evidence, facts: &SqlFacts) -> Check {
    let me = &facts.me;
    let looked = format!("role {}: pg_monitor", me.role);
    if me.sees_all {
        return Check::ok("sees-sessions", looked, "sees every session");
    }
    let role = identifier(&me.role);
    let member = e.audit.get().and_then(|audit| audit.role(&me.role)).is_some_and(|role| role.monitors);
    let (said, line) = match (member, facts.version_num >= 160_000) {
        (false, _) => ("is no member: sees its own sessions alone", format!("grant pg_monitor to {role};")),
        (true, true) => {
            ("is a member and does not inherit it", format!("grant pg_monitor to {role} with inherit true;"))
        }
        (true, false) => ("is a member and does not inherit it", format!("alter role {role} inherit;")),
    };
    Check::missing("sees-sessions", looked, said, SESSIONS).grant(By::Sql, &me.database, line)
}

fn settings(facts: &SqlFacts) -> Check {
    let me = &facts.me;
    let looked = format!("role {}: pg_read_all_settings", me.role);
    if facts.storage.data_directory.is_some() {
        return Check::ok("sees-settings", looked, "sees every setting");
    }
    let check = Check::missing("sees-settings", looked, "sees no setting that is for superusers", SETTINGS);
    if me.sees_all {
        let line = format!("grant pg_read_all_settings to {};", identifier(&me.role));
        return check.grant(By::Sql, &me.database, line);
    }
    // The membership brings this one, too.
    check.grant(By::Sql, &me.database, format!("grant pg_monitor to {};", identifier(&me.role)))
}

/// The two functions that show the files as the next start reads them.
fn rules(s: Subject<'_>, role: &str, database: &str) -> Vec<Check> {
    let needed = s.auto(RemedyKind::DbRestart);
    let Seen::Seen(ahead) = &s.evidence.preflight else {
        return vec![
            Check::not_seen("asks-rules", format!("role {role}: files of the next start"), "not told", RULES)
                .needed(needed),
        ];
    };
    let denied =
        |seen: bool, why: Option<&String>| !seen && why.is_some_and(|why| why.contains("grant execute"));
    let why = if let Seen::NotSeen(why) = &ahead.settings { Some(why) } else { None };
    let files = denied(ahead.settings.get().is_some(), why);
    [("asks-rules", "pg_hba_file_rules", !ahead.may_hba), ("asks-files", "pg_show_all_file_settings", files)]
        .into_iter()
        .map(|(right, function, lacks)| {
            let looked = format!("role {role}: {function}()");
            if !lacks {
                return Check::ok(right, looked, "may ask");
            }
            let line = format!("grant execute on function pg_catalog.{function}() to {};", identifier(role));
            Check::missing(right, looked, "may not ask", RULES).grant(By::Sql, database, line).needed(needed)
        })
        .collect()
}

fn signals(s: Subject<'_>, facts: &SqlFacts) -> Check {
    let me = &facts.me;
    let looked = format!("role {}: pg_signal_backend", me.role);
    if me.may_signal {
        return Check::ok("signals", looked, "may end sessions of roles that are no superusers");
    }
    let said = if s.auto(RemedyKind::Sessions) {
        "may end its own role's sessions alone, and policy.auto has sessions"
    } else {
        "may end its own role's sessions alone"
    };
    Check::missing("signals", looked, said, SIGNALS)
        .grant(By::Sql, &me.database, format!("grant pg_signal_backend to {};", identifier(&me.role)))
        .needed(s.auto(RemedyKind::Sessions))
}

fn limit(e: &Evidence, facts: &SqlFacts) -> Check {
    let me = &facts.me;
    let looked = format!("role {}: CONNECTION LIMIT", me.role);
    let told = e.audit.get().and_then(|audit| audit.role(&me.role)).map(|role| role.limit);
    match told {
        None => Check::not_seen("role-limit", looked, "the server did not tell", LIMIT).needed(false),
        Some(limit) if limit < 0 => {
            Check::ok("role-limit", looked, "none; pgmedic takes two connections at the most")
        }
        Some(limit) if limit >= OWN => Check::ok("role-limit", looked, format!("{limit}")),
        Some(limit) => {
            let line = format!("alter role {} connection limit 5;", identifier(&me.role));
            Check::missing("role-limit", looked, format!("{limit}"), LIMIT).grant(By::Sql, &me.database, line)
        }
    }
}

/// A role that may everything lacks nothing; that it may too much is said, and does not count.
fn superuser(facts: &SqlFacts) -> Check {
    let me = &facts.me;
    let looked = format!("role {}: no more than it needs", me.role);
    if !me.superuser {
        return Check::ok("least-role", looked, "no superuser");
    }
    let check = Check::ok(
        "least-role",
        looked,
        "a superuser: no limit holds for it, and it takes the reserved slots",
    );
    check
        .grant(By::Sql, &me.database, "create role pgmedic login connection limit 5;")
        .grant(By::Sql, &me.database, "grant pg_monitor, pg_signal_backend to pgmedic;")
        .note("a role of pgmedic's own that has these two is enough; give it a password and name it in `database`")
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::fixture::Scene;
    use super::*;

    fn state(checks: &[Check], right: &str) -> State {
        checks.iter().find(|check| check.right == right).map(|check| check.state).unwrap()
    }

    #[test]
    fn a_role_that_sees_all_and_is_no_superuser_lacks_nothing() {
        let scene = Scene::default();
        let all = checks(scene.subject());
        assert!(!all.iter().any(Check::lacks), "{all:#?}");
    }

    #[test]
    fn a_plain_role_is_told_the_grants_with_its_name_quoted() {
        let mut scene = Scene::default();
        scene.facts(|facts| {
            facts.me.sees_all = false;
            facts.me.role = "odd\"role".to_owned();
            facts.storage.data_directory = None;
        });
        let all = checks(scene.subject());
        assert_eq!(all[0].grants[0].line, "grant pg_monitor to \"odd\"\"role\";");
        assert_eq!((state(&all, "sees-settings"), all[0].lacks()), (State::Missing, true));
    }

    #[test]
    fn a_member_that_does_not_inherit_is_told_so() {
        for (version, line) in [
            (150_000, "alter role \"app\" inherit;"),
            (160_000, "grant pg_monitor to \"app\" with inherit true;"),
        ] {
            let mut scene = Scene::default();
            scene.facts(|facts| (facts.me.sees_all, facts.version_num) = (false, version));
            scene.audit(|audit| audit.roles[0].monitors = true);
            assert_eq!(checks(scene.subject())[0].grants[0].line, line);
        }
    }

    #[test]
    fn ending_sessions_counts_only_where_the_policy_promises_it() {
        let mut scene = Scene::default();
        scene.facts(|facts| facts.me.may_signal = false);
        let lacks = |scene: &Scene| checks(scene.subject()).iter().any(|c| c.right == "signals" && c.lacks());
        assert!(!lacks(&scene));
        scene.service.policy.auto = vec![RemedyKind::Sessions];
        assert!(lacks(&scene));
    }

    #[test]
    fn a_limit_below_two_and_a_superuser_are_said() {
        let mut scene = Scene::default();
        scene.audit(|audit| audit.roles[0].limit = 1);
        scene.facts(|facts| facts.me.superuser = true);
        let all = checks(scene.subject());
        assert_eq!((state(&all, "role-limit"), state(&all, "least-role")), (State::Missing, State::Ok));
        assert!(all.iter().any(|c| c.right == "least-role" && c.grants.len() == 2));
    }
}

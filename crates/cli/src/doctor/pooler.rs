//! PgBouncer's console: whether it lets pgmedic look (`stats_users`) and RESUME (`admin_users`).

use super::{By, Check, Subject};
use pgmedic_model::RemedyKind;
use pgmedic_path::Seen;

const LOOK: &str = "see who waits in the pooler, and what is paused there";
const ADMIN: &str = "RESUME or ENABLE a database of the pooler";
const FILE: &str = "pgbouncer.ini, [pgbouncer] (beside those who are named there; then: RELOAD)";

pub(super) fn checks(s: Subject<'_>) -> Vec<Check> {
    let Some(target) = &s.service.pooler else {
        return vec![Check::not_configured("console", "PgBouncer's console (`pooler`)", LOOK)];
    };
    let looked = format!("console at {}, user {}", target.address(), target.user);
    let told = match &s.evidence.pooler {
        Seen::Seen(told) => told,
        Seen::NotSeen(why) => return vec![Check::not_seen("console", looked, why, LOOK)],
    };
    if let Some(why) = &told.failure {
        // A password that is not accepted is no right that a list gives.
        let password = ["28P01", "password authentication failed"].iter().any(|words| why.contains(words));
        let refused = !told.silent && !password && ["startup", "SHOW"].iter().any(|at| why.starts_with(at));
        let check = if refused {
            Check::missing("console", looked, why, LOOK).grant(
                By::File,
                FILE,
                format!("stats_users = {}", target.user),
            )
        } else {
            Check::not_seen("console", looked, why, LOOK)
        };
        return vec![check];
    }
    let version = told.version.clone().unwrap_or_else(|| "a pooler".to_owned());
    let open = Check::ok("console", &looked, format!("may look ({version})"));
    let may = told.auth_type.as_deref() == Some("any")
        || told.admin_users.as_deref().is_some_and(|list| listed(list, &target.user));
    let needed = s.auto(RemedyKind::Sessions);
    let admin = match (&told.admin_users, may) {
        (_, true) => Check::ok("console-admin", looked, "may RESUME"),
        (None, false) => {
            Check::not_seen("console-admin", looked, "the console does not tell", ADMIN).needed(false)
        }
        (Some(list), false) => {
            let mut all: Vec<&str> = names(list).collect();
            all.push(&target.user);
            Check::missing("console-admin", looked, "not among admin_users: may look, and not RESUME", ADMIN)
                .grant(By::File, FILE, format!("admin_users = {}", all.join(", ")))
                .needed(needed)
        }
    };
    vec![open, admin]
}

/// The names of a list, as PgBouncer takes it: with commas, and blanks where one likes.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}

fn listed(list: &str, user: &str) -> bool {
    names(list).any(|name| name == user)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::fixture::{Scene, target};
    use super::*;
    use pgmedic_path::rooms::proxy::evidence::PoolerEvidence;

    fn of(told: PoolerEvidence) -> Vec<Check> {
        let mut scene = Scene::default();
        scene.service.pooler = Some(target("postgres://stats@db:6432/pgbouncer"));
        scene.evidence.pooler = Seen::Seen(told);
        checks(scene.subject())
    }

    #[test]
    fn who_may_look_need_not_be_an_admin() {
        let told = PoolerEvidence { admin_users: Some("postgres, ops".into()), ..PoolerEvidence::default() };
        let all = of(told);
        assert_eq!((all[0].state, all[1].state, all[1].lacks()), (State::Ok, State::Missing, false));
        assert_eq!(all[1].grants[0].line, "admin_users = postgres, ops, stats");
        let told = PoolerEvidence { admin_users: Some("ops,stats".into()), ..PoolerEvidence::default() };
        assert_eq!(of(told)[1].state, State::Ok);
    }

    #[test]
    fn a_console_that_refuses_names_the_list_and_one_that_is_not_there_does_not() {
        let failure = |why: &str| PoolerEvidence { failure: Some(why.into()), ..PoolerEvidence::default() };
        let refused = of(failure("startup: FATAL 08P01: not allowed"));
        assert_eq!(
            (refused[0].state, refused[0].grants[0].line.as_str()),
            (State::Missing, "stats_users = stats")
        );
        let away = of(failure("network: refused"));
        assert_eq!((away[0].state, away[0].grants.len()), (State::NotSeen, 0));
    }
}

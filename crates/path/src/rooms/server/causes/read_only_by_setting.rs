//! `read-only-by-setting`: transactions begin read-only because a setting says so.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::{identifier, psql_each};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// Every transaction of the service begins read-only, by a setting: it reads, and cannot write.
    ///
    /// ## What it is
    /// `default_transaction_read_only` is on though the server is a primary. Platforms set it when a disk is nearly
    /// full (Fly does, at 90 %), people set it for a move, and some forget to take it back.
    ///
    /// ## What proves it
    /// `show default_transaction_read_only` is `on` while `pg_is_in_recovery()` is false; `\drds` (`pg_db_role_setting`)
    /// names the database or role. Writes fail with `25006 cannot execute … in a read-only transaction`. Where it is
    /// set only for a monitoring role that pgmedic logs in as, it is a warning: the service itself may write.
    ///
    /// ## What mends it
    /// Find why it was set. If a disk guard set it: make space, the guard lifts it. Else take it back where it stands:
    /// `alter database x reset …`, `alter role x reset …`, `alter system reset …` and reload; then let the API reconnect,
    /// for sessions keep what they began with.
    ///
    /// ## What makes it worse
    /// Forcing it off while the disk is 95 % full: the next stop is a full disk and a crash.
    ///
    /// ## What prevents it
    /// Disk alerts ahead of the guard; a comment and an end date on every manual fence.
    ///
    /// ## References
    /// Postgres manual: "Client Connection Defaults" (`default_transaction_read_only`), `pg_db_role_setting`.
    "read-only-by-setting" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let told = e.routes().find_map(|(name, r)| {
        let query = r.query.as_ref()?;
        Some((name, r.facts()?, query.at, r.address.as_str()))
    });
    let (way, facts, at, place) = told.filter(|(_, f, ..)| !f.server.in_recovery)?;
    // The rescue role has settings of its own: what it tells of is where the setting stands for the service.
    let (user, database) = match way {
        "rescue" => (&e.target.user, &e.target.database),
        _ => (&facts.me.role, &facts.me.database),
    };
    let places: Vec<_> =
        facts.server.read_only_set_for.iter().filter(|p| applies(p, user, database)).collect();
    let on = facts.server.default_transaction_read_only;
    let of_rescue = |p| applies(p, &facts.me.role, &facts.me.database);
    let holds = match way {
        "rescue" => !places.is_empty() || on && !facts.server.read_only_set_for.iter().any(of_rescue),
        _ => on,
    };
    if !holds {
        return None;
    }
    let only_this_role = facts.me.sees_all
        && !facts.me.superuser
        && !places.is_empty()
        && places.iter().all(|(_, role)| *role == facts.me.role);
    let (severity, confidence) = if only_this_role {
        (Severity::Warning, Confidence::Likely)
    } else {
        (Severity::Critical, Confidence::Certain)
    };
    let whose = places.first().map_or_else(
        || match e.target.asks_read_only {
            true => "in the options of the service's own URL".to_owned(),
            false => "in the server's configuration".to_owned(),
        },
        |(database, role)| format!("for {}", subject(database, role)),
    );
    let summary = format!("default_transaction_read_only is on {whose}: the service reads and cannot write");
    let word = if on { "on" } else { "off for the rescue role" };
    let text = format!("default_transaction_read_only = {word}, pg_is_in_recovery() = false");
    let proof = Fact::new(Source::Sql, at, place, text).value(on);
    let cite = |(database, role): &&(String, String)| {
        let text = format!("default_transaction_read_only is set for {}", subject(database, role));
        Fact::new(Source::Sql, at, format!("pg_db_role_setting at {place}"), text)
    };
    let cited: Vec<_> = places.iter().map(cite).collect();
    Some(
        Finding::new(CAUSE.id, Room::Server, severity, confidence, summary, proof).and_all(cited).mended_by(
            RemedyPlan::by_hand(
                "reset-read-only",
                RemedyKind::Settings,
                "find out who set it and why (a disk guard?); if it is not needed, reset it and let the API reconnect",
                reset(e, &places),
            ),
        ),
    )
}

/// True where a row of pg_db_role_setting is for sessions of `user` in `of`: that database or all, that role or all.
fn applies((database, role): &(String, String), user: &str, of: &str) -> bool {
    (database.is_empty() || database == of) && (role.is_empty() || role == user)
}

fn subject(database: &str, role: &str) -> String {
    if (database, role) == ("", "") { "all roles".to_owned() } else { object(database, role) }
}

/// A statement for each place where the setting stands, in a session that may write.
fn reset(e: &Evidence, places: &[&(String, String)]) -> String {
    if places.is_empty() && e.target.asks_read_only {
        return "echo \"$DATABASE_URL\" | grep -o 'options=[^&]*'   # take default_transaction_read_only out of it"
            .to_owned();
    }
    let statement = |of: &str| format!("alter {of} reset default_transaction_read_only");
    let mut statements: Vec<_> =
        places.iter().map(|(database, role)| statement(&object(database, role))).collect();
    if statements.is_empty() {
        statements = vec![statement("system"), "select pg_reload_conf()".to_owned()];
    }
    let statements: Vec<_> = statements.iter().map(String::as_str).collect();
    format!("PGOPTIONS='-c default_transaction_read_only=off' {}", psql_each(e, &statements))
}

/// What ALTER calls the place: `database "x"`, `role "y" in database "x"`.
fn object(database: &str, role: &str) -> String {
    match (database, role) {
        ("", "") => "role all".to_owned(),
        (database, "") => format!("database {}", identifier(database)),
        ("", role) => format!("role {}", identifier(role)),
        (database, role) => format!("role {} in database {}", identifier(role), identifier(database)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{refused, with_facts};

    fn set_for(places: &[(&str, &str)], sees_all: bool) -> Option<Finding> {
        find(&with_facts(|f| {
            f.me.sees_all = sees_all;
            f.server.default_transaction_read_only = true;
            f.server.read_only_set_for = places.iter().map(|(d, r)| ((*d).into(), (*r).into())).collect();
        }))
    }

    #[test]
    fn read_only_by_setting_says_where_it_is_set() {
        let found = set_for(&[("elsewhere", ""), ("renderflow", "")], true).unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert!(found.summary.contains("is on for database \"renderflow\""));
        assert_eq!(
            found.remedies[0].command,
            "PGOPTIONS='-c default_transaction_read_only=off' psql \"$RESCUE_DATABASE_URL\" \
             -c 'alter database \"renderflow\" reset default_transaction_read_only'"
        );
        let both = set_for(&[("renderflow", ""), ("", "app")], true).unwrap();
        assert_eq!(both.remedies[0].command.matches(" -c 'alter ").count(), 2);
        let found = set_for(&[], true).unwrap();
        assert!(found.remedies[0].command.ends_with("-c 'select pg_reload_conf()'"));
    }

    #[test]
    fn read_only_by_setting_for_a_monitors_role_alone_is_a_warning() {
        assert_eq!(set_for(&[("", "app")], true).unwrap().severity, Severity::Warning);
        assert_eq!(set_for(&[("", "app")], false).unwrap().severity, Severity::Critical);
    }

    #[test]
    fn read_only_by_setting_of_the_url_is_taken_out_of_the_url() {
        let mut e = with_facts(|f| f.server.default_transaction_read_only = true);
        e.target.asks_read_only = true;
        let found = find(&e).unwrap();
        assert!(found.summary.contains("in the options of the service's own URL"));
        assert!(!found.remedies[0].command.contains("alter system"));
    }

    #[test]
    fn read_only_by_setting_is_told_by_the_rescue_way_for_the_service() {
        let by_rescue = |on: bool, places: &[(&str, &str)]| {
            let mut e = refused("53300", "remaining connection slots are reserved");
            let rescue = with_facts(|f| {
                f.me.role = "postgres".into();
                f.me.database = "postgres".into();
                f.server.default_transaction_read_only = on;
                f.server.read_only_set_for = places.iter().map(|(d, r)| ((*d).into(), (*r).into())).collect();
            });
            e.rescue = crate::evidence::Seen::Seen(rescue.front);
            find(&e).is_some()
        };
        assert!(by_rescue(false, &[("renderflow", "")]) && by_rescue(true, &[]));
        assert!(!by_rescue(true, &[("", "postgres")]) && !by_rescue(false, &[]));
    }

    #[test]
    fn read_only_by_setting_is_not_a_standby() {
        let e = with_facts(|f| {
            (f.server.default_transaction_read_only, f.server.in_recovery) = (true, true);
        });
        assert!(find(&e).is_none());
        assert!(find(&with_facts(|_| ())).is_none());
    }
}

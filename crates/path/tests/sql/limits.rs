//! Connection limits of roles and databases.

use crate::server::Server;

pub(crate) fn limits_are_told_with_their_use(server: &mut Server) {
    let postgres = server.postgres();
    postgres.run(
        "create role tight login connection limit 3; create role boss superuser login connection limit 1",
    );
    postgres.run("create database small connection limit 9");
    postgres.run("create database closed allow_connections false");
    let _held = server.sessions(2, "tight", "small");
    for role in ["postgres", "monitor", "other"] {
        let facts = server.facts(role, "shop");
        let told: Vec<_> =
            facts.admission.role_limits.iter().map(|l| (l.name.as_str(), l.limit, l.used)).collect();
        assert_eq!(told, [("tight", 3, 2)], "a superuser's limit does not bind");
        let told: Vec<_> = facts
            .admission
            .database_limits
            .iter()
            .map(|l| (l.name.as_str(), l.limit, l.used, l.allows))
            .collect();
        assert_eq!(told, [("closed", -1, 0, false), ("small", 9, 2, true)], "what refuses comes first");
    }
    drop(_held);
    server.wait_true("select count(*) = 0 from pg_stat_activity where datname = 'small'");
    postgres.run("drop database small");
    postgres.run("drop database closed");
    postgres.run("drop role tight; drop role boss");
}

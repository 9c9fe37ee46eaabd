//! Every role that may connect gets an answer, and nothing that a session is set to changes it.

use crate::server::Server;
use pgmedic_model::Policy;

pub(crate) fn three_roles_see_what_each_may(server: &mut Server) {
    let _others = server.sessions(3, "app", "shop");
    for (role, superuser, sees_all) in
        [("postgres", true, true), ("monitor", false, true), ("other", false, false)]
    {
        let facts = server.facts(role, "shop");
        assert_eq!(facts.version_num / 10_000, server.major);
        assert_eq!((facts.me.role.as_str(), facts.me.database.as_str()), (role, "shop"));
        assert_eq!(
            (facts.me.superuser, facts.me.sees_all, facts.me.may_signal),
            (superuser, sees_all, superuser)
        );
        let admission = &facts.admission;
        assert_eq!((admission.max_connections, admission.superuser_reserved), (300, 5));
        assert_eq!(admission.reserved, if server.major >= 16 { 7 } else { 0 });
        assert_eq!((admission.client_backends, admission.own), (4, 1), "{role}");
        assert_eq!(admission.groups.len(), 1, "{role}: {:?}", admission.groups);
        let group = &admission.groups[0];
        assert_eq!(
            (group.application.as_str(), group.role.as_str(), group.database.as_str()),
            ("web", "app", "shop")
        );
        assert_eq!((group.state.as_deref(), group.count), (sees_all.then_some("idle"), 3));
        assert_eq!(group.client, if sees_all { "[local]" } else { "" });
        let server_facts = &facts.server;
        assert!(server_facts.uptime_ms > 0.0 && server_facts.uptime_ms < 3_600_000.0);
        assert!(!server_facts.in_recovery && !server_facts.transaction_read_only);
        assert_eq!((server_facts.replay_lag_ms, server_facts.receiving), (None, None));
        assert!(server_facts.system_identifier.as_ref().is_some_and(|id| id.parse::<u64>().is_ok()));
        assert!(server_facts.oldest_xid.is_some() && server_facts.freeze_max_age == 200_000_000);
        let storage = &facts.storage;
        assert_eq!(storage.data_directory.is_some(), sees_all);
        assert!(storage.database_bytes.is_some_and(|bytes| bytes > 5_000_000));
        assert_eq!((storage.max_wal_bytes, storage.max_slot_wal_keep_bytes), (48 << 20, None));
        assert_eq!(facts.sessions.sessions.len(), if sees_all { 3 } else { 0 });
    }
    // Somebody else's session, named by the identity that ends it and nothing else.
    let facts = server.facts("monitor", "shop");
    let session = &facts.sessions.sessions[0];
    let same = format!(
        "select count(*) from pg_stat_activity where pid = {} and backend_start = '{}'",
        session.pid, session.backend_start
    );
    assert_eq!(server.postgres().run(&same)[0][0].as_deref(), Some("1"));
}

pub(crate) fn no_setting_of_the_session_bends_the_answer(server: &mut Server) {
    let plain = server.facts("postgres", "shop");
    for settings in [
        "set datestyle = 'German, DMY'; set intervalstyle = 'iso_8601'; set timezone = 'Asia/Kathmandu'",
        "set standard_conforming_strings = off; set escape_string_warning = on; set backslash_quote = off",
        "set bytea_output = 'escape'; set extra_float_digits = -15",
        "set search_path = ''",
        "set client_encoding = 'SQL_ASCII'",
        "begin read only",
        "begin isolation level serializable read only deferrable",
        "set default_transaction_read_only = on",
        "set row_security = off; set transform_null_equals = on; set array_nulls = off",
        "set enable_hashagg = off; set enable_hashjoin = off; set enable_sort = off; set enable_nestloop = off",
        "set jit = on; set jit_above_cost = 0",
        "set role monitor",
    ] {
        let mut session = server.pgmedic("postgres", "shop");
        session.run(settings);
        let facts = session.facts(server.major, &Policy::default());
        assert_eq!(facts.admission.max_connections, 300, "{settings}");
        assert!((facts.server.uptime_ms - plain.server.uptime_ms).abs() < 60_000.0, "{settings}");
        assert_eq!(facts.storage.data_directory, plain.storage.data_directory, "{settings}");
        assert_eq!(facts.storage.max_wal_bytes, 48 << 20, "{settings}");
        assert_eq!(facts.server.transaction_read_only, settings.contains("only"), "{settings}");
        assert_eq!(facts.me.superuser, !settings.contains("role monitor"), "{settings}");
    }
}

/// A schema before pg_catalog that has every operator and function of the statement, each of which ends the session's
/// statement: whoever owns a schema on a superuser's search_path would run as the superuser.
pub(crate) fn a_hostile_search_path_is_not_followed(server: &mut Server) {
    let owner = server.session("app", "shop");
    owner.run(
        "create schema trap;
         do $$
         declare o record; f record; n int := 0;
         begin
           for o in select oprname, oprleft, oprright from pg_operator
             where oprkind = 'b' and oprname in ('=', '<>', '<', '>', '<=', '>=', '-', '*', '||', '~', '~~')
               and oprleft in ('bool'::regtype, 'int4'::regtype, 'int8'::regtype, 'text'::regtype, 'name'::regtype,
                 'oid'::regtype, 'xid'::regtype, 'float8'::regtype, 'timestamptz'::regtype, 'pg_lsn'::regtype)
           loop
             n := n + 1;
             execute format('create function trap.o%s(%s, %s) returns bool language plpgsql as
               ''begin raise exception ''''trapped''''; end''', n, o.oprleft::regtype, o.oprright::regtype);
             execute format('create operator trap.%s (leftarg = %s, rightarg = %s, function = trap.o%s)',
               o.oprname, o.oprleft::regtype, o.oprright::regtype, n);
           end loop;
           for f in select distinct proname, pg_get_function_identity_arguments(oid) as arguments from pg_proc
             where pronamespace = 'pg_catalog'::regnamespace and prokind = 'f' and proargmodes is null
               and proname in ('current_setting', 'date_part', 'left', 'lower', 'encode', 'decode', 'replace',
                 'json_agg', 'starts_with', 'pg_get_userbyid', 'age', 'mxid_age', 'pg_has_role', 'to_regrole',
                 'pg_blocking_pids', 'clock_timestamp', 'now', 'pg_wal_lsn_diff', 'pg_database_size',
                 'pg_is_in_recovery', 'pg_postmaster_start_time', 'pg_conf_load_time', 'pg_backend_pid', 'unnest',
                 'pg_current_wal_lsn', 'pg_last_wal_receive_lsn', 'pg_last_xact_replay_timestamp', 'current_database',
                 'pg_stat_get_db_temp_bytes', 'pg_relation_size', 'has_database_privilege', 'concat', 'concat_ws')
           loop
             execute format('create function trap.%I(%s) returns int language plpgsql as
               ''begin raise exception ''''trapped''''; end''', f.proname, f.arguments);
           end loop;
         end $$;
         create view trap.pg_database as select 1/0 as oid; create view trap.pg_roles as select 1/0 as oid;
         create view trap.pg_db_role_setting as select 1/0 as setdatabase;
         create domain trap.text as pg_catalog.text check (false);
         grant usage on schema trap to public",
    );
    let mut session = server.pgmedic("postgres", "shop");
    session.run("set search_path = trap, pg_catalog");
    assert_eq!(session.facts(server.major, &Policy::default()).me.database, "shop");
    drop(session);
    owner.run("drop schema trap cascade");
}

/// Until Postgres 14 a member without INHERIT saw everything; from 15 on it does not, and is not said to.
pub(crate) fn a_noinherit_monitor(server: &mut Server) {
    server.postgres().run("create role shy login noinherit; grant pg_read_all_stats to shy");
    let _other = server.session("app", "shop");
    let facts = server.facts("shy", "shop");
    assert_eq!(facts.admission.groups[0].state.is_some(), facts.me.sees_all, "{:?}", facts.me);
    server.postgres().run("drop role shy");
}

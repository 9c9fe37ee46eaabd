//! A database whose owner plants functions, operators and views with the names that pgmedic's statements use, and has its
//! sessions look at his schema first: the statements still do what they say, and run nothing of his.

use crate::scene::Scene;
use pgmedic_lab::postgres::DATABASE;
use pgmedic_model::{Action, LimitOf, Protect, SessionClass, StepOutcome};

/// A role's name that tries to leave its quotes.
const ODD: &str = "ro'le \"x\" \\ ünï";

/// As the owner of the database, who is no superuser. Each planted function notes who ran it and says yes.
const PLANTED: &str = "
set role renderflow;
create schema evil;
create table evil.hit (who text, what text);
grant usage on schema evil to public;
grant insert on evil.hit to public;
do $$
declare t text; o text; f text;
begin
  foreach t in array array['name', 'text', 'int4', 'int8', 'oid', 'timestamptz', 'float8', 'bool', '\"char\"'] loop
    execute format('create function evil.yes(%1$s, %1$s) returns bool language plpgsql as
      ''begin insert into evil.hit values (current_user, ''''%1$s''''); return true; end''', t);
    foreach o in array array['=', '<>', '>=', '<=', '<', '>'] loop
      execute format('create operator evil.%2$s (leftarg = %1$s, rightarg = %1$s, function = evil.yes)', t, o);
    end loop;
  end loop;
  execute 'create operator evil.~~ (leftarg = text, rightarg = text, function = evil.yes)';
  execute 'create operator evil.!~~ (leftarg = text, rightarg = text, function = evil.yes)';
  foreach f in array array['pg_terminate_backend', 'pg_cancel_backend'] loop
    execute format('create function evil.%s(int4) returns bool language plpgsql as
      ''begin insert into evil.hit values (current_user, ''''signal''''); return true; end''', f);
  end loop;
  execute 'create function evil.pg_try_advisory_xact_lock(int4, int4) returns bool language plpgsql as
    ''begin insert into evil.hit values (current_user, ''''lock''''); return true; end''';
  execute 'create function evil.pg_stat_clear_snapshot() returns void language plpgsql as
    ''begin insert into evil.hit values (current_user, ''''clear''''); end''';
  execute 'create function evil.starts_with(text, text) returns bool language plpgsql as
    ''begin insert into evil.hit values (current_user, ''''starts''''); return false; end''';
end $$;
create view evil.pg_stat_activity as
  select pid, backend_start, 'victim'::text as application_name, usename, usesysid, 'idle'::text as state,
    backend_start as state_change, 'client backend'::text as backend_type from pg_catalog.pg_stat_activity;
create view evil.pg_roles as
  select oid, rolname, false as rolsuper, false as rolreplication, -1 as rolconnlimit from pg_catalog.pg_roles;
create view evil.pg_locks as select * from pg_catalog.pg_locks where false;
alter database renderflow set search_path = evil, pg_temp, public, pg_catalog;
alter database renderflow set standard_conforming_strings = off;
alter database renderflow set datestyle = 'German';
alter database renderflow set timezone = 'Asia/Kathmandu';
alter database renderflow set default_transaction_isolation = 'repeatable read';
alter database renderflow set idle_in_transaction_session_timeout = '1s';
";

fn hits(scene: &Scene) -> Vec<Vec<Option<String>>> {
    let sql = "select distinct who::pg_catalog.text, what from evil.hit";
    scene
        .server
        .lab()
        .postgres()
        .sql_in("renderflow", &format!("set search_path to pg_catalog; {sql}"))
        .unwrap()
}

fn planted() -> Scene {
    let mut scene = Scene::new();
    scene.service.policy.protect = Protect { applications: vec!["spared*".into()], roles: vec![ODD.into()] };
    scene.server.lab().postgres().sql_in(DATABASE, PLANTED).unwrap();
    scene
}

#[test]
fn planted_names_stand_in_for_none_of_ours() {
    let scene = planted();
    let of = |name: &str, role: &str| scene.idle(&scene.login(name, role), 2);
    let _held = [of("victim", "renderflow"), of("spared-1", "renderflow"), of("a-superuser", "rescue")];
    let locking = of("locking", "renderflow");
    locking.run("select pg_catalog.pg_advisory_lock_shared(7)").unwrap();
    let evidence = scene.walk();
    let all = scene.named("backend_type = 'client backend' and application_name <> 'pgmedic'");
    let action = Action::Terminate { sessions: all, class: SessionClass::Idle, down_to: Some(0) };
    let came = scene.apply(&evidence, &action);
    let ended: Vec<_> = came.sessions.iter().filter(|s| s.terminated).collect();
    assert!(ended.iter().all(|s| s.application_name == "victim"), "{}: {ended:?}", came.detail);
    assert_eq!(ended.len(), 2, "{}", came.detail);
    assert_eq!(scene.there("application_name in ('spared-1', 'a-superuser', 'locking')").len(), 6);
    assert_eq!(hits(&scene), Vec::<Vec<Option<String>>>::new());
}

#[test]
fn a_raised_limit_runs_nothing_of_the_databases_owner() {
    let scene = planted();
    let quoted = ODD.replace('"', "\"\"");
    scene.server.sql(&format!("create role \"{quoted}\" login connection limit 3"));
    let evidence = scene.walk();
    let raise = |from: i64, to: i64| {
        scene.apply(&evidence, &Action::RaiseLimit { of: LimitOf::Role, name: ODD.to_owned(), from, to })
    };
    let came = raise(3, 9);
    let limits = format!(
        "select rolconnlimit from pg_roles where rolname = U&'{}'",
        ODD.replace('\'', "''").replace('\\', "\\\\")
    );
    let limit = scene.server.value(&limits);
    assert_eq!((came.outcome, limit.as_str()), (StepOutcome::Applied, "9"), "{}", came.detail);
    assert_eq!(raise(3, 20).outcome, StepOutcome::NotNeeded, "somebody changed it meanwhile");
    assert_eq!(scene.server.value(&limits), "9");
    let database = Action::RaiseLimit { of: LimitOf::Database, name: DATABASE.to_owned(), from: -1, to: 50 };
    assert_eq!(scene.apply(&evidence, &database).outcome, StepOutcome::Applied);
    assert_eq!(hits(&scene), Vec::<Vec<Option<String>>>::new());
}

#[test]
fn odd_names_are_matched_and_protected_as_they_are() {
    let mut scene = Scene::new();
    let quoted = ODD.replace('"', "\"\"");
    scene.server.sql(&format!(
        "create role \"{quoted}\" login; grant connect on database renderflow to \"{quoted}\""
    ));
    scene.server.hba("host all all 127.0.0.0/8 trust");
    let names = [
        "'; drop table jobs; --",
        "back\\slash",
        "new\nline",
        "tab\t\"quoted\"",
        "ünïcode 漢字",
        "%_",
        "",
        "x*",
    ];
    let mut held: Vec<_> = names.iter().map(|name| scene.idle(&scene.login(name, "renderflow"), 1)).collect();
    held.push(scene.idle(&scene.login("odd", ODD), 1));
    let evidence = scene.walk();
    let everybody = "backend_type = 'client backend' and application_name <> 'pgmedic'";
    let all = scene.named(everybody);
    // As the server has them: what is no printable ASCII it replaces.
    scene.service.policy.protect = Protect {
        applications: all.iter().map(|s| s.application_name.clone()).filter(|name| name != "odd").collect(),
        roles: vec![ODD.to_owned()],
    };
    let came = scene.end(&evidence, &all, SessionClass::Idle);
    assert_eq!(came.outcome, StepOutcome::NotNeeded, "{}", came.detail);
    assert_eq!(scene.there(everybody).len(), 9);
    scene.service.policy.protect = Protect::default();
    let came = scene.end(&evidence, &all, SessionClass::Idle);
    assert_eq!(came.sessions.iter().filter(|s| s.terminated).count(), 9, "{}", came.detail);
    assert_eq!(scene.server.value("select count(*) from pg_class where relname = 'pg_class'"), "1");
}

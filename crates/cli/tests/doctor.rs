//! `pgmedic self doctor` through the real binary on real parts: what lacks is named with the line that grants it, and where
//! exactly those lines have been run nothing lacks any more. Not in here: each kind of right on literals of evidence, which
//! its own file has.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use pgmedic_lab::fly::{Fly, Generation};
use pgmedic_lab::pgbouncer::{ADMIN_ROLE, STATS_ROLE};
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE};
use pgmedic_lab::{Lab, Parts, PoolerSize};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use support::{Place, Ran, closed_port, obeys};

/// A lab with a `pgmedic.toml` of one service, which has a state folder.
struct Scene {
    place: Place,
    lab: Lab,
}

impl Scene {
    fn new(parts: Parts) -> Self {
        let scene = Self { place: Place::new(), lab: Lab::build(parts).unwrap_or_else(|e| panic!("{e}")) };
        scene.configure(ROLE, "");
        scene
    }

    fn url(&self, role: &str) -> String {
        format!("postgres://{role}:{PASSWORD}@127.0.0.1:{}/{DATABASE}", self.lab.postgres().port())
    }

    /// Writes the configuration: who goes in, and more of it.
    fn configure(&self, role: &str, more: &str) {
        let text = format!("[[service]]\nname = \"shop\"\ndatabase = \"{}\"\n{more}\n", self.url(role));
        self.place.write("pgmedic.toml", &text);
    }

    fn run(&self, more: &[&str]) -> Ran {
        checked(self.place.run(&[&["self", "doctor"], more].concat()))
    }

    fn account(&self) -> Value {
        let ran = self.run(&["--format", "json"]);
        let account = ran.json();
        obeys("doctor.schema.json", &account);
        assert_eq!(ran.exit, Some(exit_of(&account)), "{}", ran.all());
        account
    }

    /// Runs lines as a person would, as the superuser.
    fn psql(&self, script: &str) {
        let file = self.place.write("grants.sql", script);
        let ran = Command::new(self.lab.postgres().program("psql").unwrap())
            .args(["-X", "-v", "ON_ERROR_STOP=1", "-f", &file, &self.url("rescue")])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}\n{script}", String::from_utf8_lossy(&ran.stderr));
    }
}

fn checked(ran: Ran) -> Ran {
    assert!(!ran.all().contains(PASSWORD), "{}", ran.all());
    ran
}

fn exit_of(account: &Value) -> i32 {
    match account["status"].as_str().unwrap() {
        "ok" => 0,
        "lacking" => 1,
        _ => 2,
    }
}

/// Every check of an account.
fn checks(account: &Value) -> Vec<&Value> {
    let services = account["services"].as_array().unwrap();
    let each = services.iter().flat_map(|service| service["checks"].as_array().unwrap());
    each.chain(account["here"].as_array().unwrap()).collect()
}

fn check<'a>(account: &'a Value, right: &str) -> &'a Value {
    let all = checks(account);
    all.into_iter()
        .find(|check| check["right"] == right)
        .unwrap_or_else(|| panic!("no {right} in {account:#}"))
}

/// Which rights lack, and count.
fn lacking(account: &Value) -> Vec<&str> {
    let lacks = |check: &&&Value| {
        check["needed"] == true && ["missing", "not-seen"].contains(&check["state"].as_str().unwrap())
    };
    checks(account).iter().filter(lacks).map(|check| check["right"].as_str().unwrap()).collect()
}

/// The lines of a kind that are told.
fn lines<'a>(account: &'a Value, by: &str) -> Vec<&'a str> {
    let grants = checks(account).into_iter().flat_map(|check| check["grants"].as_array().unwrap());
    grants.filter(|grant| grant["by"] == by).map(|grant| grant["line"].as_str().unwrap()).collect()
}

#[test]
fn a_role_without_pg_monitor_is_named_and_clean_once_exactly_the_printed_lines_have_run() {
    let scene = Scene::new(Parts::default());
    let plain = scene.account();
    assert_eq!(lacking(&plain), ["sees-sessions", "sees-settings"], "{plain:#}");
    let sql = lines(&plain, "sql");
    assert_eq!(sql[0], format!("grant pg_monitor to \"{ROLE}\";"));
    let screen = scene.run(&[]);
    assert_eq!(screen.exit, Some(1));
    for line in &sql {
        assert!(screen.stdout.lines().any(|shown| shown.trim() == *line), "{line}\n{}", screen.stdout);
    }
    assert!(screen.stdout.contains("role renderflow: pg_monitor: missing"), "{}", screen.stdout);

    scene.psql(&format!("{}\n", sql.join("\n")));
    let granted = scene.account();
    assert_eq!((lacking(&granted), granted["status"].as_str()), (Vec::new(), Some("ok")), "{granted:#}");
    for right in ["sees-sessions", "sees-settings", "asks-rules", "asks-files", "signals"] {
        assert_eq!(check(&granted, right)["state"], "ok", "{granted:#}");
    }
    assert_eq!(lines(&granted, "sql"), Vec::<&str>::new());
    let screen = scene.run(&[]);
    assert_eq!(screen.exit, Some(0));
    assert!(screen.stdout.ends_with("All that is promised is there.\n"), "{}", screen.stdout);
}

#[test]
fn a_rescue_role_that_is_no_such_thing_is_told_and_a_superuser_is_one() {
    let scene = Scene::new(Parts::default());
    let postgres = scene.lab.postgres();
    let before_16 =
        postgres.value("select (current_setting('server_version_num')::int < 160000)::text").unwrap();
    scene.configure("monitor", &format!("rescue = \"{}\"", scene.url("monitor")));
    let account = scene.account();
    assert_eq!(lacking(&account), ["rescue-slots"], "{account:#}");
    let line = check(&account, "rescue-slots")["grants"][0]["line"].as_str().unwrap();
    if before_16 == "true" {
        assert_eq!(line, "alter role \"monitor\" superuser;");
    } else {
        assert_eq!(line, "grant pg_use_reserved_connections to \"monitor\";");
    }
    scene.configure("monitor", &format!("rescue = \"{}\"", scene.url("rescue")));
    let account = scene.account();
    assert_eq!(
        (lacking(&account), check(&account, "rescue-slots")["state"].as_str()),
        (Vec::new(), Some("ok"))
    );
    // One that cannot even log in.
    scene.configure("monitor", &format!("rescue = \"{}\"", scene.url("nobody_at_all")));
    let account = scene.account();
    assert_eq!(lacking(&account), ["rescue-login"], "{account:#}");
}

#[test]
fn a_wrong_password_lacks_a_right_and_a_server_that_is_not_there_was_not_looked_at() {
    let scene = Scene::new(Parts::default());
    let wrong = scene.url("monitor").replace(PASSWORD, "not-the-one");
    let ran = scene.run(&[&wrong, "--format", "json"]);
    let account = ran.json();
    obeys("doctor.schema.json", &account);
    assert_eq!(ran.exit, Some(1), "{}", ran.all());
    let login = check(&account, "login");
    assert!(login["said"].as_str().unwrap().starts_with("the password is not accepted"), "{login:#}");
    assert!(!ran.all().contains("not-the-one"));

    let nowhere = format!("postgres://app:{PASSWORD}@127.0.0.1:{}/shop", closed_port());
    for more in [vec![nowhere.as_str(), "--format", "json"], vec![nowhere.as_str()]] {
        let ran = scene.run(&more);
        assert_eq!(ran.exit, Some(2), "{}", ran.all());
        assert!(ran.stdout.contains("ECONNREFUSED"), "{}", ran.stdout);
    }
}

#[test]
fn a_missing_token_of_fly_is_told_with_the_command_that_makes_one() {
    let scene = Scene::new(Parts::default());
    let double = Fly::start(&scene.lab, Generation::Flex).unwrap();
    let platform = format!(
        "[service.platform]\nkind = \"fly\"\napi = \"renderflow-api\"\ndb = \"renderflow-db\"\napi_url = \"{url}\"\nlogs_url = \"{url}\"\n",
        url = double.url()
    );
    scene.configure("monitor", &platform);
    let account = scene.account();
    assert_eq!(lacking(&account), ["platform"], "{account:#}");
    let line = "export FLY_API_TOKEN=\"$(fly tokens create readonly ORG)\"";
    assert_eq!(check(&account, "platform")["grants"][0]["line"], line);
    let token = [("FLY_API_TOKEN", pgmedic_lab::fly::TOKEN)];
    let ran = scene.place.run_with(&token, &["self", "doctor", "--format", "json"]);
    let account = ran.json();
    obeys("doctor.schema.json", &account);
    assert_eq!((ran.exit, lacking(&account)), (Some(0), Vec::new()), "{account:#}");
    assert_eq!(check(&account, "platform-acts")["state"], "not-seen");
    assert!(!ran.all().contains(pgmedic_lab::fly::TOKEN.rsplit(' ').next().unwrap()));
}

#[test]
fn the_console_of_a_real_pgbouncer_tells_who_may_look_and_who_may_resume() {
    let size = PoolerSize { pool: 2, clients: 50 };
    let scene = Scene::new(Parts { pooler: Some(size), ..Parts::default() });
    let port = scene.lab.pooler().unwrap().port();
    let console = |user: &str, policy: &str| {
        let url = format!("postgres://{user}:{PASSWORD}@127.0.0.1:{port}/pgbouncer");
        scene.configure("monitor", &format!("pooler = \"{url}\"\n{policy}"));
        scene.account()
    };
    let stranger = console(ROLE, "");
    assert_eq!(lacking(&stranger), ["console"], "{stranger:#}");
    assert_eq!(check(&stranger, "console")["grants"][0]["line"], format!("stats_users = {ROLE}"));
    let looks = console(STATS_ROLE, "");
    assert_eq!(
        (lacking(&looks), check(&looks, "console-admin")["state"].as_str()),
        (Vec::new(), Some("missing"))
    );
    let promised = console(STATS_ROLE, "[service.policy]\nauto = [\"sessions\"]\n");
    assert_eq!(lacking(&promised), ["signals", "console-admin"], "{promised:#}");
    let line = format!("admin_users = {ADMIN_ROLE}, {STATS_ROLE}");
    assert_eq!(check(&promised, "console-admin")["grants"][0]["line"], line);
    let admin = console(ADMIN_ROLE, "");
    assert_eq!(check(&admin, "console-admin")["state"], "ok", "{admin:#}");
}

#[test]
fn what_watch_names_is_looked_up_each_by_itself_and_no_secret_is_shown() {
    let scene = Scene::new(Parts::default());
    scene.place.write("hook", "http://127.0.0.1:9/hunter2\n");
    let watch = "[watch]\nlisten = \"0.0.0.0:9187\"\nstore = \"no-such-folder/pgmedic.db\"\nalerts = [\n\
                 { kind = \"webhook\", url = \"file:hook\", key = \"env:HOOK_KEY\" },\n\
                 { kind = \"slack\", url = \"env:SLACK_WEBHOOK\" } ]\n";
    scene.configure("monitor", watch);
    let ran = scene.run(&["--format", "json"]);
    let account = ran.json();
    obeys("doctor.schema.json", &account);
    assert_eq!(lacking(&account), ["watch-listen", "alert", "alert"], "{account:#}");
    assert!(lines(&account, "shell").contains(&"export HOOK_KEY='…'"), "{account:#}");
    assert!(!ran.all().contains("hunter2"));
    assert!(!scene.place.path().join("no-such-folder").exists(), "nothing is made");
}

#[test]
fn without_a_name_every_service_is_looked_at_and_the_worst_counts() {
    let scene = Scene::new(Parts::default());
    let second = format!(
        "[[service]]\nname = \"away\"\ndatabase = \"postgres://app:{PASSWORD}@127.0.0.1:{}/x\"\n",
        closed_port()
    );
    scene.configure("monitor", &second);
    let account = scene.account();
    let each: Vec<_> =
        account["services"].as_array().unwrap().iter().map(|s| s["status"].as_str().unwrap()).collect();
    assert_eq!((each, account["status"].as_str()), (vec!["ok", "unreached"], Some("unreached")));
    assert_eq!(scene.run(&["shop"]).exit, Some(0));
    assert_eq!(scene.run(&["shopp"]).exit, Some(64));
    assert_eq!(scene.run(&["--config", "none.toml"]).exit, Some(78));
}

#[test]
fn needs_root_as_another_user_a_log_that_may_not_be_read_is_told_with_the_line_that_names_it() {
    let scene = Scene::new(Parts::default());
    let log = scene.place.write("api.log", "nothing\n");
    std::fs::set_permissions(&log, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::set_permissions(scene.place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    scene.configure("monitor", &format!("api_log = \"{log}\""));
    // The build's folder may be in a home that is closed to others.
    let program = scene.place.path().join("pgmedic");
    std::fs::copy(env!("CARGO_BIN_EXE_pgmedic"), &program).unwrap();
    let run = || -> Value {
        let told = scene.place.command(&["self", "doctor", "--format", "json"]);
        let mut command = Command::new(&program);
        command.args(told.get_args()).env_clear().current_dir(scene.place.path());
        command.envs(told.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PGMEDIC_STATE", scene.place.path().join("state")).uid(65_534).gid(65_534);
        let ran = checked(command.output().unwrap().into());
        ran.json()
    };
    let account = run();
    obeys("doctor.schema.json", &account);
    assert_eq!(lacking(&account), ["api-log", "state-folder"], "{account:#}");
    let line = format!("sudo setfacl -m u:nobody:r {log}");
    assert_eq!(check(&account, "api-log")["grants"][0]["line"], line);
    std::fs::set_permissions(&log, PermissionsExt::from_mode(0o604)).unwrap();
    assert_eq!(lacking(&run()), ["state-folder"]);
}

//! A lab with its `pgmedic.toml`, the binary run on it, and who is there by pid and backend_start. Every document that the
//! binary writes is held against its schema, and everything that it writes against the passwords.

use crate::support::{Place, Ran, obeys};
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE, Stop};
use pgmedic_lab::sessions::{Login, Sessions};
use pgmedic_lab::{Lab, Parts, wait};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

/// A session, for good: pid and backend_start.
pub(crate) type Who = (String, String);

/// A lab, and a folder with the configuration of the service `shop`.
pub(crate) struct Shop {
    pub(crate) place: Place,
    pub(crate) lab: Lab,
}

impl Shop {
    pub(crate) fn new() -> Self {
        Self::with(Parts::default())
    }

    pub(crate) fn with(parts: Parts) -> Self {
        let shop = Self { place: Place::new(), lab: Lab::build(parts).unwrap_or_else(|e| panic!("{e}")) };
        shop.configure("", "", "");
        shop
    }

    /// One with this many ordinary slots.
    pub(crate) fn with_slots(ordinary: u32) -> Self {
        let shop = Self::new();
        let postgres = shop.lab.postgres();
        postgres.write("fault.conf", &format!("max_connections = {}\n", ordinary + 3)).unwrap();
        postgres.stop(Stop::Fast).unwrap();
        postgres.up().unwrap();
        shop
    }

    pub(crate) fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}:{PASSWORD}@127.0.0.1:{}/{database}", self.lab.postgres().port())
    }

    /// Writes `pgmedic.toml`: keys of the service, of its platform, and of its policy.
    pub(crate) fn configure(&self, keys: &str, platform: &str, policy: &str) {
        let platform =
            if platform.is_empty() { String::new() } else { format!("[service.platform]\n{platform}\n") };
        let text = format!(
            "[[service]]\nname = \"shop\"\ndatabase = \"{}\"\nrescue = \"{}\"\n{keys}\n{platform}[service.policy]\n{policy}\n",
            self.url(ROLE, DATABASE),
            self.url("rescue", "postgres"),
        );
        self.place.write("pgmedic.toml", &text);
    }

    /// The command, to be run or spawned.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let mut command = self.place.command(&["fix", "shop", "--stable", "300ms"]);
        command.args(more);
        command
    }

    /// `fix --yes --format json`.
    pub(crate) fn fix(&self, more: &[&str]) -> Ran {
        held(self.command(&["--yes", "--format", "json"]).args(more).output().unwrap().into())
    }

    /// What the record says.
    pub(crate) fn incidents(&self) -> Value {
        let ran = self.place.run(&["incidents", "list", "--format", "json"]);
        assert!(!ran.all().contains(PASSWORD), "{}", ran.all());
        ran.json()["incidents"].clone()
    }

    pub(crate) fn login(&self, application: &str, role: &str) -> Login {
        Login::of_api(self.lab.postgres()).named(application).by(role)
    }

    /// Sessions at rest.
    pub(crate) fn idle(&self, application: &str, role: &str, count: usize) -> Sessions {
        let login = self.login(application, role);
        // Somebody who has gone may still be seen in a slot: they are waited for.
        let open = || Ok(Sessions::open(self.lab.postgres(), &login, count).map_err(|e| e.to_string()));
        let sessions = wait::until("slots for all of them", Duration::from_secs(10), open).unwrap();
        sessions.run("select 1").unwrap();
        sessions
    }

    /// Sessions at work.
    pub(crate) fn busy(&self, application: &str, count: usize) -> Sessions {
        let sessions = Sessions::open(self.lab.postgres(), &self.login(application, ROLE), count).unwrap();
        sessions.begin("select pg_sleep(600)");
        sessions.wait_state("state = 'active'").unwrap();
        sessions
    }

    /// Who is there under a condition, whoever has not moved for the longest first.
    pub(crate) fn in_order(&self, condition: &str) -> Vec<Who> {
        let sql = format!(
            "select pid, backend_start from pg_stat_activity where backend_type in ('client backend', 'walsender') \
             and application_name not in ('lab', 'pgmedic') and ({condition}) order by state_change"
        );
        let rows = self.lab.postgres().sql(&sql).unwrap();
        rows.into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap())).collect()
    }

    pub(crate) fn there(&self, condition: &str) -> BTreeSet<Who> {
        self.in_order(condition).into_iter().collect()
    }
}

/// What the binary wrote shows no password, and its document is one and obeys its schema.
pub(crate) fn held(ran: Ran) -> Ran {
    assert!(!ran.all().contains(PASSWORD), "{}", ran.all());
    let document = ran.json();
    match document["schema"].as_str().unwrap() {
        "pgmedic.fix/1" => obeys("fix.schema.json", &document),
        _ => obeys("error.schema.json", &document),
    }
    ran
}

/// The sessions that the steps of a fix have ended.
pub(crate) fn ended(document: &Value) -> usize {
    let steps = document["steps"].as_array().unwrap().iter();
    let sessions = steps.filter_map(|step| step["sessions"].as_array()).flatten();
    sessions.filter(|s| s["terminated"] == true).count()
}

/// How the steps ended: remedy and outcome.
pub(crate) fn outcomes(document: &Value) -> Vec<(String, String)> {
    let steps = document["steps"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    steps.map(|step| (text(&step["remedy"]), text(&step["outcome"]))).collect()
}

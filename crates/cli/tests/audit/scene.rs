//! A lab with its `pgmedic.toml`, audits of it, and the script run by psql. Every document is held against its schema, and
//! everything that is written against the passwords.

use crate::reference;
use crate::support::{Place, Ran, obeys};
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE, Stop};
use pgmedic_lab::{Lab, Parts};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::process::Command;

/// A lab, and a folder with the configuration of the service `renderflow`.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) lab: Lab,
    /// A rescue role is configured.
    rescue: Cell<bool>,
    /// The settings that the server was last started with by [`Scene::restart_with`].
    settings: RefCell<String>,
}

impl Scene {
    pub(crate) fn new(parts: Parts) -> Self {
        let lab = Lab::build(parts).unwrap_or_else(|e| panic!("{e}"));
        let scene = Self { place: Place::new(), lab, rescue: Cell::new(true), settings: RefCell::default() };
        scene.configure("", ROLE, "");
        scene
    }

    /// Writes `pgmedic.toml`: keys of the service, who goes in, and `[service.budget]`.
    pub(crate) fn configure(&self, keys: &str, role: &str, budget: &str) {
        let port = self.lab.front_port();
        let direct = self.lab.postgres().port();
        let rescue = format!("rescue = \"postgres://rescue:{PASSWORD}@127.0.0.1:{direct}/postgres\"\n");
        let rescue = if self.rescue.get() { rescue.as_str() } else { "" };
        let text = format!(
            "[[service]]\nname = \"renderflow\"\ndatabase = \"postgres://{role}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}\"\n\
             {rescue}{keys}\n[service.budget]\n{budget}\n"
        );
        self.place.write("pgmedic.toml", &text);
    }

    /// SQL as the superuser.
    pub(crate) fn sql(&self, statement: &str) {
        self.lab.postgres().sql(statement).unwrap_or_else(|e| panic!("{e}"));
    }

    /// Moves WAL from beside the volume onto it.
    pub(crate) fn wal_onto_the_volume(&self) {
        let postgres = self.lab.postgres();
        postgres.stop(Stop::Fast).unwrap();
        let link = postgres.data().join("pg_wal");
        let beside = std::fs::read_link(&link).unwrap();
        std::fs::remove_file(&link).unwrap();
        let moved = Command::new("cp").arg("-a").args([&beside, &link]).status().unwrap();
        assert!(moved.success());
        postgres.up().unwrap();
    }

    /// Configures a rescue role from now on, or none.
    pub(crate) fn rescue(&self, there: bool) {
        self.rescue.set(there);
    }

    /// A setting of the whole server, reloaded.
    pub(crate) fn system(&self, setting: &str, value: &str) {
        self.sql(&format!("alter system set {setting} = '{value}'"));
        self.lab.postgres().reload().unwrap();
    }

    /// The rules of the reference, and more.
    pub(crate) fn hba(&self, more: &str) {
        self.lab.postgres().set_hba(&format!("{}{more}", reference::hba())).unwrap();
    }

    /// Puts back whatever a scene has changed.
    pub(crate) fn reset(&self) {
        let postgres = self.lab.postgres();
        self.sql("alter system reset all");
        let settings = self.settings.borrow().clone();
        self.restart_with(&settings);
        let slots = "select pg_drop_replication_slot(slot_name) from pg_replication_slots";
        postgres.sql(slots).unwrap();
        let role = "alter role renderflow nosuperuser connection limit 80 valid until 'infinity'; \
                    alter role renderflow set statement_timeout = '30s'; alter role renderflow set temp_file_limit = '5GB'";
        for statement in role.split("; ") {
            self.sql(statement);
        }
        self.hba("");
        self.configure("", "pgmedic", reference::BUDGET);
    }

    /// Starts the server with more settings, until [`Scene::reset`].
    pub(crate) fn restart_adding(&self, more: &str) {
        let settings = self.settings.borrow().clone();
        self.restart_with(&format!("{settings}{more}"));
        *self.settings.borrow_mut() = settings;
    }

    /// Writes settings, and starts the server with them.
    pub(crate) fn restart_with(&self, settings: &str) {
        settings.clone_into(&mut self.settings.borrow_mut());
        let postgres = self.lab.postgres();
        postgres.write("fault.conf", settings).unwrap();
        postgres.stop(Stop::Fast).unwrap();
        postgres.up().unwrap();
    }

    pub(crate) fn run(&self, more: &[&str]) -> Ran {
        let ran: Ran = self.place.command(&["audit", "renderflow"]).args(more).output().unwrap().into();
        assert!(!ran.all().contains(PASSWORD), "{}", ran.all());
        ran
    }

    /// The report as JSON.
    pub(crate) fn audit(&self, more: &[&str]) -> Value {
        let ran = self.run(&[&["--format", "json"], more].concat());
        let report = ran.json();
        obeys("audit.schema.json", &report);
        let exit = match report["status"].as_str().unwrap() {
            "ok" => 0,
            "warning" => 1,
            "critical" => 2,
            _ => 3,
        };
        assert_eq!(ran.exit, Some(exit), "{}", ran.all());
        report
    }

    /// Runs a script as the superuser, as a person would.
    pub(crate) fn psql(&self, script: &str) {
        let file = self.place.write("audit.sql", script);
        let postgres = self.lab.postgres();
        let ran = Command::new(postgres.program("psql").unwrap())
            .args(["-X", "-f", &file])
            .arg(format!("postgres://rescue:{PASSWORD}@127.0.0.1:{}/{DATABASE}", postgres.port()))
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}\n{script}", String::from_utf8_lossy(&ran.stderr));
    }
}

/// The ids of what was found.
pub(crate) fn found(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|f| f["weakness"].as_str().unwrap()).collect()
}

/// One finding.
pub(crate) fn finding<'r>(report: &'r Value, id: &str) -> &'r Value {
    let all = report["findings"].as_array().unwrap();
    all.iter().find(|f| f["weakness"] == id).unwrap_or_else(|| panic!("no {id} in {:?}", found(report)))
}

/// The undos of a script, last first.
pub(crate) fn undos(script: &str) -> String {
    let mut lines: Vec<&str> = script.lines().filter_map(|line| line.strip_prefix("-- undo: ")).collect();
    lines.reverse();
    format!("\\set ON_ERROR_STOP on\n{}\nselect pg_reload_conf();\n", lines.join("\n"))
}

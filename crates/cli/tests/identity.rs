//! The identity of a service's server, remembered by the real binary of a real Postgres.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod support;

use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE};
use pgmedic_lab::{Lab, Parts};
use std::os::unix::fs::PermissionsExt;
use support::{Place, Ran};

const FILE: &str = ".local/state/pgmedic/identity.json";
const ANOTHER: &str = "7412345678901234567";

/// A server, and a folder whose `pgmedic.toml` has it as the service `shop`.
struct Shop {
    place: Place,
    url: String,
    identifier: String,
    _lab: Lab,
}

impl Shop {
    fn new() -> Self {
        let lab = Lab::build(Parts::default()).unwrap_or_else(|e| panic!("{e}"));
        let url = format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{}/{DATABASE}", lab.postgres().port());
        let identifier = lab.postgres().value("select system_identifier from pg_control_system()").unwrap();
        let shop = Self { place: Place::new(), url, identifier, _lab: lab };
        shop.configure("");
        shop
    }

    fn configure(&self, more: &str) {
        let text = format!("[[service]]\nname = \"shop\"\ndatabase = \"{}\"\n{more}", self.url);
        self.place.write("pgmedic.toml", &text);
    }

    fn check(&self, more: &[&str]) -> Ran {
        self.place.run(&[&["check", "shop", "--format", "json"], more].concat())
    }

    fn remembered(&self) -> Option<String> {
        std::fs::read_to_string(self.place.path().join(FILE)).ok()
    }

    /// Has the file say that the service had another server.
    fn forge(&self) {
        let text = self.remembered().unwrap().replace(&self.identifier, ANOTHER);
        self.place.write(FILE, &text);
    }
}

fn causes(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|f| f["cause"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_server_is_remembered_at_first_sight_and_another_is_said_until_it_is_accepted() {
    let shop = Shop::new();
    let first = shop.check(&[]);
    assert_eq!((first.exit, first.stderr.as_str()), (Some(0), ""), "{}", first.stdout);
    assert!(shop.remembered().unwrap().contains(&shop.identifier));
    let mode =
        |path: &str| std::fs::metadata(shop.place.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(FILE), mode(".local/state/pgmedic")), (0o600, 0o700));
    assert!(!shop.remembered().unwrap().contains(PASSWORD));

    shop.forge();
    let forged = shop.remembered();
    let other = shop.check(&["--record", "night.json"]);
    assert_eq!((other.exit, causes(&other)), (Some(2), vec!["wrong-server".to_owned()]));
    assert_eq!(shop.remembered(), forged, "what is remembered is not given up by itself");

    let accepted = shop.check(&["--accept-identity"]);
    assert_eq!((accepted.exit, causes(&accepted).len()), (Some(0), 0));
    assert!(
        accepted.stderr.contains(&shop.identifier) && accepted.stderr.contains(ANOTHER),
        "{}",
        accepted.stderr
    );
    let after = shop.check(&[]);
    assert_eq!((after.exit, after.stderr.as_str()), (Some(0), ""));

    // A recording knows what was expected, on any machine, and its replay writes nothing.
    std::fs::remove_file(shop.place.path().join(FILE)).unwrap();
    let replayed = shop.place.run(&["check", "--replay", "night.json", "--format", "json"]);
    assert_eq!((replayed.exit, causes(&replayed)), (Some(2), vec!["wrong-server".to_owned()]));
    assert_eq!(shop.remembered(), None);
}

#[test]
fn only_services_of_a_configuration_are_remembered() {
    let shop = Shop::new();
    let bare = shop.place.run(&["check", &shop.url]);
    assert_eq!((bare.exit, shop.remembered()), (Some(0), None));
    let refused = shop.place.run(&["check", &shop.url, "--accept-identity"]);
    assert_eq!(refused.exit, Some(64));
    assert!(refused.stderr.contains("only a service of pgmedic.toml"), "{}", refused.stderr);
    let elsewhere = shop.place.path().join("elsewhere");
    let ran = shop.place.run_with(&[("PGMEDIC_STATE", elsewhere.to_str().unwrap())], &["check", "shop"]);
    assert_eq!((ran.exit, shop.remembered()), (Some(0), None));
    assert!(elsewhere.join("identity.json").is_file());
}

#[test]
fn a_pinned_server_goes_before_what_is_remembered() {
    let shop = Shop::new();
    shop.configure(&format!("system_identifier = \"{ANOTHER}\"\n"));
    let ran = shop.check(&[]);
    assert_eq!((ran.exit, causes(&ran)), (Some(2), vec!["wrong-server".to_owned()]));
    assert_eq!(shop.remembered(), None);
    let refused = shop.check(&["--accept-identity"]);
    assert_eq!(refused.exit, Some(64));
    assert!(refused.stderr.contains("pins the server"), "{}", refused.stderr);
    shop.configure(&format!("system_identifier = \"{}\"\n", shop.identifier));
    assert_eq!(shop.check(&[]).exit, Some(0));
}

#[test]
fn what_cannot_be_read_or_written_costs_a_word_and_not_the_diagnosis() {
    let shop = Shop::new();
    std::fs::create_dir_all(shop.place.path().join(".local/state/pgmedic")).unwrap();
    shop.place.write(FILE, "{ half of");
    let ran = shop.check(&[]);
    assert_eq!(ran.exit, Some(0));
    assert!(ran.stderr.contains("identity.json: cannot be read"), "{}", ran.stderr);
    assert_eq!(shop.remembered().as_deref(), Some("{ half of"), "it may be worth something to somebody");
    let no_folder = shop.place.write("a-file", "");
    let ran = shop.place.run_with(&[("PGMEDIC_STATE", no_folder.as_str())], &["check", "shop"]);
    assert_eq!(ran.exit, Some(0));
    assert!(!ran.stderr.is_empty());
}

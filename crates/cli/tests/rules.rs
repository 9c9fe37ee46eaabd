//! `pgmedic rules`: what it writes is taken by the real promtool, and fires, keeps quiet and resolves as the recorded series of
//! `tests/rules/*.yml` say. Each of those names in its first line the command whose rules it tests.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod support;

use std::path::Path;
use std::process::Command;
use support::Place;

/// What promtool says of a file in a folder.
fn promtool(place: &Place, arguments: &[&str]) -> Result<String, String> {
    let ran = Command::new("promtool").args(arguments).current_dir(place.path()).output();
    let ran = ran.expect("promtool: scripts/install-parts installs it");
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    if ran.status.success() { Ok(said) } else { Err(said) }
}

/// Writes the rules that a command line asks for.
fn write_rules(place: &Place, command: &str) {
    let configuration = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pgmedic.toml");
    std::fs::copy(configuration, place.path().join("services.toml")).unwrap();
    let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
    let ran = place.run(&[&arguments[..], &["--output", "rules.yml"]].concat());
    assert_eq!((ran.exit, ran.all().as_str()), (Some(0), ""), "{command}");
}

#[test]
fn each_alert_fires_keeps_quiet_and_resolves_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let mut fixtures: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    fixtures.sort();
    assert!(!fixtures.is_empty());
    for fixture in fixtures {
        let place = Place::new();
        let text = std::fs::read_to_string(&fixture).unwrap();
        let command = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap();
        write_rules(&place, command);
        place.write("test.yml", &text);
        if let Err(said) = promtool(&place, &["test", "rules", "test.yml"]) {
            panic!("{}\n{said}", fixture.display());
        }
    }
}

#[test]
fn promtool_takes_what_is_written_for_any_source_and_service() {
    for source in ["watch", "pool", "both"] {
        for whom in ["", "renderflow", "--config services.toml"] {
            for more in ["", "--scrape-interval 1m --pool 100% --failure-for 0s --connections 95%"] {
                let place = Place::new();
                let config = if whom == "renderflow" { "--config services.toml" } else { "" };
                write_rules(
                    &place,
                    &format!("pgmedic rules prometheus {whom} {config} --from {source} {more}"),
                );
                let said = promtool(&place, &["check", "rules", "rules.yml"]).unwrap();
                assert!(said.contains("SUCCESS"), "{said}");
            }
        }
    }
}

#[test]
fn every_page_that_an_alert_leads_to_is_there() {
    let place = Place::new();
    write_rules(&place, "pgmedic rules prometheus");
    let rules = std::fs::read_to_string(place.path().join("rules.yml")).unwrap();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let pages: Vec<&str> =
        rules.lines().filter_map(|line| line.split_once("/blob/main/docs/")).map(|(_, page)| page).collect();
    assert!(pages.len() > 10, "{rules}");
    for page in pages {
        let (file, anchor) =
            page.trim_end_matches('"').split_once('#').unwrap_or((page.trim_end_matches('"'), ""));
        // The cause that is filled in is one of those that every finding leads to.
        let file = file.replace("{{ $labels.cause }}", "unrecognised-failure");
        let text = std::fs::read_to_string(docs.join(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let has = text.lines().any(|line| {
            line.starts_with('#') && line.to_lowercase().replace([' ', '`'], "").ends_with(anchor)
        });
        assert!(anchor.is_empty() || has, "{file} has no heading {anchor}");
    }
}

#[test]
fn bad_usage_says_what_would_be_right() {
    let place = Place::new();
    place.write("services.toml", "[[service]]\nname = \"renderflow\"\ndatabase = \"env:DATABASE_URL\"\n");
    for (arguments, exit, said) in [
        ("rules", 64, "Usage: pgmedic rules"),
        ("rules nagios", 64, "nagios"),
        ("rules prometheus shop --config services.toml", 64, "no service \"shop\"; there is renderflow"),
        ("rules prometheus shop", 78, "pgmedic.toml: cannot be read"),
        ("rules prometheus --pool 0%", 64, "a share of 0% always fires"),
        ("rules prometheus --pool 9", 64, "write 20%"),
        ("rules prometheus --locks 0", 64, "--locks"),
        ("rules prometheus --full-soon 5h", 64, "no longer than --full-within"),
        ("rules prometheus --runbook-base wiki", 64, "begins with https://"),
        ("rules prometheus --api-label a-b", 64, "letters, digits and underscores"),
        ("rules grafana --scrape-interval 0s", 64, "longer than nothing"),
        ("rules grafana --output /nowhere/f.json", 64, "--output /nowhere/f.json: No such file"),
        ("rules grafana --output .", 64, "--output .: "),
    ] {
        let ran = place.run(&arguments.split(' ').collect::<Vec<_>>());
        assert_eq!((ran.exit, ran.stdout.as_str()), (Some(exit), ""), "{arguments}\n{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments}\n{}", ran.stderr);
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left behind");
}

/// The example's files are those that it says its commands wrote. `UPDATE_EXAMPLE=1` writes them anew.
#[test]
fn the_examples_rules_and_dashboard_are_what_is_written_for_its_configuration() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/renderflow");
    let place = Place::new();
    for name in ["pgmedic.toml", "pgmedic.host.toml"] {
        std::fs::copy(example.join(name), place.path().join(name)).unwrap();
    }
    for (command, file) in [
        ("rules prometheus renderflow", "alerts.yml"),
        ("rules prometheus renderflow --config pgmedic.host.toml", "alerts.yml"),
        ("rules grafana renderflow", "dashboard.json"),
    ] {
        let ran = place.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!((ran.exit, ran.stderr.as_str()), (Some(0), ""), "{command}");
        if std::env::var_os("UPDATE_EXAMPLE").is_some() {
            std::fs::write(example.join(file), &ran.stdout).unwrap();
        }
        let kept = std::fs::read_to_string(example.join(file)).unwrap_or_default();
        assert!(
            kept == ran.stdout,
            "{file} is not what `pgmedic {command}` writes: UPDATE_EXAMPLE=1 cargo test -p pgmedic --test rules"
        );
    }
    let said = Command::new("promtool")
        .args(["check", "config", "prometheus.yml"])
        .current_dir(&example)
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

//! What is asked for wrongly is refused before anything is looked at; each end has its exit code; no output, process list or
//! record shows a secret, also where something fails.

use crate::api::Api;
use crate::scene::{Shop, held};
use crate::support::{Place, Ran, closed_port, obeys};
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE};
use pgmedic_lab::wait;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn bad_usage_is_64_and_one_document() {
    let place = Place::new();
    place.write("pgmedic.toml", "[[service]]\nname = \"shop\"\ndatabase = \"postgres://u@127.0.0.1:1/d\"\n");
    for arguments in [
        &["fix", "shop", "--yes", "--allow", "nonsense"][..],
        &["fix", "shop", "--yes", "--allow", "sessions,nonsense"],
        &["fix", "shop", "--yes", "--only", "Not A Remedy"],
        &["fix", "shop", "--yes", "--only", ""],
        &["fix", "shop", "--yes", "--only", "nonsense"],
        &["fix", "shop"],
        &["fix", "shop", "--allow", "sessions"],
        &["fix", "nobody", "--yes"],
        &["fix", "shop", "--yes", "--plan"],
        &["fix", "shop", "--yes", "--stable", "5"],
    ] {
        let ran = place.run(arguments);
        assert_eq!((ran.exit, ran.stdout.as_str()), (Some(64), ""), "{arguments:?}: {}", ran.all());
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
        let json = place.run(&[arguments, &["--format", "json"]].concat());
        assert_eq!(
            (json.exit, &json.json()["exit"]),
            (Some(64), &64.into()),
            "{arguments:?}: {}",
            json.all()
        );
        obeys("error.schema.json", &json.json());
    }
    assert!(place.run(&["fix", "shop"]).stderr.contains("stdin is no terminal"));
    assert!(!place.path().join(".local/state/pgmedic/incidents").exists(), "nothing was written");
}

#[test]
fn a_broken_configuration_is_78_and_one_document() {
    let place = Place::new();
    place.write("pgmedic.toml", "[[service]]\nname = \"shop\"\ndatabas = 1\n");
    let ran = held(place.run(&["fix", "shop", "--yes", "--format", "json"]));
    assert_eq!(ran.exit, Some(78), "{}", ran.all());
}

#[test]
fn each_end_has_its_exit_code() {
    let shop = Shop::new();
    let well = shop.fix(&[]);
    assert_eq!((well.exit, &well.json()["incident"]), (Some(0), &serde_json::Value::Null), "{}", well.all());
    let api = Api::of(&shop, "");
    let forbidden = shop.fix(&["--allow", "sessions"]);
    assert_eq!(forbidden.exit, Some(1), "{}", forbidden.all());
    let planned = held(shop.place.run(&["fix", "shop", "--plan", "--format", "json"]));
    assert_eq!((planned.exit, api.count("restart_api")), (Some(1), 0), "{}", planned.all());
    let mended = shop.fix(&["--allow", "app-restart"]);
    assert_eq!((mended.exit, api.count("restart_api")), (Some(0), 1), "{}", mended.all());
    let human = shop.place.run(&["fix", "shop", "--yes"]);
    assert_eq!((human.exit, api.count("restart_api")), (Some(0), 1), "{}", human.all());
}

#[test]
fn one_that_fails_is_2() {
    let shop = Shop::new();
    let api = Api::of(&shop, "echo no such unit >&2; exit 5");
    let failed = shop.fix(&["--allow", "app-restart"]);
    assert_eq!((failed.exit, api.count("restart_api")), (Some(2), 1), "{}", failed.all());
    assert!(
        failed.json()["steps"][0]["detail"].as_str().unwrap().contains("no such unit"),
        "{}",
        failed.all()
    );
    let again = shop.fix(&["--allow", "app-restart"]);
    assert_eq!((again.exit, api.count("restart_api")), (Some(1), 1), "{}", again.all());
}

#[test]
fn a_command_that_is_not_there_is_refused_and_may_be_tried_again() {
    let shop = Shop::new();
    let api = Api::of(&shop, "");
    let nowhere = "kind = \"host\"\nrestart_api = [\"/nonexistent/restart\", \"hunter2-argument\"]";
    shop.configure(&api.key(), nowhere, "");
    let refused = shop.fix(&["--allow", "app-restart"]);
    assert_eq!(refused.exit, Some(1), "{}", refused.all());
    assert_eq!(refused.json()["steps"][0]["outcome"], "refused", "{}", refused.all());
    assert!(!refused.all().contains("hunter2"), "{}", refused.all());
    let commands = api.script("restart_api", "");
    shop.configure(&api.key(), &format!("kind = \"host\"\n{commands}"), "");
    let mended = shop.fix(&["--allow", "app-restart"]);
    assert_eq!((mended.exit, api.count("restart_api")), (Some(0), 1), "{}", mended.all());
    assert_eq!(shop.incidents().as_array().unwrap().len(), 1, "the same incident");
}

/// Every file below a folder, as text.
fn texts(folder: &std::path::Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => all += &texts(&path),
            false => all += &String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()),
        }
    }
    all
}

#[test]
fn no_secret_is_in_any_output_record_or_process_list() {
    let shop = Shop::new();
    let api = Api::of(
        &shop,
        &format!(
            "touch begun; while [ ! -e go ]; do sleep 0.02; done; echo '{PASSWORD} is what I was given; password={PASSWORD} postgres://u:{PASSWORD}@h/d'; exit 4"
        ),
    );
    let url = shop.url(ROLE, DATABASE);
    let mut command =
        shop.place.command(&["fix", &url, "--yes", "--allow", "app-restart", "--format", "json"]);
    let (_, ready) =
        api.key().split_once('"').map(|(a, b)| (a.to_owned(), b.trim_end_matches('"').to_owned())).unwrap();
    let bare = held(
        command
            .args(["--ready", &ready, "--rescue", &shop.url("rescue", "postgres")])
            .output()
            .unwrap()
            .into(),
    );
    assert_eq!(bare.exit, Some(1), "{}", bare.all());
    let mut fix = shop.command(&["--yes", "--allow", "app-restart", "--format", "json"]);
    let fix = fix.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait::until_true("the step", Duration::from_secs(10), || api.file("begun").exists()).unwrap();
    let shown = std::fs::read(format!("/proc/{}/cmdline", fix.id())).unwrap();
    assert!(!String::from_utf8_lossy(&shown).contains(PASSWORD));
    std::fs::write(api.file("go"), "").unwrap();
    let ran = held(fix.wait_with_output().unwrap().into());
    assert_eq!(ran.exit, Some(2), "{}", ran.all());
    for format in ["human", "json", "markdown"] {
        for what in [&["incidents", "list"][..], &["incidents", "show"]] {
            let shown = shop.place.run(&[what, &["--format", format]].concat());
            assert!(shown.exit == Some(0) && !shown.all().contains(PASSWORD), "{}", shown.all());
        }
    }
    let record = texts(&shop.place.path().join(".local/state/pgmedic"));
    assert!(record.contains("restart_api") && !record.contains(PASSWORD), "{record}");
    // Where nobody answers, and where the URL itself is wrong.
    for url in [
        format!("postgres://u:{PASSWORD}@127.0.0.1:{}/d", closed_port()),
        format!("postgres://u:{PASSWORD}@h:port/d"),
    ] {
        let failed: Ran = shop.place.run(&["fix", &url, "--yes", "--format", "json", "--timeout", "2s"]);
        assert!(failed.exit != Some(0) && !failed.all().contains(PASSWORD), "{}", failed.all());
    }
}

#[test]
fn a_database_whose_name_leaves_the_folder_does_not() {
    let shop = Shop::new();
    for name in ["a/b", "../../../escaped", "."] {
        shop.lab.postgres().sql(&format!("create database \"{name}\" connection limit 0")).unwrap();
        let quoted = name.replace('/', "%2F");
        let ran = shop.place.run(&[
            "fix",
            &shop.url(ROLE, &quoted),
            "--yes",
            "--format",
            "json",
            "--allow",
            "storage",
        ]);
        assert!(ran.json()["incident"].is_string(), "{name}: {}", ran.all());
    }
    let files = std::fs::read_dir(shop.place.path().join(".local/state/pgmedic/incidents")).unwrap();
    assert_eq!(files.count(), 3);
}

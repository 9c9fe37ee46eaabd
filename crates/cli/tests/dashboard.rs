//! `pgmedic rules grafana`: the document obeys what Grafana's page "Dashboard JSON model" demands, its rows stand in the order of
//! the path, and its queries are PromQL. That they return data: `examples/renderflow/tests/`. There is no Grafana to be had here.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use support::Place;

fn dashboard(arguments: &str) -> Value {
    let place = Place::new();
    place.write("services.toml", "[[service]]\nname = \"shop\"\ndatabase = \"postgres://h/d\"\n");
    let ran = place.run(&arguments.split(' ').collect::<Vec<_>>());
    assert_eq!((ran.exit, ran.stderr.as_str()), (Some(0), ""));
    ran.json()
}

const ALL: [&str; 4] = [
    "rules grafana --from watch",
    "rules grafana --from pool --api-label app",
    "rules grafana",
    "rules grafana shop --config services.toml",
];

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

#[test]
fn the_document_is_what_grafana_demands() {
    for arguments in ALL {
        let document = dashboard(arguments);
        assert_eq!((&document["id"], &document["uid"]), (&Value::Null, &"pgmedic".into()));
        assert!(number(&document["schemaVersion"]) >= 36, "Grafana 10 begins with 38 and migrates from 36");
        for list in ["panels", "tags", "links"] {
            assert!(document[list].is_array(), "{list}");
        }
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in document["panels"].as_array().unwrap() {
            assert!(ids.insert(number(&panel["id"])), "{arguments}: two panels have the id {}", panel["id"]);
            let at = |key: &str| number(&panel["gridPos"][key]);
            assert!(at("w") > 0 && at("h") > 0 && at("x") + at("w") <= 24, "{panel:#}");
            for cell in
                (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
            {
                assert!(taken.insert(cell), "{arguments}: {} lies on another panel", panel["title"]);
            }
            if panel["type"] != "row" {
                one_panel(panel);
            }
        }
    }
}

fn one_panel(panel: &Value) {
    let kind = panel["type"].as_str().unwrap();
    assert!(["timeseries", "stat", "state-timeline", "table"].contains(&kind), "{kind}");
    for text in ["title", "description"] {
        assert!(!panel[text].as_str().unwrap().is_empty(), "{panel:#}");
    }
    assert_eq!(panel["datasource"]["uid"], "${datasource}");
    let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array().unwrap();
    assert!(steps[0]["value"].is_null(), "the first step has no value: {panel:#}");
    let mut letters = BTreeSet::new();
    let targets = panel["targets"].as_array().unwrap();
    assert!(!targets.is_empty());
    for target in targets {
        assert_eq!(
            (&target["datasource"]["uid"], &target["datasource"]["type"]),
            (&"${datasource}".into(), &"prometheus".into())
        );
        assert!(letters.insert(target["refId"].as_str().unwrap()), "{panel:#}");
        assert!(!target["expr"].as_str().unwrap().is_empty());
    }
}

#[test]
fn the_rows_stand_in_the_order_of_the_path() {
    for (arguments, expected) in [
        (
            ALL[0],
            "What app: dns: network: proxy: tls: startup: admission: server: sessions: storage: pgmedic",
        ),
        (ALL[1], "app:"),
        (
            ALL[2],
            "What app: dns: network: proxy: tls: startup: admission: server: sessions: storage: pgmedic",
        ),
    ] {
        let document = dashboard(arguments);
        let rows = document["panels"].as_array().unwrap().iter().filter(|p| p["type"] == "row");
        let rows: Vec<&str> = rows.map(|p| p["title"].as_str().unwrap().split(' ').next().unwrap()).collect();
        assert_eq!(rows.join(" "), expected, "{arguments}");
    }
}

#[test]
fn the_variables_are_the_data_source_and_the_service() {
    for (arguments, kind, query) in [
        (ALL[0], "query", "label_values(pgmedic_service_up, service)"),
        (ALL[1], "query", "label_values(pg_pool_max, app)"),
        (ALL[3], "custom", "shop"),
    ] {
        let document = dashboard(arguments);
        let list = document["templating"]["list"].as_array().unwrap();
        assert_eq!((&list[0]["name"], &list[0]["type"]), (&"datasource".into(), &"datasource".into()));
        assert_eq!((&list[1]["name"], &list[1]["type"]), (&"service".into(), &kind.into()), "{arguments}");
        let asked = list[1]["query"]["query"].as_str().or(list[1]["query"].as_str());
        assert_eq!(asked, Some(query));
        assert_eq!(list[1]["multi"], true);
        let text = document.to_string();
        assert!(text.contains("=~\\\"$service\\\""), "a variable of several values is matched by =~");
    }
}

//! A list of machines, as instances.

use super::super::told::{ByHand, Check, CheckStatus, Instance, InstanceState};
use super::{exits, flycheck};
use crate::paste::argument;
use pgmedic_model::mask;
use serde_json::Value;

/// Machines that are told of.
const MOST: usize = 100;
/// Checks of one machine that are told of.
const MOST_CHECKS: usize = 16;
/// Characters of a check's output that are kept.
const OUTPUT: usize = 400;

/// The machines of a list that are the app's: not those of a release command or a console, and not what is destroyed.
pub(super) fn read(list: &[Value], app: &str) -> Vec<Instance> {
    list.iter()
        .filter(|machine| is_of_the_app(machine))
        .take(MOST)
        .map(|machine| instance(machine, app))
        .collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `config`, or what of it is known while the host cannot be reached.
fn config<'a>(machine: &'a Value, pointer: &str) -> Option<&'a Value> {
    ["config", "incomplete_config"].iter().find_map(|name| machine.get(*name)?.pointer(pointer))
}

fn is_of_the_app(machine: &Value) -> bool {
    let group = |key: &str| config(machine, &format!("/metadata/{key}")).and_then(Value::as_str);
    let passing = ["fly_app_release_command", "fly_app_test_machine_command", "fly_app_console"];
    machine.is_object()
        && !["destroyed", "destroying", "replaced"].contains(&text(machine, "state"))
        && !group("fly_process_group").is_some_and(|group| passing.contains(&group))
        && group("process_group") != Some("release_command")
}

fn instance(machine: &Value, app: &str) -> Instance {
    let id = mask::excerpt(text(machine, "id"), 64);
    let past = exits::read(items(machine, "events"));
    let word = mask::excerpt(text(machine, "state"), 40);
    let host = text(machine, "host_status");
    let unreachable = host == "unreachable";
    let mut remarks = Vec::new();
    if !["", "ok"].contains(&host) {
        remarks.push(format!("its host is {}", mask::excerpt(host, 40)));
    }
    if machine.get("cordoned").and_then(Value::as_bool) == Some(true) {
        remarks.push("cordoned: Fly's proxy sends it nothing".to_owned());
    }
    let broke = past.exit.as_ref().is_some_and(|exit| {
        !exit.requested && (exit.out_of_memory || exit.signal.is_some() || exit.code.is_some_and(|c| c != 0))
    });
    let checks: Vec<Raw<'_>> = items(machine, "checks").iter().filter_map(raw).take(MOST_CHECKS).collect();
    let image = machine.get("image_ref").map_or("", |image| text(image, "repository"));
    Instance {
        state: state(&word, broke),
        name: mask::excerpt(text(machine, "name"), 64),
        place: mask::excerpt(text(machine, "region"), 16),
        started_at: past.started_at,
        restarts: past.restarts,
        exit: past.exit,
        server: flycheck::read(&checks, image),
        checks: checks.iter().map(check).collect(),
        remarks,
        unreachable,
        by_hand: ByHand {
            look: format!("fly machine status {} -a {app}", argument(&id)),
            start: format!("fly machine start {} -a {app}", argument(&id)),
            restart: format!("fly machine restart {} -a {app}", argument(&id)),
        },
        word,
        id,
    }
}

/// Fly's word for a machine's state (docs, `machines/machine-states`). A machine that stopped with an error has failed.
fn state(word: &str, broke: bool) -> InstanceState {
    match word {
        "started" => InstanceState::Running,
        "starting" | "restarting" | "updating" | "replacing" | "migrating" => InstanceState::Starting,
        "stopping" | "suspending" => InstanceState::Stopping,
        "stopped" if broke => InstanceState::Failed,
        "created" | "stopped" | "suspended" => InstanceState::Stopped,
        "failed" | "launch_failed" => InstanceState::Failed,
        _ => InstanceState::Unknown,
    }
}

/// A check, as it came.
pub(super) struct Raw<'a> {
    pub(super) name: &'a str,
    pub(super) status: &'a str,
    pub(super) output: &'a str,
    pub(super) updated_at: Option<pgmedic_model::Timestamp>,
}

/// A check of a live list, which is an array of objects. What Fly adds for old clients' sake is left out.
fn raw(value: &Value) -> Option<Raw<'_>> {
    let name = text(value, "name");
    (!name.is_empty() && !name.starts_with("bg_deployments_compat")).then(|| Raw {
        name,
        status: text(value, "status"),
        output: text(value, "output"),
        updated_at: text(value, "updated_at").parse().ok(),
    })
}

fn check(raw: &Raw<'_>) -> Check {
    Check {
        name: mask::excerpt(raw.name, 64),
        status: match raw.status {
            "passing" => CheckStatus::Passing,
            "warning" => CheckStatus::Warning,
            "critical" => CheckStatus::Critical,
            _ => CheckStatus::Unknown,
        },
        output: mask::excerpt(raw.output, OUTPUT),
        updated_at: raw.updated_at,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::told::MemberRole;
    use super::*;
    use serde_json::json;

    fn machine() -> Value {
        json!({
            "id": "148e21e7c22d89", "name": "muddy-sun-1", "state": "started", "region": "ord",
            "image_ref": { "registry": "registry-1.docker.io", "repository": "flyio/postgres-flex", "tag": "15.8" },
            "config": { "metadata": { "fly_process_group": "app" }, "env": { "SECRET": "hunter2" } },
            "events": [{ "type": "start", "timestamp": 1_795_403_000_000_i64 }],
            "checks": [
                { "name": "role", "status": "passing", "output": "primary", "updated_at": "2026-11-23T03:12:00.123456789Z" },
                { "name": "bg_deployments_compat_1", "status": "passing", "output": "" },
                { "name": "vm", "status": "odd", "output": "password=hunter2" }
            ],
            "host_status": "ok", "cordoned": false
        })
    }

    #[test]
    fn a_machine_is_an_instance() {
        let mut cordoned = machine();
        cordoned["cordoned"] = json!(true);
        cordoned["host_status"] = json!("unreachable");
        let found = read(&[machine(), cordoned], "renderflow-db");
        let [one, two] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            (one.id.as_str(), one.state, one.place.as_str()),
            ("148e21e7c22d89", InstanceState::Running, "ord")
        );
        assert_eq!(one.server.role.as_ref().map(|r| r.value), Some(MemberRole::Primary));
        assert_eq!(one.checks.len(), 2);
        assert_eq!(one.checks[1].status, CheckStatus::Unknown);
        assert_eq!(one.by_hand.start, "fly machine start 148e21e7c22d89 -a renderflow-db");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        assert!(one.remarks.is_empty() && two.unreachable);
        assert_eq!(two.remarks, ["its host is unreachable", "cordoned: Fly's proxy sends it nothing"]);
    }

    #[test]
    fn a_machine_that_ended_by_itself_with_an_error_has_failed() {
        for (requested, code, state) in [
            (true, 0, InstanceState::Stopped),
            (true, 137, InstanceState::Stopped),
            (false, 0, InstanceState::Stopped),
            (false, 1, InstanceState::Failed),
        ] {
            let mut stopped = machine();
            stopped["state"] = json!("stopped");
            stopped["events"] = json!([{ "type": "exit", "timestamp": 9,
                "request": { "exit_event": { "exit_code": code, "requested_stop": requested } } }]);
            assert_eq!(read(&[stopped], "a")[0].state, state, "{requested} {code}");
        }
    }

    #[test]
    fn what_is_no_machine_of_the_app_is_left_out_and_what_is_odd_is_kept() {
        let mut release = machine();
        release["config"]["metadata"]["fly_process_group"] = json!("fly_app_release_command");
        let mut destroyed = machine();
        destroyed["state"] = json!("destroyed");
        assert!(read(&[release, destroyed, json!(7), json!("x"), Value::Null], "a").is_empty());
        let odd = json!({ "state": "teleporting", "checks": { "role": {} }, "events": null, "region": 4 });
        let found = read(&[json!({}), odd], "a");
        assert_eq!(found.iter().map(|i| i.state).collect::<Vec<_>>(), [InstanceState::Unknown; 2]);
    }
}

//! Show 4: the daemon is killed while a remedy is in hand. After its restart there is one incident, one action, one alert.

use crate::scene::Shop;
use crate::support::Place;
use pgmedic_lab::faults::server_down;
use pgmedic_lab::wait;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// A command that counts itself, waits to be let go, and leaves.
fn start_db(place: &Place) -> (String, PathBuf) {
    let folder = place.path().join("hands");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("start_db");
    let text = format!(
        "#!/bin/sh\ncd {}\necho begun >> count\nwhile [ ! -e go ]; do sleep 0.05; done\n",
        folder.display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (path.display().to_string(), folder)
}

#[test]
fn killed_in_the_midst_of_a_remedy_it_goes_on_with_one_incident_one_action_and_one_alert() {
    let shop = Shop::new();
    let (command, folder) = start_db(&shop.place);
    let data = shop.lab.postgres().data().display().to_string();
    let platform =
        format!("platform = {{ kind = \"host\", data_directory = \"{data}\", start_db = [\"{command}\"] }}");
    shop.configure(&platform, "auto = [\"db-restart\"]\ncooldown = \"0s\"", "");
    let count = || std::fs::read_to_string(folder.join("count")).unwrap_or_default().lines().count();
    let daemon = shop.watch();
    let down = server_down::inject(&shop.lab).unwrap();
    wait::until_true("the remedy in hand", Duration::from_secs(90), || count() == 1)
        .unwrap_or_else(|error| panic!("{error}\n{:#?}", daemon.lines()));
    let before = daemon.incidents("?state=open");
    drop(daemon);

    let again = shop.begin(&[]);
    again.wait_for("/ready");
    let incident = again.wait_incident("the act that was cut off", |i| {
        i["actions"].as_array().is_some_and(|a| {
            a.iter().any(|act| act["detail"].as_str().is_some_and(|d| d.contains("cut off")))
        })
    });
    assert_eq!(incident["id"], before[0]["id"], "the same incident goes on");
    // It has many looks' time to do it once more.
    let looks = || -> Vec<String> {
        again
            .page("/metrics")
            .lines()
            .filter(|l| l.starts_with("pgmedic_looks_total{"))
            .map(str::to_owned)
            .collect()
    };
    let from = looks();
    wait::until_true("more looks", Duration::from_secs(20), || looks() != from).unwrap();
    std::fs::write(folder.join("go"), "").unwrap();
    down.remove().unwrap();
    let closed = again.wait_incident("it closed", |i| i["id"] == incident["id"] && !i["closed_at"].is_null());
    assert_eq!(closed["actions"].as_array().unwrap().len(), 1, "{closed:#}");
    assert_eq!(count(), 1, "done once");
    let id = incident["id"].as_str().unwrap();
    let told = shop.receiver.told();
    let opened: std::collections::BTreeSet<_> = told
        .iter()
        .filter(|t| t.change == "opened" && t.incident["id"] == id)
        .map(|t| t.id.clone())
        .collect();
    assert_eq!(opened.len(), 1, "{:?}", shop.receiver.heads());
    let listed = shop.place.run(&["incidents", "list", "--format", "json"]).json();
    let steps: usize =
        listed["incidents"].as_array().unwrap().iter().map(|i| i["steps"].as_array().unwrap().len()).sum();
    assert_eq!(steps, 1, "{listed:#}");
}

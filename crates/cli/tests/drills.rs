//! Every drill through the real binary: a real part broken, its cause found, alone, and the part whole again.

mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

/// The binary on the lab's own terms: PATH and temp folder of this machine, none of its databases.
fn pgmedic(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgmedic"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        if name != "PGMEDIC_PG_BIN" {
            command.env_remove(name);
        }
    }
    let output = command.args(arguments).output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// One run proves both: each cause is found, alone; and each fault that can be mended is, by what must mend it, while
/// every other is left untouched with a command for a person, and no bystander is harmed.
#[test]
fn every_drill_that_can_be_mended_is_and_no_other_is_touched() {
    let (exit, stdout, stderr) = pgmedic(&["drill", "--all", "--fix", "--format", "json"]);
    let document: serde_json::Value =
        serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("no document: {e}\n{stdout}\n{stderr}"));
    support::obeys("drill.schema.json", &document);
    let drills = document["drills"].as_array().unwrap();
    let mut trouble = String::new();
    // On a machine that others use as well a part may be late: one that failed is tried once more, and it is said.
    let mut again = 0;
    for drill in drills.iter().filter(|d| d["status"] != "passed" && d["status"] != "needs-root") {
        let name = drill["drill"].as_str().unwrap();
        let told = format!("{name}: {}: {}", drill["status"], drill["detail"]);
        std::io::stderr().write_all(format!("drills: once more: {told}\n").as_bytes()).unwrap();
        again += 1;
        if again > 3
            || document_of(&["drill", name, "--fix", "--format", "json"])["drills"][0]["status"] != "passed"
        {
            writeln!(trouble, "{told}").unwrap();
        }
    }
    for drill in drills.iter().filter(|d| !d["report"].is_null()) {
        support::obeys("report.schema.json", &drill["report"]);
    }
    // The API is the one that ships, but where its defect is one that it has not; nothing else is a reason here.
    let apis = || drills.iter().map(|d| &d["api"]).filter(|api| !api.is_null());
    let hint = "cargo build --package renderflow";
    for api in apis().filter(|api| api["is"] != "renderflow") {
        let why = api["why"].as_str().unwrap();
        let no_root = why.starts_with("needs root: ") && !rustix::process::geteuid().is_root();
        assert!(no_root || why == "the API must do what renderflow does not", "{why}; {hint}");
    }
    let real = apis().filter(|api| api["is"] == "renderflow").count();
    assert!(real > 60, "{real} drills on renderflow");
    let fixes = drills.iter().filter(|d| d["status"] == "passed").map(|d| &d["fix"]);
    let (mended, left): (Vec<_>, Vec<_>) = fixes.partition(|fix| fix["expected"] == "recovers");
    assert!(mended.iter().all(|fix| fix["recovered"] == true && fix["right"] == true), "{mended:#?}");
    assert!(left.iter().all(|fix| fix["command"].as_str().is_some_and(|c| !c.is_empty())), "{left:#?}");
    let sum_of = |name: &str| -> u64 {
        mended.iter().chain(&left).map(|fix| fix[name].as_u64().expect("a count")).sum()
    };
    assert_eq!(sum_of("harm"), 0);
    assert!(sum_of("bystanders") > 2 * drills.len() as u64, "most faults leave them in");
    // Past the harness' capture: what the drills counted belongs to the last lines of every run.
    let count = |name: &str| document[name].as_u64().unwrap();
    let (passed, failed, root, missing) =
        (count("passed"), count("failed"), count("needs_root"), count("missing"));
    let sum = format!(
        "drills: {passed} passed ({} mended, {} left to a person, {} bystanders, {} harmed), {failed} failed, {root} need \
         root, {missing} need a program, {} skipped\n",
        mended.len(),
        left.len(),
        sum_of("bystanders"),
        sum_of("harm"),
        count("skipped")
    );
    std::io::stderr().write_all(sum.as_bytes()).unwrap();
    assert!(trouble.is_empty(), "\n{trouble}");
    assert_eq!(passed + root + again, drills.len() as u64);
    assert!(exit == Some(0) || again > 0, "{stderr}");
    // The lab's password is the API's, and stands in no report.
    assert!(!format!("{stdout}{stderr}").contains("only-for-the-lab"));
}

fn document_of(arguments: &[&str]) -> serde_json::Value {
    document(arguments).1
}

/// The document of one run of the binary.
fn document(arguments: &[&str]) -> (Option<i32>, serde_json::Value) {
    let (exit, stdout, stderr) = pgmedic(arguments);
    let document = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}\n{stdout}\n{stderr}"));
    support::obeys("drill.schema.json", &document);
    (exit, document)
}

#[test]
fn of_two_faults_at_once_each_is_found_or_the_one_that_hides_it() {
    let (exit, document) = document(&["drill", "slots-exhausted+wrong-password", "--format", "json"]);
    let pair = &document["pairs"][0];
    assert_eq!((exit, &pair["status"]), (Some(0), &"passed".into()), "{pair:#}");
    // Postgres asks for the password before it counts slots: full slots are seen behind it by a window, or not at all.
    let full = &pair["faults"][0];
    assert!(full["came_out"] == "root" || full["came_out"] == "hidden", "{pair:#}");
    assert_eq!(full["behind"].is_null(), full["came_out"] == "root", "{pair:#}");
    assert_eq!(pair["faults"][1]["came_out"], "root");
    support::obeys("report.schema.json", &pair["report"]);
}

#[test]
fn two_faults_that_take_the_same_are_said_to() {
    let (_, document) = document(&["drill", "name-not-found+resolver-failing", "--format", "json"]);
    let pair = &document["pairs"][0];
    assert_eq!(pair["status"], "apart");
    assert!(pair["detail"].as_str().unwrap().contains("what the DNS server serves"), "{pair:#}");
}

#[test]
fn a_healthy_service_under_load_raises_no_alarm() {
    let (exit, document) = document(&["drill", "--healthy", "80", "--format", "json"]);
    let rows = document["healthy"].as_array().unwrap();
    assert_eq!(rows.iter().filter_map(|row| row["checks"].as_u64()).sum::<u64>(), 80);
    for row in rows {
        assert_eq!(row["alarms"], serde_json::json!([]), "{row:#}");
        assert!(
            row["load"]["transactions"].as_u64() > Some(0) && row["load"]["logins"].as_u64() > Some(0),
            "{row:#}"
        );
    }
    assert_eq!(exit, Some(0));
}

#[test]
fn a_drill_that_is_not_there_is_bad_usage_and_names_the_nearest() {
    let (exit, stdout, stderr) = pgmedic(&["drill", "slots-exhaused"]);
    assert_eq!((exit, stdout.as_str()), (Some(64), ""));
    assert!(stderr.contains("slots-exhausted"), "{stderr}");
}

#[test]
fn the_list_says_what_each_drill_needs() {
    let (exit, stdout, _) = pgmedic(&["drill", "--list"]);
    assert_eq!(exit, Some(0));
    let disk = stdout.lines().find(|line| line.starts_with("disk-full ")).unwrap();
    assert!(disk.contains("root"), "{disk}");
}

/// An installed pgmedic has no renderflow beside it: it drills all the same, and says on what.
#[test]
fn without_renderflow_a_stand_in_is_drilled_on_and_that_is_said() {
    let run = |format: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgmedic"));
        command.env("PGMEDIC_RENDERFLOW", "/nowhere/renderflow");
        let output = command.args(["drill", "readiness-failing", "--format", format]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (exit, json) = run("json");
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    support::obeys("drill.schema.json", &document);
    let api = &document["drills"][0]["api"];
    assert_eq!((exit, &api["is"]), (Some(0), &"stand-in".into()), "{document:#}");
    assert!(api["why"].as_str().unwrap().contains("PGMEDIC_RENDERFLOW"), "{api}");
    let (_, human) = run("human");
    assert!(human.lines().any(|line| line.starts_with("api ") && line.contains("stand-in: ")), "{human}");
}

#[test]
fn a_missing_program_is_named_with_what_to_install() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgmedic"));
    command.env("PATH", "/nowhere").args(["drill", "pooler-paused", "--format", "json"]);
    let output = command.output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Daemons are looked for in /usr/sbin whatever PATH says; setpriv is in /usr/bin.
    assert_eq!(document["drills"][0]["status"], "missing-program", "{document:#}");
    assert!(document["drills"][0]["detail"].as_str().unwrap().contains("apt-get install"), "{document:#}");
    assert_eq!(output.status.code(), Some(1));
}

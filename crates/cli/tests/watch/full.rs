//! Show 2: every ordinary slot taken, and then every slot. The watch goes on seeing who holds them through its standing session,
//! and frees them where that is allowed. It never has more than two sessions itself.

use crate::stage::{Settings, Stage};
use crate::web::until;
use pgmedic_lab::api::Kind;
use pgmedic_lab::postgres::{PASSWORD, Postgres};
use pgmedic_lab::sessions::{Login, Sessions};
use pgmedic_lab::{Guard, Lab, LabError, Parts, faults};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PARTS: Parts =
    Parts { proxy: None, pooler: None, dns: false, api: Some(Kind::Renderflow), tls: false, volume_mb: None };

/// Counts pgmedic's sessions many times a second, from a session of its own that was there before the slots were taken.
struct Sampler {
    psql: Child,
    counts: PathBuf,
}

impl Sampler {
    fn start(postgres: &Postgres, folder: &Path) -> Self {
        let counts = folder.join("counts");
        let out = std::fs::File::create(&counts).unwrap();
        let url = format!("postgres://rescue@127.0.0.1:{}/postgres", postgres.port());
        let mut command = Command::new("psql");
        command
            .args(["-X", "-A", "-t", "-q", "-d", &url])
            .env("PGPASSWORD", PASSWORD)
            .env("PGAPPNAME", "sampler");
        let mut psql = command.stdin(Stdio::piped()).stdout(out).spawn().unwrap();
        let ours = "select count(*) filter (where application_name like 'pgmedic%'), count(*) from pg_stat_activity \
                    where backend_type = 'client backend' \\watch 0.02\n";
        psql.stdin.as_mut().unwrap().write_all(ours.as_bytes()).unwrap();
        let sampler = Self { psql, counts };
        until("a first count", String::new, || (!sampler.counts().is_empty()).then_some(()));
        sampler
    }

    /// pgmedic's sessions and all of them, in each sample.
    fn counts(&self) -> Vec<(u32, u32)> {
        let text = std::fs::read_to_string(&self.counts).unwrap();
        let pair = |line: &str| {
            let (ours, all) = line.trim().split_once('|')?;
            Some((ours.parse().ok()?, all.parse().ok()?))
        };
        text.lines().filter_map(pair).collect()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        // It may have ended with its server.
        let _ended = self.psql.kill();
        let _waited = self.psql.wait();
    }
}

/// Takes every ordinary slot but the standing session's. A walk of pgmedic's may have the last one for a moment: it is taken as
/// soon as that is gone.
pub(crate) fn take_all(lab: &Lab) -> Result<Guard, LabError> {
    let (guard, postgres, mut more) = (faults::slots_exhausted::inject(lab)?, lab.postgres(), Vec::new());
    let others = "select count(*) from pg_stat_activity where backend_type = 'client backend' \
                  and application_name not like 'pgmedic%' and application_name <> 'lab'";
    until("97 sessions", String::new, || {
        more.push(Sessions::fill(postgres, &Login::of_api(postgres)));
        (postgres.value(others).ok()? == "96").then_some(())
    });
    Ok(guard.and_holding(more))
}

#[test]
fn with_97_of_97_slots_taken_it_sees_who_holds_them_and_frees_them() {
    full("slots-exhausted", take_all);
}

#[test]
fn with_all_100_slots_taken_it_sees_who_holds_them_and_frees_them() {
    full("all-slots-exhausted", faults::all_slots_exhausted::inject);
}

fn full(cause: &str, inject: fn(&Lab) -> Result<Guard, LabError>) {
    let settings = Settings { auto: "[\"sessions\"]", policy: "cooldown = \"0s\"", ..Settings::default() };
    let stage = Stage::build(PARTS, settings);
    let postgres = stage.lab.postgres();
    let sampler = Sampler::start(postgres, stage.place.path());
    // So that there is time to look.
    let paused = stage.place.run(&["pause", "renderflow", "--for", "1h", "--reason", "to look"]);
    assert_eq!(paused.exit, Some(0), "{}", paused.all());
    let workers = Sessions::open(postgres, &Login::of_api(postgres).named("worker"), 30).unwrap();
    let guard = inject(&stage.lab).unwrap();
    let mut more = Vec::new();
    if cause == "all-slots-exhausted" {
        let admin = Login::of_api(postgres).by("rescue").named("admin-tool");
        // A walk of pgmedic's may have had the last slot for a moment.
        until("100 sessions", String::new, || {
            more.push(Sessions::fill(postgres, &admin).unwrap());
            std::thread::sleep(Duration::from_millis(50));
            sampler.counts().last().filter(|(ours, all)| (*ours, *all) == (1, 100)).copied()
        });
    }
    let root = sees(&stage, cause);
    println!("\n{cause}: {}", root["summary"].as_str().unwrap());
    for fact in root["evidence"].as_array().unwrap() {
        println!("    {}", fact["fact"].as_str().unwrap());
    }
    until("an incident", || stage.log(), || (stage.criticals() == [cause]).then_some(()));
    assert!(stage.acts().is_empty(), "paused: {}", stage.log());

    let begun = Instant::now();
    let resumed = stage.place.run(&["resume", "renderflow"]);
    assert_eq!(resumed.exit, Some(0), "{}", resumed.all());
    let ready = stage.ready();
    stage.resolved();
    let acts = stage.acts();
    assert_eq!(acts.len(), 1, "{acts:#?}");
    assert_eq!(
        (&acts[0]["remedy"], &acts[0]["outcome"]),
        (&"terminate-idle-sessions".into(), &"applied".into())
    );
    println!(
        "    -> {}; ready 200 {:?} after it was allowed",
        acts[0]["detail"].as_str().unwrap(),
        ready - begun
    );
    drop((guard, more, workers));
    stage.quiet();
    let counts = sampler.counts();
    let most = counts.iter().map(|(ours, _)| *ours).max().unwrap();
    println!("    pgmedic's own sessions in {} samples: at most {most}", counts.len());
    assert!(most <= 2, "{counts:?}");
    assert_eq!(stage.criticals(), [cause]);
}

/// The root of the service's report, once it names both holders with their counts.
fn sees(stage: &Stage, cause: &str) -> Value {
    let root = || {
        let report = stage.api("/api/v1/services/renderflow/report");
        let findings = report["findings"].as_array()?.clone();
        let root = findings.into_iter().find(|f| f["role"] == "root" && f["cause"] == cause)?;
        let facts: Vec<_> = root["evidence"].as_array()?.iter().filter_map(|f| f["fact"].as_str()).collect();
        let says = |of: &str| facts.iter().any(|fact| fact.contains(of));
        let all = if cause == "slots-exhausted" { "97 of 97 " } else { "100 of 100 " };
        let full = root["summary"].as_str()?.starts_with(all);
        (full && says(" by renderflow-api, idle") && says("30 by worker")).then_some(root)
    };
    until("who holds the slots", || stage.api("/api/v1/services/renderflow/report").to_string(), root).0
}

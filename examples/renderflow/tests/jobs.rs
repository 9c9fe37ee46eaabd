//! Jobs over HTTP on a real Postgres: created, listed, claimed exactly once, finished; what is refused, and how.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use support::{Api, lab, request, url};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn each_job_is_claimed_by_exactly_one_of_twenty_workers() {
    const JOBS: usize = 200;
    let lab = lab();
    let api = Api::start(&url(&lab));
    api.wait_ready(200, SOON);
    lab.postgres()
        .sql_in(
            "renderflow",
            &format!(
                "insert into render_jobs (scene, frames) select 'scene ' || n, 1 from generate_series(1, {JOBS}) n"
            ),
        )
        .unwrap();
    let at = api.at;
    let worker = |name: String| {
        move || {
            let mut claimed = Vec::new();
            loop {
                let answer = request(at, "POST", "/api/v1/jobs/claim", Some(&json!({ "worker": name })));
                match answer.status {
                    204 => return claimed,
                    200 => {
                        let job = answer.json();
                        assert_eq!((&job["worker"], &job["state"]), (&json!(name), &json!("rendering")));
                        claimed.push(job["id"].as_i64().unwrap());
                    }
                    status => panic!("{status}: {}", answer.body),
                }
            }
        }
    };
    let workers: Vec<_> = (0..20).map(|n| std::thread::spawn(worker(format!("w{n}")))).collect();
    let claimed: Vec<Vec<i64>> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    let all: Vec<i64> = claimed.concat();
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (JOBS, JOBS), "{claimed:?}");
    assert!(claimed.iter().filter(|of_one| !of_one.is_empty()).count() > 1, "they worked side by side");
    let used = lab
        .postgres()
        .value("select count(*) from pg_stat_activity where application_name = 'renderflow-api'")
        .unwrap();
    assert!(used.parse::<u32>().unwrap() <= 10, "{used}");
}

#[test]
fn a_job_is_created_listed_claimed_and_finished_by_its_worker_alone() {
    let lab = lab();
    let api = Api::start(&url(&lab));
    api.wait_ready(200, SOON);
    let created = api.post("/api/v1/jobs", &json!({ "scene": "harbour", "frames": 240 }));
    assert_eq!(created.status, 201);
    let job = created.json();
    assert_eq!(
        (&job["state"], &job["worker"], &job["frames"]),
        (&json!("queued"), &Value::Null, &json!(240))
    );
    let at = job["created_at"].as_str().unwrap();
    assert!(at.len() == 24 && at.ends_with('Z'), "{at}");
    let id = job["id"].as_i64().unwrap();
    api.post("/api/v1/jobs", &json!({ "scene": "tower", "frames": 1 }));

    let listed = |query: &str| -> Vec<i64> {
        let list = api.get(&format!("/api/v1/jobs{query}")).json();
        list.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(listed(""), [id, id + 1]);
    assert_eq!(listed(&format!("?after={id}")), [id + 1]);
    assert_eq!(listed("?state=queued&limit=1"), [id]);
    assert!(listed("?state=done").is_empty());

    assert_eq!(
        api.post("/api/v1/jobs/claim", &json!({ "worker": "w1" })).json()["id"],
        id,
        "the oldest first"
    );
    let finish = |who: &str, id: i64, outcome: &str| {
        let body = json!({ "worker": who, "outcome": outcome, "output": "s3://frames/1" });
        api.post(&format!("/api/v1/jobs/{id}/finish"), &body)
    };
    let other = finish("w2", id, "done");
    assert_eq!(
        (other.status, other.json()["error"].as_str().unwrap()),
        (409, &*format!("job {id} is rendering, and not w2's to finish"))
    );
    assert_eq!(finish("w1", id, "done").json()["state"], "done");
    // The answer was lost, and the worker says it again; it cannot change its mind.
    assert_eq!(finish("w1", id, "done").status, 200);
    assert_eq!(finish("w1", id, "failed").status, 409);
    assert_eq!(finish("w1", 999, "done").status, 404);

    // A worker that is gone: its lease ends, and another has the job.
    assert_eq!(api.post("/api/v1/jobs/claim", &json!({ "worker": "w1" })).json()["id"], id + 1);
    assert_eq!(api.post("/api/v1/jobs/claim", &json!({ "worker": "w2" })).status, 204);
    lab.postgres()
        .sql_in(
            "renderflow",
            "update render_jobs set leased_until = now() - interval '1 s' where state = 'rendering'",
        )
        .unwrap();
    assert_eq!(api.post("/api/v1/jobs/claim", &json!({ "worker": "w2" })).json()["id"], id + 1);
    assert_eq!(finish("w1", id + 1, "done").status, 409);
}

#[test]
fn what_is_wrong_is_refused_with_the_status_that_says_whose_mistake_it_is() {
    let lab = lab();
    let api = Api::start(&url(&lab));
    api.wait_ready(200, SOON);
    for (path, body, status, said) in [
        ("/api/v1/jobs", json!({ "scene": "", "frames": 1 }), 422, "23514"),
        ("/api/v1/jobs", json!({ "scene": "a", "frames": 0 }), 422, "23514"),
        ("/api/v1/jobs", json!({ "scene": "a" }), 422, "frames"),
        ("/api/v1/jobs", json!({ "scene": "a", "frames": 1, "priority": 9 }), 422, "priority"),
        ("/api/v1/jobs/claim", json!({ "worker": "" }), 204, ""),
        ("/api/v1/jobs/1/finish", json!({ "worker": "w", "outcome": "lost" }), 422, "lost"),
        ("/api/v1/jobs/x/finish", json!({ "worker": "w", "outcome": "done" }), 400, ""),
    ] {
        let answer = api.post(path, &body);
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
        assert!(answer.body.contains(said), "{path} {body}: {}", answer.body);
    }
    assert_eq!(api.get("/api/v1/jobs?limit=many").status, 400);
    assert_eq!(api.get("/api/v2/jobs").status, 404);
    assert!(!api.log.text().contains("ERROR"), "a client's mistake is not the API's: {}", api.log.text());
}

#[test]
fn five_instances_that_start_at_once_migrate_once() {
    let lab = lab();
    let url = url(&lab);
    let instances: Vec<_> = (0..5).map(|_| Api::start(&url)).collect();
    for api in &instances {
        api.wait_ready(200, SOON);
    }
    let applied =
        instances.iter().filter(|api| api.log.text().contains("migration applied: 0001_render_jobs")).count();
    let noted = lab.postgres().sql_in("renderflow", "select name from migrations").unwrap();
    assert_eq!((applied, noted.len()), (1, 1));
}

#[test]
fn an_older_release_does_not_serve_on_a_newer_schema() {
    let lab = lab();
    let newer =
        "create table migrations (name text primary key, applied_at timestamptz not null default now());
                 alter table migrations owner to renderflow;
                 insert into migrations (name) values ('0002_priorities')";
    lab.postgres().sql_in("renderflow", newer).unwrap();
    let api = Api::start(&url(&lab));
    api.wait_logged("does not know: it is older than the schema");
    assert_eq!(api.get("/api/v1/ready").status, 503);
    assert_eq!(api.log.text().matches("older than the schema").count(), 1, "once, not at each try");
}

//! What each route answers.

use super::*;

#[test]
fn docs_openapi_is_what_the_table_of_routes_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&openapi()).unwrap());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let there = std::fs::read_to_string(path).unwrap();
    assert!(
        there == text,
        "docs/openapi.json differs: UPDATE_DOCS=1 cargo test -p pgmedic-watch --lib docs_"
    );
}

#[test]
fn every_reference_of_the_document_leads_somewhere_and_its_schemas_can_fail() {
    fn references(value: &Value, to: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                to.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|v| references(v, to));
            }
            Value::Array(list) => list.iter().for_each(|v| references(v, to)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    references(&DOCUMENT, &mut all);
    assert!(all.len() > 100);
    for reference in all {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(DOCUMENT.pointer(pointer).is_some(), "{reference}");
    }
    for name in [
        "Service",
        "Services",
        "Report",
        "Incident",
        "Incidents",
        "Looks",
        "Done",
        "Error",
        "Health",
        "Ready",
    ] {
        assert!(
            !complaints(&format!("#/components/schemas/{name}"), &json!({ "schema": "x" })).is_empty(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn health_is_the_loop_and_ready_is_that_every_service_was_looked_at() {
    let server = serve(false).await;
    let starting = server.get("/health").await;
    assert_eq!((starting.status, starting.json()["status"].clone()), (503, json!("starting")));
    server.board.beat();
    assert_eq!(server.get("/health").await.status, 200);
    assert_eq!(server.get("/ready").await.status, 200);
    server.board.state().services.insert(Arc::from("new"), crate::board::Patient::default());
    let ready = server.get("/ready").await;
    assert_eq!((ready.status, ready.json()["looked_at"].clone()), (503, json!(20)));
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_has_not_gone_round_for_ten_seconds_hangs() {
    let board = Board::default();
    board.beat();
    let server = Server::new(Config::default(), board, Arc::new(Fake::default()), Arc::new(Fake::default()));
    let shared = server.shared("127.0.0.1:1".parse().unwrap()).unwrap();
    let query = query::Query::read("", &[]).unwrap();
    tokio::time::advance(answers::BEAT_WITHIN).await;
    assert!(format!("{:?}", shared.answer(routes::Id::Health, "", &query).await).contains("alive"));
    tokio::time::advance(Duration::from_millis(2)).await;
    assert!(format!("{:?}", shared.answer(routes::Id::Health, "", &query).await).contains("hung"));
}

#[tokio::test]
async fn each_route_that_reads_answers_its_document() {
    let server = serve(false).await;
    let services = server.get("/api/v1/services").await.json();
    assert_eq!(services["services"].as_array().map(Vec::len), Some(20));
    assert_eq!(services["services"][0]["roots"][0]["cause"], "slots-exhausted");
    let critical = server.get("/api/v1/services?status=critical").await.json();
    assert_eq!(critical["services"].as_array().map(Vec::len), Some(2));
    let service = server.get("/api/v1/services/service-0000").await.json();
    assert_eq!((service["rooms"].as_array().map(Vec::len), service["looks"].clone()), (Some(10), json!(1)));
    assert_eq!(service["volumes"][0]["free_bytes"], 40_u64 << 30);
    let report = server.get("/api/v1/services/service-0000/report").await.json();
    assert_eq!((&report["schema"], &report["status"]), (&json!("pgmedic.report/1"), &json!("critical")));
    assert_eq!(server.get("/api/v1/services/service-0000/report?kind=walk").await.status, 200);
    let looks =
        server.get("/api/v1/services/service-0000/looks?limit=2&since=2026-11-23T00:00:00Z").await.json();
    assert_eq!(looks["looks"].as_array().map(Vec::len), Some(2));
    let open = server.get("/api/v1/incidents?state=open&service=service-0000&limit=5").await.json();
    assert_eq!(open["incidents"].as_array().map(Vec::len), Some(1));
    assert_eq!(open["incidents"][0]["report"], Value::Null);
    assert_eq!(
        server.get("/api/v1/incidents?state=closed").await.json()["incidents"].as_array().map(Vec::len),
        Some(1)
    );
    let incident = server.get("/api/v1/incidents/20261122T000000-service-0001").await.json();
    assert_eq!(incident["report"]["schema"], "pgmedic.report/1");
    assert_eq!(server.get("/api/v1/openapi.json").await.json(), *DOCUMENT);
    assert!(server.get("/metrics").await.body.contains("pgmedic_service_up{service=\"service-0001\"} 1\n"));
}

#[tokio::test]
async fn orders_reach_whoever_acts_and_say_what_was_done() {
    let server = serve(true).await;
    let id = "20261123T031209-service-0000";
    let approve = format!("/api/v1/incidents/{id}/approve");
    let body = r#"{"remedy":"terminate-idle-sessions","service":"service-0000","by":"ann\u0007"}"#;
    let done = server.post(&approve, body).await;
    assert_eq!(done.status, 202);
    assert_eq!(
        server
            .post("/api/v1/services/service-0003/pause", r#"{"until":"2999-01-01T00:00:00Z"}"#)
            .await
            .status,
        200
    );
    assert_eq!(server.post("/api/v1/services/service-0003/resume", "").await.status, 200);
    assert_eq!(server.post("/api/v1/pause", "{}").await.status, 200);
    assert_eq!(server.post("/api/v1/resume", r#"{"by":" "}"#).await.status, 200);
    let reload = server.post("/api/v1/reload", "").await;
    assert_eq!(reload.status, 422);
    assert!(reload.body.contains("pgmedic.toml:3:1"));
    let expected = [
        format!("approve {id} Some(\"service-0000\") terminate-idle-sessions by ann"),
        "pause Service(\"service-0003\") Some(Timestamp(32472144000000)) by api".to_owned(),
        "resume Service(\"service-0003\") by api".to_owned(),
        "pause All None by api".to_owned(),
        "resume All by api".to_owned(),
        "reload by api".to_owned(),
    ];
    assert_eq!(server.orders(), expected);
}

#[tokio::test]
async fn an_order_that_does_not_fit_is_refused_with_what_to_do() {
    let server = serve(true).await;
    let open = "/api/v1/incidents/20261123T031209-service-0000/approve";
    for (status, target, body) in [
        (409, open, r#"{"remedy":"no-such-remedy"}"#),
        (400, open, r#"{"remedy":"x","service":"service-0005"}"#),
        (400, open, "{}"),
        (409, "/api/v1/incidents/20261122T000000-service-0001/approve", r#"{"remedy":"x"}"#),
        (404, "/api/v1/incidents/none/approve", r#"{"remedy":"x"}"#),
        (404, "/api/v1/services/none/pause", "{}"),
        (400, "/api/v1/pause", r#"{"until":"2999-01-01T00:00:00Z","for_s":5}"#),
        (400, "/api/v1/pause", r#"{"until":"2001-01-01T00:00:00Z"}"#),
        (400, "/api/v1/pause", r#"{"for_s":0}"#),
        (400, "/api/v1/pause", r#"{"until":"hunter2-s3cret"}"#),
        (400, "/api/v1/pause", r#"{"typo":1}"#),
        (400, "/api/v1/pause", "[1"),
        (400, "/api/v1/pause", "\"hunter2-s3cret\""),
    ] {
        let answer = server.post(target, body).await;
        assert_eq!(answer.status, status, "{target} {body}: {answer:?}");
        assert!(!answer.body.contains("hunter2"), "what was sent by mistake is not repeated: {answer:?}");
    }
    assert_eq!(server.orders().len(), 1, "{:?}", server.orders());
}

#[tokio::test]
async fn a_wrong_address_method_or_type_is_told_what_would_be_right() {
    let server = serve(true).await;
    for target in [
        "/",
        "/api/v1/nothing",
        "/api/v1/services/none",
        "/api/v1/incidents/none",
        "/api/v2/services",
        "/metrics/",
    ] {
        assert_eq!(server.get(target).await.status, 404, "{target}");
    }
    assert!(server.get("/api/v1/services/servce-0007").await.body.contains("is it service-0007"));
    for (method, target, allow) in [
        ("DELETE", "/api/v1/services", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("OPTIONS", "/api/v1/pause", "POST"),
        ("GET", "/api/v1/pause", "POST"),
        ("PUT", "/api/v1/services/service-0000/pause", "POST"),
        ("TRACE", "/health", "GET, HEAD"),
    ] {
        let answer = server.ask(method, target, "", "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {target}");
    }
    for target in ["/api/v1/services", "/metrics", "/health"] {
        assert_eq!(server.ask("GET", target, "Accept: image/png\r\n", "").await.status, 406, "{target}");
    }
    for target in [
        "/api/v1/incidents?limit=0",
        "/api/v1/incidents?limit=1001",
        "/api/v1/incidents?state=ajar",
        "/api/v1/incidents?stat=open",
        "/api/v1/incidents?limit=1&limit=2",
        "/api/v1/services/service-0000/looks?since=yesterday",
        "/api/v1/services/%FF%FE",
        "/api/v1/incidents?service=%C3%28",
    ] {
        assert_eq!(server.get(target).await.status, 400, "{target}");
    }
    let head = server.ask("HEAD", "/metrics", "", "").await;
    assert!(head.status == 200 && head.header("content-length").unwrap().parse::<u64>().unwrap() > 10_000);
}

#[tokio::test]
async fn a_body_is_json_of_a_bounded_length() {
    let server = serve(true).await;
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json; charset=latin1\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
    ] {
        let answer = server.ask("POST", "/api/v1/pause", &format!("{token}{kind}"), "{}").await;
        assert_eq!(answer.status, 415, "{kind}");
    }
    let json = format!("{token}Content-Type: Application/JSON; charset=UTF-8\r\n");
    assert_eq!(server.ask("POST", "/api/v1/pause", &json, "{}").await.status, 200);
    let long = " ".repeat(request::BODY + 1);
    assert_eq!(server.ask("POST", "/api/v1/pause", &json, &long).await.status, 413);
    let chunk = format!("{:x}\r\n{}\r\n", long.len(), long);
    let chunked = format!(
        "POST /api/v1/pause HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{json}Transfer-Encoding: chunked\r\n\r\n{chunk}",
        server.at
    );
    assert_eq!(Answered::read(&server.raw(chunked.as_bytes()).await).status, 413);
    assert_eq!(server.orders().len(), 1);
}

#[tokio::test]
async fn what_scrapes_is_given_the_format_that_it_likes() {
    let server = serve(false).await;
    let text = server.get("/metrics").await;
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let open = server
        .ask("GET", "/metrics", "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n", "")
        .await;
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(open.body.ends_with("# EOF\n"));
}

#[tokio::test(start_paused = true)]
async fn history_that_hangs_is_given_up_with_503() {
    let server = serve_with(
        Config::default(),
        fixture::board(1),
        Fake { hangs: true, ..Fake::default() },
        "127.0.0.1:0",
    )
    .await;
    let answer = server.get("/api/v1/services/service-0000/looks").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
}

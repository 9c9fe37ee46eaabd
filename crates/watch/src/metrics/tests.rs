//! The page as a whole: what is on it, what promtool and Prometheus say of it, what hostile names do to it, what it takes.

use super::*;
use crate::board::Board;
use crate::fixture::{AT, board, evidence, exhausted, facts, incident, of, seen};
use crate::seen::Kind;
use pgmedic_model::Timestamp;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

fn page(board: &Board) -> String {
    render(&board.state(), Format::Text)
}

fn samples<'p>(page: &'p str, of: &str) -> Vec<&'p str> {
    page.lines().filter(|l| l.starts_with(&format!("{of}{{")) || l.starts_with(&format!("{of} "))).collect()
}

fn promtool(page: &str) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.success(), said)
}

/// A board on which every family has a sample.
fn full() -> Board {
    let board = board(3);
    let mut evidence = evidence("standby", Some(facts()));
    let pgmedic_path::Seen::Seen(host) = &mut evidence.host else { unreachable!() };
    host.volumes[0].held = vec![("pg_wal".to_owned(), 5)];
    let pool = pgmedic_path::rooms::proxy::evidence::PoolRow { cl_waiting: 2, ..Default::default() };
    evidence.pooler = pgmedic_path::Seen::Seen(pgmedic_path::rooms::proxy::evidence::PoolerEvidence {
        pools: vec![pool],
        ..Default::default()
    });
    let pgmedic_path::Seen::Seen(api) = &mut evidence.app.metrics else { unreachable!() };
    (api.size, api.idle, api.timeouts_total) = (Some(10.0), Some(0.0), Some(7.0));
    let Some(pgmedic_path::evidence::QueryEvidence {
        outcome: pgmedic_path::evidence::QueryOutcome::Answered(facts),
        ..
    }) = &mut evidence.front.query
    else {
        unreachable!()
    };
    (facts.server.replay_lag_ms, facts.server.oldest_xid) =
        (Some(1500.0), Some(("renderflow".to_owned(), 5)));
    for n in 0..100 {
        let pgmedic_path::Seen::Seen(host) = &mut evidence.host else { unreachable!() };
        host.volumes[0].available_bytes -= 50 << 20;
        board.saw(of(evidence.clone(), Kind::Walk, n * 5, Vec::new()));
    }
    let mut state = board.state();
    let own = &mut state.own;
    own.remedies.insert(("slots-exhausted".into(), "terminate-idle-sessions".into(), "applied".into()), 1);
    own.requests.insert(("/metrics", 200), 1);
    own.alerts.insert(("alertmanager", "sent"), 2);
    drop(state);
    board
}

#[test]
fn promtool_accepts_the_page_and_every_family_of_the_table_is_on_it_with_samples() {
    let board = full();
    let page = page(&board);
    let (accepted, said) = promtool(&page);
    assert!(accepted && said.is_empty(), "{said}");
    for family in ALL {
        let suffix = if matches!(family.kind, Type::Summary | Type::Histogram) { "_count" } else { "" };
        let name = format!("{}{suffix}", family.name);
        assert!(!samples(&page, &name).is_empty(), "{name} has no sample");
    }
    let mut writing = Page::new(Format::Text, 0);
    write(&mut writing, &board.state());
    let written: BTreeSet<&str> = writing.written.iter().copied().collect();
    assert_eq!(written.len(), writing.written.len(), "a family is written twice");
    assert_eq!(written, ALL.iter().map(|f| f.name).collect());
}

#[test]
fn promtool_would_refuse_what_is_wrong() {
    assert!(!promtool("# TYPE a gauge\na{ 1\n").0);
    assert!(!promtool("# HELP pgmedic_looks x\n# TYPE pgmedic_looks counter\npgmedic_looks 1\n").0);
}

#[test]
fn openmetrics_names_its_counters_without_total_and_ends() {
    let page = render(&full().state(), Format::OpenMetrics);
    assert!(page.contains("# TYPE pgmedic_looks counter\n") && page.contains("pgmedic_looks_total{service="));
    assert!(page.contains("# UNIT process_cpu_seconds seconds\n"), "{page}");
    assert!(page.ends_with("\n# EOF\n"));
    for family in ALL.iter().filter(|f| !f.unit.is_empty()) {
        assert!(family.base().ends_with(family.unit), "OpenMetrics: {} ends with its unit", family.name);
    }
}

#[test]
fn a_service_that_was_not_looked_at_yet_has_its_rooms_and_no_verdict() {
    let board = Board::default();
    board.state().services.insert(Arc::from("new"), Patient::default());
    let page = page(&board);
    assert_eq!(samples(&page, "pgmedic_room_status").len(), 10);
    assert!(samples(&page, "pgmedic_room_status").iter().all(|l| l.ends_with(" 0")));
    assert_eq!(samples(&page, "pgmedic_room_duration_seconds_count").len(), 10);
    assert_eq!(samples(&page, "pgmedic_service_up"), Vec::<&str>::new());
    assert_eq!(samples(&page, "pgmedic_service_status"), ["pgmedic_service_status{service=\"new\"} 0"]);
}

#[test]
fn a_finding_is_1_while_it_holds_0_for_an_hour_after_and_then_gone() {
    let board = Board::default();
    let line = |n| {
        format!(
            "pgmedic_finding{{service=\"a\",cause=\"slots-exhausted\",severity=\"critical\",role=\"root\"}} {n}"
        )
    };
    board.saw(seen("a", Kind::Walk, 0, vec![exhausted()]));
    assert_eq!(samples(&page(&board), "pgmedic_finding"), [line(1)]);
    assert_eq!(samples(&page(&board), "pgmedic_service_up"), ["pgmedic_service_up{service=\"a\"} 0"]);
    board.saw(seen("a", Kind::Walk, 5, Vec::new()));
    assert_eq!(samples(&page(&board), "pgmedic_finding"), [line(0)]);
    assert_eq!(samples(&page(&board), "pgmedic_service_up"), ["pgmedic_service_up{service=\"a\"} 1"]);
    board.saw(seen("a", Kind::Walk, 3601, Vec::new()));
    assert_eq!(samples(&page(&board), "pgmedic_finding"), Vec::<&str>::new());
}

#[test]
fn what_only_the_door_shows_holds_while_looks_go_on_behind_it() {
    let board = Board::default();
    let mut finding = exhausted();
    (finding.cause, finding.room) = ("proxy-hung".to_owned(), pgmedic_model::Room::Proxy);
    board.saw(seen("a", Kind::Walk, 0, vec![finding]));
    let mut look = seen("a", Kind::Look, 1, Vec::new());
    let report = Arc::make_mut(&mut look.report);
    report.path[3].status = pgmedic_model::RoomStatus::NotSeen;
    board.saw(look);
    assert_eq!(samples(&page(&board), "pgmedic_service_up"), ["pgmedic_service_up{service=\"a\"} 0"]);
    assert!(page(&board).contains("pgmedic_room_status{service=\"a\",room=\"proxy\"} 3"));
    board.saw(seen("a", Kind::Walk, 2, Vec::new()));
    assert_eq!(samples(&page(&board), "pgmedic_service_up"), ["pgmedic_service_up{service=\"a\"} 1"]);
}

#[test]
fn connections_are_counted_against_every_limit() {
    let page = page(&board(1));
    let has = |line: &str| assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    has(
        r#"pgmedic_connections{service="service-0000",application="api",database="renderflow",state="idle"} 40"#,
    );
    has(
        r#"pgmedic_connections{service="service-0000",application="other",database="other",state="unknown"} 1"#,
    );
    has(r#"pgmedic_connections_limit{service="service-0000",limit="ordinary"} 97"#);
    has(r#"pgmedic_connections_used{service="service-0000",limit="max_connections"} 60"#);
    has(r#"pgmedic_connections_used{service="service-0000",limit="role:app"} 49"#);
    has(r#"pgmedic_longest_query_seconds{service="service-0000"} 61.5"#);
    has(r#"pgmedic_pool_waiting{service="service-0000"} 4"#);
    has(r#"pgmedic_incident_open{service="service-0000",cause="slots-exhausted"} 1"#);
}

#[test]
fn hostile_names_make_no_more_series_than_the_bound_at_any_time() {
    let board = Board::default();
    let hostile = "x\"} 1\nup{a=\"\\\u{202E}\0".repeat(50);
    let mut ever = BTreeSet::new();
    for round in 0..100 {
        let mut facts = facts();
        let mut group = facts.admission.groups[0].clone();
        facts.admission.groups = (0..50)
            .map(|n| {
                group.application = format!("{round}-{n}-{hostile}");
                group.database = format!("{hostile}{round}{n}");
                group.state = Some(hostile.clone());
                group.clone()
            })
            .collect();
        facts.admission.role_limits = (0..500)
            .map(|n| pgmedic_path::sql::facts::LimitFacts {
                name: format!("{round}{n}"),
                limit: 5,
                used: 1,
                allows: true,
            })
            .collect();
        let mut slot = facts.storage.slots[0].clone();
        facts.storage.slots = (0..50)
            .map(|n| {
                slot.name = format!("sync_{round}_{n}");
                slot.clone()
            })
            .collect();
        board.saw(of(evidence("a\"b\n", Some(facts)), Kind::Walk, round, Vec::new()));
        let page = page(&board);
        for name in ["pgmedic_connections", "pgmedic_replication_slot_retained_bytes"] {
            ever.extend(samples(&page, name).iter().map(|l| l.rsplit_once(' ').unwrap().0.to_owned()));
        }
        assert!(samples(&page, "pgmedic_connections_limit").len() <= 13);
        assert!(round > 0 || promtool(&page).0, "{page}");
    }
    assert!(ever.len() <= 50 + 50 + 11, "{} series over time", ever.len());
    assert!(page(&board).lines().all(|l| l.len() < 2000));
}

#[test]
fn an_incident_of_many_services_is_open_for_those_that_are_not_well_yet() {
    let board = board(2);
    let mut shared = incident("i", "service-0001");
    let mut well = shared.services["service-0001"].clone();
    well.until = Some(AT);
    shared.services.insert("service-0000".to_owned(), well);
    shared.cause = "nameserver-silent".to_owned();
    board.state().incidents.insert("i".to_owned(), Arc::new(shared));
    let page = page(&board);
    let of = samples(&page, "pgmedic_incident_open");
    assert_eq!(of.len(), 2, "{of:?}");
    assert!(of[1].contains("service-0001") && of[1].contains("nameserver-silent"));
}

#[test]
fn a_thousand_services_are_rendered_into_one_buffer_within_its_guess() {
    let board = board(1000);
    let state = board.state();
    let page = render(&state, Format::Text);
    assert!(page.len() < 16_384 + 1000 * 8_192, "{} bytes", page.len());
    let series = page.lines().filter(|l| !l.starts_with('#')).count();
    assert!((40_000..80_000).contains(&series), "{series} series");
    let from = std::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(render(&state, Format::Text).lines().filter(|l| !l.starts_with('#')).count(), series);
    }
    println!("{} bytes, {series} series, {:?} each", page.len(), from.elapsed() / 10);
    assert_eq!(Timestamp(AT.0), state.own.started_at);
}

#[test]
fn a_brief_account_of_a_look_keeps_the_names_that_the_walk_gave() {
    let board = Board::default();
    board.saw(seen("a", Kind::Walk, 0, Vec::new()));
    let mut brief = facts();
    for group in &mut brief.admission.groups {
        group.application.clear();
    }
    (brief.sessions.sessions, brief.storage.database_bytes) = (Vec::new(), None);
    (brief.admission.client_backends, brief.sessions.lock_waiters) = (70, 9);
    board.saw(of(evidence("a", Some(brief)), Kind::Look, 1, Vec::new()));
    let text = page(&board);
    let has = |line: &str| assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    has(r#"pgmedic_connections{service="a",application="api",database="renderflow",state="idle"} 40"#);
    has(r#"pgmedic_connections_used{service="a",limit="max_connections"} 70"#);
    has(r#"pgmedic_longest_query_seconds{service="a"} 61.5"#);
    has(r#"pgmedic_lock_waiters{service="a"} 9"#);
    has(r#"pgmedic_database_size_bytes{service="a"} 7000000"#);
    has(r#"pgmedic_room_duration_seconds_count{service="a",room="network"} 1"#);
    has(r#"pgmedic_room_duration_seconds_count{service="a",room="dns"} 2"#);
    board.saw(of(evidence("a", None), Kind::Walk, 2, vec![exhausted()]));
    assert_eq!(samples(&page(&board), "pgmedic_connections"), Vec::<&str>::new(), "nobody could be asked");
}

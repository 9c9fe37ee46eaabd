//! What the dashboard shows: a row for what is the matter now, one for each room, one for pgmedic itself.
//!
//! Each query returns data from a healthy service on: what is absent while all is well would look like a failed scrape.

use super::super::Wanted;
use super::super::promql::selector;
use super::panel::{Kind, Panel, Step};
use super::pool;
use pgmedic_model::Room;

/// `pgmedic_room_status` in words.
const ROOM: &[(&str, &str, &str)] = &[
    ("0", "not seen", "super-light-blue"),
    ("1", "ok", "green"),
    ("2", "warning", "yellow"),
    ("3", "failed", "red"),
    ("4", "not reached", "gray"),
];
/// `pgmedic_service_status` in words.
const VERDICT: &[(&str, &str, &str)] =
    &[("0", "unknown", "gray"), ("1", "ok", "green"), ("2", "warning", "yellow"), ("3", "critical", "red")];
/// `up` in words.
const UP: &[(&str, &str, &str)] = &[("0", "down", "red"), ("1", "up", "green")];
/// A share of a limit.
const SHARE: &[Step] = &[(None, "green"), (Some(0.8), "yellow"), (Some(1.0), "red")];
/// Time until a volume is full.
const UNTIL_FULL: &[Step] = &[(None, "red"), (Some(3600.0), "yellow"), (Some(14_400.0), "green")];

/// A row: its title and its panels.
pub(super) type Row = (String, Vec<Panel>);

/// Every row with its panels; a row without any is left out.
pub(super) fn rows(wanted: &Wanted) -> Vec<Row> {
    let watch = wanted.source.has_watch();
    let mut rows = Vec::new();
    if watch {
        rows.push(("What is the matter now".to_owned(), now()));
    }
    for room in Room::ALL {
        let mut panels = if watch { of_room(room) } else { Vec::new() };
        if room == Room::App && wanted.source.has_pool() {
            panels.extend(pool::panels(wanted));
        }
        rows.push((format!("{room}: {}", about(room)), panels));
    }
    if watch {
        rows.push(("pgmedic itself".to_owned(), itself(wanted)));
    }
    rows.into_iter().filter(|(_, panels)| !panels.is_empty()).collect()
}

/// What a room is, in a few words.
const fn about(room: Room) -> &'static str {
    match room {
        Room::App => "readiness, and the API's own pool",
        Room::Dns => "the name, as the API resolves it",
        Room::Network => "one attempt to each address",
        Room::Proxy => "HAProxy, Fly proxy, PgBouncer",
        Room::Tls => "handshake and certificate",
        Room::Startup => "authentication, pg_hba, database",
        Room::Admission => "slots and limits",
        Room::Server => "the server's own state",
        Room::Sessions => "what the admitted sessions do",
        Room::Storage => "data, WAL, replication slots, temporary files",
    }
}

/// A metric of the daemon's, for the services that are chosen.
fn of(metric: &str, matchers: &str) -> String {
    selector(metric, Some("service=~\"$service\""), matchers)
}

/// The same of any daemon that watches the service.
fn any(metric: &str, by: &str, matchers: &str) -> String {
    format!("max by ({by}) ({})", of(metric, matchers))
}

fn now() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Now, "Verdict", "short", 6, "Each service's verdict: `pgmedic check SERVICE` says why.")
            .query(any("pgmedic_service_status", "service", ""), "{{service}}")
            .words(VERDICT),
        Panel::new(Kind::States, "The path, outside in", "short", 18, "Each room's status. The first that failed is where to look; what lies behind it was not reached.")
            .query(any("pgmedic_room_status", "service, room", ""), "{{service}} {{room}}")
            .words(ROOM),
        Panel::new(Kind::Table, "Root causes, now and within the hour", "short", 12, "What is found at the root: `pgmedic explain CAUSE` says what it is and what mends it. 1: it is there now. 0: it was, within the hour. No row: nothing was.")
            .query(format!("{} or on() vector(0)", any("pgmedic_finding", "service, cause, severity", "role=\"root\"")), ""),
        Panel::new(Kind::Lines, "Incidents opened", "short", 6, "By cause, within the hour.")
            .query("sum by (cause) (increase(pgmedic_incidents_total[1h])) > 0 or on() vector(0)", "{{cause}}"),
        Panel::new(Kind::Lines, "Remedies", "short", 6, "What was done by itself, by outcome, since the daemon was started.")
            .query("sum by (remedy, outcome) (pgmedic_remedies_total) or on() vector(0)", "{{remedy}} {{outcome}}"),
    ]
}

/// How long the room takes, and whatever else it shows.
fn of_room(room: Room) -> Vec<Panel> {
    let matchers = format!("room=\"{room}\"");
    let rate = |part: &str| {
        format!(
            "sum by (service) (rate({}[$__rate_interval]))",
            of(&format!("pgmedic_room_duration_seconds_{part}"), &matchers)
        )
    };
    // A room that was not passed took no time.
    let mean = format!("{} / ({} > 0) or {} * 0", rate("sum"), rate("count"), rate("count"));
    let mut panels = vec![
        Panel::new(Kind::States, "Status", "short", 8, "As of the last look or walk.")
            .query(any("pgmedic_room_status", "service", &matchers), "{{service}}")
            .words(ROOM),
        Panel::new(
            Kind::Lines,
            "Time spent",
            "s",
            8,
            "The mean of every look and walk, also of those between two scrapes.",
        )
        .query(mean, "{{service}}"),
    ];
    match room {
        Room::App => panels.push(seen_pool()),
        Room::Proxy => panels.push(pooler()),
        Room::Admission => panels.extend(admission()),
        Room::Server => panels.extend(server()),
        Room::Sessions => panels.extend(sessions()),
        Room::Storage => panels.extend(storage()),
        Room::Dns | Room::Network | Room::Tls | Room::Startup => {}
    }
    panels
}

fn seen_pool() -> Panel {
    let of = |metric: &str| any(metric, "service", "");
    Panel::new(
        Kind::Lines,
        "Pool, as the daemon reads it",
        "short",
        8,
        "Of the address that the service's `metrics` names.",
    )
    .query(of("pgmedic_pool_max"), "{{service}} max")
    .query(of("pgmedic_pool_in_use"), "{{service}} in use")
    .query(of("pgmedic_pool_waiting"), "{{service}} waiting")
}

fn pooler() -> Panel {
    Panel::new(
        Kind::Lines,
        "PgBouncer",
        "short",
        8,
        "Clients that wait, and server connections by state. 0 where no `pooler` is configured.",
    )
    .query(
        format!("{} or on() vector(0)", any("pgmedic_pooler_clients", "service, state", "")),
        "{{service}} clients {{state}}",
    )
    .query(
        format!("{} or on() vector(0)", any("pgmedic_pooler_servers", "service, state", "")),
        "{{service}} servers {{state}}",
    )
}

fn admission() -> Vec<Panel> {
    let slots = "limit!=\"reserved\"";
    vec![
        Panel::new(
            Kind::Lines,
            "Share of each limit",
            "percentunit",
            8,
            "max_connections, the ordinary slots, and CONNECTION LIMITs. At 100 % the next login is refused.",
        )
        .query(
            format!(
                "max by (service, limit) ({} / ({} > 0))",
                of("pgmedic_connections_used", slots),
                of("pgmedic_connections_limit", slots)
            ),
            "{{service}} {{limit}}",
        )
        .steps(SHARE),
        Panel::new(Kind::Stacked, "Connections by application", "short", 12, "Who holds the slots.").query(
            format!("sum by (service, application) ({})", of("pgmedic_connections", "")),
            "{{service}} {{application}}",
        ),
        Panel::new(
            Kind::Stacked,
            "Connections by state",
            "short",
            12,
            "Sessions that idle hold a slot as those at work do.",
        )
        .query(
            format!("sum by (service, state) ({})", of("pgmedic_connections", "")),
            "{{service}} {{state}}",
        ),
    ]
}

fn server() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Lines, "Uptime", "s", 8, "A fall is a restart or a crash.")
            .query(any("pgmedic_server_uptime_seconds", "service", ""), "{{service}}"),
        Panel::new(
            Kind::Lines,
            "Age of the oldest unfrozen transaction",
            "short",
            8,
            "The server stops taking writes near 2 billion: vacuum what holds it.",
        )
        .query(any("pgmedic_oldest_xid_age", "service", ""), "{{service}}")
        .steps(&[(None, "green"), (Some(1.0e9), "yellow"), (Some(1.6e9), "red")]),
    ]
}

fn sessions() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Lines,
            "Sessions that wait for a lock",
            "short",
            8,
            "Each holds its slot while it waits.",
        )
        .query(any("pgmedic_lock_waiters", "service", ""), "{{service}}"),
        Panel::new(
            Kind::Lines,
            "Oldest transaction, longest statement",
            "s",
            8,
            "An old transaction holds locks, and keeps vacuum from what it may still see.",
        )
        .query(any("pgmedic_oldest_transaction_seconds", "service", ""), "{{service}} transaction")
        .query(any("pgmedic_longest_query_seconds", "service", ""), "{{service}} statement"),
        Panel::new(
            Kind::Lines,
            "Prepared transactions",
            "short",
            8,
            "One that nobody ends holds its locks for ever, past restarts too.",
        )
        .query(any("pgmedic_prepared_transactions", "service", ""), "{{service}}"),
    ]
}

fn storage() -> Vec<Panel> {
    let (free, size) = (of("pgmedic_storage_free_bytes", ""), of("pgmedic_storage_size_bytes", ""));
    vec![
        Panel::new(
            Kind::Lines,
            "Used",
            "percentunit",
            8,
            "Of each volume that the server writes to. Fly Postgres makes itself read-only at 90 %.",
        )
        .query(format!("max by (service, volume) (1 - {free} / ({size} > 0))"), "{{service}} {{volume}}")
        .steps(&[(None, "green"), (Some(0.85), "yellow"), (Some(0.95), "red")]),
        Panel::new(
            Kind::Now,
            "Full in",
            "s",
            8,
            "By the daemon's forecast; without end where none can be made honestly, or nothing grows.",
        )
        .query(
            format!(
                "min by (service, volume) ({}) or max by (service, volume) ({size}) * +Inf",
                of("pgmedic_storage_full_seconds", "")
            ),
            "{{service}} {{volume}}",
        )
        .steps(UNTIL_FULL),
        Panel::new(Kind::Lines, "Free", "bytes", 8, "Bytes that the server may still use.")
            .query(format!("min by (service, volume) ({free})"), "{{service}} {{volume}}"),
        Panel::new(
            Kind::Lines,
            "Size of the database",
            "bytes",
            8,
            "What the volume holds besides it is WAL, temporary files, logs, other databases.",
        )
        .query(any("pgmedic_database_size_bytes", "service", ""), "{{service}}"),
        Panel::new(
            Kind::Lines,
            "WAL kept for replication slots",
            "bytes",
            8,
            "A slot that nobody reads from keeps WAL until the disk is full. 0 where there is no slot.",
        )
        .query(
            format!(
                "{} or on() vector(0)",
                any("pgmedic_replication_slot_retained_bytes", "service, slot", "")
            ),
            "{{service}} {{slot}}",
        ),
        Panel::new(
            Kind::Lines,
            "Temporary files",
            "Bps",
            8,
            "Sorts and hashes that do not fit into work_mem.",
        )
        .query(
            format!("max by (service) (rate({}[$__rate_interval]))", of("pgmedic_temp_bytes_total", "")),
            "{{service}}",
        ),
    ]
}

fn itself(wanted: &Wanted) -> Vec<Panel> {
    let job = super::super::promql::matcher("job", &wanted.watch_job);
    let own = |metric: &str| selector(metric, Some(&job), "");
    vec![
        Panel::new(Kind::Now, "Daemons", "short", 6, "Each that Prometheus asks.")
            .query(own("up"), "{{instance}}")
            .words(UP),
        Panel::new(Kind::Lines, "Lag of the last look", "s", 6, "How long after its time it was begun.")
            .query(any("pgmedic_lag_seconds", "service", ""), "{{service}}"),
        Panel::new(Kind::Lines, "Looks and walks", "cps", 6, "By kind, over all services.").query(
            format!("sum by (kind) (rate({}[$__rate_interval]))", of("pgmedic_looks_total", "")),
            "{{kind}}",
        ),
        Panel::new(
            Kind::Lines,
            "Alerts that were sent",
            "short",
            6,
            "By receiver and outcome, since the daemon was started. `lost` should never be seen.",
        )
        .query(
            "sum by (receiver, outcome) (pgmedic_alerts_total) or on() vector(0)",
            "{{receiver}} {{outcome}}",
        ),
        Panel::new(Kind::Lines, "CPU", "percentunit", 12, "Of one core.")
            .query(format!("rate({}[$__rate_interval])", own("process_cpu_seconds_total")), "{{instance}}"),
        Panel::new(Kind::Lines, "Memory", "bytes", 12, "Resident.")
            .query(own("process_resident_memory_bytes"), "{{instance}}"),
    ]
}

//! THE table of metrics: name, type, unit, labels and meaning of each. `docs/metrics.md` is written from it, and nothing is
//! rendered that is not in it.

/// A metric's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Goes up and down.
    Gauge,
    /// Only goes up while the daemon runs.
    Counter,
    /// `_sum` and `_count`, without quantiles.
    Summary,
    /// `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub struct Family {
    /// Its name; a counter's ends in `_total`.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// `seconds`, `bytes`, or empty for a number.
    pub unit: &'static str,
    /// Its labels. One that ends in `*` stands for any number of labels that begin so.
    pub labels: &'static [&'static str],
    /// What it means, in one line.
    pub help: &'static str,
    /// When it is absent, and what else there is to know. For the page alone.
    pub note: &'static str,
}

impl Family {
    /// The name of a counter's family in OpenMetrics, without `_total`.
    pub(super) fn base(&self) -> &'static str {
        self.name.strip_suffix("_total").unwrap_or(self.name)
    }

    /// True where the labels of a sample are those of the table (and `le`).
    pub(super) fn has(&self, service: &str, labels: &[(&str, &str)]) -> bool {
        let known = |name: &str| {
            let mut all = self.labels.iter();
            all.any(|l| l.strip_suffix('*').map_or(*l == name, |start| name.starts_with(start)))
        };
        service.is_empty() != self.labels.contains(&"service")
            && labels.iter().all(|(name, _)| known(name) || *name == "le" && self.kind == Type::Histogram)
    }
}

macro_rules! families {
    ($($id:ident: $name:literal $kind:ident $unit:literal [$($label:literal),*] $help:literal $note:literal)*) => {
        $(pub(super) static $id: Family = Family {
            name: $name, kind: Type::$kind, unit: $unit, labels: &[$($label),*], help: $help, note: $note,
        };)*
        /// Every metric, in the order of the page.
        pub static ALL: &[&Family] = &[$(&$id),*];
    };
}

families! {
SERVICE_UP: "pgmedic_service_up" Gauge "" ["service"]
    "1 where the service can use its database, 0 where a finding is critical."
    "Absent before the first look and where too little was seen to say (`pgmedic_service_status` is 0 then)."
SERVICE_STATUS: "pgmedic_service_status" Gauge "" ["service"]
    "The verdict: 0 unknown, 1 ok, 2 warning, 3 critical."
    "There from the start; 0 before the first look."
SERVICE_INFO: "pgmedic_service_info" Gauge "" ["service", "label_*"]
    "1; the service's labels in the configuration, each with label_ before its name."
    "To join with: `… * on(service) group_left(label_team) pgmedic_service_info`. At most 16 labels."
SERVICE_PAUSED: "pgmedic_service_paused" Gauge "" ["service"]
    "1 where nothing is done by itself for the service: it is paused, or all are."
    ""
SERVICE_MENDING: "pgmedic_service_mending" Gauge "" ["service"]
    "1 while a fix is at work."
    ""
FINDING: "pgmedic_finding" Gauge "" ["service", "cause", "severity", "role"]
    "1 while the cause is found, 0 for an hour after."
    "Absent where it was not found within the hour, so an alert on `== 1` ends at once when the finding does, and `max_over_time` sees one that came and went between two scrapes. At most 64 of a service."
ROOM_STATUS: "pgmedic_room_status" Gauge "" ["service", "room"]
    "0 not seen, 1 ok, 2 warning, 3 failed, 4 not reached."
    "All ten rooms are there from the start, at 0. A number instead of a label for each state: 10 series of a service, not 50."
ROOM_DURATION: "pgmedic_room_duration_seconds" Summary "seconds" ["service", "room"]
    "Time spent in the room, and how often it was passed or failed."
    "All ten rooms are there from the start, at 0; a look counts for the rooms that it passes anew, a walk for all. `rate(…_sum[5m]) / rate(…_count[5m])` is the mean of every look, also of those between scrapes, which a gauge would lose; buckets for each service and room would be 100 series of a service instead of 20. How the times spread is in `pgmedic_look_duration_seconds`."
LOOKS: "pgmedic_looks_total" Counter "" ["service", "kind"]
    "Looks through the standing session (kind look) and walks by the door (kind walk)."
    "There from the start."
MISSED: "pgmedic_missed_intervals_total" Counter "" ["service"]
    "Intervals that passed without a look."
    "There from the start."
LAG: "pgmedic_lag_seconds" Gauge "seconds" ["service"]
    "How long after its due time the last look was begun."
    ""
LAST_LOOK: "pgmedic_last_look_timestamp_seconds" Gauge "seconds" ["service"]
    "When the last look or walk was begun, in seconds since 1970."
    "Absent before the first."
LOOK_DURATION: "pgmedic_look_duration_seconds" Histogram "seconds" ["kind"]
    "How long looks and walks took, over all services."
    ""
CONNECTIONS: "pgmedic_connections" Gauge "" ["service", "application", "database", "state"]
    "Client backends by application, database and state."
    "The first 20 applications and 10 databases of a service have a label of their own, each until it has not been seen for an hour; the rest is `other`, so that a name that is new at each connection makes no series. `state` is that of pg_stat_activity, `unknown` where the role may not see it (grant pg_monitor). At most 50 series of a service. As of the last look that named the sessions, which a walk always does. Absent while the server cannot be asked."
CONNECTIONS_LIMIT: "pgmedic_connections_limit" Gauge "" ["service", "limit"]
    "How many connections the limit allows."
    "`limit` is `max_connections`, `ordinary` (max_connections less the reserves), `reserved`, `role:NAME`, `database:NAME`: those of CONNECTION LIMIT, the ten nearest to theirs."
CONNECTIONS_USED: "pgmedic_connections_used" Gauge "" ["service", "limit"]
    "How many connections count against the limit."
    "`pgmedic_connections_used / pgmedic_connections_limit` is the share of each limit."
POOL_MAX: "pgmedic_pool_max" Gauge "" ["service"]
    "pg_pool_max as the API's metrics tell, summed."
    "Not named pg_pool_…, so that it is not counted twice where Prometheus scrapes the API as well. Absent where `metrics` is not configured or does not answer; so are the others."
POOL_SIZE: "pgmedic_pool_size" Gauge "" ["service"]
    "pg_pool_size as the API's metrics tell, summed." ""
POOL_IDLE: "pgmedic_pool_idle" Gauge "" ["service"]
    "pg_pool_idle as the API's metrics tell, summed." ""
POOL_IN_USE: "pgmedic_pool_in_use" Gauge "" ["service"]
    "pg_pool_in_use as the API's metrics tell, summed." ""
POOL_WAITING: "pgmedic_pool_waiting" Gauge "" ["service"]
    "pg_pool_waiting as the API's metrics tell, summed." ""
POOL_TIMEOUTS: "pgmedic_pool_timeouts_total" Counter "" ["service"]
    "pg_pool_timeouts_total as the API's metrics tell, summed." ""
POOLER_CLIENTS: "pgmedic_pooler_clients" Gauge "" ["service", "state"]
    "Clients of PgBouncer over all its pools: active, waiting."
    "Absent where `pooler` is not configured or does not answer; so are the next two."
POOLER_SERVERS: "pgmedic_pooler_servers" Gauge "" ["service", "state"]
    "Server connections of PgBouncer over all its pools: active, idle, used, tested, login." ""
POOLER_WAIT: "pgmedic_pooler_wait_seconds" Gauge "seconds" ["service"]
    "How long the first client in PgBouncer's longest queue has waited." ""
LOCK_WAITERS: "pgmedic_lock_waiters" Gauge "" ["service"]
    "Sessions that wait for a lock."
    "Absent while the server cannot be asked; so is all that follows of it."
OLDEST_TRANSACTION: "pgmedic_oldest_transaction_seconds" Gauge "seconds" ["service"]
    "Age of the oldest transaction of a client."
    "0 where none is older than a second."
LONGEST_QUERY: "pgmedic_longest_query_seconds" Gauge "seconds" ["service"]
    "How long the longest running statement of a client has run."
    "0 where none has run for a second."
PREPARED: "pgmedic_prepared_transactions" Gauge "" ["service"]
    "Prepared transactions that are not ended." ""
UPTIME: "pgmedic_server_uptime_seconds" Gauge "seconds" ["service"]
    "Time since the server was started." ""
IN_RECOVERY: "pgmedic_server_in_recovery" Gauge "" ["service"]
    "1 on a standby or during recovery." ""
REPLAY_LAG: "pgmedic_replay_lag_seconds" Gauge "seconds" ["service"]
    "Time since the last replayed transaction, on a standby."
    "Grows too where the primary writes nothing. Absent on a primary."
XID_AGE: "pgmedic_oldest_xid_age" Gauge "" ["service"]
    "Transactions since the oldest unfrozen one of any database; the server stops taking writes near 2 billion." ""
SERVER_INFO: "pgmedic_server_info" Gauge "" ["service", "version_num"]
    "1; the server's version, 150018 for 15.18." ""
OWN_SESSIONS: "pgmedic_own_sessions" Gauge "" ["service"]
    "pgmedic's own sessions on the server; at most two." ""
STORAGE_SIZE: "pgmedic_storage_size_bytes" Gauge "bytes" ["service", "volume"]
    "Size of the volume, for an ordinary user: without root's reserve."
    "`volume` is `data`, `wal`, `log`, `tablespace:PATH`; `data:NAME` where the platform tells. At most ten. Absent where neither this host's window nor the platform shows it; so is all of `pgmedic_storage_…`."
STORAGE_FREE: "pgmedic_storage_free_bytes" Gauge "bytes" ["service", "volume"]
    "Bytes that the server may still use on the volume." ""
STORAGE_INODES: "pgmedic_storage_inodes" Gauge "" ["service", "volume"]
    "Inodes of the volume."
    "Absent where the filesystem does not count them."
STORAGE_INODES_FREE: "pgmedic_storage_inodes_free" Gauge "" ["service", "volume"]
    "Inodes that are free on the volume." ""
STORAGE_READ_ONLY: "pgmedic_storage_read_only" Gauge "" ["service", "volume"]
    "1 where the volume is mounted read-only." ""
STORAGE_HELD: "pgmedic_storage_held_bytes" Gauge "bytes" ["service", "volume", "held"]
    "What holds the volume's bytes: pg_wal, base, pgsql_tmp, log."
    "Only where it was read, which is where the volume is filling."
STORAGE_GROWTH: "pgmedic_storage_growth_bytes_per_second" Gauge "" ["service", "volume"]
    "How fast the volume fills, by the watch's own samples; negative where it empties."
    "The median slope between all pairs of 64 samples (Theil and Sen), over the last five minutes or up to two days, whichever fills it sooner; the short window counts only above all that the long one saw. Absent where nothing can be said honestly: fewer than 8 samples, a slope whose sign is not sure at 95 %, or an end further off than 30 times what was seen."
STORAGE_FULL: "pgmedic_storage_full_seconds" Gauge "seconds" ["service", "volume"]
    "Time until the volume is full at that growth."
    "+Inf where it is sure not to grow. Absent as the growth is: an alert is `pgmedic_storage_full_seconds < 4 * 3600`."
STORAGE_FULL_SOONEST: "pgmedic_storage_full_soonest_seconds" Gauge "seconds" ["service", "volume"]
    "The same at the greatest growth that the samples allow for at 95 %."
    "How sure the forecast is: the nearer to `pgmedic_storage_full_seconds`, the surer."
STORAGE_FULL_LATEST: "pgmedic_storage_full_latest_seconds" Gauge "seconds" ["service", "volume"]
    "The same at the least growth that the samples allow for at 95 %." ""
DATABASE_SIZE: "pgmedic_database_size_bytes" Gauge "bytes" ["service"]
    "pg_database_size of the service's database."
    "Absent where it would be too dear to ask (very many relations)."
TEMP_BYTES: "pgmedic_temp_bytes_total" Counter "bytes" ["service"]
    "Bytes written to temporary files in all databases since their statistics were reset."
    "Postgres 15 and later."
SLOT_RETAINED: "pgmedic_replication_slot_retained_bytes" Gauge "bytes" ["service", "slot"]
    "WAL that the replication slot keeps from removal."
    "The first 10 slots have a label of their own, each until it has not been seen for an hour; `other` is the most that any of the rest keeps."
SLOT_ACTIVE: "pgmedic_replication_slot_active" Gauge "" ["service", "slot"]
    "1 where somebody streams from the replication slot."
    "`other` is 1 where somebody streams from each of the rest."
INCIDENTS: "pgmedic_incidents_total" Counter "" ["cause"]
    "Incidents that were opened."
    "Every cause is there from the start."
INCIDENT_OPEN: "pgmedic_incident_open" Gauge "" ["service", "cause"]
    "1 while an incident of the cause is open and the service is not well of it."
    "`cause` is the first name that the root had: it stays while the incident lasts. No label for the incident's id: it would make a series of each."
REMEDIES: "pgmedic_remedies_total" Counter "" ["cause", "remedy", "outcome"]
    "Remedies by outcome: applied, refused, failed, not-needed."
    "Appears with the first."
ALERTS: "pgmedic_alerts_total" Counter "" ["receiver", "outcome"]
    "Alerts by kind of receiver and outcome: sent, retried, lost."
    "Appears with the first."
REQUESTS: "pgmedic_http_requests_total" Counter "" ["route", "code"]
    "Requests that were answered, by route and status; route other is none that there is, or refused before it was looked at."
    "`code=\"401\"` and `code=\"429\"` are wrong tokens, `403` with route `other` and `421` pages of other sites."
RELOADS: "pgmedic_reloads_total" Counter "" ["outcome"]
    "Reloads of the configuration: taken, refused."
    "There from the start."
PANICS: "pgmedic_panics_total" Counter "" []
    "Panics of a look that were caught. Each is a defect of pgmedic." ""
STORE_BYTES: "pgmedic_store_bytes" Gauge "bytes" []
    "Bytes of the store." ""
STORE_FAILURES: "pgmedic_store_failures_total" Counter "" []
    "Writes to the store that failed." ""
SERVICES: "pgmedic_services" Gauge "" []
    "How many services are watched." ""
BUILD_INFO: "pgmedic_build_info" Gauge "" ["version"]
    "1; the version of pgmedic." ""
PROCESS_CPU: "process_cpu_seconds_total" Counter "seconds" []
    "CPU time that pgmedic has used." ""
PROCESS_RESIDENT: "process_resident_memory_bytes" Gauge "bytes" []
    "Memory of pgmedic that is resident." ""
PROCESS_VIRTUAL: "process_virtual_memory_bytes" Gauge "bytes" []
    "Address space of pgmedic." ""
PROCESS_FDS: "process_open_fds" Gauge "" []
    "Open file descriptors of pgmedic." ""
PROCESS_MAX_FDS: "process_max_fds" Gauge "" []
    "The most that it may open." ""
PROCESS_THREADS: "process_threads" Gauge "" []
    "Threads of pgmedic." ""
PROCESS_START: "process_start_time_seconds" Gauge "seconds" []
    "When pgmedic was started, in seconds since 1970." ""
}

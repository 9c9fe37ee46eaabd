//! The faults, one file each, named by the cause that each must evoke. A fault breaks a real part of the lab and
//! gives a guard; dropped, the guard takes the fault away.
//!
//! Here is only what several faults do alike.

pub mod accept_queue_full;
pub mod address_family_mismatch;
pub mod all_slots_exhausted;
pub mod allocation_failed;
pub mod api_holds_stale_state;
pub mod api_not_initialised;
pub mod api_unreachable;
pub mod archiver_failing;
pub mod backend_crashed;
pub mod certificate_expired;
pub mod certificate_untrusted;
pub mod certificate_wrong_name;
pub mod configuration_broken;
pub mod connect_privilege_missing;
pub mod database_invalid;
pub mod database_limit_reached;
pub mod database_missing;
pub mod database_not_accepting;
pub mod dead_address_among_answers;
pub mod disk_filling;
pub mod disk_full;
pub mod filesystem_read_only;
pub mod firewall_rejects;
pub mod fork_failed;
pub mod ghost_sessions;
pub mod half_open_session;
pub mod hba_rejects;
pub mod host_starved;
pub mod idle_flow_forgotten;
pub mod idle_in_transaction;
pub mod idle_sessions;
pub mod inodes_exhausted;
pub mod key_file_rejected;
pub mod listening_elsewhere;
pub mod lock_pile_up;
pub mod lock_table_full;
pub mod login_not_permitted;
pub mod logs_fill_disk;
pub mod long_queries;
pub mod lossy_network;
pub mod mtu_black_hole;
pub mod name_not_found;
pub mod name_without_address;
pub mod no_route;
pub mod orphan_prepared_transaction;
pub mod out_of_memory_kill;
pub mod packets_dropped;
pub mod password_expired;
pub mod pool_leak;
pub mod pool_starved;
pub mod pooler_breaks_prepared_statements;
pub mod pooler_client_limit;
pub mod pooler_database_disabled;
pub mod pooler_hung;
pub mod pooler_paused;
pub mod pooler_pool_exhausted;
pub mod pooler_rejects_parameter;
pub mod pooler_upstream_failing;
pub mod pools_exceed_slots;
pub mod port_closed;
pub mod proxy_check_flaps;
pub mod proxy_client_limit;
pub mod proxy_drained_connections;
pub mod proxy_hung;
pub mod proxy_idle_timeout;
pub mod proxy_queue_timeout;
pub mod proxy_without_backend;
pub mod read_only_by_setting;
pub mod readiness_failing;
pub mod readiness_lies;
pub mod reconnect_storm;
pub mod recovery_conflict;
pub mod resolver_failing;
pub mod resolver_silent;
pub mod role_limit_reached;
pub mod role_missing;
pub mod routed_to_standby;
pub mod self_inflicted;
pub mod server_cannot_start;
pub mod server_descriptors_exhausted;
pub mod server_down;
pub mod server_hung;
pub mod server_recovering;
pub mod server_shutting_down;
pub mod server_starting;
pub mod shared_memory_full;
pub mod slot_retains_wal;
pub mod slots_exhausted;
pub mod slots_nearly_exhausted;
pub mod stale_lock_file;
pub mod stale_pooled_sockets;
pub mod standby_not_ready;
pub mod startup_option_rejected;
pub mod stopped_by_administrator;
pub mod temp_files_fill_disk;
pub mod tls_not_offered;
pub mod tls_required;
pub mod tls_version_mismatch;
pub mod unauthenticated_flood;
pub mod unkillable_backend;
pub mod wal_volume_full;
pub mod wraparound_guard;
pub mod wrong_password;
pub mod wrong_server;

use crate::dns::Zone;
use crate::postgres::Postgres;
use crate::{Guard, Lab, LabError, wait};
use pgmedic_model::pooler_words::{self, Words};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// Has the DNS server serve another zone, until the guard puts the one address back.
fn serve_zone(lab: &Lab, zone: &Zone) -> Result<Guard, LabError> {
    let dns = Arc::clone(lab.dns()?);
    dns.serve(zone)?;
    lab.restart_api();
    Ok(Guard::undone_by(move || dns.serve(&Zone::Addresses(vec![Ipv4Addr::LOCALHOST.into()]))))
}

/// The connections that the API's pool keeps, as iptables(8) matches what is sent on them to the server. Warms the pool up:
/// each request takes another of them, so that what is wrong with them lasts.
fn pooled_flows(lab: &Lab) -> Result<String, LabError> {
    lab.restart_api();
    lab.api()?.stand_in()?.warm(crate::api::POOL_MAX)?;
    let of_api = format!(
        "select string_agg(client_port::text, ',') from (select client_port from pg_stat_activity \
         where application_name = 'renderflow-api' and state = 'idle' order by backend_start desc limit {}) pool",
        crate::api::POOL_MAX
    );
    let ports = lab.postgres().value(&of_api)?;
    Ok(format!("--dport {} -m multiport --sports {ports}", lab.postgres().port()))
}

/// Runs SQL as the superuser, until the guard runs what undoes it.
fn by_sql(lab: &Lab, statement: &str, undo: String) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.sql(statement)?;
    lab.restart_api();
    Ok(Guard::undone_by(move || postgres.sql(&undo).map(drop)))
}

/// Waits until the server refuses new sessions with these words.
fn wait_refusal(postgres: &Postgres, words: Words) -> Result<(), LabError> {
    wait::until(&format!("a server that refuses ({words:?})"), Duration::from_secs(10), || {
        Ok(match postgres.sql("select 1") {
            Err(LabError::Sql { said, .. }) if pooler_words::says(&said, words) => Ok(()),
            Err(other) => Err(other.to_string()),
            Ok(_) => Err("it let a session in".to_owned()),
        })
    })
}

/// What recovery waits for.
const RELEASE: &str = "recovery-may-go-on";

/// Has the stopped server's next recovery wait for the archive (`restore_command`) until it is let go. That it shall
/// recover from the archive at all is said by `recovery.signal`.
fn hold_recovery(postgres: &Postgres) -> Result<(), LabError> {
    postgres.remove(RELEASE)?;
    let waits = format!("while [ ! -e {RELEASE} ]; do sleep 0.02; done; false");
    postgres.write("fault.conf", &format!("restore_command = '{waits}'\n"))
}

/// Lets recovery go on and waits until the server answers.
fn let_recovery_go(postgres: &Postgres) -> Result<(), LabError> {
    postgres.write(RELEASE, "")?;
    postgres.wait_ready()?;
    postgres.remove("fault.conf")
}

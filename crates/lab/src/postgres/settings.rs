//! The server's configuration files: those that every lab starts from, and what a fault changes in them.

use super::{DATABASE, ROLE};
use crate::ports;
use std::path::Path;

/// `postgresql.conf`. Nothing is made durable; autovacuum and JIT are off, so that what a drill sees is the drill's.
/// Shared memory for parallel workers lies in the data directory, where a kill leaves nothing behind.
pub(super) fn postgresql_conf(port: u16, sockets: &Path) -> String {
    let own = ports::own_address();
    let sockets = sockets.display();
    format!(
        "listen_addresses = '127.0.0.1,{own}'\n\
         port = {port}\n\
         unix_socket_directories = '{sockets}'\n\
         fsync = off\n\
         synchronous_commit = off\n\
         full_page_writes = off\n\
         shared_buffers = 16MB\n\
         dynamic_shared_memory_type = mmap\n\
         max_connections = 100\n\
         max_prepared_transactions = 10\n\
         wal_level = replica\n\
         max_wal_senders = 4\n\
         hot_standby = on\n\
         min_wal_size = 8MB\n\
         max_wal_size = 32MB\n\
         checkpoint_timeout = 1h\n\
         autovacuum = off\n\
         jit = off\n\
         password_encryption = scram-sha-256\n\
         log_line_prefix = '%m [%p] %e '\n\
         log_timezone = UTC\n\
         timezone = UTC\n\
         include_if_exists = 'tls.conf'\n\
         include_if_exists = 'fault.conf'\n"
    )
}

/// The rules that hold before any fault: the API's machines (127.0.0.8 to 15, from which the lab holds sessions)
/// are let in by address, everybody else proves a password.
pub(super) fn hba() -> String {
    format!(
        "local all all trust\n\
         host {DATABASE} {ROLE} 127.0.0.8/29 trust\n\
         host replication replicator 127.0.0.1/32 trust\n\
         host all all 127.0.0.0/8 scram-sha-256\n"
    )
}

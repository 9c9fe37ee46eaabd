//! The window on this host, over real parts: what /proc, the disk and the log show of a Postgres and a HAProxy that
//! are well, stopped, full or dead.

use pgmedic_lab::postgres::{DATABASE, Stop};
use pgmedic_lab::sessions::{Login, Sessions};
use pgmedic_lab::{Guard, Lab, LabError, Parts, faults, wait};
use pgmedic_path::platform::evidence::{HostEvidence, VolumeUse};
use pgmedic_path::platform::host::{self, Endpoint, HostQuestion};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const PLAIN: Parts = Parts { proxy: None, pooler: None, dns: false, api: None, tls: false, volume_mb: None };
const PROXY: Parts = Parts { proxy: Some(6), ..PLAIN };
const PATIENCE: Duration = Duration::from_secs(10);

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The thorough question about a lab's front, with no more known than a URL tells.
fn closed(lab: &Lab) -> HostQuestion {
    HostQuestion { front: vec![Endpoint::Tcp(here(lab.front_port()))], ..HostQuestion::default() }
}

fn look(question: &HostQuestion) -> HostEvidence {
    host::look(question, Instant::now() + PATIENCE)
}

/// Connects to the front and says nothing, so often; then waits until the kernel counts all but one as unaccepted (a
/// HAProxy at its limit may take one more).
fn knock(lab: &Lab, count: usize) -> Vec<TcpStream> {
    let clients: Vec<_> = (0..count)
        .map(|_| TcpStream::connect(here(lab.front_port())).expect("the kernel connects"))
        .collect();
    wait::until("a queue at the listener", PATIENCE, || {
        let listener = look(&closed(lab)).front_listener;
        let waiting = listener.as_ref().map_or(0, |listener| listener.recv_q);
        Ok(if waiting + 1 >= count as u64 { Ok(()) } else { Err(format!("{listener:?}")) })
    })
    .expect("a queue");
    clients
}

/// Waits until the listener's process has come to a state: a signal is taken when the process next runs.
fn wait_state(question: &HostQuestion, state: char) {
    wait::until("a process in that state", PATIENCE, || {
        let seen = look(question);
        let behind = seen.proxy.or(seen.postmaster);
        Ok(if behind.as_ref().is_some_and(|p| p.state == state) {
            Ok(())
        } else {
            Err(format!("{behind:?}"))
        })
    })
    .expect("the state");
}

/// The question of an admitted walk: a session's own backend pid, and the data directory as SQL tells it.
fn admitted(lab: &Lab, sessions: &Sessions) -> HostQuestion {
    assert!(!sessions.is_empty());
    let own = "select max(pid)::text from pg_stat_activity where application_name = 'walk'";
    let pid = lab.postgres().value(own).expect("a pid").parse().expect("a number");
    HostQuestion {
        admitted_backend_pid: Some(pid),
        told_data_directory: Some(lab.postgres().data().to_owned()),
        healthy: true,
        ..closed(lab)
    }
}

fn walk(lab: &Lab) -> Sessions {
    Sessions::open(lab.postgres(), &Login::of_api(lab.postgres()).named("walk"), 1).expect("a session")
}

#[test]
fn an_admitted_walk_sees_the_volumes_and_nothing_more() {
    let lab = Lab::build(PLAIN).expect("a lab");
    let session = walk(&lab);
    let question = admitted(&lab, &session);
    for told_data_directory in [None, question.told_data_directory.clone()] {
        let seen = look(&HostQuestion { told_data_directory, ..question.clone() });
        assert_eq!(seen.blind, Vec::<String>::new());
        assert_eq!(seen.data_directory, Some(lab.postgres().data().display().to_string()));
        assert_eq!(seen.volumes.len(), 1, "{:?}", seen.volumes);
        assert_eq!(seen.volumes[0].holds, VolumeUse::Data);
        assert!(seen.volumes[0].total_bytes > 0 && seen.volumes[0].total_inodes > 0);
        assert_eq!((seen.backends, seen.front_listener, seen.log), (None, None, None));
    }
}

#[test]
fn an_admitted_walk_pays_less_than_a_millisecond_for_its_look() {
    let lab = Lab::build(PLAIN).expect("a lab");
    let session = walk(&lab);
    let question = admitted(&lab, &session);
    // The fastest of many: what the look costs by itself on a machine that does other things too.
    let fastest = (0..200).map(|_| look(&question).elapsed_ms.0).fold(f64::MAX, f64::min);
    let thorough = (0..20).map(|_| look(&closed(&lab)).elapsed_ms.0).fold(f64::MAX, f64::min);
    println!("admitted {fastest} ms, thorough {thorough} ms");
    assert!(fastest < 1.0, "{fastest} ms");
}

#[test]
fn a_backend_pid_that_may_be_of_another_server_is_not_believed() {
    let lab = Lab::build(PLAIN).expect("a lab");
    let session = walk(&lab);
    let question = admitted(&lab, &session);
    let postmaster = lab.postgres().value("select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)");
    let postmaster = postmaster.expect("a pid").parse().expect("a number");
    let elsewhere = Some(lab.folder().to_owned());
    for wrong in [
        HostQuestion { admitted_backend_pid: Some(std::process::id()), ..question.clone() },
        HostQuestion { admitted_backend_pid: Some(postmaster), ..question.clone() },
        HostQuestion { told_data_directory: elsewhere, ..question.clone() },
        HostQuestion { admitted_backend_pid: None, ..question },
    ] {
        let seen = look(&wrong);
        assert!(seen.volumes.is_empty() && seen.blind.len() == 1, "{wrong:?} gave {seen:?}");
        // What the configuration says is on this host is looked at all the same.
        let configured = HostQuestion { data_directory: Some(lab.postgres().data().to_owned()), ..wrong };
        let seen = look(&configured);
        assert_eq!((seen.volumes.len(), seen.postmaster_by, seen.blind.len()), (1, None, 0));
    }
}

#[test]
fn a_stopped_postmaster_leaves_its_clients_in_the_queue() {
    let lab = Lab::build(PLAIN).expect("a lab");
    let _held = Sessions::open(lab.postgres(), &Login::of_api(lab.postgres()), 5).expect("sessions");
    let guard = faults::server_hung::inject(&lab).expect("a fault");
    wait_state(&closed(&lab), 'T');
    let _clients = knock(&lab, 4);
    let seen = look(&closed(&lab));
    let postmaster = seen.postmaster.expect("the postmaster");
    assert_eq!((postmaster.state, postmaster.program.as_str()), ('T', "postgres"));
    assert!(postmaster.is_frozen() && postmaster.command.contains("-D"), "{postmaster:?}");
    assert_eq!(seen.postmaster_by, Some(format!("listens on 127.0.0.1:{}", lab.front_port())));
    let listener = seen.front_listener.expect("the listener");
    assert!(listener.recv_q == 4 && listener.pid == Some(postmaster.pid), "{listener:?}");
    assert!(listener.backlog.is_some_and(|most| most > listener.recv_q), "{listener:?}");
    assert!(seen.front_listener_sought && seen.proxy.is_none());
    let held: u64 =
        seen.backends.expect("titles").iter().filter(|g| g.activity == "idle").map(|g| g.count).sum();
    assert!(held >= 5);
    guard.remove().expect("mended");
    assert_eq!(look(&closed(&lab)).postmaster.map(|p| p.is_frozen()), Some(false));
}

#[test]
fn a_unix_socket_has_a_queue_too() {
    let lab = Lab::build(PLAIN).expect("a lab");
    let path = lab.postgres().sockets().join(format!(".s.PGSQL.{}", lab.postgres().port()));
    let guard = faults::server_hung::inject(&lab).expect("a fault");
    wait_state(&closed(&lab), 'T');
    let _clients: Vec<_> =
        (0..4).map(|_| std::os::unix::net::UnixStream::connect(&path).expect("connected")).collect();
    let seen = look(&HostQuestion { front: vec![Endpoint::Unix(path)], ..HostQuestion::default() });
    assert_eq!(seen.front_listener.map(|listener| listener.recv_q), Some(4));
    assert_eq!(seen.postmaster.map(|postmaster| postmaster.state), Some('T'));
    guard.remove().expect("mended");
}

#[test]
fn a_stopped_haproxy_is_silent_on_its_stats_socket_and_leads_to_the_postmaster() {
    let lab = Lab::build(PROXY).expect("a lab");
    let through = Login::of_api(lab.postgres()).through(lab.front_port());
    let _held = Sessions::open(lab.postgres(), &through, 2).expect("sessions through the proxy");
    let _guard = faults::proxy_hung::inject(&lab).expect("a fault");
    wait_state(&closed(&lab), 'T');
    let _clients = knock(&lab, 4);
    let seen = look(&closed(&lab));
    let proxy = seen.proxy.expect("the proxy");
    assert_eq!((proxy.program.as_str(), proxy.state), ("haproxy", 'T'));
    assert!(proxy.established.is_some_and(|count| count >= 2), "{proxy:?}");
    let (open, limit) = proxy.descriptors.expect("descriptors");
    assert!(open > 0 && open < limit);
    assert_eq!(seen.haproxy.expect("its socket").failure.as_deref(), Some("connected, then silent"));
    let by = seen.postmaster_by.expect("the postmaster, behind the proxy");
    assert!(by.starts_with("haproxy is connected to 127.0.0."), "{by}");
    assert_eq!(seen.data_directory, Some(lab.postgres().data().display().to_string()));
    assert_eq!(seen.postmaster.map(|postmaster| postmaster.is_frozen()), Some(false));
}

#[test]
fn a_haproxy_at_its_limit_runs_and_says_so() {
    let lab = Lab::build(PROXY).expect("a lab");
    let guard = faults::proxy_client_limit::inject(&lab).expect("a fault");
    let _clients = knock(&lab, 4);
    let seen = look(&closed(&lab));
    assert_eq!(seen.proxy.map(|proxy| proxy.is_frozen()), Some(false));
    let own = seen.haproxy.expect("its own account");
    assert_eq!((own.failure, own.max), (None, Some(6)));
    assert_eq!(own.current, own.max);
    let server = own.rows.iter().find(|row| row.server == "primary").expect("the server's row");
    assert_eq!((server.proxy.as_str(), server.status.as_str()), ("postgres", "UP"));
    guard.remove().expect("mended");
}

#[test]
fn server_lines_lead_to_a_postmaster_that_the_proxy_has_no_connection_to() {
    let lab = Lab::build(PROXY).expect("a lab");
    let guard = faults::server_hung::inject(&lab).expect("a fault");
    let by = look(&closed(&lab)).postmaster_by;
    let known =
        |by: &str| by.starts_with("a server line of haproxy") || by.starts_with("haproxy is connected");
    assert!(by.as_deref().is_some_and(known), "{by:?}");
    guard.remove().expect("mended");
}

#[test]
fn a_dead_server_is_told_by_its_data_directory_and_its_log() {
    let lab = Lab::build(PLAIN).expect("a lab");
    let refused = Sessions::open(lab.postgres(), &Login::of_api(lab.postgres()).by("nobody"), 1);
    assert!(matches!(refused, Err(LabError::Sql { .. })), "{refused:?}");
    lab.postgres().signal(rustix::process::Signal::KILL).expect("killed");
    lab.postgres().wait_stopped().expect("dead");
    wait::until_true("no listener", PATIENCE, || TcpStream::connect(here(lab.front_port())).is_err())
        .expect("none");
    let question = HostQuestion {
        data_directory: Some(lab.postgres().data().to_owned()),
        log: Some(lab.postgres().log().to_owned()),
        ..closed(&lab)
    };
    let seen = look(&question);
    assert_eq!((&seen.front_listener, seen.front_listener_sought, &seen.postmaster), (&None, true, &None));
    assert_eq!(seen.postmaster_status, None, "postmaster.pid of a dead postmaster tells nothing");
    assert_eq!((seen.max_connections, seen.superuser_reserved, seen.reserved), (Some(100), Some(3), Some(0)));
    let log = seen.log.expect("the log");
    let last = log.entries.iter().rfind(|entry| entry.severity == "FATAL").expect("a FATAL");
    assert_eq!(last.code.as_ref().map(|code| code.as_str()), Some("28P01"));
    assert!(last.at.is_some() && last.message.contains("nobody"), "{last:?}");
    assert_eq!(seen.volumes.len(), 1);
    let unknown = look(&closed(&lab));
    assert!(unknown.blind.iter().any(|why| why.contains("platform.data_directory")), "{:?}", unknown.blind);
}

#[test]
fn titles_tell_who_holds_every_slot_whatever_the_cluster_is_called() {
    let lab = Lab::build(PLAIN).expect("a lab");
    lab.postgres().write("fault.conf", "cluster_name = 'my: lab'\nmax_connections = 20\n").expect("settings");
    lab.postgres().stop(Stop::Fast).expect("stopped");
    lab.postgres().up().expect("up");
    let _guard: Guard = faults::slots_exhausted::inject(&lab).expect("a fault");
    let seen = look(&closed(&lab));
    assert_eq!((seen.max_connections, seen.superuser_reserved), (Some(20), Some(3)));
    assert_eq!(seen.postmaster_status.as_deref(), Some("ready"));
    let groups = seen.backends.expect("titles");
    let held: u64 = groups.iter().filter(|g| g.database == DATABASE).map(|g| g.count).sum();
    assert!(held >= 17, "{groups:?}");
    assert!(groups.iter().all(|g| !g.role.contains("lab")), "{groups:?}");
    assert!(seen.auxiliaries.iter().any(|title| title == "checkpointer"), "{:?}", seen.auxiliaries);
    let log = seen.log.expect("the log, by the postmaster's stderr");
    assert_eq!(log.path, lab.postgres().log().display().to_string());
}

/// What needs root says so in its name; without root it is held to saying so.
mod needs_root {
    use super::*;
    use pgmedic_lab::process::is_root;

    const VOLUME: Parts = Parts { volume_mb: Some(96), ..PLAIN };

    fn lab_on_a_volume() -> Option<Lab> {
        match Lab::build(VOLUME) {
            Ok(lab) => Some(lab),
            Err(LabError::NeedsRoot(_)) if !is_root() => None,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_full_volume_is_seen_with_what_holds_it_admitted_or_not() {
        let Some(lab) = lab_on_a_volume() else { return };
        let session = walk(&lab);
        let question = admitted(&lab, &session);
        let guard = faults::disk_full::inject(&lab).expect("a fault");
        for question in [question, closed(&lab)] {
            let seen = look(&question);
            let [volume, wal] = &seen.volumes[..] else { panic!("{:?}", seen.volumes) };
            assert_eq!((volume.holds, wal.holds), (VolumeUse::Data, VolumeUse::Wal));
            assert!(volume.available_bytes < 1 << 20, "{volume:?}");
            assert_eq!(volume.total_bytes, lab.volume().and_then(|v| v.total()).expect("a size"));
            let held =
                |name: &str| volume.held.iter().find(|(n, _)| n == name).map_or(0, |(_, bytes)| *bytes);
            assert!(held("base") > 1 << 20, "{:?}", volume.held);
            let written = wal.held.iter().find(|(name, _)| name == "pg_wal").map_or(0, |(_, bytes)| *bytes);
            assert!(written >= 1 << 20, "{:?}", wal.held);
            if !question.healthy {
                assert_eq!(volume.kind.as_deref(), Some("tmpfs"));
                assert_eq!(volume.mount, lab.volume().ok().map(|v| v.path().display().to_string()));
            }
        }
        guard.remove().expect("mended");
    }

    #[test]
    fn a_read_only_volume_is_seen() {
        let Some(lab) = lab_on_a_volume() else { return };
        lab.postgres().signal(rustix::process::Signal::KILL).expect("killed");
        lab.postgres().wait_stopped().expect("dead");
        let volume = lab.volume().expect("a volume").path();
        let remounted = wait::until_true("a read-only volume", PATIENCE, || {
            let mount = std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(volume).output();
            mount.is_ok_and(|output| output.status.success())
        });
        remounted.expect("read-only once the last backend is gone");
        let question =
            HostQuestion { data_directory: Some(lab.postgres().data().to_owned()), ..closed(&lab) };
        let seen = look(&question);
        let read_only: Vec<_> = seen.volumes.iter().map(|v| (v.holds, v.read_only)).collect();
        assert_eq!(
            read_only,
            [(VolumeUse::Data, true), (VolumeUse::Wal, false)],
            "the lab's WAL is elsewhere"
        );
    }
}

//! The thorough look, for when the way in was not admitted: listener, proxy, postmaster, backends, volumes, log.
//!
//! Each step adds to the page what it saw, so that a look that is cut off still tells the rest. Not in here: how each
//! thing is read, which its own module knows.

use super::backlog;
use super::clusters;
use super::conf::{self, Settings};
use super::evidence::{ListenerView, ProcessView};
use super::flows::{self, Sought};
use super::haproxy::{self, Configuration};
use super::haproxy_log;
use super::haproxy_timeouts;
use super::host::{Endpoint, HostQuestion, Page, is_of_this_host};
use super::key_file;
use super::listeners::{Holders, Listener, Sockets};
use super::place::Place;
use super::pooler_log;
use super::postmaster::{self, Postmaster};
use super::procfs::{self, Process};
use super::resources::{self, Watch};
use super::server_log::{self, Known};
use super::titles;
use super::trail::{Door, Ground};
use super::volumes::{self, Care};
use crate::clock;
use pgmedic_model::pooler_words::{Words, says};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most time spent on what holds a tight volume.
const BREAKDOWN: Duration = Duration::from_millis(300);
/// Most stopped processes that are told.
const MOST_STUCK: usize = 32;
/// How long the stats socket of a stopped HAProxy is listened to.
const OF_THE_STOPPED: Duration = Duration::from_millis(50);
/// Most servers behind a proxy that are told.
const MOST_UPSTREAM: usize = 16;
/// A process that started within this, in clock ticks of 1/100 s, has started lately.
const LATELY: u64 = 1000;
/// Postgres' default of superuser_reserved_connections.
const SUPERUSER_RESERVED: u64 = 3;

/// Most listeners at other addresses that are told.
const MOST_ELSEWHERE: usize = 8;
/// Most bytes of /proc/net/netstat.
const NETSTAT_BYTES: u64 = 64 << 10;

/// `ListenOverflows` of /proc/net/netstat: a line of names, then a line of numbers, each after `TcpExt:`.
fn accept_overflows() -> Option<u64> {
    let text = procfs::read_text(Path::new("/proc/net/netstat"), NETSTAT_BYTES).ok()?;
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let at = rows.next()?.split_whitespace().position(|name| name == "ListenOverflows")?;
    rows.next()?.split_whitespace().nth(at)?.parse().ok()
}

/// Looks at everything, in the order of the path.
pub(super) fn look(question: &HostQuestion, page: &Page, until: Instant) {
    page.step("the processes");
    let (processes, cut) = procfs::processes(until);
    if processes.is_empty() {
        return page.blind(vec!["this host has no /proc to look at".to_owned()]);
    }
    if cut {
        page.blind(vec!["not every process was looked at".to_owned()]);
    }
    page.step("the listeners");
    let mut blind = Vec::new();
    let sockets = Sockets::read(&mut blind);
    page.blind(blind);
    let (front, direct) = look_at_doors(question, &sockets, &processes, page, until);
    let proxy = front.process.as_ref().filter(|process| !process.is_postgres());
    let haproxy =
        proxy.map(|proxy| look_at_proxy(question, proxy, &front, &sockets, page, until)).unwrap_or_default();
    look_at_flows(question, &sockets, &processes, &haproxy, page, until);
    page.step("the postmaster");
    let (question, front, direct, haproxy) = (question, &front, &direct, &haproxy);
    let ground =
        Ground { question, processes: &processes, sockets: &sockets, front, direct, proxy, haproxy, until };
    let postmaster = ground.postmaster();
    let watch = postmaster.as_ref().and_then(|found| Watch::begin(found.process.pid));
    if let Some(found) = &postmaster {
        tell_postmaster(found, &ground, page);
    }
    if question.doors_alone {
        return;
    }
    look_at_disk(question, postmaster.as_ref(), &ground, page, until);
    look_at_resources(watch, page, until);
}

/// The listeners of front and direct, and who holds them.
fn look_at_doors(
    question: &HostQuestion,
    sockets: &Sockets,
    processes: &[Process],
    page: &Page,
    until: Instant,
) -> (Door, Door) {
    // Of several addresses the one with the most waiting: that is where it sticks.
    let fullest = |endpoints: &[Endpoint]| {
        endpoints
            .iter()
            .filter_map(|endpoint| sockets.listener(endpoint))
            .max_by_key(|listener| listener.recv_q)
    };
    let elsewhere = |endpoints: &[Endpoint]| -> Vec<Listener> {
        endpoints.iter().flat_map(|endpoint| sockets.elsewhere(endpoint)).take(MOST_ELSEWHERE).collect()
    };
    let (front, direct) = (fullest(&question.front), fullest(&question.direct));
    let away = (elsewhere(&question.front), elsewhere(&question.direct));
    let wanted =
        front.iter().chain(&direct).chain(&away.0).chain(&away.1).map(|listener| listener.inode).collect();
    let holders = Holders::find(&wanted, processes, until);
    let door = |listener: Option<Listener>| {
        let process = listener.as_ref().and_then(|l| holders.server(l.inode)).cloned();
        Door { listener, process }
    };
    let (front, direct) = (door(front), door(direct));
    for door in [&front, &direct] {
        if let (Some(listener), None) = (&door.listener, &door.process) {
            let why = match holders.denied {
                _ if holders.cut => "no time was left".to_owned(),
                0 => "no process of this pid namespace does".to_owned(),
                denied => format!("descriptors of {denied} processes may not be read (root may)"),
            };
            page.blind(vec![format!("which process listens on {}: {why}", listener.address)]);
        }
    }
    let view = |door: &Door| {
        door.listener.as_ref().map(|listener| listener.view(door.process.as_ref(), backlog::of(listener)))
    };
    let views = |found: &[Listener]| -> Vec<ListenerView> {
        found.iter().map(|listener| listener.view(holders.server(listener.inode), None)).collect()
    };
    let mut evidence = page.evidence();
    evidence.front_elsewhere = if front.listener.is_none() { views(&away.0) } else { Vec::new() };
    evidence.direct_elsewhere = if direct.listener.is_none() { views(&away.1) } else { Vec::new() };
    evidence.front_listener = view(&front);
    evidence.front_listener_sought = sockets.whole && !question.front.is_empty();
    evidence.direct_listener = view(&direct);
    evidence.direct_listener_sought = sockets.whole && !question.direct.is_empty();
    let full = [&evidence.front_listener, &evidence.direct_listener]
        .into_iter()
        .flatten()
        .any(ListenerView::is_full);
    evidence.accept_overflows = full.then(accept_overflows).flatten();
    drop(evidence);
    (front, direct)
}

/// The service's connections on which nobody is heard any more.
fn look_at_flows(
    question: &HostQuestion,
    sockets: &Sockets,
    processes: &[Process],
    haproxy: &Configuration,
    page: &Page,
    until: Instant,
) {
    if sockets.unheard.is_empty() && sockets.mute.is_empty() {
        return;
    }
    page.step("the connections");
    let servers = haproxy.servers.iter().copied();
    let ports = question.front.iter().chain(&question.direct).filter_map(Endpoint::port);
    let own_servers = servers.clone().filter(|a| is_of_this_host(a.ip())).map(|a| a.port());
    let sought = Sought {
        ports: ports.chain(own_servers).collect(),
        targets: question.targets.iter().copied().chain(servers).collect(),
        own: &question.own,
    };
    let (unheard, mute) = (flows::unheard(sockets, &sought, processes, until), flows::mute(sockets, &sought));
    let mut evidence = page.evidence();
    (evidence.unheard, evidence.mute) = (unheard, mute);
}

/// The proxy; and where it is a HAProxy, what its configuration and its stats socket say.
fn look_at_proxy(
    question: &HostQuestion,
    proxy: &Process,
    front: &Door,
    sockets: &Sockets,
    page: &Page,
    until: Instant,
) -> Configuration {
    page.step("the proxy");
    let established = front.listener.as_ref().map(|listener| sockets.accepted(listener));
    let upstream = procfs::socket_inodes(proxy.pid, until).ok().filter(|held| !held.is_empty());
    let told = |remotes: Vec<std::net::SocketAddr>| -> Vec<String> {
        remotes.iter().take(MOST_UPSTREAM).map(ToString::to_string).collect()
    };
    page.evidence().proxy = Some(procfs::view(proxy, established));
    if let Some(held) = upstream.filter(|_| sockets.whole) {
        page.evidence().proxy_upstream = Some(told(sockets.made(&held)));
        page.evidence().proxy_connecting = told(sockets.attempted(&held));
    }
    let given = question.proxy_log.as_deref();
    let arguments = procfs::arguments(proxy.pid).unwrap_or_default();
    let cwd = std::fs::read_link(procfs::of(proxy.pid, "cwd")).unwrap_or_else(|_| PathBuf::from("/"));
    if proxy.program == "pgbouncer" {
        page.step("PgBouncer's log");
        match pooler_log::read(proxy.pid, given, (&arguments, &cwd), clock::now()) {
            Ok(log) => page.evidence().pooler_log = Some(log),
            Err(why) => page.blind(vec![why]),
        }
    }
    if proxy.program != "haproxy" {
        return Configuration::default();
    }
    let configuration = haproxy::configuration(&arguments, &cwd);
    page.step("HAProxy's stats socket");
    // One that is stopped is only asked so that its silence is on record.
    let stopped = page.evidence().proxy.as_ref().is_some_and(ProcessView::is_frozen);
    let patience = if stopped { until.min(Instant::now() + OF_THE_STOPPED) } else { until };
    let mut view = haproxy::ask(&configuration.stats, patience);
    let port = front.listener.as_ref().and_then(|listener| listener.port);
    let timeouts = port.and_then(|port| haproxy_timeouts::of_port(&configuration.sections, port));
    if let (Some(view), Some(timeouts)) = (&mut view, timeouts) {
        view.timeouts = timeouts;
    }
    if view.is_none() {
        page.blind(vec![
            "HAProxy's own account: its configuration names no stats socket that is a file".to_owned(),
        ]);
    }
    page.evidence().haproxy = view;
    page.step("HAProxy's log");
    match haproxy_log::read(proxy.pid, given, &configuration.logs, clock::now()) {
        Ok(log) => page.evidence().haproxy_log = Some(log),
        Err(why) => page.blind(vec![why]),
    }
    configuration
}

/// The postmaster's process, and what its children say of themselves.
fn tell_postmaster(found: &Postmaster, ground: &Ground<'_>, page: &Page) {
    let own_door = [ground.direct, ground.front]
        .into_iter()
        .find(|door| door.process.as_ref().is_some_and(|process| process.pid == found.process.pid));
    let accepted = own_door.and_then(|door| door.listener.as_ref()).map(|l| ground.sockets.accepted(l));
    let peers = own_door.and_then(|door| door.listener.as_ref()).map(|l| ground.sockets.peers(l));
    let view = procfs::view(&found.process, accepted);
    let children = ground.processes.iter().filter(|p| p.parent == found.process.pid && p.state != 'Z');
    let since_boot = procfs::ticks_since_boot();
    let lately = |p: &&Process| since_boot.is_some_and(|now| now.saturating_sub(p.start_ticks) < LATELY);
    let started_lately = since_boot.map(|_| children.clone().filter(lately).count() as u64);
    let words: Vec<Vec<String>> = children.filter_map(|child| procfs::arguments(child.pid)).collect();
    let titles = titles::read(words.iter().filter_map(|words| words.first()).map(String::as_str));
    // State D is passed through by everybody who reads a disk: here only what was stopped is certain.
    let stopped =
        ground.processes.iter().filter(|p| p.parent == found.process.pid && matches!(p.state, 'T' | 't'));
    let stuck = stopped.map(|process| procfs::view(process, None)).take(MOST_STUCK).collect();
    let mut evidence = page.evidence();
    evidence.postmaster = Some(view);
    evidence.postmaster_by = Some(found.by.clone());
    evidence.backends = Some(titles.backends);
    evidence.auxiliaries = titles.auxiliaries;
    evidence.unstarted = Some(titles.untitled);
    evidence.started_lately = started_lately;
    evidence.peers = peers.unwrap_or_default();
    evidence.stuck = stuck;
}

/// What the kernel gives the server. Its log is read only where a process was killed or the postmaster is gone.
fn look_at_resources(watch: Option<Watch>, page: &Page, until: Instant) {
    page.step("the host's resources");
    page.evidence().pressure = resources::pressure();
    let killed = {
        let evidence = page.evidence();
        let entries = evidence.log.iter().flat_map(|log| &log.entries);
        evidence.postmaster.is_none()
            || entries.into_iter().any(|n| says(&n.message, Words::TerminatedBySignal))
    };
    if killed {
        page.step("the kernel's log");
        let kills = resources::killed(until);
        page.evidence().oom_killed = kills;
    }
    if let Some(watch) = watch {
        page.step("the server's control group");
        let seen = watch.end(until);
        page.evidence().resources = Some(seen);
    }
}

/// Settings, volumes and the log, where a data directory is known.
fn look_at_disk(
    question: &HostQuestion,
    postmaster: Option<&Postmaster>,
    ground: &Ground<'_>,
    page: &Page,
    until: Instant,
) {
    page.step("the data directory");
    let place = find_place(question, postmaster, ground, page, until);
    let settings = match &place {
        Some(place) => tell_settings(place, postmaster, page, until),
        None => {
            page.blind(vec![
                "the data directory is not known: platform.data_directory would name it".to_owned(),
            ]);
            Settings::default()
        }
    };
    page.step("the server's log");
    let pid = postmaster.map(|found| found.process.pid);
    let known = Known {
        given: question.log.as_deref(),
        place: place.as_ref(),
        postmaster: pid,
        settings: &settings,
        refused_since: question.refused_since,
    };
    match server_log::read(&known, until) {
        Ok(log) => page.evidence().log = Some(log),
        Err(why) => page.blind(vec![why]),
    }
    if let Some(place) = &place {
        page.step("the volumes");
        let folder =
            page.evidence().log.as_ref().and_then(|log| Path::new(&log.path).parent().map(Path::to_owned));
        let mut blind = Vec::new();
        let care = Care { mounts: true, breakdown: BREAKDOWN };
        let seen = volumes::volumes(place, folder.as_deref(), care, until, &mut blind);
        page.evidence().volumes = seen;
        page.blind(blind);
    }
}

/// The data directory: the postmaster's, else the one that is given, else that of the only cluster on disk with the
/// port that is asked for.
fn find_place(
    question: &HostQuestion,
    postmaster: Option<&Postmaster>,
    ground: &Ground<'_>,
    page: &Page,
    until: Instant,
) -> Option<Place> {
    let given = question.data_directory.as_deref();
    match postmaster {
        Some(found) => found.place().or_else(|| given.map(Place::here)),
        None => given.map(Place::here).or_else(|| {
            let cluster = clusters::on_ports(&ground.ports(), clusters::DISTRIBUTIONS, until)?;
            page.evidence().postmaster_by = Some(cluster.by);
            Some(Place::here(&cluster.data))
        }),
    }
}

/// Whether a file asks for archive recovery or for a standby (xlogrecovery.c, readRecoverySignalFile).
fn recovery_signal(place: &Place) -> Option<bool> {
    let stands = |name| place.locate(&place.data().join(name)).try_exists();
    match (stands("standby.signal"), stands("recovery.signal")) {
        (Ok(standby), Ok(restore)) => Some(standby || restore),
        _ => None,
    }
}

/// The first field of `global/pg_control`, in the host's own byte order (`ControlFileData` in pg_control.h).
fn system_identifier(place: &Place) -> Option<String> {
    let start = procfs::read_start(&place.locate(&place.data().join("global/pg_control")), 8).ok()?;
    Some(u64::from_ne_bytes(start.try_into().ok()?).to_string())
}

/// Slots as the settings have them, and the status line of postmaster.pid.
fn tell_settings(place: &Place, postmaster: Option<&Postmaster>, page: &Page, until: Instant) -> Settings {
    let arguments = postmaster.map_or(&[][..], |found| &found.arguments);
    let settings = conf::settings(place, arguments, until);
    let status = postmaster::pid_file(place)
        .filter(|file| postmaster.is_some_and(|found| found.process.pid == file.pid))
        .and_then(|file| file.status);
    let signal = recovery_signal(place);
    let key_file = key_file::look(place, &settings).unwrap_or_else(|why| {
        page.blind(vec![why]);
        None
    });
    let gone = postmaster.is_none_or(|found| found.process.state == 'Z');
    let lock_file = if gone { postmaster::lock_file(place) } else { None };
    let system_identifier = system_identifier(place);
    let mut evidence = page.evidence();
    evidence.key_file = key_file;
    evidence.lock_file = lock_file;
    evidence.system_identifier = system_identifier;
    evidence.data_directory = Some(place.data().display().to_string());
    evidence.postmaster_status = status;
    evidence.recovery_signal = signal;
    evidence.max_connections = settings.number("max_connections");
    // Defaults mean something only where the settings were read at all.
    if evidence.max_connections.is_some() {
        evidence.superuser_reserved =
            Some(settings.number("superuser_reserved_connections").unwrap_or(SUPERUSER_RESERVED));
        evidence.reserved = Some(settings.number("reserved_connections").unwrap_or(0));
    }
    drop(evidence);
    settings
}

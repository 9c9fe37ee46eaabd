//! The trail from an address to the postmaster behind it, over a proxy if there is one.
//!
//! In the order of certainty: the parent of a backend that let us in; the listener's own process; the proxy's established connections to a listener of this
//! host; HAProxy's `server` lines; postmaster.pid of a data directory that is given; the only postmaster on this host.
//! Not in here: how sockets and processes are read.

use super::haproxy::Configuration;
use super::host::{self, Endpoint, HostQuestion};
use super::listeners::{Holders, Listener, Sockets};
use super::place::Place;
use super::postmaster::{self, Postmaster};
use super::procfs::{self, Process};
use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

/// One end of the trail: a listener and its process, as far as they were found.
#[derive(Clone, Debug, Default)]
pub(super) struct Door {
    pub(super) listener: Option<Listener>,
    pub(super) process: Option<Process>,
}

/// What the trail is followed on.
pub(super) struct Ground<'a> {
    pub(super) question: &'a HostQuestion,
    pub(super) processes: &'a [Process],
    pub(super) sockets: &'a Sockets,
    pub(super) front: &'a Door,
    pub(super) direct: &'a Door,
    /// The process behind the front listener, where it is no postmaster.
    pub(super) proxy: Option<&'a Process>,
    /// Its configuration, where it is a HAProxy.
    pub(super) haproxy: &'a Configuration,
    pub(super) until: Instant,
}

impl Ground<'_> {
    /// The service's postmaster, and by what it is known.
    pub(super) fn postmaster(&self) -> Option<Postmaster> {
        self.admitting()
            .or_else(|| self.listening())
            .or_else(|| self.upstream())
            .or_else(|| self.server_line())
            .or_else(|| self.question.data_directory.as_deref().and_then(|data| self.by_pid_file(data)))
            .or_else(|| self.only_one())
    }

    /// The parent of a backend that one way in led to, where another way did not get so far.
    fn admitting(&self) -> Option<Postmaster> {
        let pid = self.question.admitted_backend_pid?;
        postmaster::of_backend(pid, self.question.told_data_directory.as_deref()).ok()
    }

    fn listening(&self) -> Option<Postmaster> {
        [self.direct, self.front].into_iter().find_map(|door| {
            let (listener, process) = (door.listener.as_ref()?, door.process.as_ref()?);
            let by = || format!("listens on {}", listener.address);
            process.is_postgres().then(|| Postmaster::new(process.clone(), by()))
        })
    }

    /// A postmaster to whose listener the proxy holds an established connection.
    fn upstream(&self) -> Option<Postmaster> {
        let proxy = self.proxy?;
        let held = procfs::socket_inodes(proxy.pid, self.until).ok()?;
        let remotes: HashSet<_> =
            self.sockets.established.iter().filter(|r| held.contains(&r.inode)).map(|r| r.remote).collect();
        let listeners =
            remotes.into_iter().filter_map(|remote| self.sockets.listener(&Endpoint::Tcp(remote)));
        self.behind(listeners, &format!("{} is connected to", proxy.program))
    }

    /// A postmaster that listens where a `server` line of HAProxy leads.
    fn server_line(&self) -> Option<Postmaster> {
        let addresses = self.haproxy.servers.iter().copied().filter(|a| host::is_of_this_host(a.ip()));
        let sockets = self.haproxy.server_sockets.iter().cloned().map(Endpoint::Unix);
        let listeners = addresses.map(Endpoint::Tcp).chain(sockets).filter_map(|e| self.sockets.listener(&e));
        self.behind(listeners, "a server line of haproxy leads to")
    }

    fn behind(&self, listeners: impl Iterator<Item = Listener>, by: &str) -> Option<Postmaster> {
        let listeners: Vec<Listener> = listeners.collect();
        let wanted = listeners.iter().map(|l| l.inode).collect();
        let holders = Holders::find(&wanted, self.processes, self.until);
        listeners.into_iter().find_map(|listener| {
            let process = holders.server(listener.inode).filter(|p| p.is_postgres())?;
            Some(Postmaster::new(process.clone(), format!("{by} {}", listener.address)))
        })
    }

    /// The postmaster that postmaster.pid of a data directory names, if it runs and is one.
    fn by_pid_file(&self, data: &Path) -> Option<Postmaster> {
        let pid = postmaster::pid_file(&Place::here(data))?.pid;
        let process = self.roots().find(|process| process.pid == pid)?;
        let found = Postmaster::new(process.clone(), format!("postmaster.pid in {}", data.display()));
        (found.runs_in(data) != Some(false)).then_some(found)
    }

    /// The only postmaster on this host, where it can be the service's: behind a proxy that leads here, or set to the
    /// port that is asked for.
    fn only_one(&self) -> Option<Postmaster> {
        let mut roots = self.roots();
        let (only, None) = (roots.next()?, roots.next()) else { return None };
        let mut found = Postmaster::new(only.clone(), "the only one on this host");
        let leads_away = !self.haproxy.servers.is_empty()
            && self.haproxy.server_sockets.is_empty()
            && !self.haproxy.servers.iter().any(|address| host::is_of_this_host(address.ip()));
        match self.proxy {
            Some(_) if leads_away => None,
            Some(proxy) => {
                found.by = format!("the only one on this host, behind {}", proxy.program);
                Some(found)
            }
            None => {
                let port = postmaster::pid_file(&found.place()?)?.port?;
                found.by = format!("the only one on this host, and its port is {port}");
                self.ports().contains(&port).then_some(found)
            }
        }
    }

    /// Processes of Postgres whose parent is none: postmasters.
    fn roots(&self) -> impl Iterator<Item = &Process> {
        let children: HashSet<u32> =
            self.processes.iter().filter(|p| p.is_postgres()).map(|p| p.pid).collect();
        self.processes.iter().filter(move |p| p.is_postgres() && !children.contains(&p.parent)).filter(|p| {
            // A child whose postmaster died has init for a parent, and a title.
            procfs::arguments(p.pid).is_some_and(|arguments| !postmaster::is_title(&arguments))
        })
    }

    /// The ports on which the service's Postgres should be: of `direct`, of HAProxy's servers, of the front unless a
    /// proxy listens there.
    pub(super) fn ports(&self) -> Vec<u16> {
        let front = self.question.front.iter().filter(|_| self.proxy.is_none());
        let endpoints = self.question.direct.iter().chain(front).filter_map(Endpoint::port);
        let servers = self.haproxy.servers.iter().filter(|address| host::is_of_this_host(address.ip()));
        endpoints.chain(servers.map(|address| address.port())).collect()
    }
}

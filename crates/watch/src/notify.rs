//! systemd's protocol of readiness and watchdog (sd_notify(3), systemd.service(5) `Type=notify` and `notify-reload`): datagrams to the
//! socket that `NOTIFY_SOCKET` names, a path or, behind `@`, an abstract name. Not in here: when what is told (`engine`).

use rustix::time::{ClockId, clock_gettime};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager, where there is one. Telling it never blocks, and what it does not take is lost.
#[derive(Debug, Default)]
pub struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// From the values of `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. Nobody is told where there is no socket.
    #[must_use]
    pub fn new(socket: Option<&str>, watchdog_usec: Option<&str>, watchdog_pid: Option<&str>) -> Self {
        let address = socket.and_then(|name| match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None if name.starts_with('/') => SocketAddr::from_pathname(name).ok(),
            None => None,
        });
        let open = || {
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some(socket)
        };
        let to = address.and_then(|address| Some((open()?, address)));
        let mine = watchdog_pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
        let usec = watchdog_usec.filter(|_| mine && to.is_some()).and_then(|usec| usec.parse().ok());
        Self { to, watchdog: usec.filter(|usec| *usec > 0).map(Duration::from_micros) }
    }

    /// How often the watchdog is to be told: half of what it waits for. None where there is none.
    #[must_use]
    pub fn every(&self) -> Option<Duration> {
        self.watchdog.map(|span| span / 2)
    }

    /// It runs, and what it is at.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// It reads its configuration anew; `ready` ends that.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// What it is at, in one line.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", line(status)));
    }

    /// It is alive.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// It ends.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.to {
            // A manager that does not listen is no reason to do anything else.
            let _lost = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}

/// A newline would begin another assignment.
fn line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut room = [0; 1024];
        let read = socket.recv(&mut room).unwrap();
        String::from_utf8(room[..read].to_vec()).unwrap()
    }

    #[test]
    fn the_manager_is_told_on_a_path_and_on_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("pgmedic-test-{}", std::process::id());
        let abstracted = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&abstracted).unwrap();
        for (socket, address) in [(by_path, path.display().to_string()), (by_name, format!("@{name}"))] {
            let notify = Notify::new(Some(&address), Some("3000000"), None);
            assert_eq!(notify.every(), Some(Duration::from_millis(1500)));
            notify.ready("watches 2\nservices");
            assert_eq!(said(&socket), "READY=1\nSTATUS=watches 2 services");
            notify.reloading();
            let reloading = said(&socket);
            let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(usec.parse::<u64>().unwrap() > 0, "{reloading}");
            notify.status("all is well");
            notify.alive();
            notify.stopping();
            let rest = [said(&socket), said(&socket), said(&socket)];
            assert_eq!(rest, ["STATUS=all is well", "WATCHDOG=1", "STOPPING=1"]);
        }
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        for socket in [None, Some(""), Some("relative"), Some("/nonexistent/socket"), Some("@")] {
            Notify::new(socket, Some("1000000"), None).ready("fine");
        }
        assert_eq!(Notify::new(None, Some("1000000"), None).every(), None);
        let other = Notify::new(Some("/nonexistent"), Some("1000000"), Some("1"));
        assert_eq!(other.every(), None, "another process's watchdog");
        assert_eq!(Notify::new(Some("/nonexistent"), Some("0"), None).every(), None);
    }
}

//! Real parts for the tests of the probes: programs on loopback that end with their guard.
#![allow(dead_code, reason = "each test crate uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that is killed when its guard goes.
pub(crate) struct Program(Child);

impl Program {
    /// Starts a program that the distribution installs; `apt` is the package to name where it is missing.
    pub(crate) fn start(command: &mut Command, apt: &str) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{name}: {error}; apt-get install {apt}")))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap()
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    /// SIGKILL, and waits for its end.
    pub(crate) fn stop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Tries until it works, for at most ten seconds.
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(Instant::now() < end, "in ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port that was free on 127.0.0.1 for both TCP and UDP a moment ago.
pub(crate) fn free_port() -> u16 {
    until("a free port", || {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").ok()?;
        let port = tcp.local_addr().ok()?.port();
        std::net::UdpSocket::bind(("127.0.0.1", port)).ok().map(|_| port)
    })
}

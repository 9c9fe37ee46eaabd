//! A lab with its `pgmedic.toml`, and the daemon that is run on it. Everything that it writes is held against the passwords.

use crate::receiver::Receiver;
use crate::support::{Place, closed_port};
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE, Stop};
use pgmedic_lab::{Lab, Parts, wait};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The token of the API.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A lab, a receiver, and a folder with the configuration of the service `shop`.
pub(crate) struct Shop {
    pub(crate) place: Place,
    pub(crate) lab: Lab,
    pub(crate) receiver: Receiver,
    pub(crate) port: u16,
}

/// The daemon. It is killed with its test.
pub(crate) struct Daemon {
    child: Child,
    log: std::path::PathBuf,
    port: u16,
}

impl Shop {
    /// One with this many ordinary slots; 0 leaves them as they are.
    pub(crate) fn with_slots(ordinary: u32) -> Self {
        let lab = Lab::build(Parts::default()).unwrap_or_else(|e| panic!("{e}"));
        let shop = Self { place: Place::new(), lab, receiver: Receiver::new(), port: closed_port() };
        if ordinary > 0 {
            let postgres = shop.lab.postgres();
            postgres.write("fault.conf", &format!("max_connections = {}\n", ordinary + 3)).unwrap();
            postgres.stop(Stop::Fast).unwrap();
            postgres.up().unwrap();
        }
        shop.place.write("token", TOKEN);
        shop.configure("", "", "");
        shop
    }

    pub(crate) fn new() -> Self {
        Self::with_slots(0)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{}/{DATABASE}", self.lab.postgres().port())
    }

    /// Writes `pgmedic.toml`: keys of the service, of its policy, and more of the file.
    pub(crate) fn configure(&self, service: &str, policy: &str, more: &str) {
        let text = format!(
            "[watch]\ninterval = \"250ms\"\nwalk = \"1s\"\ntimeout = \"6s\"\nstable = \"1s\"\nlisten = \"127.0.0.1:{}\"\n\
             token = \"file:token\"\nalerts = [{{ kind = \"webhook\", url = \"{}\" }}]\n\
             [[service]]\nname = \"shop\"\ndatabase = \"{}\"\n{service}\n[service.policy]\n{policy}\n{more}\n",
            self.port,
            self.receiver.url(),
            self.url(),
        );
        self.place.write("pgmedic.toml", &text);
    }

    /// Starts the daemon, and waits until it has looked at everything.
    pub(crate) fn watch(&self) -> Daemon {
        let daemon = self.begin(&[]);
        daemon.wait_for("/ready");
        // The standing session is open once it has been looked through.
        let looked = "pgmedic_looks_total{service=\"shop\",kind=\"look\"} ";
        let stands =
            || daemon.page("/metrics").lines().any(|l| l.strip_prefix(looked).is_some_and(|n| n != "0"));
        wait::until_true("a look through the standing session", Duration::from_secs(20), stands)
            .unwrap_or_else(|error| panic!("{error}\n{}", daemon.page("/metrics")));
        daemon
    }

    /// Starts it with more of an environment.
    pub(crate) fn begin(&self, environment: &[(&str, &str)]) -> Daemon {
        let log = self.place.path().join("log");
        let file = std::fs::OpenOptions::new().append(true).create(true).open(&log).unwrap();
        let mut command = self.place.command(&["watch", "--log", "json"]);
        command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(file);
        Daemon { child: command.spawn().unwrap(), log, port: self.port }
    }

    pub(crate) fn stop_server(&self) {
        self.lab.postgres().stop(Stop::Immediate).unwrap();
    }
}

impl Daemon {
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end, and gives how long that took.
    pub(crate) fn ended(mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        let mut ended =
            || self.child.try_wait().map(|status| status.ok_or("it runs")).map_err(|e| e.to_string());
        let status =
            wait::until("the daemon's end", Duration::from_secs(20), || Ok(ended().unwrap())).unwrap();
        (status, begun.elapsed())
    }

    /// What it wrote, line by line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap();
        assert!(!text.contains(PASSWORD) && !text.contains(TOKEN), "{text}");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for a line of this event that holds this text.
    pub(crate) fn wait_line(&self, event: &str, text: &str) -> Value {
        let found = || self.lines().into_iter().find(|l| l["event"] == event && l.to_string().contains(text));
        let what = format!("a line {event} with {text:?}");
        wait::until(&what, Duration::from_secs(30), || {
            Ok(found().ok_or_else(|| format!("{:#?}", self.lines())))
        })
        .unwrap_or_else(|error| panic!("{error}"))
    }

    /// One request: status and body.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        assert!(!text.contains(PASSWORD) && !text.contains(TOKEN), "{text}");
        let status = text.split(' ').nth(1)?.parse().ok()?;
        Some((status, text.split_once("\r\n\r\n")?.1.to_owned()))
    }

    /// A page that must be there.
    pub(crate) fn page(&self, path: &str) -> String {
        let (status, body) = self.ask("GET", path, "").unwrap_or_else(|| {
            let log = std::fs::read_to_string(&self.log).unwrap();
            panic!("no answer for {path}\n{log}")
        });
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) fn wait_for(&self, path: &str) {
        let there = || self.ask("GET", path, "").is_some_and(|(status, _)| status == 200);
        wait::until_true(path, Duration::from_secs(30), there)
            .unwrap_or_else(|error| panic!("{error}\n{}", std::fs::read_to_string(&self.log).unwrap()));
    }

    /// The incidents that the API tells of.
    pub(crate) fn incidents(&self, query: &str) -> Vec<Value> {
        let page: Value = serde_json::from_str(&self.page(&format!("/api/v1/incidents{query}"))).unwrap();
        page["incidents"].as_array().unwrap_or_else(|| panic!("{page:#}")).clone()
    }

    /// Waits until an open incident of a cause is so.
    pub(crate) fn wait_incident(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let found = || self.incidents("").into_iter().find(|incident| is(incident));
        wait::until(what, Duration::from_secs(40), || {
            Ok(found().ok_or_else(|| format!("{:#?}", self.incidents(""))))
        })
        .unwrap_or_else(|error| panic!("{error}\n{:#?}", self.lines()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

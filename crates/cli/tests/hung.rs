//! Many services of which some hang, in each place on the way in: the others keep their interval. The full size is
//! `scripts/bench-watch thousand`.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod support;

use pgmedic_lab::postgres::{DATABASE, ROLE};
use pgmedic_lab::understudy::{Role, Understudies};
use pgmedic_lab::{Lab, Parts};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use support::Place;

const HEALTHY: usize = 140;
/// Each longer than the machine of a test may be busy.
const INTERVAL: Duration = Duration::from_secs(2);
const INTERVALS: u32 = 7;

/// The daemon, which ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// A series of `/metrics`, summed over the services whose name begins so.
fn sum(page: &str, metric: &str, service: &str) -> f64 {
    let start = format!("{metric}{{service=\"{service}");
    let of_it = page.lines().filter(|line| line.starts_with(&start));
    of_it.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn metrics(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    Some(page)
}

/// The first page of which it is true.
fn page_where(port: u16, what: &str, within: Duration, is: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + within;
    loop {
        let page = metrics(port);
        if let Some(page) = page.as_ref().filter(|page| is(page)) {
            return page.clone();
        }
        assert!(Instant::now() < deadline, "{what}: {}", page.map_or(0, |page| page.len()));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn of_two_hundred_services_sixty_hang_and_the_others_keep_their_interval() {
    let lab = Lab::build(Parts::default()).unwrap();
    lab.postgres().set_hba("host all all 127.0.0.1/32 trust\n").unwrap();
    let all = Understudies::of((Ipv4Addr::LOCALHOST, lab.postgres().port()).into()).unwrap();
    let place = Place::new();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut config = format!(
        "[watch]\nlisten = \"127.0.0.1:{port}\"\nstore = \"memory\"\ninterval = \"{}s\"\nwalk = \"6s\"\n",
        INTERVAL.as_secs()
    );
    let hung = [
        ("silent", Role::Silent, 20),
        ("dropped", Role::Dropped, 20),
        ("mute", Role::Mute, 10),
        ("stalls", Role::Stalls, 10),
    ];
    for (name, role, count) in [("answers", Role::Answers, HEALTHY)].into_iter().chain(hung) {
        for (n, port) in all.add(role, count).unwrap().into_iter().enumerate() {
            let url = format!("postgres://{ROLE}@127.0.0.1:{port}/{DATABASE}?sslmode=disable");
            write!(config, "[[service]]\nname = \"{name}-{n}\"\ndatabase = \"{url}\"\n").unwrap();
        }
    }
    let config = place.write("pgmedic.toml", &config);
    let state = place.path().join("state");
    let mut command = place.command(&["watch", "--config", &config]);
    let _daemon = Daemon(command.env("PGMEDIC_STATE", state).stderr(Stdio::null()).spawn().unwrap());

    #[allow(clippy::cast_precision_loss, reason = "a hundred services")]
    let healthy = HEALTHY as f64;
    let up = |page: &str, name: &str| sum(page, "pgmedic_service_up", name);
    page_where(port, "every server that answers is well", Duration::from_secs(60), |page| {
        up(page, "answers") >= healthy && up(page, "stalls") >= 10.0
    });
    all.stall();
    let first = page_where(port, "every hung one is seen to be down", Duration::from_secs(60), |page| {
        let known = |(name, _, count): &(&str, Role, usize)| {
            page.matches(&format!("pgmedic_service_up{{service=\"{name}")).count() == *count
                && up(page, name) < 0.5
        };
        hung.iter().all(known)
    });
    std::thread::sleep(INTERVAL * INTERVALS);
    let last = metrics(port).unwrap();

    let since = |metric: &str| sum(&last, metric, "answers") - sum(&first, metric, "answers");
    let (looks, missed) = (since("pgmedic_looks_total"), since("pgmedic_missed_intervals_total"));
    let due = healthy * f64::from(INTERVALS);
    println!("{looks} looks and walks of {due} that were due; {missed} intervals missed");
    assert!(looks >= due * 0.9, "{looks} looks where {due} were due");
    assert!(missed <= due * 0.02, "{missed} intervals of {due} were missed");
    assert!(up(&last, "answers") >= healthy, "the healthy ones are well all the while");
    for (name, ..) in hung {
        assert!(up(&last, name) < 0.5, "{name}");
    }
}

//! The daemon's own life: it starts, reloads and ends as a service manager wants it.

use crate::scene::Shop;
use crate::support::Place;
use pgmedic_lab::wait;
use rustix::process::Signal;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

#[test]
fn a_good_configuration_is_taken_and_a_bad_one_refused_with_its_place() {
    let shop = Shop::new();
    let daemon = shop.watch();
    let more = format!("[[service]]\nname = \"bakery\"\ndatabase = \"{}\"\n", shop.url());
    shop.configure("labels = { team = \"web\" }", "", &more);
    daemon.signal(Signal::HUP);
    let line = daemon.wait_line("reloaded", "");
    assert_eq!(
        (&line["added"], &line["changed"], &line["removed"]),
        (&1.into(), &1.into(), &0.into()),
        "{line}"
    );
    wait::until_true("the new one is looked at", Duration::from_secs(20), || {
        daemon.ask("GET", "/api/v1/services/bakery/report", "").is_some_and(|(status, _)| status == 200)
    })
    .unwrap();
    shop.configure("nonsense = 1", "", "");
    daemon.signal(Signal::HUP);
    let line = daemon.wait_line("refused", "nonsense");
    assert!(line["why"].as_str().unwrap().contains("pgmedic.toml:12:1"), "{line}");
    assert_eq!(daemon.ask("GET", "/api/v1/services/bakery/report", "").unwrap().0, 200, "the old one stays");
    shop.configure("", "", "");
    daemon.signal(Signal::HUP);
    daemon.wait_line("reloaded", "\"removed\":1");
    assert_eq!(daemon.ask("GET", "/api/v1/services/bakery/report", "").unwrap().0, 404);
    let (status, _) = daemon.ask("POST", "/api/v1/reload", "{}").unwrap();
    assert!(status == 200 || status == 202, "{status}");
}

#[test]
fn a_reload_that_replaces_the_server_is_answered_over_the_one_before() {
    let shop = Shop::new();
    let daemon = shop.watch();
    let path = shop.place.path().join("pgmedic.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let with = |key: &str| {
        std::fs::write(&path, text.replacen("[watch]\n", &format!("[watch]\n{key}\n"), 1)).unwrap()
    };
    with("external_url = \"http://db-1.internal:9187\"");
    let begun = Instant::now();
    let (status, body) = daemon.ask("POST", "/api/v1/reload", "{}").unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}: it waited for itself", begun.elapsed());
    shop.place.write("short", "short");
    with("read_token = \"file:short\"");
    let (status, body) = daemon.ask("POST", "/api/v1/reload", "{}").unwrap();
    assert!(status >= 400 && body.contains("read_token"), "{status}: {body}");
    assert_eq!(daemon.ask("GET", "/metrics", "").unwrap().0, 200, "the one before stays");
}

#[test]
fn it_ends_within_two_seconds_though_a_target_hangs_and_leaves_no_session_behind() {
    let shop = Shop::new();
    // It takes connections, and never says a word.
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = hung.local_addr().unwrap().port();
    let more = format!("[[service]]\nname = \"hung\"\ndatabase = \"postgres://u@127.0.0.1:{port}/d\"\n");
    shop.configure("", "", &more);
    let daemon = shop.watch();
    let ours = "select count(*) from pg_stat_activity where application_name = 'pgmedic'";
    let count = || shop.lab.postgres().value(ours).unwrap();
    wait::until_true("a standing session", Duration::from_secs(20), || count() != "0").unwrap();
    daemon.signal(Signal::TERM);
    let (status, took) = daemon.ended();
    assert!(status.success() && took < Duration::from_secs(2), "{status} after {took:?}");
    wait::until_true("no session is left", Duration::from_secs(5), || count() == "0").unwrap();
}

#[test]
fn the_service_manager_is_told_when_it_is_ready_alive_reloading_and_ending() {
    let shop = Shop::new();
    let path = shop.place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let said = |until: &str| loop {
        let mut room = [0; 1024];
        let read = socket.recv(&mut room).unwrap_or_else(|error| panic!("{until}: {error}"));
        let text = String::from_utf8(room[..read].to_vec()).unwrap();
        if text.contains(until) {
            return text;
        }
    };
    let name = path.display().to_string();
    let daemon = shop.begin(&[("NOTIFY_SOCKET", &name), ("WATCHDOG_USEC", "500000")]);
    assert!(said("READY=1").contains("STATUS=watches 1 service(s)"));
    said("WATCHDOG=1");
    daemon.signal(Signal::HUP);
    assert!(said("RELOADING=1").contains("MONOTONIC_USEC="));
    said("READY=1");
    daemon.signal(Signal::INT);
    said("STOPPING=1");
    assert!(daemon.ended().0.success());
}

#[test]
fn what_cannot_be_watched_is_refused_before_anything_is_touched() {
    let place = Place::new();
    place.write("pgmedic.toml", "[[service]]\nname = \"a\"\ndatabase = \"postgres://u:hunter2@127.0.0.1:1/d\"\n[watch]\nlisten = \"0.0.0.0:9187\"\n");
    let ran = place.run(&["watch"]);
    assert_eq!(ran.exit, Some(78), "{}", ran.all());
    assert!(
        ran.stderr.contains("pgmedic.toml:5:10") && ran.stderr.contains("no token is set"),
        "{}",
        ran.stderr
    );
    place.write("pgmedic.toml", "[[service]]\nname = \"a\"\ndatabase = \"postgres://u:hunter2@127.0.0.1:1/d\"\n[service.policy]\nauto = [\"sessions\"]\nquiet = [\"22:00-06:00\"]\n");
    let ran = place.run(&["watch", "--check"]);
    assert_eq!(ran.exit, Some(0), "{}", ran.all());
    for says in [
        "a  postgres://u@127.0.0.1:1/d",
        "by itself: sessions",
        "nothing from 22:00 to 06:00 UTC",
        "alerts    nobody",
    ] {
        assert!(ran.stdout.contains(says), "{says}: {}", ran.stdout);
    }
    assert!(!ran.all().contains("hunter2"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    place.write("pgmedic.toml", &format!("[[service]]\nname = \"a\"\ndatabase = \"postgres://u@127.0.0.1:1/d\"\n[watch]\nlisten = \"{listen}\"\n"));
    let ran = place.run(&["watch"]);
    assert_eq!(ran.exit, Some(78), "{}", ran.all());
    assert!(ran.stderr.contains("another pgmedic may be there"), "{}", ran.stderr);
    let ran = place.run(&["pause", "b"]);
    assert_eq!(ran.exit, Some(64), "{}", ran.all());
}

#[test]
fn a_reload_that_changes_a_service_never_has_three_sessions_on_its_server() {
    let shop = Shop::new();
    let daemon = shop.watch();
    // The server counts for itself, without a pause: what is there for a moment is seen.
    let witness = "create function public.witness() returns text language plpgsql as $$
        declare n int; most int := 0; looks int := 0; begin
            while clock_timestamp() < statement_timestamp() + interval '12 s' loop
                perform pg_stat_clear_snapshot(); looks := looks + 1;
                select count(*) into n from pg_stat_activity where application_name = 'pgmedic';
                most := greatest(most, n);
            end loop; return most || ' of ' || looks; end $$";
    shop.lab.postgres().sql(witness).unwrap();
    let standing =
        "select pid from pg_stat_activity where application_name = 'pgmedic' order by backend_start limit 1";
    let before = shop.lab.postgres().value(standing).unwrap();
    let seen = std::thread::scope(|scope| {
        let witness = scope.spawn(|| shop.lab.postgres().value("select public.witness()").unwrap());
        for n in 1..40 {
            // It walks all the time, so that each reload comes in the midst of a walk.
            shop.configure("", &format!("max_terminations = {n}"), "");
            let path = shop.place.path().join("pgmedic.toml");
            let text = std::fs::read_to_string(&path).unwrap();
            let restless = text.replace("\"250ms\"\nwalk = \"1s\"", "\"100ms\"\nwalk = \"100ms\"");
            assert_ne!(restless, text);
            std::fs::write(path, restless).unwrap();
            daemon.signal(Signal::HUP);
            let reloaded = || daemon.lines().iter().filter(|line| line["event"] == "reloaded").count() >= n;
            wait::until_true("the reload", Duration::from_secs(10), reloaded).unwrap();
            std::thread::sleep(Duration::from_millis(13 * u64::try_from(n % 7).unwrap()));
        }
        assert!(!witness.is_finished(), "it saw every reload");
        witness.join().unwrap()
    });
    let (most, looks) = seen.split_once(" of ").unwrap();
    assert!(looks.parse::<u32>().unwrap() > 2000, "the witness looked {looks} times");
    assert_eq!(most, "2", "in {looks} looks");
    let after = shop.lab.postgres().value(standing).unwrap();
    assert_eq!(before, after, "where the way is the same the session stays");
}

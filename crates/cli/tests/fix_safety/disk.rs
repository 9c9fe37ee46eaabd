//! Shows 4: a full disk, an API that hangs, and every kind allowed: nothing is restarted before there is space. And what cannot
//! be read keeps a hung server from being restarted.

use crate::api::Api;
use crate::scene::{Shop, outcomes};
use pgmedic_lab::{Parts, faults, wait};
use rustix::process::Signal;
use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

const ALL: &str = "sessions,settings,storage,app-restart,proxy-restart,db-restart";
const VOLUME: Parts =
    Parts { proxy: None, pooler: None, dns: false, api: None, tls: false, volume_mb: Some(64) };

/// Commands for every deed; those of the server's volume as given.
fn commands(api: &Api, extend: &str, start: &str) -> String {
    let extend = api.script("extend_volume", extend).replace("\"]", "\", \"{size_gb}\"]");
    let rest = ["restart_api", "restart_proxy", "restart_db"].map(|name| api.script(name, "exit 3"));
    format!("{}{extend}{}", rest.concat(), api.script("start_db", start))
}

/// The order in which commands were run.
fn run(api: &Api) -> Vec<String> {
    let text = std::fs::read_to_string(api.file("count")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn needs_root_a_full_disk_and_a_hung_api_restart_nothing_while_there_is_no_space() {
    let shop = Shop::with(VOLUME);
    let api = Api::new(shop.place.path());
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let ready = format!("ready = \"http://{}/ready\"", hung.local_addr().unwrap());
    let data = shop.lab.postgres().data().display().to_string();
    let platform =
        format!("kind = \"host\"\ndata_directory = \"{data}\"\n{}", commands(&api, "exit 3", "exit 3"));
    shop.configure(&ready, &platform, "max_volume_gb = 100");
    let full = faults::disk_full::inject(&shop.lab).unwrap();
    let ran = shop.fix(&["--allow", ALL, "--timeout", "2s"]);
    assert_ne!(ran.exit, Some(0), "{}", ran.all());
    assert_eq!(run(&api), ["extend_volume"], "{:?}", outcomes(&ran.json()));
    let again = shop.fix(&["--allow", ALL, "--timeout", "2s"]);
    assert_ne!(again.exit, Some(0), "{}", again.all());
    assert_eq!(run(&api), ["extend_volume"], "{:?}", outcomes(&again.json()));

    // Somebody restarts it all the same: it ends, and is not started again either.
    api.reset();
    shop.lab.postgres().signal(Signal::KILL).unwrap();
    shop.lab.postgres().wait_stopped().unwrap();
    let down = shop.fix(&["--allow", ALL, "--timeout", "2s"]);
    assert_ne!(down.exit, Some(0), "{}", down.all());
    assert!(!run(&api).iter().any(|name| name.contains("_db")), "{:?}: {}", run(&api), down.all());
    let document = down.json();
    let start = document["plan"].as_array().unwrap().iter().find(|step| step["remedy"] == "start-database");
    if let Some(start) = start {
        assert_eq!(start["permit"]["may"], "closed", "{start:#}");
        assert!(start["permit"]["why"].as_str().unwrap().starts_with("free space: "), "{start:#}");
    }
    drop(full);
}

#[test]
fn needs_root_a_server_that_went_down_on_a_full_disk_is_started_after_there_is_space() {
    let shop = Shop::with(Parts { volume_mb: Some(200), ..VOLUME });
    let api = Api::new(shop.place.path());
    let data = shop.lab.postgres().data().display().to_string();
    let filler = shop.lab.volume().unwrap().path().join("filler");
    let platform = format!(
        "kind = \"host\"\ndata_directory = \"{data}\"\n{}",
        commands(
            &api,
            &format!("rm {}", filler.display()),
            "touch begun; while [ ! -e go ]; do sleep 0.02; done"
        )
    );
    shop.configure("", &platform, "max_volume_gb = 100");
    shop.lab.postgres().signal(Signal::KILL).unwrap();
    shop.lab.postgres().wait_stopped().unwrap();
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let begun = api.file("begun");
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            if wait::until_true("the start", Duration::from_secs(60), || begun.exists()).is_ok() {
                let up = || Ok(shop.lab.postgres().up().map_err(|error| error.to_string()));
                wait::until("a server", Duration::from_secs(20), up).unwrap();
                std::fs::write(api.file("go"), "").unwrap();
            }
        });
        let ran = shop.fix(&["--allow", ALL, "--timeout", "2s"]);
        if !begun.exists() {
            // Nobody waits for what was not begun.
            shop.lab.postgres().up().unwrap();
            std::fs::write(&begun, "").unwrap();
        }
        ran
    });
    assert_eq!(run(&api), ["extend_volume", "start_db"], "{}", ran.all());
    assert_eq!(ran.exit, Some(0), "{:?}", outcomes(&ran.json()));
}

#[test]
fn a_hung_server_of_which_nothing_can_be_read_is_not_restarted() {
    let shop = Shop::new();
    let api = Api::new(shop.place.path());
    let data = shop.lab.postgres().data().display().to_string();
    let platform =
        format!("kind = \"host\"\ndata_directory = \"{data}\"\n{}", commands(&api, "exit 3", "exit 3"));
    shop.configure("", &platform, "");
    let hung = faults::server_hung::inject(&shop.lab).unwrap();
    let ran = shop.fix(&["--allow", ALL, "--timeout", "1s"]);
    hung.remove().unwrap();
    assert_eq!((ran.exit, run(&api)), (Some(1), Vec::<String>::new()), "{}", ran.all());
    let document = ran.json();
    let restart =
        document["plan"].as_array().unwrap().iter().find(|step| step["remedy"] == "restart-database");
    let why = restart.unwrap()["permit"]["why"].as_str().unwrap();
    assert!(why.contains("counts as closed"), "{why}");
}

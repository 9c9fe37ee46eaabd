//! The lab itself: it comes up, it is wired, and nothing of it is left when it is gone.

use pgmedic_lab::api::Kind;
use pgmedic_lab::sessions::{Login, Sessions};
use pgmedic_lab::{Lab, Parts, PoolerSize};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Processes that work in a folder, by their ids.
fn processes_in(folder: &std::path::Path) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("Linux has /proc").flatten();
    all.filter(|p| std::fs::read_link(p.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
        .map(|p| p.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn everything_comes_up_and_nothing_is_left() {
    let parts = Parts {
        proxy: Some(50),
        pooler: Some(PoolerSize { pool: 2, clients: 20 }),
        dns: true,
        api: Some(Kind::Renderflow),
        tls: true,
        volume_mb: None,
    };
    if let Some(missing) = parts.missing().first() {
        panic!("{missing}");
    }
    let from = Instant::now();
    let lab = Lab::build(parts).unwrap();
    println!("built in {:?}", from.elapsed());
    let folder = lab.folder().to_owned();
    let ways = [lab.postgres().port(), lab.proxy().unwrap().port(), lab.pooler().unwrap().port()];
    for port in ways {
        let login = Login { from: Ipv4Addr::LOCALHOST, ..Login::of_api(lab.postgres()).through(port) };
        Sessions::open(lab.postgres(), &login, 1).unwrap().run("select 1").unwrap();
    }
    assert!(processes_in(&folder).len() >= 4);
    let from = Instant::now();
    drop(lab);
    println!("gone in {:?}", from.elapsed());
    assert!(!folder.exists());
    assert_eq!(processes_in(&folder), Vec::<String>::new());
}

#[test]
fn a_plain_lab_is_quick() {
    drop(Lab::build(Parts::default()).unwrap());
    let from = Instant::now();
    let lab = Lab::build(Parts { api: Some(Kind::Renderflow), ..Parts::default() }).unwrap();
    println!("built in {:?}", from.elapsed());
    assert!(from.elapsed() < Duration::from_secs(5));
    assert_eq!(
        lab.postgres().value("select count(*)::text from pg_roles where rolname = 'monitor'").unwrap(),
        "1"
    );
}

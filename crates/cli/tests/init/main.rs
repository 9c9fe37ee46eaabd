//! `pgmedic init`: what it writes is taken by the reader of configurations, and no secret is in it or on the screen.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use support::{Place, Ran};

/// A host on which nothing is.
fn nowhere() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn init(place: &Place, root: &Path, environment: &[(&str, &str)], more: &[&str]) -> Ran {
    let mut arguments = vec!["init", "--root", root.to_str().unwrap()];
    arguments.extend(more);
    place.run_with(environment, &arguments)
}

fn file(place: &Place) -> String {
    std::fs::read_to_string(place.path().join("pgmedic.toml")).unwrap()
}

/// The verb that reads a whole configuration and fetches nothing takes it.
fn is_accepted(place: &Place) {
    let ran = place.run(&["rules", "prometheus", "--config", "pgmedic.toml"]);
    assert_eq!((ran.exit, ran.stderr.as_str()), (Some(0), ""), "{}", file(place));
}

fn put(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn of_the_examples_folder_it_makes_a_service_on_fly_and_one_of_compose() {
    let (place, root) = (Place::new(), nowhere());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/renderflow");
    for name in ["fly.toml", "compose.yaml"] {
        std::fs::copy(example.join(name), place.path().join(name)).unwrap();
    }
    let ran = init(&place, root.path(), &[], &[]);
    assert_eq!((ran.exit, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    assert_eq!(file(&place), include_str!("renderflow.toml"));
    is_accepted(&place);
    assert!(
        ran.stdout
            .contains("compose.yaml:19  DATABASE_URL of the container api: postgres://renderflow:…@db:5432")
    );
    assert!(ran.stdout.contains("port 5432 of db is not published"), "{}", ran.stdout);
    assert!(!format!("{}{}", ran.all(), file(&place)).contains("only-here"));
}

#[test]
fn in_an_empty_folder_it_says_so_and_writes_a_form() {
    let (place, root) = (Place::new(), nowhere());
    let ran = init(&place, root.path(), &[], &[]);
    assert_eq!(ran.exit, Some(1));
    assert!(ran.stdout.starts_with("Nothing was found"), "{}", ran.stdout);
    assert!(file(&place).contains("database = \"env:DATABASE_URL\""));
    is_accepted(&place);
}

#[test]
fn no_secret_is_written_or_shown_wherever_it_stands() {
    let (place, root) = (Place::new(), nowhere());
    place.write(".env", "DATABASE_URL=\"postgresql+asyncpg://app:s3cret-1@db.example.com/shop\"\nDB_URL=postgres://a:s3cret/2@h/d\n");
    place.write(
        ".env.local",
        "RESCUE_DATABASE_URL=postgres://root:s3cret-3@db.example.com/shop\nPGPASSWORD=s3cret-4\n",
    );
    place.write(
        "compose.yaml",
        "services:\n  db:\n    image: postgres\n    environment: [POSTGRES_PASSWORD=s3cret-5, POSTGRES_DB=mine]\n\
         \x20 web:\n    environment:\n      OTHER_DATABASE_URL: postgres://w:s3cret-6@db/mine\n    ports: [\"80:80\"]\n\
         \x20   healthcheck: {test: \"curl -f http://u:s3cret-7@localhost:80/ready?token=s3cret-8\"}\n",
    );
    place.write("fly.toml", "app = \"x\"\n[env]\nPG_URL = \"postgres://f:s3cret-9@x-db.internal/x\"\n[[http_service.checks]]\npath = \"/ready?key=s3cret-10\"\n");
    put(
        root.path(),
        "etc/pgbouncer/pgbouncer.ini",
        "[databases]\nshop = host=10.0.0.1 password=s3cret-11\n[pgbouncer]\nstats_users = s\n",
    );
    put(
        root.path(),
        "etc/haproxy/haproxy.cfg",
        "listen pg\n bind :5432\n stats auth u:s3cret-12\n server a 10.0.0.1:5432\n",
    );
    put(
        root.path(),
        "etc/systemd/system/api.service",
        "[Service]\nEnvironment=\"DATABASE_URL=postgres://u:s3cret-13@localhost/y\"\nEnvironmentFile=-/etc/api.env\n",
    );
    put(root.path(), "etc/api.env", "API_DATABASE_URL=postgres://u:s3cret-14@localhost:6432/z\n");
    let environment = [("DATABASE_URL", "postgres://e:s3cret-15@127.0.0.1/e?sslpassword=s3cret-16")];
    let ran = init(&place, root.path(), &environment, &[]);
    assert_eq!(ran.exit, Some(0), "{}", ran.all());
    let all = format!("{}{}", ran.all(), file(&place));
    assert!(!all.contains("s3cret"), "{all}");
    is_accepted(&place);
    // It is not by finding nothing that it keeps them.
    for found in [
        "/shop",
        "/mine",
        "x-db.internal",
        "127.0.0.1:5432/e",
        "localhost:5432/y",
        "RESCUE_DATABASE_URL",
        "set -a; . ./.env",
    ] {
        assert!(all.contains(found), "{found}\n{all}");
    }
    assert!(all.contains("which is its driver's own"), "{all}");
    let printed = init(&place, root.path(), &environment, &["--print"]);
    assert!(!printed.all().contains("s3cret"), "{}", printed.all());
}

#[test]
fn a_file_that_is_there_is_left_unless_force_is_given() {
    let (place, root) = (Place::new(), nowhere());
    place.write("pgmedic.toml", "mine");
    place.write(".env", "DATABASE_URL=postgres://a@h/d\n");
    let ran = init(&place, root.path(), &[], &[]);
    assert_eq!((ran.exit, file(&place).as_str()), (Some(64), "mine"));
    assert!(ran.stderr.contains("--force writes over it"), "{}", ran.stderr);
    let ran = init(&place, root.path(), &[], &["--print"]);
    assert_eq!((ran.exit, file(&place).as_str()), (Some(0), "mine"));
    assert!(ran.stdout.contains("env:DATABASE_URL") && ran.stderr.contains("Not written to disk"));
    assert_eq!(init(&place, root.path(), &[], &["--force"]).exit, Some(0));
    is_accepted(&place);
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn what_cannot_be_read_is_named_with_its_place_and_the_rest_is_used() {
    let (place, root) = (Place::new(), nowhere());
    std::fs::create_dir(place.path().join(".env")).unwrap();
    place.write("compose.yaml", "services:\n  db:\n    image: postgres\n  api:\n    environment:\n      DATABASE_URL: postgres://a:hunter2@db/shop\nnetworks: {a: [}\n");
    place.write("fly.toml", "app = \"x\"\nbad = = hunter2\n");
    std::fs::write(place.path().join(".env.local"), b"DATABASE_URL=\xff\n").unwrap();
    let ran = init(&place, root.path(), &[], &[]);
    assert_eq!(ran.exit, Some(0), "{}", ran.all());
    for said in
        ["is no plain file", "line 7: not YAML; what stands before it is used", "fly.toml:2", "is not UTF-8"]
    {
        assert!(ran.stdout.contains(said), "{said}\n{}", ran.stdout);
    }
    assert!(ran.stdout.contains("\nNext: pgmedic self doctor, then: pgmedic check shop\n"), "{}", ran.stdout);
    assert!(file(&place).contains("name = \"shop\"") && !ran.all().contains("hunter2"));
    is_accepted(&place);
}

#[test]
fn on_a_host_the_way_is_followed_through_the_proxies_to_the_cluster() {
    let (place, root) = (Place::new(), nowhere());
    let put = |name: &str, text: &str| put(root.path(), name, text);
    put("etc/haproxy/haproxy.cfg", "listen pg\n  bind *:5432\n  server own 127.0.0.1:5433 check\n");
    put(
        "etc/postgresql/15/main/postgresql.conf",
        "port = 5433 # here\ndata_directory = '/var/lib/postgresql/15/main'\n",
    );
    put("var/lib/postgresql/15/main/PG_VERSION", "15\n");
    put("var/log/postgresql/postgresql-15-main.log", "");
    put("etc/systemd/system/shop-api.service", "[Service]\nEnvironmentFile=/etc/shop.env\n");
    put("etc/shop.env", "DATABASE_URL=postgres://shop:x@127.0.0.1:5432/shop\n");
    let ran = init(&place, root.path(), &[], &[]);
    assert_eq!(ran.exit, Some(0), "{}", ran.all());
    let text = file(&place);
    for line in [
        "name = \"shop\"",
        "database = \"env:DATABASE_URL\"",
        "direct = \"127.0.0.1:5433\"",
        "kind = \"systemd\"",
        "api = \"shop-api\"",
        "db = \"postgresql@15-main\"",
        "proxy = \"haproxy\"",
    ] {
        assert!(text.lines().any(|l| l.starts_with(line)), "{line}\n{text}");
    }
    assert!(text.contains("/var/lib/postgresql/15/main\"") && text.contains("postgresql-15-main.log\""));
    is_accepted(&place);
}

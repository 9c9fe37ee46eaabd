//! `pgmedic runbook`: for the example on Fly it has everything that the team's own runbook had, corrected; for each platform
//! its own commands; its SQL runs on a real Postgres; and it needs no network and shows no secret.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod old;
mod sql;
#[path = "../support/mod.rs"]
mod support;

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use support::Place;

/// A password that no output may show.
const SECRET: &str = "hunter2";

/// The runbook that a configuration gives, with no environment and no network to speak of.
pub(crate) fn written(configuration: &str) -> String {
    let place = Place::new();
    place.write("pgmedic.toml", configuration);
    let ran = place.run(&["runbook"]);
    assert_eq!((ran.exit, ran.stderr.as_str()), (Some(0), ""));
    assert!(!ran.stdout.contains(SECRET), "a secret is shown");
    ran.stdout
}

/// The example's configuration for Fly.
pub(crate) fn example() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/renderflow");
    std::fs::read_to_string(folder.join("pgmedic.toml")).unwrap()
}

/// `UPDATE_EXAMPLE=1` writes it anew.
#[test]
fn the_examples_runbook_is_what_is_written_for_its_configuration() {
    let text = written(&example());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/renderflow/runbook.md");
    if std::env::var_os("UPDATE_EXAMPLE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).find(|(kept, new)| kept != new);
    assert!(
        kept == text,
        "examples/renderflow/runbook.md is not what `pgmedic runbook` writes (first: {differs:?}): \
         UPDATE_EXAMPLE=1 cargo test -p pgmedic --test runbook"
    );
}

#[test]
fn every_link_within_it_leads_to_a_heading_or_an_anchor() {
    for text in [
        written(&example()),
        written("[[service]]\nname = \"shop\"\ndatabase = \"postgres://u@127.0.0.1/d\"\n"),
    ] {
        let slug = |heading: &str| {
            let kept = heading
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .collect::<String>();
            kept.replace(' ', "-")
        };
        let headings: Vec<String> = text
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| slug(line.trim_start_matches('#').trim()))
            .collect();
        let mut links = 0;
        for target in text.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            links += 1;
            let anchored = text.contains(&format!("<a id=\"{target}\"></a>"));
            assert!(anchored || headings.iter().any(|heading| heading == target), "#{target} leads nowhere");
        }
        assert!(links > 50, "{links} links");
    }
}

#[test]
fn each_platform_has_its_own_commands_and_no_others() {
    let service = |platform: &str, more: &str| {
        format!(
            "[[service]]\nname = \"shop\"\ndatabase = \"env:NOT_SET\"\n{more}\n[service.platform]\n{platform}\n"
        )
    };
    let all = ["fly ", "docker ", "kubectl ", "systemctl ", "lvextend "];
    let cases: [(&str, &str, &[&str]); 6] = [
        (
            "kind = \"docker\"\napi = \"shop-api\"\ndb = \"main/db\"\nproxy = \"haproxy\"",
            "docker ",
            &[
                "docker restart shop-api",
                "docker compose -p main exec db psql -U postgres",
                "docker restart haproxy",
                "docker logs --tail 1000 shop-api",
            ],
        ),
        (
            "kind = \"kubernetes\"\napi = \"deployment/api\"\ndb = \"statefulset/db\"\nnamespace = \"prod\"",
            "kubectl ",
            &[
                "kubectl --namespace prod rollout restart deployment/api",
                "kubectl --namespace prod exec -it statefulset/db -- psql",
                "patch pvc CLAIM",
            ],
        ),
        (
            "kind = \"kubernetes\"\napi = \"app=api\"\ndb = \"db\"",
            "kubectl ",
            &["kubectl logs -l app=api", "get pods -l app=api -o name", "statefulset/db", "this is a guess"],
        ),
        (
            "kind = \"systemd\"\napi = \"api\"\ndb = \"postgresql@15-main\"",
            "systemctl ",
            &["systemctl restart postgresql@15-main", "journalctl --unit api --lines 1000"],
        ),
        (
            "kind = \"host\"\nextend_volume = [\"lvextend\", \"-L\", \"{size_gb}G\", \"/dev/vg/pg\"]",
            "lvextend ",
            &["lvextend -L SIZE_GBG /dev/vg/pg"],
        ),
        (
            "kind = \"fly\"\ndb = \"shop-db\"",
            "fly ",
            &["fly volumes extend VOLUME_ID -s SIZE_GB --app shop-db", "getent ahosts shop-db.internal"],
        ),
    ];
    for (platform, own, expected) in cases {
        let text = written(&service(platform, ""));
        for words in expected {
            assert!(text.contains(words), "{words:?} is missing for {platform}");
        }
        let commands: Vec<&str> =
            blocks(&text, "sh").flat_map(str::lines).filter(|line| !line.starts_with('#')).collect();
        for other in all.into_iter().filter(|other| *other != own) {
            let of_other = commands.iter().find(|line| line.starts_with(other));
            assert!(of_other.is_none(), "{of_other:?} for {platform}");
        }
    }
}

/// The fenced blocks of a language.
pub(crate) fn blocks<'t>(text: &'t str, language: &str) -> impl Iterator<Item = &'t str> {
    let fence = format!("```{language}\n");
    let starts: Vec<usize> = text.match_indices(&fence).map(|(at, _)| at + fence.len()).collect();
    starts.into_iter().map(move |at| text[at..].split("\n```").next().unwrap())
}

#[test]
fn thresholds_names_and_what_is_left_out_are_this_services_own() {
    let text = written(
        "[[service]]\nname = \"shop\"\ndatabase = \"postgres://app:hunter2@10.0.0.7:5432/orders?sslmode=disable\"\n\
         ready = \"http://me:hunter2@api:3000/ready?key=hunter2\"\n\
         [service.policy]\nidle_after = \"90s\"\nkeep_free = \"35%\"\nmax_terminations = 7\nmax_volume_gb = 44\n\
         protect = { applications = [\"billing*\"], roles = [\"reports\"] }\n\
         [service.budget]\nmachines = 4\npool_max = 6\n\
         [service.platform]\nkind = \"host\"\nrestart_db = [\"ctl\", \"--password\", \"hunter2\", \"--url=postgres://u:hunter2@h\"]\n",
    );
    for words in [
        "psql -h 10.0.0.7 -p 5432 -U app -d orders",
        "interval '90 seconds'",
        "least(7, greatest(0, ceil(ordinary * 0.35)",
        "not starts_with(a.application_name, 'billing')",
        "a.usename::text <> 'reports'",
        "at most 44 GB",
        "4 machines make 24",
        "`max: 6`",
        "curl -sS -m 5 http://api:3000/ready\n",
        "with a secret left out",
        "the database is named by its address: no name is looked up: `name-not-found`",
        "never speaks TLS",
    ] {
        assert!(text.contains(words), "{words:?} is missing");
    }
    for id in ["name-not-found", "pooler-hung", "proxy-hung", "tls-version-mismatch"] {
        assert!(!text.contains(&format!("\n### {id}\n")), "{id} has a section");
    }
}

#[test]
fn a_bare_url_the_environment_and_another_file_do_as_well() {
    let place = Place::new();
    let url = format!("postgres://app:{SECRET}@db.internal/orders");
    let ran = place.run(&["runbook", &url]);
    assert_eq!((ran.exit, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout.contains("psql -h db.internal -p 5432 -U app -d orders"));
    assert!(ran.stdout.contains("pgmedic check postgres://app@db.internal:5432/orders "));
    assert!(ran.stdout.contains("not known (no `[service.platform]`)") && !ran.stdout.contains(SECRET));
    let ran = place.run(&["runbook", "host=/run/pg user=app dbname=orders"]);
    assert_eq!(ran.exit, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("pgmedic check 'host=/run/pg port=5432 user=app dbname=orders' "));
    let ran = place.run_with(&[("DATABASE_URL", &url)], &["runbook"]);
    assert_eq!(ran.exit, Some(0));
    assert!(ran.stdout.contains("psql \"$DATABASE_URL\"") && !ran.stdout.contains(SECRET));
    place.write(
        "my services.toml",
        "[[service]]\nname = \"shop\"\ndatabase = \"file:/nowhere/url\"\npooler = \"file:pool url\"\nrescue = \"env:NOT_SET\"\n",
    );
    let ran = place.run(&["runbook", "--config", "my services.toml", "--output", "r.md"]);
    assert_eq!((ran.exit, ran.all().as_str()), (Some(0), ""));
    let text = std::fs::read_to_string(place.path().join("r.md")).unwrap();
    for words in [
        "psql \"$(cat /nowhere/url)\"",
        "psql \"$(cat 'pool url')\"",
        "psql \"$NOT_SET\"",
        "pgmedic check shop --config 'my services.toml'",
    ] {
        assert!(text.contains(words), "{words:?} is missing");
    }
}

#[test]
fn bad_usage_is_64_bad_configuration_78_and_neither_shows_a_password() {
    let place = Place::new();
    place.write(
        "two.toml",
        "[[service]]\nname = \"a\"\ndatabase = \"env:A\"\n[[service]]\nname = \"b\"\ndatabase = \"env:B\"\n",
    );
    place.write(
        "bad.toml",
        "[[service]]\nname = \"a\"\ndatabase = \"postgres://u:hunter2@h/d?sslmod=require\"\n",
    );
    place.write("worse.toml", "[[service]]\nnme = \"a\"\n");
    for (arguments, exit, said) in [
        ("runbook", 64, "nothing to write a runbook for"),
        ("runbook shop", 64, "no service \"shop\": there is no pgmedic.toml here"),
        ("runbook --config two.toml", 64, "name one: a, b"),
        ("runbook c --config two.toml", 64, "there is a, b"),
        ("runbook postgres://u:hunter2@h/d --config two.toml", 64, "either a URL or --config"),
        ("runbook postgres://u:hunter2@h/d?sslmod=x", 64, "nearest: sslmode"),
        ("runbook a b", 64, "unexpected argument"),
        ("runbook a --config two.toml --output /nowhere/f", 64, "--output /nowhere/f"),
        ("runbook --config bad.toml", 78, "bad.toml:3:12"),
        ("runbook --config worse.toml", 78, "nearest: name"),
        ("runbook --config none.toml", 78, "cannot be read"),
    ] {
        let ran = place.run(&arguments.split(' ').collect::<Vec<_>>());
        assert_eq!((ran.exit, ran.stdout.as_str()), (Some(exit), ""), "{arguments}\n{}", ran.stderr);
        assert!(ran.stderr.contains(said) && !ran.stderr.contains(SECRET), "{arguments}\n{}", ran.stderr);
    }
    let ran = place.run_with(&[("DATABASE_URL", "postgres://u:hunter2@h:x/d")], &["runbook"]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (Some(78), ""));
    assert!(ran.stderr.contains("DATABASE_URL") && !ran.stderr.contains(SECRET), "{}", ran.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    place.write("pgmedic.toml", &example());
    let mut child =
        place.command(&["runbook"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0_u8; 16];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let ran = child.wait_with_output().unwrap();
    assert_eq!((ran.status.code(), ran.stderr.as_slice()), (Some(0), &b""[..]));
}

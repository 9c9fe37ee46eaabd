//! The binary without a database: exit codes, help, configuration errors, and that no output shows a secret.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod support;

use std::process::Stdio;
use support::{Place, obeys};

#[test]
fn help_and_version_are_success_on_stdout() {
    let place = Place::new();
    for (arguments, holds) in [
        (vec!["--help"], "Exit codes:"),
        (vec!["-h"], "Examples:"),
        (vec!["--version"], "pgmedic 0."),
        (vec!["check", "--help"], "--replay <FILE>"),
        (vec!["explain", "--help"], "pgmedic explain idle-in-transaction"),
        (vec!["runbook", "--help"], "pgmedic runbook renderflow"),
        (vec!["completions", "--help"], "zsh"),
    ] {
        let ran = place.run(&arguments);
        assert_eq!((ran.exit, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(ran.stdout.contains(holds), "{arguments:?}\n{}", ran.stdout);
    }
}

#[test]
fn the_help_keeps_to_eighty_columns() {
    let place = Place::new();
    let verbs = "check|fix|audit|watch|explain|runbook|init|drill|completions|self|self doctor|self man";
    for verb in verbs.split('|') {
        let arguments: Vec<&str> = verb.split(' ').chain(["--help"]).collect();
        let ran = place.run_with(&[("COLUMNS", "80")], &arguments);
        for line in ran.stdout.lines() {
            assert!(line.chars().count() <= 80, "{verb}: {line}");
        }
    }
    let ran = place.run(&["--help"]);
    let after = ran.stdout.split_once("Examples:").unwrap().1;
    for line in after.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn bad_usage_is_64_and_says_what_would_be_right() {
    let place = Place::new();
    for (arguments, said) in [
        (vec![], "a verb is missing"),
        (vec!["self", "man", "fxi"], "no verb \"fxi\" has a page; nearest: fix"),
        (vec!["chekc"], "no verb \"chekc\"; nearest: check"),
        (vec!["init", "--print", "--force"], "cannot be used with"),
        (vec!["init", "--dir", "/nowhere"], "--dir /nowhere is no folder"),
        (vec!["fix", "--allow", "resart"], "nearest: "),
        (vec!["fix", "postgres://h/d"], "nobody is there to be asked"),
        (vec!["fix", "postgres://h/d", "--yes", "--plan"], "cannot be used with"),
        (vec!["fix", "postgres://h/d", "--yes", "--only", "No Such"], "--only"),
        (vec!["incidents", "show", "nope"], "no incident \"nope\""),
        (vec!["runbook", "shop"], "no service \"shop\": there is no pgmedic.toml here"),
        (vec!["audit", "shop", "--sql", "--diff"], "cannot be used with"),
        (vec!["audit", "--watch-for", "1s"], "looks lie from 2s to 1d apart"),
        (vec!["check", "--formt", "json"], "--format"),
        (vec!["check", "--format", "xml"], "[possible values: human, json, nagios, markdown]"),
        (vec!["check", "--timeout", "10"], "a duration needs a unit: 10s, 10m or 10h"),
        (vec!["check", "--timeout", "1ms"], "from 100ms to 1h"),
        (vec!["check"], "nothing to check: give a URL"),
        (vec!["check", "shop"], "no service \"shop\": there is no pgmedic.toml here"),
        (vec!["check", "a", "b"], "unexpected argument"),
        (vec!["check", "x", "--replay", "f"], "cannot be used with"),
        (vec!["check", "--direct", "h:1", "--replay", "f"], "cannot be used with"),
        (vec!["check", "--replay", "nowhere.json"], "--replay nowhere.json: No such file"),
        (vec!["check", "mysql://h/d"], "the URL: character 1: the scheme"),
        (vec!["check", "postgres://h/d?sslmod=require"], "unknown parameter \"sslmod\"; nearest: sslmode"),
        (vec!["check", "postgres://a,b/d"], "several hosts in one connection"),
        (vec!["check", "postgres://h", "--direct", "h"], "--direct: not of the form host:port"),
        (vec!["check", "postgres://h", "--ready", "h"], "--ready: a URL begins with http://"),
        (vec!["check", "postgres://h", "--nameserver", "x"], "--nameserver: a nameserver is an address"),
        (vec!["check", "postgres://h", "--resolve-here"], "--resolve-here needs a --nameserver"),
        (vec!["check", "postgres://h", "--api-log", "/nowhere"], "--api-log: /nowhere cannot be reached"),
        (vec!["check", "postgres://h", "--record", "/nowhere/f"], "--record /nowhere/f: No such file"),
        (vec!["check", "postgres://h", "--record", "/dev/null"], "is not a plain file"),
        (vec!["check", "postgres://h", "--config", "f"], "either a URL or --config"),
        (vec!["explain", "slots-exhasted"], "no cause \"slots-exhasted\"; nearest: slots-exhausted"),
        (vec!["completions", "tcsh"], "[possible values: bash"),
    ] {
        let ran = place.run_with(&[("PGUSER", "")], &arguments);
        if arguments == ["check"] && ran.exit != Some(64) {
            // A server's default socket is on this host: then that is what is checked.
            continue;
        }
        assert_eq!(ran.exit, Some(64), "{arguments:?}\n{}", ran.all());
        assert!(ran.stderr.contains(said), "{arguments:?}\nsaid   {}\nwanted {said}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
}

#[test]
fn with_json_a_failure_is_one_document_too() {
    let place = Place::new();
    place.write("bad.toml", "[[service]]\nname = \"a\"\ndatabse = \"x\"\n");
    for (arguments, exit) in [
        (vec!["check", "--format", "json", "--timeout", "x"], 64),
        (vec!["check", "--format=json", "nowhere"], 64),
        (vec!["check", "--format", "json", "--config", "bad.toml"], 78),
        (vec!["check", "--format", "json", "--config", "none.toml"], 78),
        (vec!["explain", "--format", "json", "no-such-cause"], 64),
    ] {
        let ran = place.run(&arguments);
        let document = ran.json();
        obeys("error.schema.json", &document);
        assert_eq!((ran.exit, document["exit"].as_i64()), (Some(exit), Some(exit.into())), "{arguments:?}");
        assert!(!ran.stderr.is_empty());
    }
    let document = place.run(&["check", "--format", "json", "--config", "bad.toml"]).json();
    let place = (document["file"].as_str(), document["line"].as_i64(), document["column"].as_i64());
    assert_eq!(place, (Some("bad.toml"), Some(3), Some(1)));
    assert_eq!(document["nearest"], "database");
}

#[test]
fn with_nagios_a_failure_is_one_line() {
    let place = Place::new();
    let ran = place.run(&["check", "--format", "nagios", "a|b"]);
    assert_eq!(ran.exit, Some(64));
    assert!(ran.stdout.starts_with("PGMEDIC UNKNOWN - no service"), "{}", ran.stdout);
    assert_eq!((ran.stdout.lines().count(), ran.stdout.matches('|').count()), (1, 0));
}

#[test]
fn bad_configuration_is_78_with_line_column_and_the_nearest_key() {
    let place = Place::new();
    place.write(
        "pgmedic.toml",
        "[[service]]\nname = \"shop\"\ndatabase = \"postgres://app:hunter2@db/shop\"\n\n[service.policy]\nidle_aftr = \"10m\"\n",
    );
    let ran = place.run(&["check"]);
    assert_eq!(ran.exit, Some(78));
    let expected = "\
pgmedic: pgmedic.toml:6:1: unknown key idle_aftr in [service.policy]; nearest: idle_after
 6 | idle_aftr = \"***\"
   | ^^^^^^^^^
";
    assert_eq!((ran.stderr.as_str(), ran.stdout.as_str()), (expected, ""));

    place.write("pgmedic.toml", "[[service]]\nname = \"shop\"\ndatabase = \"env:NOT_SET\"\n");
    let ran = place.run(&["check"]);
    let expected = "\
pgmedic: pgmedic.toml:3:12: database: the environment variable NOT_SET is not set
 3 | database = \"env:NOT_SET\"
   |            ^^^^^^^^^^^^^
";
    assert_eq!((ran.exit, ran.stderr.as_str()), (Some(78), expected));

    let ran = place.run(&["check", "shpo"]);
    assert_eq!(ran.exit, Some(64));
    assert!(ran.stderr.contains("no service \"shpo\"; there is shop; nearest: shop"), "{}", ran.stderr);
}

#[test]
fn with_several_services_one_must_be_named() {
    let place = Place::new();
    place.write(
        "pgmedic.toml",
        "[[service]]\nname = \"a\"\ndatabase = \"postgres://h\"\n[[service]]\nname = \"b\"\ndatabase = \"postgres://h\"\n",
    );
    let ran = place.run_with(&[("DATABASE_URL", "postgres://h")], &["check"]);
    assert_eq!(ran.exit, Some(64));
    assert!(ran.stderr.contains("several services are configured; name one: a, b"), "{}", ran.stderr);
}

#[test]
fn the_environment_is_configuration() {
    let place = Place::new();
    for (environment, said) in [
        (vec![("DATABASE_URL", "postgres://u:hunter2@h:x/d")], "DATABASE_URL: character 24: the port"),
        (vec![("PGHOST", "h"), ("PGPORT", "x")], "PGPORT: \"x\" is not a port"),
        (vec![("PGHOST", "h"), ("PGSSLMODE", "requir")], "PGSSLMODE: \"requir\" is none of"),
        (vec![("PGHOST", "a,b")], "PGHOST: several hosts"),
        (vec![("PGSERVICE", "nope")], "service \"nope\" is not defined"),
    ] {
        let ran = place.run_with(&environment, &["check"]);
        assert_eq!(ran.exit, Some(78), "{environment:?}\n{}", ran.all());
        assert!(ran.stderr.contains(said), "{environment:?}\n{}", ran.stderr);
        assert!(!ran.all().contains("hunter2"));
    }
}

#[test]
fn no_refusal_shows_a_secret() {
    let place = Place::new();
    let broken = "[[service]]\nname = \"a\"\ndatabase = \"postgres://u:hunter2@h:x/d\"\n";
    place.write("broken.toml", broken);
    place.write("open.toml", "[[service]]\nname = \"a\"\ndatabase = \"postgres://u:hunter2@h/d\n");
    place.write("typo.toml", "[[service]]\nname = \"a\"\npassword = \"hunter2\"\n");
    place.write("recording.json", "{\"schema\": \"hunter2\"}");
    for arguments in [
        vec!["check", "postgres://u:hunter2@h:x/d"],
        vec!["check", "postgres://u:hunter2/x@h/d"],
        vec!["check", "postgres://u:hunter2@h/d", "extra"],
        vec!["check", "extra", "postgres://u:hunter2@h/d"],
        vec!["check", "u:hunter2@h/d"],
        vec!["check", "host=h password=my hunter2"],
        vec!["check", "--pooler", "postgres://u:hunter2@h:x/d", "postgres://h"],
        vec!["check", "--rescue=postgres://u:hunter2@h:x/d", "postgres://h"],
        vec!["check", "--direct", "postgres://u:hunter2@h/d", "postgres://h"],
        vec!["check", "--ready", "ftp://u:hunter2@h/d", "postgres://h"],
        vec!["check", "--timeout", "postgres://u:hunter2@h/d"],
        vec!["check", "--redy=http://u:hunter2@h/d"],
        vec!["check", "--config", "broken.toml"],
        vec!["check", "--config", "open.toml"],
        vec!["check", "--config", "typo.toml"],
        vec!["postgres://u:hunter2@h/d"],
        vec!["explain", "postgres://u:hunter2@h/d"],
    ] {
        for format in ["human", "json"] {
            let with_format = [arguments.as_slice(), &["--format", format]].concat();
            let ran = place.run(&with_format);
            assert!(matches!(ran.exit, Some(64 | 78)), "{with_format:?} {:?}\n{}", ran.exit, ran.all());
            assert!(!ran.all().contains("hunter2"), "{with_format:?}\n{}", ran.all());
        }
    }
}

#[test]
fn a_reader_who_has_gone_away_is_no_error() {
    let place = Place::new();
    for arguments in [vec!["--help"], vec!["explain"], vec!["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(&arguments).stdout(Stdio::from(writer)).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn colours_come_only_where_they_are_wanted() {
    let place = Place::new();
    let coloured = |environment: &[(&str, &str)], arguments: &[&str]| {
        let ran = place.run_with(environment, arguments);
        assert_eq!(ran.exit, Some(0), "{}", ran.stderr);
        ran.stdout.contains('\u{1b}')
    };
    let list: &[&str] = &["explain"];
    assert!(!coloured(&[("TERM", "xterm")], list));
    assert!(coloured(&[], &["explain", "--color", "always"]));
    assert!(coloured(&[("NO_COLOR", "1")], &["--color", "always", "explain"]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")], list));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], list));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1")], &["explain", "--color", "never"]));
}

#[test]
fn explain_lists_by_room_and_prints_every_page() {
    let place = Place::new();
    let ran = place.run(&["explain", "--format", "json"]);
    let all = ran.json();
    assert_eq!(all["schema"], "pgmedic.causes/1");
    let causes = all["causes"].as_array().unwrap();
    assert!(causes.len() > 5);
    let list = place.run(&["explain"]).stdout;
    for cause in causes {
        let id = cause["id"].as_str().unwrap();
        assert!(list.contains(id), "{id} is not in the list");
        for format in ["human", "json", "markdown"] {
            let ran = place.run(&["explain", id, "--format", format]);
            assert_eq!((ran.exit, ran.stderr.as_str()), (Some(0), ""), "{id}");
            assert!(ran.stdout.contains("What proves it"), "{id} as {format}");
        }
    }
    let plain = place.run_with(&[("LC_ALL", "C")], &["explain"]);
    assert!(plain.stdout.is_ascii());
}

#[test]
fn completions_hold_verbs_options_and_causes() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = place.run(&["completions", shell]);
        assert_eq!(ran.exit, Some(0));
        for word in ["check", "nagios", "replay", "proxy-hung"] {
            // Elvish and PowerShell complete options, not values (clap_complete).
            let values =
                ["elvish", "powershell"].contains(&shell) && ["nagios", "proxy-hung"].contains(&word);
            assert!(values || ran.stdout.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn every_verb_has_a_manual_page_with_its_options_and_exit_codes() {
    let place = Place::new();
    let folder = place.path().join("man/man1");
    let ran = place.run(&["self", "man", "--output", folder.to_str().unwrap()]);
    assert_eq!((ran.exit, ran.all().as_str()), (Some(0), ""));
    let page = |name: &str| std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
    let top = page("pgmedic");
    for holds in [".SH ENVIRONMENT", ".SH \"EXIT CODES\"", "PGSSLMODE", "130, 143"] {
        assert!(top.contains(holds), "{holds}\n{top}");
    }
    // Whatever the first page names has a page, and none is left over.
    let help = place.run(&["--help"]).stdout;
    let (_, verbs) = help.split_once("Commands:\n").unwrap();
    let verbs = verbs.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("    "));
    let mut count = 0;
    for verb in verbs.map(|line| line.split_whitespace().next().unwrap()) {
        count += 1;
        assert!(top.contains(&format!("pgmedic\\-{verb}")), "{verb}");
        assert!(page(&format!("pgmedic-{verb}")).starts_with(".TH"), "{verb}");
    }
    assert!(count > 10, "{help}");
    assert!(page("pgmedic-check").contains("\\-\\-replay"));
    assert!(page("pgmedic-incidents-show").contains("ID"));
    assert_eq!(place.run(&["self", "man", "check"]).stdout, page("pgmedic-check"));
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        // As man(1) does it, where it is there; what it warns of is a mistake in a page.
        let Ok(ran) =
            std::process::Command::new("groff").args(["-k", "-man", "-ww", "-z"]).arg(&path).output()
        else {
            continue;
        };
        assert!(ran.stderr.is_empty(), "{}: {}", path.display(), String::from_utf8_lossy(&ran.stderr));
    }
}

//! Connection strings of every form, and every way in which one can be wrong.

use super::*;

fn around() -> Surroundings {
    Surroundings { os_user: Some("ops".into()), ..Surroundings::default() }
}

fn target(text: &str) -> Target {
    Settings::parse(text).and_then(|s| s.resolve(&around())).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn refusal(text: &str) -> String {
    match Settings::parse(text).and_then(|s| s.resolve(&around())) {
        Ok(target) => panic!("{text} gave {target:?}"),
        Err(error) => error.to_string(),
    }
}

fn password(target: &Target) -> Option<&str> {
    target.password.as_ref().map(Secret::reveal)
}

#[test]
fn a_whole_uri() {
    let t = target(
        "postgresql://app%40x:p%3A%2F%40%25ss@db.internal:6543/shop%2Fa?sslmode=verify-full&options=-c%20x%3D1",
    );
    assert_eq!(t.host, Host::Name("db.internal".into()));
    assert_eq!((t.port, t.user.as_str(), t.database.as_str()), (6543, "app@x", "shop/a"));
    assert_eq!(password(&t), Some("p:/@%ss"));
    assert_eq!((t.tls.mode, t.options.as_deref()), (SslMode::VerifyFull, Some("-c x=1")));
}

#[test]
fn hosts_of_every_kind() {
    for (text, host, port) in [
        ("postgres://", Host::Name("localhost".into()), 5432),
        ("postgres://:6000", Host::Name("localhost".into()), 6000),
        ("postgres://db", Host::Name("db".into()), 5432),
        ("postgres://db?port=7", Host::Name("db".into()), 7),
        ("postgres://u@10.0.0.1:", Host::Address([10, 0, 0, 1].into()), 5432),
        ("postgres://[fdaa::3]:5433/d", Host::Address("fdaa::3".parse().unwrap()), 5433),
        ("postgres://[fdaa::3]", Host::Address("fdaa::3".parse().unwrap()), 5432),
        ("postgres://%2Fvar%2Frun/d", Host::Socket("/var/run".into()), 5432),
        ("postgres:///d?host=/run/pg&port=5499", Host::Socket("/run/pg".into()), 5499),
        ("postgres:///d?host=@abstract", Host::Socket("@abstract".into()), 5432),
        ("host=::1", Host::Address("::1".parse().unwrap()), 5432),
        ("host = '/a b' port= 1", Host::Socket("/a b".into()), 1),
        ("hostaddr=127.0.0.1", Host::Address([127, 0, 0, 1].into()), 5432),
    ] {
        let t = target(text);
        assert_eq!((&t.host, t.port), (&host, port), "{text}");
    }
    let t = target("host=db.internal hostaddr=10.1.2.3");
    assert_eq!((t.host, t.hostaddr), (Host::Name("db.internal".into()), Some([10, 1, 2, 3].into())));
}

#[test]
fn keyword_and_value() {
    let t = target(r"  user = app  password='x' dbname=a\ b sslsni=0 application_name=web ");
    assert_eq!((t.user.as_str(), t.database.as_str(), t.tls.no_sni), ("app", "a b", true));
    assert_eq!(password(&target(r"password='it\'s \\ x'")), Some(r"it's \ x"));
    assert_eq!(password(&target("password=''")), None);
}

#[test]
fn every_tls_parameter_is_read() {
    let t = target(
        "postgres://h?sslmode=verify-ca&sslrootcert=/r.pem&sslcert=/c&sslkey=/k&sslnegotiation=direct\
         &channel_binding=require&sslsni=0",
    );
    let tls = Tls {
        mode: SslMode::VerifyCa,
        root_cert: Some("/r.pem".into()),
        cert: Some("/c".into()),
        key: Some("/k".into()),
        direct: true,
        channel_binding: ChannelBinding::Require,
        no_sni: true,
    };
    assert_eq!(t.tls, tls);
    assert_eq!(target("postgres://h?sslrootcert=system").tls.mode, SslMode::VerifyFull);
    assert_eq!(target("postgres://h?ssl=true").tls.mode, SslMode::Require);
    assert_eq!(target("postgres://h").tls.mode, SslMode::Prefer);
}

#[test]
fn what_only_other_clients_heed_is_accepted() {
    target(
        "postgres://h/d?connect_timeout=3&application_name=x&keepalives=1&keepalives_idle=5&tcp_user_timeout=9\
         &target_session_attrs=read-write&gssencmode=disable&client_encoding=utf8&load_balance_hosts=random\
         &schema=public&connection_limit=5&pgbouncer=true&",
    );
}

#[test]
fn an_error_names_the_place_and_what_is_near() {
    for (text, said) in [
        ("postgres://h:port/d", "character 14: the port is not a number"),
        ("postgres://h:70000/d", "character 14: the port is not a number"),
        ("postgres://[::1/d", "character 12: an IPv6 address opens with ["),
        ("postgres://[::1]x/d", "character 17: after an IPv6 address"),
        ("postgres://h/d%zz", "character 15: after % come two"),
        ("postgres://h/d%", "character 15: after % come two"),
        ("postgres://h/%ff", "character 14: the percent-encoded bytes"),
        ("postgres://h/%00", "character 14: %00 is forbidden"),
        ("postgres://h/d?sslmod=x", "character 16: unknown parameter \"sslmod\"; nearest: sslmode"),
        ("postgres://é/d?sslmod=x", "character 16: unknown parameter"),
        ("postgres://h/d?sslmode", "character 16: a parameter without ="),
        ("postgres://h/d?sslmode=ful", "parameter sslmode: \"ful\" is none of disable"),
        ("postgres://h/d?sslmode=verify_full", "nearest: verify-full"),
        ("postgres://a,b/d", "character 13: several hosts"),
        ("postgres:///d?host=a,b", "parameter host: several hosts"),
        ("host=a port=1,2", "parameter port: several hosts"),
        ("hostaddr=1.1.1.1,2.2.2.2", "parameter hostaddr: several hosts"),
        ("hostaddr=db", "parameter hostaddr: \"db\" is not an IP address"),
        ("mysql://h/d", "character 1: the scheme"),
        ("host", "character 1: a keyword without ="),
        ("host=a sslmde=x", "character 8: unknown parameter \"sslmde\"; nearest: sslmode"),
        ("host='a", "character 6: a quoted value that is not closed"),
        ("port=0", "parameter port: \"0\" is not a port"),
        ("sslrootcert=system sslmode=require", "parameter sslmode: with sslrootcert=system"),
        ("sslnegotiation=direct", "parameter sslnegotiation: sslnegotiation=direct needs"),
        ("host='a b'", "parameter host: a host's name holds no spaces"),
    ] {
        let error = refusal(text);
        assert!(error.contains(said), "{text}\n  said   {error}\n  wanted {said}");
    }
}

#[test]
fn no_error_shows_a_password_however_badly_it_is_written() {
    for text in [
        "postgres://u:hunter2/x@h/d",
        "postgres://u:12/hunter2@h/d",
        "postgres://u:12/x?hunter2@h/d",
        "postgres://u:12/x?hunter2=y@h/d",
        "postgres://u:hunter2@x@h/d",
        "postgres://u:x@hunter2@h/d",
        "postgres://u:%hunter2@h/d",
        "postgres://u:hunter2@h:x/d",
        "postgres://u:hunter2@h/d?bad=1",
        "postgres://u:hunter2@h,g/d",
        "mysql://u:hunter2@h/d",
        "host=h password=my hunter2 user=x",
        "host=h password=my hunter2=x",
        "password='hunter2",
        "password=hunter2 bad=1",
        "host=h?password=hunter2",
    ] {
        let settings = Settings::parse(text);
        if let Ok(settings) = &settings {
            assert!(!format!("{settings:?}").contains("hunter2"), "{text}");
        }
        match settings.and_then(|s| s.resolve(&around())) {
            Ok(target) => assert!(!format!("{target:?}{}", target.display()).contains("hunter2"), "{text}"),
            Err(error) => assert!(!format!("{error}{error:?}").contains("hunter2"), "{text}: {error}"),
        }
    }
}

#[test]
fn defaults_are_those_of_libpq() {
    let around = Surroundings {
        os_user: Some("ops".into()),
        socket_directory: Some("/var/run/postgresql".into()),
        password_file: None,
    };
    let t = Settings::default().resolve(&around).unwrap();
    assert_eq!(t.host, Host::Socket("/var/run/postgresql".into()));
    assert_eq!((t.port, t.user.as_str(), t.database.as_str()), (5432, "ops", "ops"));
    assert_eq!(target("user=app").database, "app");
    let nobody = Settings::default().resolve(&Surroundings::default());
    assert!(nobody.unwrap_err().to_string().contains("no user"));
}

#[test]
fn the_environment_fills_what_was_not_given() {
    let variable = |name: &str| match name {
        "PGHOST" => Some("env-host".to_owned()),
        "PGUSER" => Some("env-user".to_owned()),
        "PGPASSWORD" => Some("hunter2".to_owned()),
        "PGPORT" => Some("many".to_owned()),
        _ => None,
    };
    let mut settings = Settings::parse("postgres://u@h:1").unwrap();
    settings.fill_from_environment(&variable);
    let t = settings.resolve(&around()).unwrap();
    assert_eq!((t.host, t.user.as_str(), t.port), (Host::Name("h".into()), "u", 1));
    assert_eq!(t.password.as_ref().map(Secret::reveal), Some("hunter2"));
    let mut settings = Settings::default();
    settings.fill_from_environment(&variable);
    assert_eq!(
        settings.resolve(&around()).unwrap_err().to_string(),
        "PGPORT: \"many\" is not a port from 1 to 65535"
    );
}

#[test]
fn a_service_fills_before_the_environment() {
    let file = |text: &str| FileText { path: "pg_service.conf".into(), text: text.into() };
    let text = "# mine\n[other]\nhost=x\n\n[shop]\nhost=db\nport=6000\nsslmode=require\n[last]\nhost=y\n";
    let mut settings = Settings::parse("service=shop port=1").unwrap();
    settings.fill_from_service("shop", &[file("[a]\nhost=b"), file(text)]).unwrap();
    settings.fill_from_environment(&|name| (name == "PGHOST").then(|| "env".to_owned()));
    let t = settings.resolve(&around()).unwrap();
    assert_eq!((t.host, t.port, t.tls.mode), (Host::Name("db".into()), 1, SslMode::Require));

    let fails = |name: &str, text: &str| {
        Settings::default().fill_from_service(name, &[file(text)]).unwrap_err().to_string()
    };
    assert!(fails("nope", text).contains("service \"nope\" is not defined (read: pg_service.conf)"));
    assert_eq!(fails("s", "[s]\nhots=a"), "pg_service.conf line 2: unknown parameter; nearest: host");
    assert_eq!(fails("s", "[s]\nhunter2"), "pg_service.conf line 2: not a line of the form key=value");
    assert!(fails("s", "[s]\nservice=t").contains("line 2: a service may not name another"));
}

#[test]
fn a_password_file_with_wildcards_and_escapes() {
    let text = "# localhost:5432:*:*:comment\n\
                db:5432:other:app:wrong\n\
                \\*:*:*:*:starred\n\
                db:*:shop:app:a\\:b\\\\c:d\n\
                fe80\\:\\:1:*:*:*:six\n\
                localhost:*:*:*:local\r\n";
    let find = |host: &str, port, database: &str, user: &str| {
        files::password_for(text, host, port, database, user).map(|s| s.reveal().to_owned())
    };
    assert_eq!(find("db", 1, "shop", "app").as_deref(), Some("a:b\\c:d"));
    assert_eq!(find("*", 1, "x", "y").as_deref(), Some("starred"));
    assert_eq!(find("fe80::1", 5432, "x", "y").as_deref(), Some("six"));
    assert_eq!(find("localhost", 9, "x", "y").as_deref(), Some("local"));
    assert_eq!(find("elsewhere", 9, "x", "y"), None);

    let around = Surroundings {
        os_user: Some("ops".into()),
        socket_directory: Some("/var/run/postgresql".into()),
        password_file: Some(FileText { path: ".pgpass".into(), text: text.into() }),
    };
    let local = Settings::default().resolve(&around).unwrap();
    assert_eq!(password(&local), Some("local"));
    let given = Settings::parse("password=given").unwrap().resolve(&around).unwrap();
    assert_eq!(password(&given), Some("given"));
}

#[test]
fn the_way_around_keeps_role_and_database() {
    let t = target("postgres://app:x@db:5432/shop?hostaddr=10.0.0.1");
    let around = t.by_way_of("db:5433").unwrap();
    assert_eq!(
        (around.address(), around.user.as_str(), around.database.as_str()),
        ("db:5433".into(), "app", "shop")
    );
    assert_eq!((around.hostaddr, around.password.is_some()), (None, true));
    assert_eq!(t.by_way_of("[::1]:1").unwrap().host, Host::Address("::1".parse().unwrap()));
    assert_eq!(t.by_way_of("/run/pg:5433").unwrap().host, Host::Socket("/run/pg".into()));
    for wrong in
        ["db", "db:", ":1", "db:0", "::1:5432", "postgres://u:hunter2@h:1/d", "db:hunter2", "a:1,b:2"]
    {
        let error = t.by_way_of(wrong).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

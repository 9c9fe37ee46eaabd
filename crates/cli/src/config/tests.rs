//! The configuration: the whole contract parses, and every mistake is refused at its place.

use super::*;
use crate::surroundings::Surroundings;
use pgmedic_path::identity::Known;

const WHOLE: &str = include_str!("../../tests/pgmedic.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse("pgmedic.toml".to_owned(), PathBuf::new(), text.to_owned())
}

fn service(text: &str, name: &str) -> Result<pgmedic_path::Service, ConfigError> {
    parse(text)?.service(name, &mut Surroundings::default()).unwrap()
}

#[test]
fn the_whole_contract_is_read() {
    let config = parse(WHOLE).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.names().collect::<Vec<_>>(), ["renderflow", "here", "unit"]);
    let here = service(WHOLE, "here").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(here.target.address(), "127.0.0.1:5432");
    assert_eq!(here.direct.unwrap().address(), "127.0.0.1:5433");
    assert_eq!(here.nameservers, ["127.0.0.1:5300".parse().unwrap(), "127.0.0.53:53".parse().unwrap()]);
    assert!(here.resolve_here);
    let pinned = here.expected.unwrap();
    assert_eq!((pinned.system_identifier.as_str(), pinned.known), ("7301234567890123456", Known::Pinned));
    assert_eq!(here.policy.idle_after_ms, 5_400_000.0);
    assert_eq!(here.policy.keep_free, 0.25);
    assert!(here.policy.protect.covers("billing-1", ""));
    assert!(matches!(here.window, Window::Host(ref paths) if paths.data_directory.is_some()));
    assert!(matches!(here.api_log, Some(pgmedic_path::service::LogSource::File(_))));
}

#[test]
fn the_budget_is_read_and_a_slip_in_it_refused() {
    let plan = service(WHOLE, "here").unwrap_or_else(|error| panic!("{error}")).budget;
    assert_eq!(plan, pgmedic_model::BudgetPlan::default());
    let read = |keys: &str| {
        let text =
            format!("[[service]]\nname = \"a\"\ndatabase = \"postgres://u@h/d\"\n[service.budget]\n{keys}\n");
        service(&text, "a").map(|service| service.budget).map_err(|error| error.problem)
    };
    let plan = read("machines = 3\npool_max = 10\npool_idle = \"20s\"").unwrap();
    assert_eq!((plan.machines, plan.pool_max, plan.pool_idle_ms), (Some(3), Some(10), Some(20_000.0)));
    assert!(read("machines = 0").unwrap_err().contains("between 1 and"));
    assert!(read("pool_max = 9999999").unwrap_err().contains("between 1 and"));
    assert!(read("pools = 1").unwrap_err().starts_with("unknown key pools in [service.budget]"));
}

#[test]
fn the_kind_of_platform_is_the_one_that_is_asked() {
    let kind = |section: &str| {
        let text = format!(
            "[[service]]\nname = \"a\"\ndatabase = \"postgres://u@h/d\"\n[service.platform]\n{section}\n"
        );
        service(&text, "a").unwrap_or_else(|error| panic!("{error}")).platform.map(|p| p.kind())
    };
    assert_eq!(kind("kind = \"systemd\"\ndb = \"postgresql@15-main\""), Some("systemd"));
    assert_eq!(kind("kind = \"docker\"\ndb = \"db\""), Some("docker"));
    assert_eq!(kind("kind = \"docker\"\ndb = \"db\"\ndocker_host = \"tcp://h:2375\""), Some("docker"));
    assert_eq!(kind("kind = \"systemd\""), None);
    assert_eq!(kind("kind = \"host\""), None);
}

#[test]
fn hands_offer_what_commands_and_the_platform_can_do() {
    let offers = |section: &str| {
        let text = format!(
            "[[service]]\nname = \"a\"\ndatabase = \"postgres://u@h/d\"\n[service.platform]\n{section}\n"
        );
        let hands = service(&text, "a").unwrap_or_else(|error| panic!("{error}")).hands;
        hands.map(|hands| (hands.kind(), hands.offers()))
    };
    assert_eq!(offers("kind = \"host\""), None);
    assert_eq!(offers("kind = \"systemd\""), None);
    let host = "kind = \"host\"\nrestart_db = [\"systemctl\", \"restart\", \"postgresql\"]\n\
                extend_volume = [\"lvextend\", \"-L{size_gb}G\"]";
    assert_eq!(offers(host), Some(("host", vec![Deed::RestartDb, Deed::ExtendVolume])));
    let fly =
        "kind = \"fly\"\ndb = \"renderflow-db\"\nrestart_proxy = [\"fly\", \"machine\", \"restart\", \"x\"]";
    let deeds = [Deed::RestartProxy, Deed::StartDb, Deed::RestartDb, Deed::ExtendVolume];
    assert_eq!(offers(fly), Some(("fly", deeds.to_vec())));
    let deeds = vec![Deed::RestartApi, Deed::RestartProxy];
    assert_eq!(
        offers("kind = \"docker\"\napi = \"web\"\nproxy = \"haproxy\""),
        Some(("docker", deeds.clone()))
    );
    assert_eq!(offers("kind = \"systemd\"\napi = \"web\"\nproxy = \"haproxy\""), Some(("systemd", deeds)));
    assert_eq!(
        offers("kind = \"systemd\"\nproxy = \"haproxy\""),
        Some(("systemd", vec![Deed::RestartProxy]))
    );
    let deeds = vec![Deed::StartDb, Deed::RestartDb, Deed::ExtendVolume];
    let docker = "kind = \"docker\"\ndb = \"db\"\nextend_volume = [\"lvextend\", \"-L{size_gb}G\"]";
    assert_eq!(offers(docker), Some(("docker", deeds)));
}

#[test]
fn every_mistake_has_its_place_and_the_nearest_word() {
    let head = "[[service]]\nname = \"a\"\ndatabase = \"postgres://u@h/d\"\n";
    for (tail, said) in [
        (
            "dirct = \"h:1\"",
            "pgmedic.toml:4:1: unknown key dirct in [[service]]; nearest: direct\n 4 | dirct = \"***\"",
        ),
        ("direct = \"h\"", "pgmedic.toml:4:10: direct: not of the form host:port"),
        ("direct = 5", "pgmedic.toml:4:10: direct in [[service]] is a string, not of the type integer"),
        ("ready = \"h/ready\"", "needs checking at resolution"),
        ("nameservers = [\"x\"]", "pgmedic.toml:4:16: nameservers: a nameserver is an address"),
        ("nameservers = \"x\"", "pgmedic.toml:4:15: nameservers in [[service]] is a list of strings"),
        (
            "system_identifier = \"db-1\"",
            "pgmedic.toml:4:21: system_identifier: a number in quotes, as `select system_identifier",
        ),
        (
            "system_identifier = 7301234567890123456",
            "pgmedic.toml:4:21: system_identifier in [[service]] is a string, not of the type integer",
        ),
        ("resolve_here = true", "pgmedic.toml:2:8: resolve_here = true needs nameservers"),
        ("resolve_here = \"yes\"", "pgmedic.toml:4:16: resolve_here in [[service]] is true or false"),
        ("api_log = \"/nowhere/api.log\"", "pgmedic.toml:4:11: api_log: /nowhere/api.log cannot be reached"),
        ("platform = 3", "pgmedic.toml:4:12: platform in [[service]] is a table"),
        (
            "[service.platform]\nknd = \"fly\"",
            "pgmedic.toml:5:1: unknown key knd in [service.platform]; nearest: kind",
        ),
        (
            "[service.platform]\nkind = \"flye\"",
            "pgmedic.toml:5:8: kind takes fly, docker, kubernetes, systemd, host; nearest: fly",
        ),
        (
            "[service.platform]\nkind = \"fly\"\nlogs_ur = \"x\"",
            "pgmedic.toml:6:1: unknown key logs_ur in [service.platform]; nearest: logs_url",
        ),
        (
            "[service.platform]\nkind = \"fly\"\ndb = \"a\"\ntoken = \"fm2_hunter2\"",
            "pgmedic.toml:7:9: token: write env:NAME or file:PATH, which say where the token is\n 7 | token = \"***********\"",
        ),
        (
            "[service.platform]\nkind = \"fly\"",
            "pgmedic.toml:4:1: [service.platform] names neither api nor db",
        ),
        (
            "[service.platform]\nkind = \"fly\"\ndb = \"a/b\"",
            "pgmedic.toml:6:6: db: a Fly app's name is made of letters",
        ),
        (
            "[service.platform]\nkind = \"fly\"\ndb = \"a\"\napi_url = \"machines\"",
            "pgmedic.toml:7:11: api_url: a URL begins with http:// or https://",
        ),
        (
            "[service.platform]\nkind = \"docker\"\ntoken = \"env:T\"",
            "pgmedic.toml:6:1: unknown key token in a [service.platform] of this kind",
        ),
        (
            "[service.platform]\nkind = \"docker\"\ndocker_hst = \"x\"",
            "pgmedic.toml:6:1: unknown key docker_hst in [service.platform]; nearest: docker_host",
        ),
        ("[service.platform]\nkind = \"docker\"", "names neither api nor db: the containers"),
        (
            "[service.platform]\nkind = \"systemd\"\ndocker_host = \"unix:///x\"",
            "pgmedic.toml:6:1: unknown key docker_host in a [service.platform] of this kind",
        ),
        (
            "[service.platform]\nkind = \"kubernetes\"\ndb = \"pg\"\nnamespce = \"x\"",
            "pgmedic.toml:7:1: unknown key namespce in [service.platform]; nearest: namespace",
        ),
        ("[service.platform]\nkind = \"kubernetes\"", "names neither api nor db: the workloads"),
        (
            "[service.platform]\nkind = \"kubernetes\"\ndb = \"pg\"\nkubeconfig = \"/nowhere/config\"",
            "pgmedic.toml:7:14: kubeconfig: /nowhere/config cannot be reached",
        ),
        (
            "[service.platform]\nkind = \"kubernetes\"\ndb = \"pg\"\ntoken = \"abc\"",
            "pgmedic.toml:7:9: token: write env:NAME or file:PATH",
        ),
        ("[service.platform]\napi = \"x\"", "pgmedic.toml:4:1: [service.platform] has no kind"),
        (
            "[service.platform]\nkind = \"fly\"\nlog = \"/x\"",
            "pgmedic.toml:6:1: unknown key log in a [service.platform] of this kind",
        ),
        (
            "[service.platform]\nkind = \"host\"\nlog = \"/nowhere/log\"",
            "pgmedic.toml:6:7: log: /nowhere/log cannot be reached",
        ),
        (
            "[service.platform]\nkind = \"host\"\nextend_volume = [\"lvextend\", \"-L\", \"+10G\"]",
            "pgmedic.toml:6:18: extend_volume has no {size_gb} among its arguments",
        ),
        (
            "[service.platform]\nkind = \"docker\"\ndb = \"db\"\nrestart_proxy = [\"\"]",
            "pgmedic.toml:7:18: restart_proxy names no program",
        ),
        (
            "[service.platform]\nkind = \"fly\"\ndb = \"a\"\nproxy = \"haproxy\"",
            "pgmedic.toml:7:1: unknown key proxy in a [service.platform] of this kind",
        ),
        (
            "[service.platform]\nkind = \"host\"\nstart_db = \"pg_ctl start\"",
            "pgmedic.toml:6:12: start_db in a [service.platform] of this kind is a list",
        ),
        (
            "[service.policy]\nidle_aftr = \"1m\"",
            "pgmedic.toml:5:1: unknown key idle_aftr in [service.policy]; nearest: idle_after",
        ),
        (
            "[service.policy]\nidle_after = \"1 fortnight\"",
            "pgmedic.toml:5:14: idle_after: not a duration; write 500ms, 10s, 10m, 1h30m or 2d\n 5 | idle_after = \"1 fortnight\"\n   |              ^^^^^^^^^^^^^",
        ),
        (
            "[service.policy]\nidle_after = 10",
            "pgmedic.toml:5:14: idle_after in [service.policy] is a string, not of the type integer",
        ),
        (
            "[service.policy]\nkeep_free = \"120%\"",
            "pgmedic.toml:5:13: keep_free: a share lies between 0% and 100%",
        ),
        ("[service.policy]\nauto = [\"session\"]", "pgmedic.toml:5:9: auto takes advice, sessions"),
        ("[service.policy]\nauto = [\"session\"]", "nearest: sessions"),
        (
            "[service.policy]\nmax_terminations = -1",
            "pgmedic.toml:5:20: max_terminations is a whole number from 0 up",
        ),
        (
            "[service.policy]\nprotect = { role = [] }",
            "pgmedic.toml:5:13: unknown key role in protect; nearest: roles",
        ),
        ("[watch]\ninterval = \"soon\"", "pgmedic.toml:5:12: interval: not a duration"),
        ("[watch]\nlisten = \"9187\"", "pgmedic.toml:5:10: listen: not address:port"),
        ("[watch]\nalerts = [{ kind = \"pager\" }]", "nearest: pagerduty"),
        ("[watch]\nalerts = [{ url = \"http://x\" }]", "an alert has no kind"),
        (
            "[[service]]\nname = \"a\"\ndatabase = \"x\"",
            "pgmedic.toml:5:8: a second service named \"a\"; the first is on line 2",
        ),
        ("[[service]]\nname = \"b c\"\ndatabase = \"x\"", "pgmedic.toml:5:8: a service's name is made of"),
        ("[[service]]\nname = \"b\"", "[[service]] has no database"),
        ("[servcie]\nname = \"b\"", "pgmedic.toml:4:2: unknown key servcie in the file; nearest: service"),
        ("direct = h:1", "pgmedic.toml:4:"),
        ("[service", "pgmedic.toml:4:"),
    ] {
        let text = format!("{head}{tail}\n");
        match parse(&text) {
            Ok(_) => assert_eq!(said, "needs checking at resolution", "{tail}"),
            Err(error) => assert!(error.to_string().contains(said), "{tail}\nsaid   {error}\nwanted {said}"),
        }
    }
    assert!(parse("").err().unwrap().to_string().contains("no [[service]]"));
}

#[test]
fn secrets_are_fetched_for_the_service_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("url"), "postgres://u:hunter2@filed/d\n").unwrap();
    let text = "[[service]]\nname = \"f\"\ndatabase = \"file:url\"\n\n\
                [[service]]\nname = \"gone\"\ndatabase = \"file:nope\"\n\n\
                [[service]]\nname = \"unset\"\ndatabase = \"env:PGMEDIC_TEST_UNSET\"\n\n\
                [[service]]\nname = \"url\"\ndatabase = \"postgres://u:hunter2@h:x/d\"\n\n\
                [[service]]\nname = \"odd\"\ndatabase = \"env:postgres://u:hunter2@h/d\"\n\n\
                [[service]]\nname = \"ready\"\ndatabase = \"postgres://u@h/d\"\nready = \"u:hunter2@h\"\n";
    let config = Config::parse("f.toml".into(), dir.path().to_path_buf(), text.to_owned()).unwrap();
    let get = |name: &str| config.service(name, &mut Surroundings::default()).unwrap();
    let target = get("f").unwrap_or_else(|e| panic!("{e}")).target;
    assert_eq!(target.address(), "filed:5432");
    for (name, said) in [
        ("gone", "f.toml:7:12: database: "),
        ("unset", "f.toml:11:12: database: the environment variable PGMEDIC_TEST_UNSET is not set"),
        ("url", "f.toml:15:12: database: character 24: the port is not a number"),
        ("odd", "f.toml:19:12: database: after env: comes the name of a variable"),
        ("ready", "f.toml:24:9: ready: a URL begins with http:// or https://"),
    ] {
        let error = get(name).err().unwrap().to_string();
        assert!(error.contains(said), "{error}\nwanted {said}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_kubeconfig_is_read_where_kubernetes_is_built_in() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("config"),
        "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n\
         clusters: [{name: c, cluster: {server: 'http://127.0.0.1:8001'}}]\nusers: [{name: u, user: {exec: {command: aws}}}]\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("token"), "hunter2").unwrap();
    let get = |token: &str| {
        let text = format!(
            "[[service]]\nname = \"a\"\ndatabase = \"postgres://u@h/d\"\n[service.platform]\nkind = \"kubernetes\"\n\
             db = \"pg\"\nkubeconfig = \"config\"\n{token}"
        );
        let config = Config::parse("f.toml".into(), folder.path().to_path_buf(), text)
            .unwrap_or_else(|e| panic!("{e}"));
        config.service("a", &mut Surroundings::default()).unwrap()
    };
    let with = get("proxy = \"deployment/haproxy\"\ntoken = \"file:token\"\n")
        .unwrap_or_else(|error| panic!("{error}"));
    let offers = with.hands.map(|hands| hands.offers());
    let deeds = vec![Deed::RestartProxy, Deed::RestartDb, Deed::ExtendVolume];
    assert_eq!(offers, cfg!(feature = "kubernetes").then_some(deeds));
    assert_eq!(with.platform.map(|platform| platform.kind()), Some("kubernetes"));
    match get("") {
        Ok(service) if cfg!(not(feature = "kubernetes")) => assert!(service.platform.is_some()),
        Ok(_) => panic!("a plugin's credentials were taken"),
        Err(error) => {
            assert!(error.to_string().contains("pgmedic runs no program for credentials"), "{error}")
        }
    }
}

#[test]
fn an_engine_that_is_not_spoken_to_is_refused_at_its_place() {
    let text = "[[service]]\nname = \"a\"\ndatabase = \"postgres://u@h/d\"\n[service.platform]\nkind = \"docker\"\n\
                db = \"db\"\ndocker_host = \"ssh://me:hunter2@h\"\n";
    let error = service(text, "a").unwrap_err().to_string();
    assert!(
        error.contains("pgmedic.toml:7:15: docker_host: Docker over ssh") && error.contains("ssh -L"),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn no_mistake_shows_a_secret() {
    for text in [
        "password = \"hunter2\"",
        "password = hunter2",
        "[[service]]\nname = 1\ndatabase = \"hunter2\"",
        "[[service]]\nname = \"a\"\ndatabase = \"postgres://u:hunter2@h/d",
        "[[service]]\nname = \"a\"\ndatabase = postgres://u:hunter2@h/d",
        "[[service]]\nname = \"a\"\ndatabase = \"postgres://u:x\"hunter2@h/d\"",
        "[[service]]\nname = \"a\"\ndatabase = \"x\"\nplatform = \"hunter2\"",
        "[[service]]\nname = \"a\"\ndatabase = \"x\"\ndirect = \"u:hunter2@h\"",
        "[[service]]\nname = \"a\"\ndatabase = \"x\"\n[service.platform]\nkind = \"host\"\nrestart_api = [\n  [\"hunter2\"],\n]",
        "[[service]]\nname = \"a\"\ndatabase = \"x\"\n[service.platform]\nkind = \"host\"\nrestart_api = \"curl hunter2\"",
        "[watch]\nalerts = [{ kind = \"slack\", url = \"hooks/hunter2\" }]",
        "[watch]\nalerts = [{ kind = \"slack\", uri = \"https://hooks/hunter2\" }]",
        "x = \"\"\"\nhunter2\n",
    ] {
        let error = parse(text).err().unwrap_or_else(|| panic!("taken: {text}"));
        assert!(!format!("{error}{error:?}").contains("hunter2"), "{text}\n{error}");
    }
}

#[test]
fn the_documentation_shows_what_is_read() {
    let page = include_str!("../../../../docs/configuration.md");
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let config = parse(example).unwrap_or_else(|error| panic!("{error}"));
    for key in KEYS {
        assert!(example.contains(key), "{key} is not documented");
    }
    assert_eq!(config.names().collect::<Vec<_>>(), ["renderflow"]);
}

fn with_watch(watch: &str) -> String {
    format!("[[service]]\nname = \"a\"\ndatabase = \"postgres://u@h/d\"\n[watch]\n{watch}\n")
}

fn plan(text: &str) -> Result<pgmedic_watch::engine::Plan, ConfigError> {
    parse(text)?.plan(Path::new("/state"), &mut Surroundings::default())
}

#[test]
fn what_is_watched_and_how_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "0123456789abcdef0123\n").unwrap();
    let text = format!(
        "[[service]]\nname = \"a\"\ndatabase = \"postgres://u:hunter2@h/d\"\nlabels = {{ team = \"web\" }}\nstanding = false\n\
         [service.policy]\nauto = [\"sessions\"]\nquiet = [\"22:00-06:00\"]\nmax_per_hour = 1\nescalate_after = 4\n\
         [watch]\ninterval = \"500ms\"\nwalk = \"2s\"\ntimeout = \"3s\"\nstable = \"0s\"\nlisten = \"0.0.0.0:9187\"\n\
         token = \"file:{}\"\nstore = \"memory\"\nkeep = \"30d\"\nkeep_looks = \"2h\"\nstore_limit = \"64MB\"\n\
         external_url = \"https://w.example.com\"\nstop_file = \"/run/stop\"\n\
         alerts = [{{ kind = \"webhook\", url = \"http://h/x\", key = \"k\", severity = \"critical\", match = {{ service = \"a\", team = \"w*\" }} }}, {{ kind = \"pagerduty\", key = \"r\" }}]\n",
        token.display()
    );
    let plan = plan(&text).unwrap_or_else(|error| panic!("{error}"));
    let settings = &plan.settings;
    assert_eq!(settings.interval.as_millis(), 500);
    assert_eq!((settings.walk.as_secs(), settings.timeout.as_secs(), settings.stable.as_secs()), (2, 3, 0));
    assert_eq!(settings.token.as_ref().unwrap().reveal(), "0123456789abcdef0123");
    assert!(matches!(settings.store, pgmedic_watch::settings::StoreAt::Memory));
    assert_eq!((settings.keep.as_secs(), settings.keep_looks.as_secs()), (30 * 86_400, 7200));
    assert_eq!((settings.store_limit, settings.alerts.len()), (64 << 20, 2));
    assert_eq!((settings.alerts[0].only["team"].as_str(), settings.alerts[1].only.len()), ("w*", 0));
    assert_eq!(settings.stop_file, Path::new("/run/stop"));
    let watched = &plan.services[0].watched;
    assert_eq!(watched.labels["team"], "web");
    assert!(!watched.standing);
    let automatic = &watched.automatic;
    assert_eq!((automatic.per_hour, automatic.escalate_after), (1, 4));
    assert_eq!(automatic.quiet, [pgmedic_watch::settings::Quiet { from: 1320, until: 360 }]);
    assert!(!format!("{plan:?}").contains("hunter2"));
    let bare = super::tests::plan("[[service]]\nname = \"a\"\ndatabase = \"postgres://u@h/d\"\n").unwrap();
    assert_eq!(bare.settings.stop_file, Path::new("/state/watch.stop"));
    assert!(bare.settings.listen.is_none() && bare.services[0].watched.standing);
}

/// A receiver with more keys.
fn alert(keys: &str) -> String {
    format!("alerts = [{{ kind = \"webhook\", url = \"http://h\", {keys} }}]")
}

#[test]
fn what_may_not_be_watched_so_is_refused_at_its_place() {
    for (watch, line, says) in [
        ("listen = \"0.0.0.0:9187\"", 5, "no token is set"),
        ("token = \"hunter2hunter2hunter2\"", 5, "does not stand in the file itself"),
        ("interval = \"10ms\"", 5, "lies between"),
        ("timeout = \"2m\"", 5, "lies between"),
        ("store_limit = \"12\"", 5, "not a size"),
        ("intervall = \"1s\"", 5, "nearest: interval"),
        ("alerts = [{ kind = \"pagerduty\" }]", 5, "has no key"),
        ("alerts = [{ kind = \"slack\" }]", 5, "has no url"),
        (
            "alerts = [{ kind = \"slack\", url = \"http://h\", severity = \"bad\" }]",
            5,
            "takes warning, critical",
        ),
        (&alert("match = { sevice = \"a\" }"), 5, "nearest: service"),
        (&alert("match = { service = \"b\" }"), 5, "no service is b: its receiver would hear of nothing"),
        (&alert("match = { cause = \"slot-exhausted\" }"), 5, "nearest: slots-exhausted"),
        (&alert("match = { severity = \"criticl\" }"), 5, "nearest: critical"),
        (&alert("match = { room = \"shed\" }"), 5, "no room is shed"),
        (&alert("match = { team = \"x\" }"), 5, "team is no label of an alert: service, cause"),
        (&alert("match = { service = 1 }"), 5, "a table of strings"),
        (&alert("mtch = {}"), 5, "nearest: match"),
        ("external_url = \"h\"", 5, "begins with http"),
        ("standing = 1", 5, "true or false"),
    ] {
        let error = plan(&with_watch(watch)).err().unwrap_or_else(|| panic!("{watch} was taken"));
        assert_eq!(error.at.map(|at| at.0), Some(line), "{watch}");
        let told = error.to_string();
        assert!(told.contains(says) && !told.contains("hunter2"), "{watch}: {told}");
    }
    let at = plan(&with_watch(&alert("match = { service = \"b\" }"))).err().unwrap().at;
    assert_eq!(at, Some((5, 69)), "the value itself");
    for (keys, says) in [
        ("labels = { \"a-b\" = \"x\" }", "letters, digits and underscores"),
        ("labels = { severity = \"x\" }", "set by pgmedic itself"),
        ("labels = { team = 1 }", "a table of strings"),
        ("[service.policy]\nquiet = [\"22-6\"]", "22:00-06:00"),
        ("[service.policy]\nmax_per_hour = 99999999999", "too large"),
    ] {
        let text = format!("[[service]]\nname = \"a\"\ndatabase = \"postgres://u@h/d\"\n{keys}\n");
        let told = plan(&text).err().unwrap_or_else(|| panic!("{keys} was taken")).to_string();
        assert!(told.contains(says), "{keys}: {told}");
    }
}

#[test]
fn a_service_has_another_mark_only_where_something_of_it_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("url");
    let text = |before: &str, keys: &str| {
        format!(
            "{before}[[service]]\nname = \"a\"\ndatabase = \"file:{}\"\n{keys}\n[[service]]\nname = \"b\"\ndatabase = \"postgres://u@h/d\"\n",
            secret.display()
        )
    };
    let marks = |text: &str| -> Vec<u64> {
        plan(text).unwrap_or_else(|error| panic!("{error}")).services.iter().map(|s| s.mark).collect()
    };
    std::fs::write(&secret, "postgres://u:one@h/d").unwrap();
    let first = marks(&text("", ""));
    assert_eq!(marks(&text("# moved\n\n", "")), first, "its place in the file is no part of it");
    let other = marks(&text("", "labels = { team = \"x\" }"));
    assert!(other[0] != first[0] && other[1] == first[1]);
    std::fs::write(&secret, "postgres://u:two@h/d").unwrap();
    let rotated = marks(&text("", ""));
    assert!(rotated[0] != first[0] && rotated[1] == first[1], "another password");
}

#[test]
fn a_token_that_is_no_good_is_refused_at_its_own_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        format!("\"file:{}\"", folder.path().join(name).display())
    };
    let (good, bad) = (file("good", "0123456789abcdef"), file("bad", "hunter2"));
    for (token, read_token, line) in [(&good, &bad, 7), (&bad, &good, 6)] {
        let keys = format!("listen = \"127.0.0.1:9187\"\ntoken = {token}\nread_token = {read_token}");
        let error = plan(&with_watch(&keys)).err().unwrap();
        assert_eq!(error.at.map(|(line, _)| line), Some(line), "{error}");
        assert!(
            error.to_string().contains("fewer than 16 characters") && !error.to_string().contains("hunter2")
        );
    }
}

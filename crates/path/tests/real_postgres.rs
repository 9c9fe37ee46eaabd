//! The way in against a real Postgres: every way to prove who asks, TLS by every mode, and the server's refusals. Where
//! Postgres is not installed these fail and say what to install.

mod real;

use pgmedic_lab::certificates::Validity;
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE};
use pgmedic_model::target::ChannelBinding;
use pgmedic_model::{Secret, SslMode};
use pgmedic_path::evidence::RouteEvidence;
use pgmedic_path::rooms::proxy::evidence::{FirstBytes, Sent};
use pgmedic_path::rooms::startup::evidence::{AuthMethod, StartupOutcome};
use pgmedic_path::rooms::startup::session::Reply;
use pgmedic_path::rooms::tls::evidence::{ChainVerdict, TlsOutcome};
use real::{Server, error};

fn auth(route: &RouteEvidence) -> Option<&AuthMethod> {
    route.startup.as_ref().and_then(|s| s.auth.as_ref())
}

fn tls(route: &RouteEvidence) -> &TlsOutcome {
    &route.tls.as_ref().expect("the room was reached").outcome
}

#[test]
fn every_way_to_prove_who_asks() {
    let server = Server::plain();
    server.sql("create role by_md5 login; set password_encryption = md5; alter role by_md5 password 'only-for-the-lab-7f3a'");
    server.hba("host all by_md5 127.0.0.1/32 md5\nhost all rescue 127.0.0.1/32 password\nhost all monitor 127.0.0.1/32 trust");
    for (user, method) in [
        ("by_md5", AuthMethod::Md5),
        ("rescue", AuthMethod::Cleartext),
        ("monitor", AuthMethod::Trust),
        (ROLE, AuthMethod::ScramSha256),
    ] {
        let mut target = server.target(user);
        let (route, session) = server.open(&target);
        assert_eq!(auth(&route), Some(&method), "{user}");
        assert!(route.admitted() && session.is_some(), "{user}: {:?}", route.startup);
        let startup = route.startup.expect("admitted");
        assert!(startup.server_version.is_some() && startup.backend_pid.is_some() && startup.authenticated);
        assert_eq!(startup.is_superuser, Some(user == "rescue"));
        if method == AuthMethod::Trust {
            continue;
        }
        target.password = Some(Secret::new("wrong"));
        assert!(error(&server.open(&target).0).is("28P01"), "{user}");
        target.password = None;
        assert_eq!(
            server.open(&target).0.startup.map(|s| s.outcome),
            Some(StartupOutcome::NoPassword),
            "{user}"
        );
    }
}

#[test]
fn what_the_server_refuses_is_told_with_its_code() {
    let server = Server::plain();
    server.sql("create database closed allow_connections false");
    server.sql("create role fenced nologin");
    server.sql("create role few login connection limit 0");
    server.hba("host all few,fenced,nobody 127.0.0.1/32 trust\nhost all rejected 127.0.0.1/32 reject");
    for (user, database, code) in [
        ("monitor", "nonexistent", "3D000"),
        ("monitor", "closed", "55000"),
        ("fenced", DATABASE, "28000"),
        ("rejected", DATABASE, "28000"),
        ("nobody", DATABASE, "28000"),
        ("few", DATABASE, "53300"),
    ] {
        let mut target = server.target(user);
        target.database = database.to_owned();
        let (route, session) = server.open(&target);
        assert!(session.is_none());
        let error = error(&route);
        assert!(error.is(code), "{user}: {error}");
        assert_eq!(error.severity, "FATAL");
        assert!(error.file.is_some() && error.routine.is_some());
    }
    let mut target = server.target("monitor");
    target.options = Some("-c no_such_setting=1".to_owned());
    assert!(
        error(&server.open(&target).0).is("42704"),
        "a refusal of the API's own options is told, not worked around"
    );
}

#[test]
fn a_session_answers_within_its_bounds() {
    let server = Server::plain();
    let (_, session) = server.open(&server.target("monitor"));
    let mut session = session.expect("admitted");
    assert!(session.bounded);
    let two = server.ask(&mut session, "set application_name = 'x'; select 1 as a, null as b", 2000);
    let row = vec![vec![Some("1".to_owned()), None]];
    assert_eq!(two.reply, Reply::Rows { columns: vec!["a".into(), "b".into()], rows: row });
    let notice = server.ask(&mut session, "do $$ begin raise notice 'heard'; end $$", 2000);
    assert_eq!(notice.notices.first().map(|n| n.message.as_str()), Some("heard"));
    assert!(matches!(server.ask(&mut session, "select 1/0", 2000).reply, Reply::Error(e) if e.is("22012")));
    assert!(
        matches!(server.ask(&mut session, "show jit", 2000).reply, Reply::Rows { rows, .. } if rows == [[Some("off".to_owned())]])
    );
    let flood = server.ask(&mut session, "select repeat('x', 5000) from generate_series(1, 1000000)", 5000);
    assert!(matches!(flood.reply, Reply::Unreadable(_)), "{:?}", flood.elapsed_ms);
    server.run(session.close());
    server.wait_until_gone("monitor");
}

#[test]
fn a_statement_that_outlives_its_deadline_is_cancelled_and_leaves_nothing() {
    let server = Server::plain();
    let (_, session) = server.open(&server.target("monitor"));
    let mut session = session.expect("admitted");
    let asked = server.ask(&mut session, "set statement_timeout = 0; select pg_sleep(60)", 300);
    assert_eq!(asked.reply, Reply::Silent);
    assert!(asked.elapsed_ms.0 < 1500.0, "{:?}", asked.elapsed_ms);
    server.wait_until("select 1 from pg_stat_activity where usename = 'monitor' and state = 'active'", 0);
    drop(session);
    server.wait_until_gone("monitor");
}

#[test]
fn a_backend_that_is_ended_says_so_before_it_goes() {
    let server = Server::plain();
    let (_, session) = server.open(&server.target("monitor"));
    let mut session = session.expect("admitted");
    server.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'monitor'");
    assert!(matches!(server.ask(&mut session, "select 1", 2000).reply, Reply::Error(e) if e.is("57P01")));
    assert!(matches!(server.ask(&mut session, "select 1", 2000).reply, Reply::Unreadable(_)));
}

#[test]
fn slots_run_out() {
    let server = Server::plain();
    server.sql("alter role monitor connection limit 2");
    let kept: Vec<_> = (0..2).map(|_| server.open(&server.target("monitor")).1.expect("admitted")).collect();
    let (route, _) = server.open(&server.target("monitor"));
    let error = error(&route);
    assert!(error.is("53300") && error.says("too many connections for role"), "{error}");
    assert!(route.startup.is_some_and(|s| s.authenticated), "the password was right");
    drop(kept);
}

#[test]
fn unix_sockets_and_their_absence() {
    let server = Server::plain();
    let (route, session) = server.open(&server.socket_target("postgres"));
    assert!(session.is_some(), "{route:?}");
    assert!(matches!(tls(&route), TlsOutcome::Plain { .. }));
    assert_eq!(route.proxy.map(|p| (p.sent, p.first)), Some((Sent::Startup, FirstBytes::Message('R'))));
}

#[test]
fn without_tls_on_the_server() {
    let server = Server::plain();
    let mut target = server.target("monitor");
    for (mode, admitted) in [
        (SslMode::Disable, true),
        (SslMode::Allow, true),
        (SslMode::Prefer, true),
        (SslMode::Require, false),
        (SslMode::VerifyFull, false),
    ] {
        target.tls.mode = mode;
        let (route, session) = server.open(&target);
        assert_eq!(session.is_some(), admitted, "{mode:?}");
        assert_eq!(*tls(&route) == TlsOutcome::NotOffered, !admitted, "{mode:?} {:?}", route.tls);
    }
}

#[test]
fn scram_is_bound_to_the_channel_where_it_can_be() {
    let server = Server::with_tls();
    let mut target = server.named_target("monitor");
    target.tls.mode = SslMode::Require;
    for (binding, method) in [
        (ChannelBinding::Prefer, AuthMethod::ScramSha256Plus),
        (ChannelBinding::Require, AuthMethod::ScramSha256Plus),
        (ChannelBinding::Disable, AuthMethod::ScramSha256),
    ] {
        target.tls.channel_binding = binding;
        let (route, session) = server.open(&target);
        assert_eq!(auth(&route), Some(&method), "{:?}", route.startup);
        assert!(session.is_some(), "{binding:?}: {:?}", route.startup);
    }
    target.tls.channel_binding = ChannelBinding::Require;
    server.hba("host all monitor 127.0.0.1/32 trust");
    let outcome = server.open(&target).0.startup.map(|s| s.outcome);
    assert!(matches!(outcome, Some(StartupOutcome::Unsupported(_))), "{outcome:?}");
}

#[test]
fn certificates_are_read_in_every_mode_and_judged_by_the_mode() {
    let server = Server::with_tls();
    let mut target = server.named_target("monitor");
    for (name, validity, mode, admitted, chain, matches) in [
        (real::NAME, Validity::InDate, SslMode::VerifyFull, true, ChainVerdict::Trusted, true),
        (real::NAME, Validity::InDate, SslMode::Require, true, ChainVerdict::Trusted, true),
        ("other.internal", Validity::InDate, SslMode::VerifyFull, false, ChainVerdict::Trusted, false),
        ("other.internal", Validity::InDate, SslMode::VerifyCa, true, ChainVerdict::Trusted, false),
        (real::NAME, Validity::Expired, SslMode::VerifyCa, false, ChainVerdict::Expired, true),
        (real::NAME, Validity::Expired, SslMode::Require, false, ChainVerdict::Expired, true),
    ] {
        server.show(name, validity);
        target.tls.mode = mode;
        let (route, session) = server.open(&target);
        let case = format!("{name} {validity:?} {mode:?}: {:?}", route.tls);
        assert_eq!(session.is_some(), admitted, "{case}");
        assert_eq!(*tls(&route) == TlsOutcome::CertificateRefused, !admitted, "{case}");
        let evidence = route.tls.expect("the room was reached");
        let verification = evidence.verification.expect("judged");
        assert_eq!(verification.chain, Some(chain), "{case}");
        assert_eq!(verification.name_matches, Some(matches), "{case}");
        assert_eq!(evidence.certificate.expect("read").names, [name]);
    }
    // Without a root file sslmode=require asks nothing of the certificate.
    target.tls.mode = SslMode::Require;
    target.tls.root_cert = Some("/nonexistent/root.crt".to_owned());
    let (route, session) = server.open(&target);
    assert!(session.is_some(), "{:?}", route.tls);
    let verification = route.tls.and_then(|t| t.verification).expect("judged");
    assert_eq!((verification.chain, verification.roots.as_str()), (None, "none configured"));
}

#[test]
fn another_authoritys_certificate_is_not_trusted_and_prefer_goes_on_without() {
    let server = Server::with_tls();
    let mut target = server.named_target("monitor");
    target.tls.root_cert = Some(server.file("stranger.pem", &real::self_signed("stranger").0));
    target.tls.mode = SslMode::VerifyCa;
    let (route, session) = server.open(&target);
    assert!(session.is_none());
    let verification = route.tls.and_then(|t| t.verification).expect("judged");
    assert_eq!(verification.chain, Some(ChainVerdict::UnknownIssuer));

    target.tls.mode = SslMode::Prefer;
    let (route, session) = server.open(&target);
    assert!(session.is_some());
    let evidence = route.tls.expect("the room was reached");
    assert!(matches!(evidence.outcome, TlsOutcome::Plain { .. }));
    assert_eq!(evidence.fell_back.as_deref(), Some("the server's certificate was refused"));
    assert!(evidence.certificate.is_some() && evidence.verification.is_some_and(|v| !v.accepted));
}

#[test]
fn the_manuals_own_recipe_and_self_signed_certificates_are_trusted_as_openssl_does() {
    let server = Server::with_tls();
    let mut target = server.named_target("monitor");
    target.tls.mode = SslMode::VerifyFull;

    let (certificate, key) = real::self_signed(real::NAME);
    server.show_pair(&certificate, &key);
    target.tls.root_cert = Some(server.file("self.pem", &certificate));
    let (route, session) = server.open(&target);
    assert!(session.is_some(), "{:?}", route.tls);
    assert!(route.tls.and_then(|t| t.certificate).is_some_and(|c| c.self_signed));

    for curve in ["P-256", "P-384"] {
        let recipe = real::version_1(server.folder(), curve);
        server.show_pair(&recipe.certificate, &recipe.key);
        target.tls.root_cert = Some(recipe.root);
        let (route, session) = server.open(&target);
        assert!(session.is_some(), "{curve}: {:?}", route.tls);
        assert_eq!(auth(&route), Some(&AuthMethod::ScramSha256Plus), "{curve}");
    }
}

#[test]
fn direct_tls_is_spoken_from_postgres_17_on() {
    let server = Server::with_tls();
    let mut target = server.named_target("monitor");
    target.tls.mode = SslMode::VerifyFull;
    target.tls.direct = true;
    let (route, session) = server.open(&target);
    let proxy = route.proxy.as_ref().expect("the room was reached");
    assert_eq!(proxy.sent, Sent::ClientHello);
    let version: u32 =
        server.value("select current_setting('server_version_num')").parse().expect("a number");
    if version >= 170_000 {
        assert_eq!(proxy.first, FirstBytes::TlsRecord);
        assert!(session.is_some(), "{:?} {:?}", route.tls, route.startup);
        assert_eq!(auth(&route), Some(&AuthMethod::ScramSha256Plus));
    } else {
        assert_eq!(proxy.first, FirstBytes::Closed);
        assert!(session.is_none() && route.tls.is_none());
    }
}

#[test]
fn clients_prove_themselves_by_certificate() {
    let server = Server::with_tls();
    server.trust_clients_of_the_authority();
    server.hba("hostssl all monitor 127.0.0.1/32 cert");
    let mut target = server.named_target("monitor");
    target.tls.mode = SslMode::Require;
    target.password = None;
    let refused = server.open(&target).0;
    assert!(error(&refused).is("28000"), "{:?}", refused.startup);

    let pair = server.sign("monitor", Validity::InDate);
    target.tls.cert = Some(server.file("client.crt", &pair.certificate));
    target.tls.key = Some(server.key_file("client.key", &pair.key));
    let (route, session) = server.open(&target);
    assert!(session.is_some(), "{:?} {:?}", route.tls, route.startup);

    let expired = server.sign("monitor", Validity::Expired);
    target.tls.cert = Some(server.file("expired.crt", &expired.certificate));
    target.tls.key = Some(server.key_file("expired.key", &expired.key));
    let (route, session) = server.open(&target);
    assert!(session.is_none());
    assert!(matches!(tls(&route), TlsOutcome::HandshakeFailed { alert: Some(_), .. }), "{:?}", route.tls);

    target.tls.key = Some(server.file("open.key", &expired.key));
    let (route, _) = server.open(&target);
    assert!(matches!(tls(&route), TlsOutcome::LocalFile { .. }), "{:?}", route.tls);
}

#[test]
fn allow_and_prefer_make_the_connections_that_libpq_makes() {
    let server = Server::with_tls();
    let mut target = server.named_target("monitor");

    server.hba("hostssl all monitor 127.0.0.1/32 trust\nhostnossl all monitor 127.0.0.1/32 reject");
    target.tls.mode = SslMode::Allow;
    let (route, session) = server.open(&target);
    assert!(session.is_some());
    let evidence = route.tls.expect("the room was reached");
    assert!(matches!(evidence.outcome, TlsOutcome::Established { .. }));
    assert!(evidence.first_refusal.is_some_and(|e| e.is("28000")));

    server.hba("hostnossl all monitor 127.0.0.1/32 trust\nhostssl all monitor 127.0.0.1/32 reject");
    target.tls.mode = SslMode::Prefer;
    let (route, session) = server.open(&target);
    assert!(session.is_some());
    let evidence = route.tls.expect("the room was reached");
    assert!(matches!(evidence.outcome, TlsOutcome::Plain { .. }) && evidence.fell_back.is_some());

    // Refused both ways: what came further is told, not the want of encryption.
    server.hba("hostssl all monitor 127.0.0.1/32 scram-sha-256\nhostnossl all monitor 127.0.0.1/32 reject");
    target.password = Some(Secret::new("wrong"));
    let (route, _) = server.open(&target);
    assert!(error(&route).is("28P01"), "{:?}", route.startup);
    assert!(PASSWORD != "wrong" && route.tls.is_some_and(|t| t.fell_back.is_none()));
}

//! The way in against a peer that answers, errs, drips, falls silent, talks nonsense, hangs up or resets, at every step.
//! Time is paused but for TLS, whose files are read on a thread of its own: what must take two seconds takes them
//! exactly, and no test waits.

#[expect(dead_code, reason = "hostile peers use the rest")]
mod scripted;

use pgmedic_model::SslMode;
use pgmedic_model::target::ChannelBinding;
use pgmedic_path::evidence::{QueryOutcome, RouteEvidence, Seen};
use pgmedic_path::rooms::dns::probe::Resolver;
use pgmedic_path::rooms::proxy::evidence::{FirstBytes, Sent};
use pgmedic_path::rooms::startup::evidence::{AuthMethod, StartupOutcome};
use pgmedic_path::rooms::startup::probe::Bounds;
use pgmedic_path::rooms::startup::session::{Reply, Session};
use pgmedic_path::rooms::tls::evidence::TlsOutcome;
use pgmedic_path::route::open;
use pgmedic_path::walk;
use scripted::Act::{Drip, Never, Pause, Read, Reset, Send};
use scripted::{Act, Peer, admitted, message, one, said};
use std::time::Duration;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(2);

async fn enter(peer: &Peer, mode: SslMode) -> (RouteEvidence, Option<Session>) {
    let mut target = peer.target();
    target.tls.mode = mode;
    enter_as(&target).await
}

async fn enter_as(target: &pgmedic_model::Target) -> (RouteEvidence, Option<Session>) {
    let bounds = Bounds { statement: Duration::from_millis(700), lock: Duration::from_millis(350) };
    open(target, &Resolver::default(), Some(bounds), Instant::now() + LIMIT).await
}

/// The first bytes that come of a script in clear, and the time it took.
async fn first(script: Vec<Act>, mode: SslMode) -> FirstBytes {
    let from = Instant::now();
    let (route, session) = enter(&Peer::new(vec![script]).await, mode).await;
    assert!(session.is_none());
    assert!(from.elapsed() <= LIMIT + Duration::from_millis(5), "{:?}", from.elapsed());
    route.proxy.expect("the room was reached").first
}

/// How the startup ends that goes on with a script after the server has asked for a password in clear.
async fn startup(after: Vec<Act>) -> StartupOutcome {
    let script = [vec![Read, Send(message(b'R', &[0, 0, 0, 3])), Read], after].concat();
    let (route, _) = enter(&Peer::new(vec![script]).await, SslMode::Disable).await;
    let startup = route.startup.expect("the room was reached");
    assert_eq!(startup.auth, Some(AuthMethod::Cleartext));
    startup.outcome
}

#[tokio::test(start_paused = true)]
async fn the_first_bytes_tell_the_peer() {
    let fork = "could not fork new process for connection: Resource temporarily unavailable";
    let fork_failed = format!("E{fork}\n\0").into_bytes();
    for mode in [SslMode::Disable, SslMode::Require] {
        assert_eq!(first(vec![Read, Never], mode).await, FirstBytes::Silent);
        assert_eq!(first(vec![Never], mode).await, FirstBytes::Silent);
        assert_eq!(first(vec![Read], mode).await, FirstBytes::Closed);
        assert_eq!(first(vec![Read, Reset], mode).await, FirstBytes::Reset);
        assert_eq!(first(vec![Pause(LIMIT / 2), Read], mode).await, FirstBytes::Closed);
        for script in [vec![Read, Send(fork_failed.clone())], vec![Send(fork_failed.clone()), Reset]] {
            assert_eq!(first(script, mode).await, FirstBytes::ErrorV2(fork.to_owned()));
        }
        for garbage in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\xff\xff\xff\xff\xff\xff",
        ] {
            let seen = first(vec![Read, Send(garbage.to_vec())], mode).await;
            assert!(matches!(seen, FirstBytes::Foreign(_)), "{seen:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_in_answer_to_the_ssl_request_is_read() {
    let full = said(b'E', "FATAL", "53300", "sorry, too many clients already");
    for act in [Send(full.clone()), Drip(full)] {
        let FirstBytes::Error(error) = first(vec![Read, act, Never], SslMode::Require).await else {
            panic!("an error was sent");
        };
        assert!(error.is("53300"));
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_in_clear_behind_the_s_are_refused() {
    let injected = [&b"S"[..], &admitted()].concat();
    let seen = first(vec![Read, Send(injected), Never], SslMode::Require).await;
    assert!(matches!(seen, FirstBytes::Foreign(text) if text.contains("CVE-2021-23222")));
}

#[tokio::test]
async fn the_handshake_ends_in_each_way() {
    for (script, outcome) in [
        (vec![Read, Send(b"S".to_vec()), Read, Never], TlsOutcome::Silent),
        (vec![Read, Send(b"S".to_vec()), Read], TlsOutcome::Closed),
        (vec![Read, Send(b"S".to_vec()), Read, Reset], TlsOutcome::Closed),
        (vec![Read, Send(b"N".to_vec()), Never], TlsOutcome::NotOffered),
    ] {
        let (route, session) = enter(&Peer::new(vec![script]).await, SslMode::Require).await;
        assert!(session.is_none() && route.startup.is_none());
        assert_eq!(route.tls.expect("the room was reached").outcome, outcome);
    }
    let garbage = vec![Read, Send(b"S".to_vec()), Read, Send(vec![0x42; 200]), Never];
    let (route, _) = enter(&Peer::new(vec![garbage]).await, SslMode::Require).await;
    assert!(matches!(route.tls.expect("reached").outcome, TlsOutcome::HandshakeFailed { alert: None, .. }));
    // handshake_failure, fatal (RFC 8446 section 6).
    let alert = vec![Read, Send(b"S".to_vec()), Read, Send(vec![0x15, 3, 3, 0, 2, 2, 40]), Never];
    let (route, _) = enter(&Peer::new(vec![alert]).await, SslMode::Require).await;
    let outcome = route.tls.expect("reached").outcome;
    assert!(
        matches!(outcome, TlsOutcome::HandshakeFailed { alert: Some(ref a), .. } if a == "HandshakeFailure")
    );
}

#[tokio::test]
async fn prefer_goes_on_without_tls_on_a_second_connection() {
    let broken = vec![Read, Send(b"S".to_vec()), Read];
    let plain = vec![Read, Send(admitted()), Never];
    let peer = Peer::new(vec![broken, plain]).await;
    let (route, session) = enter(&peer, SslMode::Prefer).await;
    assert!(session.is_some());
    let tls = route.tls.expect("the room was reached");
    assert_eq!(tls.fell_back.as_deref(), Some("the server hung up in the TLS handshake"));
    assert_eq!(peer.heard().len(), 2);
    // A peer that falls silent is not asked again: libpq's own connection would hang as well.
    let peer = Peer::new(vec![vec![Read, Send(b"S".to_vec()), Never]]).await;
    let (route, _) = enter(&peer, SslMode::Prefer).await;
    assert_eq!(route.tls.expect("reached").outcome, TlsOutcome::Silent);
    assert_eq!(peer.heard().len(), 1);
}

#[tokio::test]
async fn direct_tls_begins_with_a_client_hello() {
    for (script, seen) in [
        (vec![Read, Never], FirstBytes::Silent),
        (vec![Read], FirstBytes::Closed),
        (vec![Read, Reset], FirstBytes::Reset),
        (vec![Read, Send(vec![0x15, 3, 3, 0, 2, 2, 120]), Never], FirstBytes::TlsRecord),
    ] {
        let peer = Peer::new(vec![script]).await;
        let mut target = peer.target();
        target.tls.mode = SslMode::Require;
        target.tls.direct = true;
        let (route, _) = enter_as(&target).await;
        let proxy = route.proxy.expect("the room was reached");
        assert_eq!((proxy.sent, proxy.first), (Sent::ClientHello, seen));
        let hello = peer.heard().concat();
        assert_eq!(hello.first(), Some(&0x16));
        assert!(hello.windows(10).any(|w| w == b"postgresql"), "ALPN names the protocol");
    }
}

#[tokio::test(start_paused = true)]
async fn the_startup_ends_in_each_way() {
    let waiting_for = "answer to the password".to_owned();
    assert_eq!(startup(vec![Never]).await, StartupOutcome::Silent { waiting_for });
    assert_eq!(startup(vec![]).await, StartupOutcome::Closed);
    assert_eq!(startup(vec![Reset]).await, StartupOutcome::Reset);
    assert_eq!(startup(vec![Drip(admitted()), Never]).await, StartupOutcome::Ready);
    let half = admitted()[..20].to_vec();
    let waiting_for = "ready for query".to_owned();
    assert_eq!(startup(vec![Send(half), Never]).await, StartupOutcome::Silent { waiting_for });
    for garbage in
        [&b"D\xff\xff\xff\xff"[..], b"?\0\0\0\x04", b"R\0\0\0\x04", b"R\0\0\0\x08\0\0\0\x63", b"Z\0\0\0\x05I"]
    {
        let outcome = startup(vec![Send(garbage.to_vec()), Never]).await;
        assert!(matches!(outcome, StartupOutcome::Protocol(_)), "{garbage:?}: {outcome:?}");
    }
    let endless = message(b'S', b"a\0b\0").repeat(600);
    assert!(matches!(startup(vec![Send(endless), Never]).await, StartupOutcome::Protocol(_)));
    let outcome = startup(vec![Send(said(b'E', "FATAL", "28P01", "no"))]).await;
    assert!(matches!(outcome, StartupOutcome::Error(error) if error.is("28P01")));
}

#[tokio::test(start_paused = true)]
async fn notices_before_the_end_are_kept() {
    let text = "terminating connection because of crash of another server process";
    let notice = said(b'N', "WARNING", "57P02", text);
    let peer = Peer::new(vec![vec![Read, Send(message(b'R', &[0; 4])), Send(notice.repeat(40))]]).await;
    let (route, _) = enter(&peer, SslMode::Disable).await;
    let startup = route.startup.expect("the room was reached");
    assert_eq!(startup.outcome, StartupOutcome::Closed);
    assert_eq!(startup.notices.len(), 16);
    assert!(startup.notices[0].is("57P02") && startup.notices[0].severity == "WARNING");
}

#[tokio::test(start_paused = true)]
async fn a_pooler_that_refuses_our_settings_is_asked_again_without_them() {
    let refusal = said(b'E', "FATAL", "08P01", "unsupported startup parameter: statement_timeout");
    let peer = Peer::new(vec![vec![Read, Send(refusal)], vec![Read, Send(admitted()), Never]]).await;
    let (route, session) = enter(&peer, SslMode::Disable).await;
    assert!(session.is_some_and(|s| !s.bounded));
    assert!(route.startup.expect("reached").pooler.is_some_and(|why| why.contains("PgBouncer")));
    let heard: Vec<String> = peer.heard().iter().map(|b| String::from_utf8_lossy(b).into_owned()).collect();
    assert!(
        heard[0].contains("statement_timeout\x00700\x00") && heard[0].contains("application_name\0pgmedic\0")
    );
    assert!(!heard[1].contains("statement_timeout") && heard[1].contains("application_name\0pgmedic\0"));

    // A refusal of something else is the answer.
    let refusal = said(b'E', "FATAL", "08P01", "unsupported startup parameter: options");
    let peer = Peer::new(vec![vec![Read, Send(refusal)]]).await;
    assert!(enter(&peer, SslMode::Disable).await.0.refusal().is_some());
    assert_eq!(peer.heard().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_know_the_password_is_found_out() {
    let sasl = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    let strange_nonce = message(b'R', b"\0\0\0\x0br=anything,s=c2FsdA==,i=4096");
    let peer = Peer::new(vec![vec![Read, Send(sasl.clone()), Read, Send(strange_nonce), Never]]).await;
    let startup = enter(&peer, SslMode::Disable).await.0.startup.expect("reached");
    assert!(matches!(startup.outcome, StartupOutcome::Protocol(_)) && !startup.authenticated);
    // AuthenticationOk before the server's proof is a server that has none.
    let peer = Peer::new(vec![vec![Read, Send(sasl), Read, Send(admitted()), Never]]).await;
    let startup = enter(&peer, SslMode::Disable).await.0.startup.expect("reached");
    assert!(matches!(startup.outcome, StartupOutcome::Protocol(_)) && !startup.authenticated);
}

#[tokio::test(start_paused = true)]
async fn channel_binding_that_is_required_is_never_done_without() {
    for request in [
        message(b'R', &[0, 0, 0, 0]),
        message(b'R', &[0, 0, 0, 3]),
        message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
    ] {
        let peer = Peer::new(vec![vec![Read, Send(request), Read, Never]]).await;
        let mut target = peer.target();
        target.tls.channel_binding = ChannelBinding::Require;
        let outcome = enter_as(&target).await.0.startup.expect("reached").outcome;
        assert!(matches!(outcome, StartupOutcome::Unsupported(_)), "{outcome:?}");
        assert!(!String::from_utf8_lossy(&peer.heard().concat()).contains("secret"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_ends_in_each_way() {
    let sixteen = u32::try_from(16).expect("small").to_be_bytes();
    for (after, reply) in [
        (vec![Never], Reply::Silent),
        (vec![], Reply::Closed),
        (vec![Reset], Reply::Closed),
        (vec![Send(b"D\xff\xff\xff\xff".to_vec()), Never], Reply::Unreadable(String::new())),
        (vec![Send(b"T\0\0\0\x06\xff\xff".to_vec()), Never], Reply::Unreadable(String::new())),
        (
            vec![Drip(one()), Never],
            Reply::Rows { columns: vec!["one".into()], rows: vec![vec![Some("1".into())]] },
        ),
    ] {
        let script = [vec![Read, Send(admitted()), Read], after].concat();
        let peer = Peer::new(vec![script, vec![Read]]).await;
        let mut session = enter(&peer, SslMode::Disable).await.1.expect("admitted");
        let answer = session.simple_query("select 1", Instant::now() + Duration::from_secs(1)).await;
        match (&reply, &answer.reply) {
            (Reply::Unreadable(_), Reply::Unreadable(_)) => {}
            (wanted, got) => assert_eq!(wanted, got),
        }
        if answer.reply == Reply::Silent {
            let request = peer.heard().pop().expect("a second connection");
            assert_eq!(
                request,
                [&sixteen[..], &80_877_102_u32.to_be_bytes(), &[0, 0, 0, 42, 0, 0, 0, 7]].concat()
            );
        }
    }
}

/// Walks a service whose peer plays these scripts, within two seconds.
async fn walked(scripts: Vec<Vec<Act>>) -> pgmedic_path::Evidence {
    let peer = Peer::new(scripts).await;
    let from = Instant::now();
    let evidence = walk(&peer.service(), LIMIT, &|_| {}).await;
    assert!(from.elapsed() < LIMIT, "{:?}", from.elapsed());
    evidence
}

#[tokio::test(start_paused = true)]
async fn a_walk_ends_in_time_wherever_the_peer_falls_silent() {
    let steps = [
        vec![Never],
        vec![Read, Never],
        vec![Read, Send(message(b'R', &[0, 0, 0, 3])), Never],
        vec![Read, Send(message(b'R', &[0, 0, 0, 0])), Never],
        vec![Read, Send(admitted()), Never],
        vec![Read, Send(admitted()), Read, Send(said(b'E', "ERROR", "42501", "no")), Never],
        vec![Read, Send(admitted()), Read, Drip(vec![b'D'; 100_000])],
        vec![Read, Drip(said(b'N', "NOTICE", "00000", "x").repeat(1000))],
    ];
    for script in steps {
        walked(vec![script]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_is_refused_is_followed_by_a_sign_of_life() {
    let refused =
        [said(b'E', "ERROR", "42501", "permission denied for function x"), message(b'Z', b"I")].concat();
    let evidence =
        walked(vec![vec![Read, Send(admitted()), Read, Send(refused.clone()), Read, Send(one()), Read]])
            .await;
    let query = evidence.front.query.expect("admitted");
    assert!(matches!(query.outcome, QueryOutcome::Alive(why) if why.contains("permission denied")));
    // Where life does not show either, the refusal stands.
    let evidence = walked(vec![vec![Read, Send(admitted()), Read, Send(refused), Read]]).await;
    let query = evidence.front.query.expect("admitted");
    assert!(matches!(query.outcome, QueryOutcome::Error(error) if error.is("42501")));
    // A timeout is no refusal: it is asked no further.
    let late =
        [said(b'E', "ERROR", "57014", "canceling statement due to statement timeout"), message(b'Z', b"I")]
            .concat();
    let evidence =
        walked(vec![vec![Read, Send(admitted()), Read, Send(late), Read, Send(one()), Read]]).await;
    assert!(matches!(evidence.front.query.expect("admitted").outcome, QueryOutcome::Error(_)));
}

#[tokio::test(start_paused = true)]
async fn the_statement_brings_its_own_bounds_where_the_startup_could_not() {
    let refusal = said(b'E', "FATAL", "08P01", "unsupported startup parameter: statement_timeout");
    let peer = Peer::new(vec![vec![Read, Send(refusal)], vec![Read, Send(admitted()), Read, Never]]).await;
    walk(&peer.service(), LIMIT, &|_| {}).await;
    let heard = String::from_utf8_lossy(&peer.heard()[1]).into_owned();
    assert!(
        heard.contains("BEGIN; SET LOCAL statement_timeout = 700; SET LOCAL lock_timeout = 350;"),
        "{heard}"
    );
    assert!(heard.contains(";COMMIT"));
}

#[tokio::test(start_paused = true)]
async fn what_the_front_does_not_tell_is_asked_on_the_direct_way() {
    let hung = Peer::new(vec![vec![Read, Send(admitted()), Never]]).await;
    let refused = [said(b'E', "ERROR", "42501", "no"), message(b'Z', b"I")].concat();
    let live =
        Peer::new(vec![vec![Read, Send(admitted()), Read, Send(refused), Read, Send(one()), Read]]).await;
    let mut service = hung.service();
    service.direct = Some(live.target());
    service.rescue = Some(live.target());
    let evidence = walk(&service, LIMIT, &|_| {}).await;
    assert_eq!(evidence.front.query.map(|q| q.outcome), Some(QueryOutcome::Silent));
    let direct = evidence.direct.get().and_then(|d| d.query.as_ref()).expect("asked");
    assert!(matches!(direct.outcome, QueryOutcome::Alive(_)));
    assert!(matches!(evidence.rescue, Seen::NotSeen(_)), "the front was not refused for want of slots");
    assert_eq!(live.heard().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rescue_is_tried_where_the_front_is_full() {
    let full = said(b'E', "FATAL", "53300", "sorry, too many clients already");
    let through_a_pooler = said(b'E', "FATAL", "08P01", "too many connections for role \"app\"");
    for refusal in [full, through_a_pooler] {
        let front = Peer::new(vec![vec![Read, Send(refusal)]]).await;
        let rescue = Peer::new(vec![vec![Read, Send(admitted()), Read, Never]]).await;
        let mut service = front.service();
        service.rescue = Some(rescue.target());
        let evidence = walk(&service, LIMIT, &|_| {}).await;
        let rescued = evidence.rescue.get().expect("tried");
        assert!(rescued.admitted());
        assert_eq!(rescued.query.as_ref().map(|q| &q.outcome), Some(&QueryOutcome::Silent));
    }
}

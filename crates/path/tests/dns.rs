//! The lookup, against a real dnsmasq and against peers that do what no honest nameserver does.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use pgmedic_model::Host;
use pgmedic_path::rooms::dns::evidence::{Answer, AnswerOutcome, NameserverEvidence, Subject, SystemOutcome};
use pgmedic_path::rooms::dns::nameserver::{self, Nameserver};
use pgmedic_path::rooms::dns::probe::{Resolver, look, look_aside, system};
use simple_dns::rdata::{A, CNAME, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;
use support::{Program, free_port, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(5);

async fn ask_within(server: SocketAddr, name: &str, names: &[&str], limit: Duration) -> NameserverEvidence {
    let (_keep, limit) = watch::channel(Instant::now() + limit);
    let server = Nameserver { address: server, configured_in: "the test".into() };
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    nameserver::ask(server, name, &names, limit).await
}

async fn ask(server: SocketAddr, name: &str) -> NameserverEvidence {
    ask_within(server, name, &[name], LIMIT).await
}

fn resolver(server: SocketAddr) -> Resolver {
    Resolver { nameservers: vec![server], here: true }
}

/// A dnsmasq that knows a few names and no upstream.
fn dnsmasq() -> (Program, SocketAddr) {
    let port = free_port();
    let mut command = Command::new("/usr/sbin/dnsmasq");
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--no-resolv",
        "--no-hosts",
    ]);
    command.args(["--listen-address=127.0.0.1", "--bind-interfaces", "--local-ttl=60", "--user=root"]);
    command.args(["--host-record=v4.internal,10.77.0.1,7", "--host-record=both.internal,10.77.0.2,fdaa::2"]);
    command.args([
        "--txt-record=text.internal,x",
        "--local=/internal/",
        "--cname=alias.internal,v4.internal",
    ]);
    let program = Program::start(command.arg(format!("--port={port}")), "dnsmasq-base");
    until("dnsmasq listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    (program, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn found(answer: &Answer) -> (Vec<String>, u32) {
    match &answer.outcome {
        AnswerOutcome::Addresses { addresses, ttl_s } => {
            (addresses.iter().map(ToString::to_string).collect(), *ttl_s)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn dnsmasq_answers_are_told_apart() {
    let (mut program, server) = dnsmasq();

    let v4 = ask(server, "v4.internal").await;
    assert_eq!(found(&v4.a), (vec!["10.77.0.1".into()], 7));
    assert_eq!(v4.aaaa.outcome, AnswerOutcome::NoData);

    let both = ask(server, "both.internal").await;
    assert_eq!(found(&both.aaaa), (vec!["fdaa::2".into()], 60));

    let alias = ask(server, "alias.internal").await;
    assert_eq!(found(&alias.a).0, ["10.77.0.1"]);

    let text = ask(server, "text.internal").await;
    assert_eq!((text.a.outcome, text.aaaa.outcome), (AnswerOutcome::NoData, AnswerOutcome::NoData));

    let none = ask(server, "none.internal").await;
    assert_eq!((none.a.outcome, none.aaaa.outcome), (AnswerOutcome::NxDomain, AnswerOutcome::NxDomain));

    let outside = ask(server, "outside.example").await;
    assert_eq!(outside.a.outcome, AnswerOutcome::Refused);

    program.freeze();
    let started = Instant::now();
    let silent = ask_within(server, "v4.internal", &["v4.internal"], Duration::from_millis(200)).await;
    assert_eq!((silent.a.outcome, silent.aaaa.outcome), (AnswerOutcome::Silent, AnswerOutcome::Silent));
    assert!(started.elapsed() < Duration::from_secs(2));

    program.stop();
    match ask(server, "v4.internal").await.a.outcome {
        AnswerOutcome::Unreachable(errno) => assert_eq!(errno.name, "ECONNREFUSED"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_search_list_goes_on_until_a_name_has_an_address() {
    let (_program, server) = dnsmasq();
    let first = ask_within(server, "v4", &["v4.nope.internal", "v4.internal", "v4"], LIMIT).await;
    assert_eq!((first.asked.as_str(), found(&first.a).0), ("v4.internal", vec!["10.77.0.1".into()]));

    let nodata = ask_within(server, "text", &["text.nope.internal", "text.internal"], LIMIT).await;
    assert_eq!((nodata.asked.as_str(), nodata.a.outcome), ("text.internal", AnswerOutcome::NoData));

    let nothing = ask_within(server, "x.internal", &["x.internal", "x.internal.internal"], LIMIT).await;
    assert_eq!((nothing.asked.as_str(), nothing.a.outcome), ("x.internal", AnswerOutcome::NxDomain));
}

#[tokio::test]
async fn configured_nameservers_stand_in_for_the_system() {
    let (mut program, server) = dnsmasq();
    let deadline = || Instant::now() + LIMIT;
    let of = |name: &str| Host::Name(name.to_owned());
    let code = |outcome: Option<SystemOutcome>| match outcome {
        Some(SystemOutcome::Failed { code, .. }) => code,
        other => format!("{other:?}"),
    };

    let lookup = look(&of("both.internal"), None, &resolver(server), deadline()).await;
    let mut addresses = lookup.evidence.addresses();
    addresses.sort();
    assert_eq!(addresses, ["10.77.0.2".parse::<IpAddr>().unwrap(), "fdaa::2".parse().unwrap()]);
    let evidence = lookup.settled().await;
    assert_eq!(evidence.nameservers.len(), 1);
    assert_eq!(evidence.nameservers[0].configured_in, "pgmedic.toml");

    let aside = look_aside(&of("none.internal"), &resolver(server), deadline()).await;
    assert_eq!(code(aside.system.map(|s| s.outcome)), "EAI_NONAME");
    let nodata = look(&of("text.internal"), None, &resolver(server), deadline()).await;
    assert_eq!(code(nodata.evidence.system.map(|s| s.outcome)), "EAI_NODATA");

    program.freeze();
    let soon = Instant::now() + Duration::from_millis(200);
    let silent = look(&of("both.internal"), None, &resolver(server), soon).await;
    assert_eq!(silent.evidence.system.as_ref().unwrap().outcome, SystemOutcome::Silent);
    assert_eq!(silent.settled().await.nameservers[0].a.outcome, AnswerOutcome::Silent);

    program.stop();
    let refused = look(&of("both.internal"), None, &resolver(server), deadline()).await;
    assert_eq!(code(refused.evidence.system.map(|s| s.outcome)), "EAI_AGAIN");
}

#[tokio::test]
async fn a_second_nameserver_serves_where_the_first_does_not() {
    let (_program, server) = dnsmasq();
    let closed = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let both = Resolver { nameservers: vec![closed, server], here: true };
    let lookup = look(&Host::Name("v4.internal".into()), None, &both, Instant::now() + LIMIT).await;
    assert_eq!(lookup.evidence.addresses().len(), 1);
    let nameservers = lookup.settled().await.nameservers;
    assert!(matches!(nameservers[0].a.outcome, AnswerOutcome::Unreachable(_)));
    assert!(matches!(nameservers[1].a.outcome, AnswerOutcome::Addresses { .. }));
}

/// A UDP peer that answers each question with what `script` makes of it.
async fn scripted(script: impl Fn(&Packet<'_>) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    // An address that nothing dials from: the TCP port of the same number must be free, too.
    let socket = UdpSocket::bind("127.0.0.9:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for answer in script(&Packet::parse(&buffer[..length]).unwrap()) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    address
}

/// An answer to `query` with its question, one address and the flags given.
fn reply(query: &Packet<'_>, id: u16, flags: PacketFlag) -> Vec<u8> {
    let mut packet = Packet::new_reply(id);
    packet.set_flags(flags);
    packet.questions = query.questions.clone();
    let name = query.questions[0].qname.clone();
    let address = RData::A(A { address: Ipv4Addr::new(10, 0, 0, 9).into() });
    packet.answers.push(ResourceRecord::new(name, CLASS::IN, 30, address));
    packet.build_bytes_vec().unwrap()
}

#[tokio::test]
async fn answers_that_are_none_are_passed_over_and_named_at_the_limit() {
    let wrong_id =
        scripted(|q| vec![reply(q, q.id().wrapping_add(1), PacketFlag::empty()), vec![1, 2, 3]]).await;
    let evidence = ask_within(wrong_id, "db", &["db"], Duration::from_millis(100)).await;
    assert_eq!(evidence.a.outcome, AnswerOutcome::Malformed("an answer shorter than a header".into()));

    let then_right =
        scripted(|q| vec![reply(q, !q.id(), PacketFlag::empty()), reply(q, q.id(), PacketFlag::empty())])
            .await;
    assert_eq!(found(&ask(then_right, "db").await.a).0, ["10.0.0.9"]);

    let another_question = scripted(|q| {
        let mut other = q.clone();
        other.questions[0].qname = Name::new("elsewhere").unwrap();
        vec![reply(&other, q.id(), PacketFlag::empty())]
    })
    .await;
    let evidence = ask_within(another_question, "db", &["db"], Duration::from_millis(100)).await;
    assert_eq!(evidence.a.outcome, AnswerOutcome::Malformed("an answer to another question".into()));
}

#[tokio::test]
async fn a_lost_question_is_sent_once_again_and_the_evidence_says_so() {
    use std::sync::Mutex;
    let seen: Mutex<Vec<u16>> = Mutex::default();
    let server = scripted(move |query| {
        let mut seen = seen.lock().unwrap();
        let again = seen.contains(&query.id());
        seen.push(query.id());
        if again {
            vec![reply(query, query.id(), PacketFlag::RESPONSE | PacketFlag::RECURSION_AVAILABLE)]
        } else {
            vec![]
        }
    })
    .await;
    let answer = ask(server, "v4.internal").await;
    assert!(answer.a.resent && answer.aaaa.resent, "{answer:?}");
    assert_ne!(answer.a.outcome, AnswerOutcome::Silent);
}

#[tokio::test]
async fn garbage_with_the_right_id_is_malformed_at_once() {
    for tail in [
        &b"\x81\x80\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        b"\x81\x80\0\x01\0\x01\0\0\0\0\xc0\x0c\xc0\x0c\0\0\0",
    ] {
        let server = scripted(move |q| vec![[&q.id().to_be_bytes()[..], tail].concat()]).await;
        let started = Instant::now();
        let evidence = ask(server, "db").await;
        assert!(matches!(evidence.a.outcome, AnswerOutcome::Malformed(_)), "{:?}", evidence.a.outcome);
        assert!(started.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn every_cut_and_every_flipped_byte_is_survived() {
    let whole = scripted(|q| {
        let good = reply(q, q.id(), PacketFlag::empty());
        (2..good.len())
            .map(|n| good[..n].to_vec())
            .chain((2..good.len()).map(|n| {
                let mut bad = good.clone();
                bad[n] ^= 0xff;
                bad
            }))
            .collect()
    })
    .await;
    let evidence = ask_within(whole, "db", &["db"], LIMIT).await;
    assert!(!matches!(evidence.a.outcome, AnswerOutcome::Silent | AnswerOutcome::Unreachable(_)));
}

#[tokio::test]
async fn codes_and_aliases_that_circle_are_told_apart() {
    for (rcode, outcome) in [
        (RCODE::ServerFailure, AnswerOutcome::ServFail),
        (RCODE::Refused, AnswerOutcome::Refused),
        (RCODE::NotImplemented, AnswerOutcome::OtherCode(4)),
    ] {
        let server = scripted(move |q| {
            let mut packet = Packet::new_reply(q.id());
            *packet.rcode_mut() = rcode;
            vec![packet.build_bytes_vec().unwrap()]
        })
        .await;
        assert_eq!(ask(server, "db").await.a.outcome, outcome);
    }
    let circle = scripted(|q| {
        let mut packet = Packet::new_reply(q.id());
        packet.questions = q.questions.clone();
        for (from, to) in [("db", "alias"), ("alias", "db")] {
            let target = RData::CNAME(CNAME(Name::new(to).unwrap()));
            packet.answers.push(ResourceRecord::new(Name::new(from).unwrap(), CLASS::IN, 30, target));
        }
        vec![packet.build_bytes_vec().unwrap()]
    })
    .await;
    assert_eq!(
        ask(circle, "db").await.a.outcome,
        AnswerOutcome::Malformed("the aliases lead in a circle".into())
    );
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_over_tcp() {
    let server = scripted(|q| vec![reply(q, q.id(), PacketFlag::TRUNCATION)]).await;
    match ask(server, "db").await.a.outcome {
        AnswerOutcome::Malformed(why) => assert!(why.contains("not to be had over TCP"), "{why}"),
        other => panic!("{other:?}"),
    }
    let listener = TcpListener::bind(server).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut query = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut query).await.unwrap();
            let query = Packet::parse(&query).unwrap();
            let answer = reply(&query, query.id(), PacketFlag::empty());
            stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    assert_eq!(found(&ask(server, "db").await.a).0, ["10.0.0.9"]);
}

#[tokio::test]
async fn what_needs_no_nameserver_says_so() {
    let deadline = Instant::now() + LIMIT;
    let none = Resolver::default();
    let address =
        look(&Host::Address(Ipv4Addr::LOCALHOST.into()), None, &none, deadline).await.settled().await;
    assert_eq!(address.addresses(), [IpAddr::from(Ipv4Addr::LOCALHOST)]);
    assert!(address.nameservers_skipped.is_some() && address.system.is_none());

    let hostaddr = look(&Host::Name("db".into()), Some(Ipv4Addr::LOCALHOST.into()), &none, deadline).await;
    assert_eq!(hostaddr.evidence.subject, Subject::Address(Ipv4Addr::LOCALHOST.into()));

    let socket = look(&Host::Socket("/run/pg".into()), None, &none, deadline).await.settled().await;
    assert_eq!((socket.subject, socket.system), (Subject::Socket("/run/pg".into()), None));

    let localhost = look(&Host::Name("localhost".into()), None, &none, deadline).await.settled().await;
    assert!(localhost.addresses().contains(&Ipv4Addr::LOCALHOST.into()));
    assert!(localhost.nameservers.is_empty() && localhost.nameservers_skipped.is_some());
}

#[tokio::test]
async fn the_systems_refusal_has_its_code_and_its_text() {
    let lookup = system("not a name\0", Instant::now() + LIMIT).await;
    assert!(matches!(lookup.outcome, SystemOutcome::Failed { ref code, .. } if code == "EAI_NONAME"));
    let lookup = system("", Instant::now() + LIMIT).await;
    match lookup.outcome {
        SystemOutcome::Failed { code, text } => {
            assert_eq!((code.as_str(), text.as_str()), ("EAI_NONAME", "Name or service not known"));
        }
        other => panic!("{other:?}"),
    }
}

//! One nameserver asked by itself: A and AAAA apart, over UDP, over TCP where the answer was cut. A datagram may be lost, so
//! a question that nothing answers is sent once more, as every resolver does, and the evidence says so; more patience would
//! hide what is looked for. Not in here: which nameservers to ask, and the system's resolver.

use super::evidence::{Answer, AnswerOutcome, NameserverEvidence};
use crate::clock::Stopwatch;
use pgmedic_model::Errno;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, TYPE};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Aliases followed within one answer.
const MAX_ALIASES: usize = 16;
/// Addresses kept of one answer.
pub const MAX_ADDRESSES: usize = 64;

/// Records read of an answer: the aliases, the addresses, and some to spare. A record of twelve bytes may hold two names of
/// 127 labels each, by pointers.
const MAX_RECORDS: u16 = 128;
/// Records read of its authority section, which only tells that it points elsewhere.
const MAX_AUTHORITIES: u16 = 16;

/// When a question over UDP is sent again. RFC 1123, 6.1.3.3, wants a retransmission; a healthy answer takes a tenth of it.
const AGAIN_AFTER: Duration = Duration::from_millis(400);

/// A nameserver and where it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nameserver {
    /// Which.
    pub address: SocketAddr,
    /// `/etc/resolv.conf`, `pgmedic.toml`.
    pub configured_in: String,
}

/// A deadline that its owner may bring nearer.
pub type Limit = watch::Receiver<Instant>;

/// Returns when the limit has passed, wherever it is moved to meanwhile.
async fn passed(mut limit: Limit) {
    loop {
        let at = *limit.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep_until(at) => return,
            changed = limit.changed() => if changed.is_err() {
                return tokio::time::sleep_until(at).await;
            },
        }
    }
}

/// Asks one nameserver for a name by its `candidates` (the name with the search list, in order), as glibc goes through
/// them: on to the next after NXDOMAIN, NODATA and SERVFAIL; at an address, or at a server that does not serve, it ends.
/// Where none has an address, the one that says most is kept: a NODATA, else a SERVFAIL, else the name as it stands.
pub async fn ask(server: Nameserver, name: &str, candidates: &[String], limit: Limit) -> NameserverEvidence {
    let mut kept: Option<(u8, NameserverEvidence)> = None;
    for asked in candidates {
        let (a, aaaa) = tokio::join!(
            answer(server.address, asked, TYPE::A, limit.clone()),
            answer(server.address, asked, TYPE::AAAA, limit.clone()),
        );
        let weight = weight(&a.outcome).max(weight(&aaaa.outcome));
        let as_it_stands = asked.as_str() == name.trim_end_matches('.');
        let evidence = NameserverEvidence {
            server: server.address,
            configured_in: server.configured_in.clone(),
            asked: asked.clone(),
            a,
            aaaa,
        };
        if weight >= ENDS {
            return evidence;
        }
        if kept.as_ref().is_none_or(|(before, _)| weight > *before || (weight == *before && as_it_stands)) {
            kept = Some((weight, evidence));
        }
    }
    kept.map_or_else(|| unasked(server, name, "there is no name to ask for"), |(_, evidence)| evidence)
}

/// Evidence of a nameserver whose answer is not to be had for a reason of this side.
pub(super) fn unasked(server: Nameserver, name: &str, why: &str) -> NameserverEvidence {
    let answer = || Answer {
        elapsed_ms: pgmedic_model::Ms(0.0),
        outcome: AnswerOutcome::Malformed(why.to_owned()),
        resent: false,
    };
    NameserverEvidence {
        server: server.address,
        configured_in: server.configured_in,
        asked: name.to_owned(),
        a: answer(),
        aaaa: answer(),
    }
}

/// From this weight on an answer ends the search.
const ENDS: u8 = 3;

/// How much an answer says, for choosing among the names of a search list.
const fn weight(outcome: &AnswerOutcome) -> u8 {
    match outcome {
        AnswerOutcome::NxDomain => 0,
        AnswerOutcome::ServFail => 1,
        AnswerOutcome::NoData => 2,
        AnswerOutcome::Refused
        | AnswerOutcome::OtherCode(_)
        | AnswerOutcome::Silent
        | AnswerOutcome::Unreachable(_)
        | AnswerOutcome::Malformed(_) => ENDS,
        AnswerOutcome::Addresses { .. } => 4,
    }
}

/// What became of a question while it was under way.
#[derive(Default)]
struct Underway {
    /// What came and is no answer to it.
    stray: Option<String>,
    /// It was sent again.
    resent: bool,
}

/// One question, timed.
async fn answer(server: SocketAddr, name: &str, kind: TYPE, limit: Limit) -> Answer {
    let watch = Stopwatch::start();
    let mut underway = Underway::default();
    let outcome = tokio::select! {
        outcome = exchange(server, name, kind, &mut underway) => outcome,
        () = passed(limit) => underway.stray.take().map_or(AnswerOutcome::Silent, AnswerOutcome::Malformed),
    };
    Answer { elapsed_ms: watch.elapsed(), outcome, resent: underway.resent }
}

/// One question over UDP, and over TCP where the answer was cut.
async fn exchange(server: SocketAddr, name: &str, kind: TYPE, underway: &mut Underway) -> AnswerOutcome {
    let (id, query) = match question(name, kind) {
        Ok(made) => made,
        Err(why) => return AnswerOutcome::Malformed(why),
    };
    match over_udp(server, id, &query, underway).await {
        Ok(Reading::Outcome(outcome)) => outcome,
        Ok(Reading::Stray(why)) => AnswerOutcome::Malformed(why),
        Ok(Reading::Truncated) => {
            // Should the time run out on the other way: it has not been silent.
            underway.stray = Some("cut over UDP, and not to be had over TCP in time".to_owned());
            after_a_cut(over_tcp(server, id, &query).await)
        }
        Err(error) => AnswerOutcome::Unreachable(Errno::from_number(error.raw_os_error().unwrap_or(0))),
    }
}

/// What came over TCP where the answer over UDP was cut.
fn after_a_cut(read: std::io::Result<Reading>) -> AnswerOutcome {
    match read {
        Ok(Reading::Outcome(outcome)) => outcome,
        Ok(Reading::Stray(why)) => AnswerOutcome::Malformed(why),
        Ok(Reading::Truncated) => AnswerOutcome::Malformed("cut over TCP as well".to_owned()),
        Err(error) => AnswerOutcome::Malformed(format!("cut over UDP, and not to be had over TCP: {error}")),
    }
}

/// A question with a random id (RFC 5452 section 9.2).
pub(super) fn question(name: &str, kind: TYPE) -> Result<(u16, Vec<u8>), String> {
    let unfit = |error| format!("{name:?} is no name that DNS can hold: {error}");
    let bits = getrandom::u32().map_err(|error| format!("no random id: {error}"))?;
    let id = (bits & 0xffff) as u16;
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(
        Name::new(name).map_err(unfit)?,
        kind.into(),
        CLASS::IN.into(),
        false,
    ));
    Ok((id, packet.build_bytes_vec().map_err(unfit)?))
}

/// Sends a datagram, and once more where nothing answers it, and reads until an answer comes.
async fn over_udp(
    server: SocketAddr,
    id: u16,
    query: &[u8],
    underway: &mut Underway,
) -> std::io::Result<Reading> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Connected, so that only this server's datagrams arrive, and its ICMP errors with them.
    socket.connect(server).await?;
    socket.send(query).await?;
    let again_at = Instant::now() + AGAIN_AFTER;
    let mut buffer = [0; 4096];
    loop {
        let length = tokio::select! {
            received = socket.recv(&mut buffer) => received?,
            () = sleep_until(again_at), if !underway.resent => {
                underway.resent = true;
                socket.send(query).await?;
                continue;
            }
        };
        match read(&buffer[..length], id, query) {
            Reading::Stray(why) => underway.stray = Some(why),
            reading => return Ok(reading),
        }
    }
}

/// The same question over TCP (RFC 7766).
async fn over_tcp(server: SocketAddr, id: u16, query: &[u8]) -> std::io::Result<Reading> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes()[..], query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(read(&answer, id, query))
}

/// What a message is, to someone who has asked a question.
#[derive(Debug, PartialEq)]
pub(super) enum Reading {
    /// Not an answer to it.
    Stray(String),
    /// An answer that was cut.
    Truncated,
    /// An answer.
    Outcome(AnswerOutcome),
}

/// Reads a message as the answer to `query`.
pub(super) fn read(message: &[u8], id: u16, query: &[u8]) -> Reading {
    let stray = |why: &str| Reading::Stray(why.to_owned());
    let malformed = |why: String| Reading::Outcome(AnswerOutcome::Malformed(why));
    let Some(header) = message.first_chunk::<12>() else {
        return stray("an answer shorter than a header");
    };
    if header[..2] != id.to_be_bytes() {
        return stray("an answer with another id");
    }
    let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
    // A record is 11 bytes at least: a header that promises more than the message can hold is not worth allocating for.
    if (count(6) + count(8) + count(10)) * 11 > message.len() {
        return malformed("the header counts more records than the message can hold".to_owned());
    }
    // RFC 9619: a message asks one question at most, and an answer repeats it.
    if count(4) > 1 {
        return malformed(format!("it repeats {} questions, of which one was asked", count(4)));
    }
    let start = beginning(message, *header);
    let (packet, asked) = match (Packet::parse(&start), Packet::parse(query)) {
        (Ok(packet), Ok(asked)) => (packet, asked),
        (Err(error), _) | (_, Err(error)) => return malformed(format!("not a DNS message: {error}")),
    };
    let code = header[3] & 0x0f;
    // Servers leave the question out of some refusals, so only another question is a stray.
    let (Some(asked), echoed) = (asked.questions.first(), packet.questions.first()) else {
        return stray("no question was asked");
    };
    if !packet.has_flags(PacketFlag::RESPONSE) {
        return stray("a question instead of an answer");
    }
    if echoed.is_some_and(|q| q.qname != asked.qname || q.qtype != asked.qtype) {
        return stray("an answer to another question");
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Reading::Truncated;
    }
    Reading::Outcome(match code {
        0 => addresses(&packet, asked),
        2 => AnswerOutcome::ServFail,
        3 => AnswerOutcome::NxDomain,
        5 => AnswerOutcome::Refused,
        code => AnswerOutcome::OtherCode(code.into()),
    })
}

/// As much of a message as is worth parsing: its header counts no more records than are read.
fn beginning(message: &[u8], mut header: [u8; 12]) -> Vec<u8> {
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (answers, authorities) = (count(6), count(8));
    let cut = answers > MAX_RECORDS;
    let authorities = if cut { 0 } else { authorities.min(MAX_AUTHORITIES) };
    header[6..8].copy_from_slice(&answers.min(MAX_RECORDS).to_be_bytes());
    header[8..10].copy_from_slice(&authorities.to_be_bytes());
    // EDNS was not asked for.
    header[10..].fill(0);
    [&header[..], &message[header.len()..]].concat()
}

/// The addresses in an answer, by way of its aliases, with the least TTL on that way.
fn addresses(packet: &Packet<'_>, asked: &Question<'_>) -> AnswerOutcome {
    let (mut owner, mut ttl_s) = (&asked.qname, u32::MAX);
    for _ in 0..MAX_ALIASES {
        let of_owner = || packet.answers.iter().filter(|record| record.name == *owner);
        let found: Vec<(IpAddr, u32)> = of_owner()
            .filter(|record| record.match_qtype(asked.qtype))
            .filter_map(|record| match &record.rdata {
                RData::A(a) => Some((Ipv4Addr::from(a.address).into(), record.ttl)),
                RData::AAAA(aaaa) => Some((Ipv6Addr::from(aaaa.address).into(), record.ttl)),
                _ => None,
            })
            .take(MAX_ADDRESSES)
            .collect();
        if let Some(least) = found.iter().map(|(_, ttl)| *ttl).min() {
            let addresses = found.into_iter().map(|(ip, _)| ip).collect();
            return AnswerOutcome::Addresses { addresses, ttl_s: ttl_s.min(least) };
        }
        let alias = of_owner().find_map(|record| match &record.rdata {
            RData::CNAME(target) => Some((&target.0, record.ttl)),
            _ => None,
        });
        match alias {
            Some((target, ttl)) => (owner, ttl_s) = (target, ttl_s.min(ttl)),
            None => return without_addresses(packet),
        }
    }
    AnswerOutcome::Malformed("the aliases lead in a circle".to_owned())
}

/// An answer without addresses: NODATA, or a server that only points to others (RFC 2308 section 2.2).
fn without_addresses(packet: &Packet<'_>) -> AnswerOutcome {
    let serves = packet.has_flags(PacketFlag::AUTHORITATIVE_ANSWER)
        || packet.has_flags(PacketFlag::RECURSION_AVAILABLE)
        || !packet.answers.is_empty();
    let points = packet.name_servers.iter().any(|record| matches!(record.rdata, RData::NS(_)));
    if points && !serves {
        return AnswerOutcome::Malformed("it points to other nameservers instead of asking them".to_owned());
    }
    AnswerOutcome::NoData
}

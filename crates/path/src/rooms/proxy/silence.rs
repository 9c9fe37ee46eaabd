//! Who is silent? A hung proxy, a proxy at its limit and a hung postmaster look the same to every client: TCP connects,
//! then nothing comes. This weighs the windows, the way around the proxy and the pooler's console, once, for the causes
//! that share the question. Pure.

use super::evidence::FirstBytes;
use crate::evidence::{Evidence, QueryOutcome, RouteEvidence};
use crate::platform::evidence::{HaproxyRow, HaproxyView, HostEvidence, ListenerView, ProcessView};
use crate::rooms::network::carriage;
use crate::rooms::network::evidence::{ConnectOutcome, NetworkEvidence};
use crate::rooms::startup::evidence::StartupOutcome;
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, Ms, Room, Severity, Source, Timestamp};

/// The party that is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silent {
    /// A proxy that is stopped or stuck.
    Proxy,
    /// A PgBouncer that is stopped or stuck.
    Pooler,
    /// A proxy that has as many connections as it may.
    ProxyLimit,
    /// A PgBouncer that answers for itself and waits for a login at the server behind it.
    PoolerUpstream,
    /// The postmaster.
    Server,
}

/// Who is silent, how sure that is, and by which facts.
pub(crate) struct Verdict {
    pub(crate) who: Silent,
    silence: Fact,
    opinion: Opinion,
}

impl Verdict {
    /// The verdict as a finding of the cause that it names.
    pub(crate) fn into_finding(self, cause: &str, room: Room) -> Finding {
        let Opinion { confidence, summary, facts, alternatives, .. } = self.opinion;
        let finding =
            Finding::new(cause, room, Severity::Critical, confidence, summary, self.silence).and_all(facts);
        alternatives.into_iter().fold(finding, |f, (other, decider)| f.or_else(other, decider))
    }
}

/// A verdict before the silence itself is put to it.
struct Opinion {
    who: Silent,
    confidence: Confidence,
    summary: String,
    facts: Vec<Fact>,
    alternatives: Vec<(&'static str, &'static str)>,
}

/// What would decide between those that are silent.
const DECIDERS: [(&str, &str); 6] = [
    (
        "server-hung",
        "walk around the proxy (`direct`), or look at the postmaster's state on its host: `ps -o stat,wchan`",
    ),
    (
        "proxy-hung",
        "walk around the proxy (`direct`); on its host Recv-Q of the listener (`ss -ltn`) and the process state",
    ),
    ("proxy-client-limit", "the proxy's own account: CurrConns against Maxconn of HAProxy's `show info`"),
    ("pooler-hung", "the pooler's console (`pooler`), or the process state on its host"),
    (
        "pooler-upstream-failing",
        "PgBouncer's log (`closing because: …` of its `S-` lines), and a walk around it (`direct`)",
    ),
    (
        "packets-dropped",
        "`tcpdump -ni any port 5432` on the server's host: an answer that leaves there and does not arrive here",
    ),
];

/// A pooler whose database is paused, or killed, keeps its clients waiting the same way.
const PAUSED: (&str, &str) = ("pooler-paused", "`SHOW DATABASES` on the console (configure `pooler`)");

/// Every alternative but those in `not`, of a peer that has said nothing at all.
fn others(not: &[&str]) -> Vec<(&'static str, &'static str)> {
    DECIDERS.into_iter().take(4).filter(|(id, _)| !not.contains(id)).collect()
}

/// Where and for how long a route was silent after TCP had connected, before anything of a login came.
pub(crate) fn at_the_door(route: &RouteEvidence) -> Option<(Timestamp, Ms, &str)> {
    let proxy = route.proxy.as_ref()?;
    if proxy.first == FirstBytes::Silent {
        return Some((proxy.at, proxy.elapsed_ms, "the first byte"));
    }
    let startup = route.startup.as_ref()?;
    match &startup.outcome {
        StartupOutcome::Silent { waiting_for } if !startup.authenticated => {
            Some((startup.at, startup.elapsed_ms, waiting_for))
        }
        _ => None,
    }
}

/// Where and for how long a route was silent after the login. None where the network is seen to have lost it.
pub(crate) fn after_the_login(route: &RouteEvidence) -> Option<(Timestamp, Ms, &'static str)> {
    if carriage::lost(route).is_some() {
        return None;
    }
    if let Some(query) = route.query.as_ref().filter(|q| q.outcome == QueryOutcome::Silent) {
        return Some((query.at, query.elapsed_ms, "answer to the first query"));
    }
    let startup = route.startup.as_ref()?;
    let waiting = matches!(&startup.outcome, StartupOutcome::Silent { .. }) && startup.authenticated;
    waiting.then_some((startup.at, startup.elapsed_ms, "ready for query"))
}

/// Bytes that came of what was waited for last.
pub(crate) fn heard(route: &RouteEvidence) -> u64 {
    let query = route.query.as_ref().map(|q| q.received_bytes);
    query.or(route.startup.as_ref().map(|s| s.received_bytes)).unwrap_or(0)
}

/// What a front does that lets nobody get on.
fn manner(route: &RouteEvidence) -> &'static str {
    if heard(route) == 0 { "stays silent" } else { "does not get on with the login" }
}

/// The fact that a route is silent, or that what came on it came to nothing.
pub(crate) fn fact(route: &RouteEvidence, (at, span, what): (Timestamp, Ms, &str)) -> Fact {
    let said = match heard(route) {
        0 => format!("TCP connected, then silence: waited {span} for {what}"),
        bytes => format!("TCP connected, {bytes} bytes came, and no whole {what} within {span}"),
    };
    Fact::new(Source::Bytes, at, &route.address, said).value(span.0)
}

/// Who is silent at the front door, if the front is.
pub(crate) fn weigh(e: &Evidence) -> Option<Verdict> {
    let silence = at_the_door(&e.front)?;
    let opinion = match by_window(e) {
        Some(seen) => seen,
        // The peer's kernel itself did not acknowledge: it is no process that is silent.
        None if carriage::unheard_at_the_door(&e.front).is_some() => return None,
        // What keeps the hop from its server has a finding of its own; a pooler that waits for it is a symptom.
        None if is_cut_off(e) => by_the_pooler(e)?,
        None => by_other_ways(e).or_else(|| accepted(e)).unwrap_or_else(|| unknown(e)),
    };
    Some(Verdict { who: opinion.who, silence: fact(&e.front, silence), opinion })
}

/// True where the way around the hop does not connect either, or the hop is seen waiting for an answer to its SYN.
fn is_cut_off(e: &Evidence) -> bool {
    let unreached =
        |network: &NetworkEvidence| !network.attempts.iter().any(|a| a.outcome == ConnectOutcome::Connected);
    let around = e.direct.get().is_some_and(|d| d.network.as_ref().is_none_or(unreached));
    around || e.host.get().is_some_and(|h| !h.proxy_connecting.is_empty())
}

/// By what this host shows of the processes.
fn by_window(e: &Evidence) -> Option<Opinion> {
    let host = e.host.get()?;
    if let Some(found) = host.proxy.as_ref().and_then(|proxy| proxy_by_window(e, host, proxy)) {
        return Some(found);
    }
    let postmaster = host.postmaster.as_ref()?;
    let listener = host.front_listener.as_ref();
    let at_front = host.proxy.is_none() && listener.is_some_and(|l| l.pid == Some(postmaster.pid));
    let place = format!("pid {}", postmaster.pid);
    if postmaster.is_frozen() {
        let how = if postmaster.state == 'D' { "stuck in the kernel" } else { "stopped by a signal" };
        let summary =
            format!("the postmaster (pid {}) is {how}; new connections wait for ever", postmaster.pid);
        let said = format!("the postmaster's state is {} ({how})", postmaster.state);
        let mut facts =
            vec![Fact::new(Source::Host, host.at, place, said).value(postmaster.state.to_string())];
        facts.extend(queue(host, if at_front { listener } else { host.direct_listener.as_ref() }));
        let confidence = if postmaster.state == 'D' { Confidence::Likely } else { Confidence::Certain };
        return Some(opinion(Silent::Server, confidence, summary, facts, vec![]));
    }
    if !at_front {
        return None;
    }
    let queued = listener.map_or(0, |l| l.recv_q);
    let (confidence, how) = if queued > 0 {
        (Confidence::Likely, format!("{queued} connections wait unaccepted at its listener"))
    } else {
        (Confidence::Possible, "it accepts, and its backends do not answer".to_owned())
    };
    let summary = format!("the postmaster (pid {}) does not answer: {how}", postmaster.pid);
    let said = format!("the postmaster's state is {}; {how}", postmaster.state);
    let facts = vec![Fact::new(Source::Host, host.at, place, said).value(queued)];
    let starved = ("host-starved", "CPU, memory and I/O pressure on the host: /proc/pressure");
    Some(opinion(Silent::Server, confidence, summary, facts, vec![starved]))
}

/// The doors at which nobody will open, as far as a window decides it alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shut {
    /// The service's own way in.
    pub(crate) front: bool,
    /// The way around the proxy.
    pub(crate) direct: bool,
    /// The pooler's console.
    pub(crate) console: bool,
}

/// At which doors nobody will open: the process behind it is stopped, or HAProxy says that it is full. A process that is
/// stuck in the kernel may come out of it.
pub(crate) fn shut(host: &HostEvidence) -> Shut {
    let stopped = |p: &Option<ProcessView>| p.as_ref().is_some_and(|p| matches!(p.state, 'T' | 't'));
    let server = stopped(&host.postmaster);
    let full = host.haproxy.as_ref().is_some_and(|view| at_limit(view).is_some());
    let hop = stopped(&host.proxy);
    let pooler = host.proxy.as_ref().is_some_and(|proxy| proxy.program.starts_with("pgbouncer"));
    Shut { front: server || hop || full, direct: server, console: hop && pooler }
}

/// By the state of the process behind the front's listener, where that is not the postmaster.
fn proxy_by_window(e: &Evidence, host: &HostEvidence, proxy: &ProcessView) -> Option<Opinion> {
    let listener = host.front_listener.as_ref();
    let recv_q = listener.map_or(0, |l| l.recv_q);
    let mut facts: Vec<Fact> = queue(host, listener).into_iter().collect();
    let who = if proxy.program.starts_with("pgbouncer") { Silent::Pooler } else { Silent::Proxy };
    let name = &proxy.program;
    let place = format!("pid {}", proxy.pid);
    if proxy.is_frozen() {
        let said = format!("{name}'s state is {}: it does not run", proxy.state);
        facts.push(Fact::new(Source::Host, host.at, place, said).value(proxy.state.to_string()));
        facts.extend(direct_works(e));
        let summary =
            format!("{name} (pid {}) in front of the database is stopped and passes nothing on", proxy.pid);
        return Some(opinion(who, Confidence::Certain, summary, facts, vec![]));
    }
    let haproxy = host.haproxy.as_ref();
    if let Some((now, max, what)) = haproxy.and_then(at_limit) {
        let view = haproxy?;
        let said = format!("HAProxy's own account: {now} of {max} connections ({what})");
        facts.push(Fact::new(Source::Host, host.at, &view.socket, said).value(now));
        facts.extend(direct_works(e));
        let summary = format!("{name} is at its limit: {now} of {max} connections ({what}); newcomers wait");
        return Some(opinion(Silent::ProxyLimit, Confidence::Certain, summary, facts, vec![]));
    }
    if let Some((view, failure)) = haproxy.and_then(|view| view.failure.as_ref().map(|f| (view, f))) {
        facts.push(Fact::new(
            Source::Host,
            host.at,
            &view.socket,
            format!("HAProxy's stats socket: {failure}"),
        ));
        if recv_q > 0 {
            let summary = format!(
                "{name} (pid {}) neither accepts connections nor answers its stats socket",
                proxy.pid
            );
            let left = vec![DECIDERS[2]];
            return Some(opinion(who, Confidence::Likely, summary, facts, left));
        }
    }
    if recv_q == 0 {
        return None;
    }
    let held = proxy.established.map_or(String::new(), |n| format!("; it holds {n} connections"));
    let said = format!("{name}'s state is {}: it runs, and does not accept{held}", proxy.state);
    facts.push(Fact::new(Source::Host, host.at, place, said).value(proxy.established.unwrap_or(0)));
    facts.extend(direct_works(e));
    let summary = format!("{name} runs but accepts no more connections: {recv_q} wait at its listener{held}");
    Some(opinion(
        Silent::ProxyLimit,
        Confidence::Likely,
        summary,
        facts,
        others(&["proxy-client-limit", "server-hung", "pooler-hung"]),
    ))
}

/// Where HAProxy's own account shows a limit reached: how many, of how many, and which limit.
fn at_limit(view: &HaproxyView) -> Option<(u64, u64, String)> {
    if let (Some(now), Some(max)) = (view.current, view.max)
        && now >= max
        && max > 0
    {
        return Some((now, max, "global maxconn".to_owned()));
    }
    let full = |row: &HaproxyRow| row.limit.filter(|l| *l > 0 && row.sessions >= *l);
    let frontend = view
        .rows
        .iter()
        .filter(|row| row.server == "FRONTEND")
        .find_map(|row| Some((row.sessions, full(row)?, format!("maxconn of {}", row.proxy))));
    // A backend in whose queue somebody stands, and each of whose servers that are up has all it may have.
    frontend.or_else(|| {
        let queue = view.rows.iter().find(|row| row.server == "BACKEND" && row.queued > 0)?;
        let up = |row: &&HaproxyRow| {
            row.proxy == queue.proxy
                && !["FRONTEND", "BACKEND"].contains(&row.server.as_str())
                && !(row.status.starts_with("DOWN") || row.status.starts_with("MAINT"))
        };
        let limits: Option<Vec<u64>> = view.rows.iter().filter(up).map(full).collect();
        let limit = limits.filter(|limits| !limits.is_empty())?.iter().sum();
        let taken = view.rows.iter().filter(up).map(|row| row.sessions).sum();
        Some((taken, limit, format!("maxconn of the servers of {}, {} queued", queue.proxy, queue.queued)))
    })
}

/// By the way around the proxy and by the pooler's console.
fn by_other_ways(e: &Evidence) -> Option<Opinion> {
    if let Some(direct) = e.direct.get() {
        if let Some(silence) = at_the_door(direct) {
            let facts = vec![fact(direct, silence)];
            let summary = "the database does not answer, through the proxy or around it".to_owned();
            return Some(opinion(Silent::Server, Confidence::Likely, summary, facts, vec![DECIDERS[1]]));
        }
        if let Some(found) = by_the_pooler(e) {
            return Some(found);
        }
        if let Some(works) = direct_works(e) {
            if let Some(proxy) = runs_and_accepts(e) {
                let summary = format!(
                    "{} accepts and passes nothing on, while {} answers: a queue in front of its servers",
                    proxy.program, direct.address
                );
                let left = vec![DECIDERS[1]];
                return Some(opinion(Silent::ProxyLimit, Confidence::Possible, summary, vec![works], left));
            }
            let summary = format!(
                "{} connects and {}, while {} answers",
                e.front.address,
                manner(&e.front),
                direct.address
            );
            let left = others(&["server-hung", "proxy-hung"]).into_iter().chain([DECIDERS[5]]).collect();
            return Some(opinion(Silent::Proxy, Confidence::Possible, summary, vec![works], left));
        }
    }
    if let Some(pooler) = e.pooler.get().filter(|p| p.silent) {
        let said = format!("the console is silent as well: waited {}", pooler.elapsed_ms);
        let facts = vec![Fact::new(Source::Pooler, pooler.at, &pooler.address, said)];
        let summary = "PgBouncer connects and stays silent, on its console too".to_owned();
        return Some(opinion(Silent::Pooler, Confidence::Likely, summary, facts, vec![DECIDERS[0]]));
    }
    by_the_pooler(e)
}

/// Why the front is known to be a PgBouncer that answers for itself, if it is: by its words, on its console, or
/// because the window shows that it accepts.
pub(crate) fn by_a_pooler(e: &Evidence) -> Option<Fact> {
    let front = &e.front;
    if let Some((startup, why)) = front.startup.as_ref().and_then(|s| Some((s, s.pooler.as_ref()?))) {
        return Some(Fact::new(
            Source::Startup,
            startup.at,
            &front.address,
            format!("a pooler answers: {why}"),
        ));
    }
    if let Some(queued) = said::notices(e).find(|s| s.route == "front" && s.says(Words::ClientQueued)) {
        return Some(queued.fact());
    }
    if let Some(pooler) = e.pooler.get().filter(|p| p.failure.is_none() && !p.silent) {
        let version = pooler.version.as_deref().unwrap_or("PgBouncer");
        let said = format!("the console answers: {version}");
        return Some(Fact::new(Source::Pooler, pooler.at, &pooler.address, said));
    }
    let host = e.host.get()?;
    let proxy = host.proxy.as_ref().filter(|p| p.program.starts_with("pgbouncer") && !p.is_frozen())?;
    host.front_listener.as_ref().filter(|l| l.recv_q == 0)?;
    let said = format!("{} runs and accepts", proxy.program);
    Some(Fact::new(Source::Host, host.at, format!("pid {}", proxy.pid), said))
}

/// By a pooler that answers for itself and is silent about the login. After a failed attempt PgBouncer lets its clients
/// wait for `server_login_retry` (15 s) without a word.
fn by_the_pooler(e: &Evidence) -> Option<Opinion> {
    let mut facts = vec![by_a_pooler(e)?];
    let works = direct_works(e);
    let upstream =
        e.host.get().filter(|h| h.proxy.is_some()).and_then(|h| Some((h, h.proxy_upstream.as_ref()?)));
    if upstream.is_some_and(|(_, list)| !list.is_empty()) && works.is_none() {
        return None;
    }
    facts.extend(upstream.map(|(host, list)| {
        let said = match list.as_slice() {
            [] => "PgBouncer has no connection to any server".to_owned(),
            list => format!("PgBouncer has connections to {}", list.join(", ")),
        };
        Fact::new(Source::Host, host.at, "its descriptors and /proc/net/tcp", said).value(list.len())
    }));
    let sure = works.is_some() || e.direct.get().is_some() || upstream.is_some();
    let around =
        works.as_ref().map_or_else(String::new, |works| format!("; around it {} answers", works.place));
    facts.extend(works);
    let summary = format!(
        "PgBouncer at {} answers for itself and gets no login at the server behind it{around}",
        e.front.address
    );
    let console_told = e.pooler.get().is_some_and(|p| p.failure.is_none() && !p.silent);
    let paused = (!console_told).then_some(PAUSED);
    let left = (!sure).then_some(DECIDERS[0]).into_iter().chain(paused).collect();
    let confidence = if sure { Confidence::Likely } else { Confidence::Possible };
    Some(opinion(Silent::PoolerUpstream, confidence, summary, facts, left))
}

/// The hop in front, where the window shows that it runs and that nobody waits to be accepted.
fn runs_and_accepts(e: &Evidence) -> Option<&ProcessView> {
    let host = e.host.get().filter(|h| h.front_listener.as_ref().is_some_and(|l| l.recv_q == 0))?;
    host.proxy.as_ref().filter(|proxy| !proxy.is_frozen())
}

/// By a hop that accepts: where it has connections of its own, what they lead to is silent, else it is itself.
fn accepted(e: &Evidence) -> Option<Opinion> {
    let (host, proxy) = (e.host.get()?, runs_and_accepts(e)?);
    let ProcessView { program, pid, .. } = proxy;
    let place = format!("pid {pid}");
    if host.proxy_upstream.as_ref().is_some_and(Vec::is_empty) {
        let said = format!("{program} accepted the connection and has none to any server");
        let facts = vec![Fact::new(Source::Host, host.at, place, said).value(0)];
        let summary =
            format!("{program} (pid {pid}) accepts, says nothing and has no connection to any server");
        return Some(opinion(Silent::Proxy, Confidence::Likely, summary, facts, vec![DECIDERS[0]]));
    }
    let said = format!("{program} accepted the connection (nothing waits at its listener)");
    let facts = vec![Fact::new(Source::Host, host.at, place, said)];
    let summary = format!("{program} accepts, and the server behind it does not answer");
    let other = if by_a_pooler(e).is_some() { DECIDERS[4] } else { DECIDERS[1] };
    Some(opinion(Silent::Server, Confidence::Likely, summary, facts, vec![other]))
}

/// Nothing decides.
fn unknown(e: &Evidence) -> Opinion {
    let summary = format!("{} accepts connections and then {}", e.front.address, manner(&e.front));
    let behind_a_proxy = e.direct.get().is_some() || e.pooler.get().is_some();
    let (who, id) =
        if behind_a_proxy { (Silent::Proxy, "proxy-hung") } else { (Silent::Server, "server-hung") };
    let left = others(&[id]).into_iter().chain([DECIDERS[5]]).collect();
    opinion(who, Confidence::Possible, summary, vec![], left)
}

/// The fact that the way around the proxy is admitted, where it is.
pub(crate) fn direct_works(e: &Evidence) -> Option<Fact> {
    let direct = e.direct.get().filter(|d| d.admitted())?;
    let startup = direct.startup.as_ref()?;
    let said = format!("around the proxy the server logs in within {}", startup.elapsed_ms);
    Some(Fact::new(Source::Startup, startup.at, &direct.address, said).value(startup.elapsed_ms.0))
}

/// The fact that connections wait at a listener, where they do.
fn queue(host: &HostEvidence, listener: Option<&ListenerView>) -> Option<Fact> {
    let listener = listener.filter(|l| l.recv_q > 0)?;
    let said = format!("{} connections completed by the kernel and not accepted (Recv-Q)", listener.recv_q);
    Some(Fact::new(Source::Host, host.at, &listener.address, said).value(listener.recv_q))
}

const fn opinion(
    who: Silent,
    confidence: Confidence,
    summary: String,
    facts: Vec<Fact>,
    alternatives: Vec<(&'static str, &'static str)>,
) -> Opinion {
    Opinion { who, confidence, summary, facts, alternatives }
}

//! `host-starved`: the server gets too little of its host to answer in time.

use crate::cause::Proof;
use crate::evidence::{Evidence, RouteEvidence};
use crate::platform::evidence::{HostEvidence, Pressure, ProcessView};
use crate::rooms::network::carriage;
use crate::rooms::proxy::silence::{after_the_login, at_the_door};
use pgmedic_model::{Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

/// A login and the one statement take milliseconds: from here on, in ms, they are slow.
const SLOW_MS: f64 = 1000.0;
/// Held back in this share of its periods, a server does little but wait.
const THROTTLED: f64 = 0.5;
/// Pressure, in percent of the last ten seconds, from which on a resource is short: tasks wait for a CPU on any busy host,
/// and all of them for a disk or for memory only on a starved one.
const SHORT: [(&str, bool, f64); 3] = [("cpu", false, 90.0), ("io", true, 50.0), ("memory", true, 25.0)];

cause! {
    /// The server is starved: its host or its container gives it too little CPU, I/O or memory.
    ///
    /// ## What it is
    /// A container's CPU quota is used up, neighbours take the host, the disk's queue is full, or the host swaps. Everything
    /// works and takes seconds; logins time out first, because each one is a new process and a costly proof of a password.
    ///
    /// ## What proves it
    /// A login and one statement that take a second or more, or do not end in time, and: `nr_throttled` of the server's control
    /// group (`cpu.stat`) grows in half of its periods or more (certain); or `/proc/pressure` over the last ten seconds: CPU
    /// `some` 90 %, I/O `full` 50 %, memory `full` 25 % (likely: it is the host's, not the server's alone).
    ///
    /// ## What mends it
    /// Take load off: pause batch jobs, close sessions of what is least needed. Then raise the quota (`cpu.max`, the
    /// container's limit), or move the neighbour. Pools with a short time-out make it worse: let them wait longer.
    ///
    /// ## What makes it worse
    /// Restarting the server: its caches are cold then, and every client logs in at once. Retries without a pause.
    ///
    /// ## What prevents it
    /// Alerts on `/proc/pressure` and on `nr_throttled`; fewer, longer connections; quotas above the peak.
    ///
    /// ## References
    /// Kernel documentation: "PSI - Pressure Stall Information", "CFS Bandwidth Control", "Control Group v2" (`cpu.stat`).
    "host-starved" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let host = e.host.get()?;
    let slow = Slowness::of(&e.front)?;
    // A postmaster that does not run at all, or is not there, is another's story; a hop in front may be the slow one.
    if host.postmaster.as_ref().is_none_or(|p| p.is_frozen() && p.state != 'D') {
        return None;
    }
    let throttled = throttled(host);
    let silent = matches!(slow, Slowness::Silent(_));
    if silent
        && (host.proxy.as_ref().is_some_and(ProcessView::is_frozen)
            || (throttled.is_none() && host.proxy.is_some()))
    {
        return None;
    }
    let (confidence, what, proof) = match throttled {
        Some((what, proof)) => (Confidence::Certain, what, proof),
        None => {
            let (what, proof) = short(host)?;
            (Confidence::Likely, what, proof)
        }
    };
    let severity = if silent { Severity::Critical } else { Severity::Warning };
    let summary = format!("the server is starved: {what}; {}", slow.said());
    let mut finding = Finding::new(CAUSE.id, Room::Server, severity, confidence, summary, proof)
        .and(slow.fact(&e.front))
        .and_all(host.pressure.iter().filter(|p| is_short(p)).map(|p| pressure(host, p)));
    if confidence == Confidence::Likely {
        let (other, decider) = if silent {
            ("server-hung", "the postmaster's state, twice: `ps -o stat,wchan`; one that is starved gets on")
        } else {
            (
                "long-queries",
                "which processes use the CPU or the disk: `pidstat -du 1 5` on the server's host",
            )
        };
        finding = finding.or_else(other, decider);
    }
    let group = host.resources.as_ref().map(|r| r.cpu_group.as_str()).unwrap_or_default();
    Some(finding.mended_by(RemedyPlan::by_hand(
        "take-load-off",
        RemedyKind::Advice,
        "see what is short and who uses it, on the server's host (`st` in vmstat is what the hypervisor takes); pause what is least needed, then raise the quota",
        format!("head /proc/pressure/*; cat /sys/fs/cgroup{group}/cpu.stat /sys/fs/cgroup/cpu{group}/cpu.stat 2>/dev/null; vmstat 1 5; top -b -n 1 | head -20"),
    )))
}

/// How slow the front was.
enum Slowness {
    /// Login and statement took so long, in ms.
    Answered(f64),
    /// Nothing came for so long.
    Silent(Ms),
}

impl Slowness {
    fn of(front: &RouteEvidence) -> Option<Self> {
        // What the network lost cost the time, not the host.
        if carriage::lost(front).is_some()
            || carriage::lossy(front).is_some()
            || carriage::unheard(front).is_some()
        {
            return None;
        }
        let silence = at_the_door(front).or_else(|| after_the_login(front));
        if let Some((_, span, _)) = silence {
            return Some(Self::Silent(span));
        }
        let first = front.proxy.as_ref().map_or(0.0, |p| p.elapsed_ms.0);
        let took = first
            + front.startup.as_ref()?.elapsed_ms.0
            + front.query.as_ref().map_or(0.0, |q| q.elapsed_ms.0);
        (front.admitted() && took >= SLOW_MS).then_some(Self::Answered(took))
    }

    fn said(&self) -> String {
        match self {
            Self::Answered(took) => format!("a login and one statement took {}", Ms(*took)),
            Self::Silent(span) => format!("a login was not done within {span}"),
        }
    }

    fn fact(&self, front: &RouteEvidence) -> Fact {
        let at = front.startup.as_ref().map_or(front.dns.at, |s| s.at);
        Fact::new(Source::Startup, at, front.address.as_str(), self.said())
    }
}

/// The server's control group was held back while it was looked at.
fn throttled(host: &HostEvidence) -> Option<(String, Fact)> {
    let group = host.resources.as_ref()?;
    let share = group.throttled.filter(|share| *share >= THROTTLED)?;
    let cpus = group.cpus.map(|n| format!(" of {n:.2} CPUs")).unwrap_or_default();
    let what = format!("the CPU quota{cpus} of its control group is used up");
    let said = format!(
        "control group {}: held back in {:.0} % of the periods in which it wanted to run; quota{cpus}",
        group.cpu_group,
        share * 100.0
    );
    Some((what, Fact::new(Source::Host, host.at, "cpu.stat", said).value(share)))
}

/// The resource that the host is short of.
fn short(host: &HostEvidence) -> Option<(String, Fact)> {
    let worst = host.pressure.iter().find(|p| is_short(p))?;
    let of = match worst.resource.as_str() {
        "cpu" => "CPU time",
        "io" => "I/O",
        _ => "memory",
    };
    Some((format!("its host is short of {of}"), pressure(host, worst)))
}

fn is_short(p: &Pressure) -> bool {
    SHORT.iter().any(|(resource, full, from)| {
        let share = if *full { p.full.unwrap_or(0.0) } else { p.some };
        p.resource == *resource && share >= *from
    })
}

fn pressure(host: &HostEvidence, p: &Pressure) -> Fact {
    let full = p.full.map(|n| format!(", full {n:.0} %")).unwrap_or_default();
    let said = format!("pressure on {}: some {:.0} %{full} of the last ten seconds", p.resource, p.some);
    Fact::new(Source::Host, host.at, format!("/proc/pressure/{}", p.resource), said).value(p.some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{first_bytes, healthy, window};
    use crate::platform::evidence::ResourceView;
    use crate::rooms::proxy::evidence::FirstBytes;

    fn on_a_host(mut e: Evidence, throttled: Option<f64>, cpu: f64, state: char) -> Evidence {
        window(&mut e, |host| {
            host.postmaster = Some(ProcessView { pid: 9, state, ..ProcessView::default() });
            host.resources = Some(ResourceView {
                cpu_group: "/pg".into(),
                cpus: Some(0.05),
                throttled,
                ..ResourceView::default()
            });
            host.pressure = vec![Pressure { resource: "cpu".into(), some: cpu, full: Some(0.0) }];
        });
        e
    }

    fn slow() -> Evidence {
        let mut e = healthy();
        e.front.startup.as_mut().unwrap().elapsed_ms = Ms(2_400.0);
        e
    }

    #[test]
    fn host_starved_by_its_own_quota_is_certain() {
        let found = find(&on_a_host(slow(), Some(0.97), 20.0, 'R')).unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Certain));
        assert_eq!(
            found.summary,
            "the server is starved: the CPU quota of 0.05 CPUs of its control group is used up; a login and one statement took 2.4 s"
        );
        let silent = on_a_host(first_bytes(FirstBytes::Silent), Some(0.97), 20.0, 'R');
        let found = crate::diagnose(&silent);
        assert_eq!(found[0].cause, "host-starved", "{found:?}");
        assert_eq!(found[1].role, pgmedic_model::Role::Symptom, "{found:?}");
    }

    #[test]
    fn host_starved_by_pressure_is_likely_and_takes_slowness() {
        assert_eq!(find(&on_a_host(slow(), None, 97.0, 'S')).unwrap().confidence, Confidence::Likely);
        assert!(find(&on_a_host(slow(), Some(0.1), 60.0, 'S')).is_none());
        assert!(find(&on_a_host(healthy(), Some(0.97), 97.0, 'S')).is_none(), "nothing is slow");
        let stopped = on_a_host(first_bytes(FirstBytes::Silent), None, 97.0, 'T');
        assert!(find(&stopped).is_none(), "a stopped postmaster is not starved");
    }
}

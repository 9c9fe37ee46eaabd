//! Random sequences, and a restart at any moment: what must hold whatever is seen.

use super::{STABLE, none};
use crate::incident::{Change, Incident};
use crate::incidents::scene::{Scene, at, root};
use crate::incidents::{Incidents, Verdict};
use crate::seen::Kind;
use pgmedic_model::{Room, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A generator that is the same each time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

const CAUSES: [(&str, Room); 7] = [
    ("port-closed", Room::Network),
    ("server-starting", Room::Server),
    ("server-recovering", Room::Server),
    ("slots-exhausted", Room::Admission),
    ("disk-full", Room::Storage),
    ("hba-rejects", Room::Startup),
    ("name-not-found", Room::Dns),
];

fn random(dice: &mut Dice) -> Scene {
    let service = format!("s{}", dice.roll(4));
    let mut scene = if dice.roll(2) == 0 { Scene::look(&service) } else { Scene::walk(&service) };
    // Two of the four have one server.
    if service.as_str() < "s2" {
        scene.server = "10.0.0.7:5432".to_owned();
    }
    for _ in 0..[0, 0, 0, 1, 1, 2][dice.roll(6) as usize] {
        let (cause, room) = CAUSES[dice.roll(7) as usize];
        let severity = if dice.roll(4) == 0 { Severity::Warning } else { Severity::Critical };
        if !scene.findings.iter().any(|f| f.cause == cause) {
            scene.findings.push(root(cause, room, severity));
        }
    }
    scene.unknown = scene.findings.is_empty() && dice.roll(8) == 0;
    scene
}

/// What a store would hold, from what it was told.
type Kept = BTreeMap<String, Arc<Incident>>;

fn keep(kept: &mut Kept, verdicts: &[Verdict]) {
    for verdict in verdicts {
        if let Verdict::Changed(_, incident) | Verdict::Noted(incident) = verdict {
            kept.insert(incident.id.clone(), Arc::clone(incident));
        }
    }
}

fn holds(incidents: &Incidents) {
    let mut roots = BTreeSet::new();
    for incident in incidents.open() {
        let ill: Vec<_> = incident.services.iter().filter(|(_, a)| a.until.is_none()).collect();
        assert!(!ill.is_empty(), "open, and holds for nobody: {incident:?}");
        assert!(incident.causes.last().is_some_and(|named| named.cause == incident.cause));
        assert!(incident.proof.is_none());
        for (service, own) in ill {
            assert!(roots.insert((service.clone(), own.cause.clone())), "twice: {service} {}", own.cause);
            let share = &incidents.cases[service.as_str()].shares[&incident.id];
            assert_eq!(share.cause, own.cause);
        }
    }
    let shares: usize = incidents.cases.values().map(|case| case.shares.len()).sum();
    assert_eq!(shares, roots.len(), "a share without an incident");
}

/// A close has had a walk that did not find the root, and since then no sighting of it, for as long as it must.
fn proved(
    closed: &Incident,
    now: i64,
    last_ill: &BTreeMap<(String, String), i64>,
    last_walk: &BTreeMap<String, i64>,
) {
    let at_last = closed.services.iter().filter(|(_, own)| own.until == Some(at(now)));
    assert!(at_last.clone().count() > 0, "{closed:?}");
    for (service, own) in at_last {
        let ill = last_ill.get(&(service.clone(), own.cause.clone())).copied().unwrap_or(i64::MIN);
        let Some(walk) = last_walk.get(service) else { panic!("closed without a walk: {closed:?}") };
        assert!(*walk > ill, "{service}: ill at {ill}, walked at {walk}: {closed:?}");
        let stable = STABLE.as_millis() as i64;
        assert!(now.saturating_sub(ill) >= stable, "{service} was ill a moment ago: {closed:?}");
    }
}

#[test]
fn whatever_is_seen_a_root_has_one_open_incident_a_close_its_proof_and_a_restart_loses_nothing() {
    for seed in 1..=25 {
        let mut dice = Dice(seed * 7919);
        let (mut incidents, mut kept) = (none(), Kept::new());
        let (mut last_ill, mut last_walk) = (BTreeMap::new(), BTreeMap::new());
        let (mut now, mut opened, mut closed) = (0, 0, 0);
        for _ in 0..1500 {
            let most = [20, 1500, 8000][dice.roll(3) as usize];
            now += 1 + dice.roll(most) as i64;
            // Moods: for a while everything is well, so that something can be closed.
            let mut scene = random(&mut dice);
            if now / 60_000 % 2 == 1 {
                scene.findings.clear();
                scene.unknown = false;
            }
            let seen = scene.seen(at(now));
            for finding in &scene.findings {
                last_ill.insert((scene.service.to_string(), finding.cause.clone()), now);
            }
            if scene.kind == Kind::Walk && !scene.unknown {
                last_walk.insert(scene.service.to_string(), now);
            }
            let mut verdicts = incidents.take(&seen, at(now));
            verdicts.extend(incidents.tick(at(now)));
            for verdict in &verdicts {
                match verdict {
                    Verdict::Changed(Change::Opened, _) => opened += 1,
                    Verdict::Changed(Change::Closed, i) => {
                        closed += 1;
                        proved(i, now, &last_ill, &last_walk);
                    }
                    _ => {}
                }
            }
            keep(&mut kept, &verdicts);
            holds(&incidents);
            if dice.roll(40) == 0 {
                let open: BTreeSet<_> = incidents.open().map(|i| i.id.clone()).collect();
                let mut again = none();
                again.restore(kept.values().map(|i| (**i).clone()).collect(), at(now));
                assert_eq!(again.open().map(|i| i.id.clone()).collect::<BTreeSet<_>>(), open, "seed {seed}");
                // Every service that was ill is still.
                incidents = again;
            }
        }
        assert!(opened > 10 && closed > 10, "seed {seed}: {opened} opened, {closed} closed");
    }
}

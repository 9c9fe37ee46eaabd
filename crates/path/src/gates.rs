//! Gates: what must be seen to hold before the database is started or restarted, or its volume grown. Pure. A gate that
//! cannot be read counts as closed: whoever restarts in the dark may turn a hung server into one that does not come back
//! (causes.md, facts 6 and 7). Not in here: which step wants which (`plan`).

use crate::evidence::{Evidence, Seen};
use crate::preflight::{BaseBackup, Preflight};
use crate::rooms::proxy::causes::wrong_server;
use crate::rooms::server::causes::{server_recovering, server_starting};
use crate::rooms::server::gone::{answers, lets_in};
use crate::rooms::storage::volumes;
use pgmedic_model::{Action, Finding};

/// The least free space on each vital volume, in bytes, with which a start may be tried: some WAL segments (16 MiB each),
/// and what a recovery writes before its first checkpoint.
const ROOM_TO_START: u64 = 64 << 20;

/// A gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// What it asks.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
}

/// How a gate stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// What it asks was seen to hold.
    Open,
    /// It was seen not to hold.
    Closed(String),
    /// It could not be seen: why.
    Unread(String),
}

impl Gate {
    fn new(name: &'static str, state: State) -> Self {
        Self { name, state }
    }

    /// Why it keeps an action from being taken, where it does.
    #[must_use]
    pub fn bars(&self) -> Option<String> {
        match &self.state {
            State::Open => None,
            State::Closed(why) => Some(format!("{}: {why}", self.name)),
            State::Unread(why) => {
                Some(format!("{}: cannot be read ({why}), which counts as closed", self.name))
            }
        }
    }
}

/// The gates in front of an action. Empty for what needs none.
#[must_use]
pub fn of(e: &Evidence, action: &Action) -> Vec<Gate> {
    let mut gates = vec![identity(e)];
    gates.extend(before(e, action));
    gates
}

fn before(e: &Evidence, action: &Action) -> Vec<Gate> {
    match action {
        Action::RestartDb => vec![
            space(e),
            inodes(e),
            recovery(e),
            access_rules(e),
            settings(e),
            key_file(e),
            pending(e),
            base_backup(e),
            prepared(e),
        ],
        // A server that does not run has nothing to lose by a start but the space for it, and the first error's traces.
        Action::StartDb => vec![space(e), inodes(e), nobody_runs(e), latent(e)],
        Action::ExtendVolume { volume, to_gb, .. } => vec![cap(e, *to_gb), is_short(e, volume)],
        Action::Cancel { .. }
        | Action::Terminate { .. }
        | Action::RaiseLimit { .. }
        | Action::ResumePooler { .. }
        | Action::EnablePooler { .. }
        | Action::RestartApi
        | Action::RestartProxy => Vec::new(),
    }
}

/// Why the first closed gate keeps an action from being taken.
#[must_use]
pub fn barred(e: &Evidence, action: &Action) -> Option<String> {
    of(e, action).iter().find_map(Gate::bars)
}

/// What was seen is of the service's own server: another's sessions, files and restarts are somebody else's.
fn identity(e: &Evidence) -> Gate {
    let stranger =
        (wrong_server::CAUSE.find)(e).map(|found| State::Closed(format!("wrong-server: {}", found.summary)));
    Gate::new("the server that is meant", stranger.unwrap_or(State::Open))
}

/// True where what an action is for is seen to hold already, whatever else is still found: a server that died of a full
/// volume stays dead when the volume has grown, and it is the next step's turn.
#[must_use]
pub fn is_spent(e: &Evidence, action: &Action) -> bool {
    let Action::ExtendVolume { volume, .. } = action else { return false };
    matches!(is_short(e, volume).state, State::Closed(_))
}

/// Why no volume is seen, in words for a gate.
const NO_VOLUME: &str = "no window shows the database's volumes: `[service.platform]`";

/// Free bytes on every vital volume of the server that the service writes to.
fn space(e: &Evidence) -> Gate {
    let vital = |v: &volumes::Shown<'_>| volumes::is_vital(&v.view) && v.view.total_bytes > 0;
    let shown: Vec<_> = volumes::shown(e).into_iter().filter(vital).collect();
    let of_old = !shown.is_empty() && shown.iter().all(|v| v.by == volumes::By::Platform);
    let short =
        shown.iter().map(|v| &v.view).find(|v| v.available_bytes < ROOM_TO_START || volumes::is_full(v));
    let state = match short {
        _ if shown.is_empty() => State::Unread(NO_VOLUME.to_owned()),
        None if of_old && volumes::no_space(e).is_some() => State::Unread(
            "the platform's measure is of an age that it does not tell, and the server said that no space was left".to_owned(),
        ),
        None => State::Open,
        Some(v) => State::Closed(format!(
            "{} are free on {}, and a start wants {}: it would crash again at its first checkpoint",
            volumes::bytes(v.available_bytes),
            volumes::mount(v),
            volumes::bytes(ROOM_TO_START)
        )),
    };
    Gate::new("free space", state)
}

fn inodes(e: &Evidence) -> Gate {
    let shown = volumes::shown(e);
    let state = match shown.iter().map(|v| &v.view).find(|v| volumes::is_out_of_inodes(v)) {
        _ if shown.is_empty() => State::Unread(NO_VOLUME.to_owned()),
        None => State::Open,
        Some(v) => State::Closed(format!("none are free on {}", volumes::mount(v))),
    };
    Gate::new("inodes", state)
}

/// A recovery that goes on would begin anew.
fn recovery(e: &Evidence) -> Gate {
    let going_on = [&server_recovering::CAUSE, &server_starting::CAUSE]
        .into_iter()
        .find_map(|cause| (cause.find)(e))
        .map(|finding| State::Closed(format!("{}; a restart begins it anew", finding.summary)));
    Gate::new("recovery", going_on.unwrap_or(State::Open))
}

/// What the server was asked about its files, or why it was not.
fn ahead<T>(
    e: &Evidence,
    part: impl Fn(&Preflight) -> &Seen<Vec<T>>,
    broken: impl Fn(&T) -> String,
) -> State {
    match &e.preflight {
        Seen::NotSeen(why) => State::Unread(why.clone()),
        Seen::Seen(asked) => match part(asked) {
            Seen::NotSeen(why) => State::Unread(why.clone()),
            Seen::Seen(list) => list.first().map_or(State::Open, |first| State::Closed(broken(first))),
        },
    }
}

fn access_rules(e: &Evidence) -> Gate {
    Gate::new("pg_hba.conf", ahead(e, |asked| &asked.hba, |line| line.error.clone()))
}

fn settings(e: &Evidence) -> Gate {
    Gate::new("configuration files", ahead(e, |asked| &asked.settings, |line| line.error.clone()))
}

fn base_backup(e: &Evidence) -> Gate {
    let running = |b: &BaseBackup| format!("one runs (pid {}): a restart ends it", b.pid);
    Gate::new("base backup", ahead(e, |asked| &asked.base_backups, running))
}

fn key_file(e: &Evidence) -> Gate {
    let state = match &e.host {
        Seen::NotSeen(why) => State::Unread(why.clone()),
        Seen::Seen(_) => (crate::rooms::tls::causes::key_file_rejected::CAUSE.find)(e)
            .map_or(State::Open, |found| State::Closed(found.summary)),
    };
    Gate::new("TLS key file", state)
}

fn pending(e: &Evidence) -> Gate {
    let state = match e.facts() {
        None => State::Unread("nobody was let in to ask".to_owned()),
        Some(facts) if facts.server.pending_restart.is_empty() => State::Open,
        Some(facts) => State::Closed(format!(
            "{} would come into force: a person decides whether it should, now",
            facts.server.pending_restart.join(", ")
        )),
    };
    Gate::new("settings that wait for a restart", state)
}

fn prepared(e: &Evidence) -> Gate {
    let state = match e.facts() {
        None => State::Unread("nobody was let in to ask".to_owned()),
        Some(facts) if facts.sessions.prepared_total == 0 => State::Open,
        Some(facts) => State::Closed(format!(
            "there are {}: they outlive a restart with their locks, and their coordinator may be about to end them",
            facts.sessions.prepared_total
        )),
    };
    Gate::new("prepared transactions", state)
}

/// A server that is there is not started beside itself.
fn nobody_runs(e: &Evidence) -> Gate {
    let postmaster = e.host.get().and_then(|host| host.postmaster.as_ref()).filter(|p| p.state != 'Z');
    let state = match postmaster {
        Some(p) => State::Closed(format!("process {} is there", p.pid)),
        None if lets_in(e) => State::Closed("the server lets clients in".to_owned()),
        None if answers(e) => State::Closed("a server answers, though it lets nobody in".to_owned()),
        None if e.host.get().is_none() && e.platform.get().is_none_or(|told| told.db.get().is_none()) => {
            State::Unread("neither its host's processes nor its instances are seen".to_owned())
        }
        None => State::Open,
    };
    Gate::new("no server runs", state)
}

/// What a start is known to end at.
fn latent(e: &Evidence) -> Gate {
    let state = crate::latent(e).into_iter().next();
    Gate::new("what a start would meet", state.map_or(State::Open, |f: Finding| State::Closed(f.summary)))
}

fn cap(e: &Evidence, to_gb: u64) -> Gate {
    let state = match e.policy.max_volume_gb {
        None => State::Closed("policy.max_volume_gb is not set, which forbids extending".to_owned()),
        Some(most) if to_gb > most => State::Closed(format!("policy.max_volume_gb is {most}")),
        Some(_) => State::Open,
    };
    Gate::new("the cap", state)
}

/// Only the volume that is short of space is grown, never on an error's word alone: a full /dev/shm says the same. One that
/// is meant by a platform's id is among those shown.
fn is_short(e: &Evidence, volume: &str) -> Gate {
    let shown = volumes::shown(e);
    let named = shown.iter().any(|v| volumes::mount(&v.view) == volume);
    let mut meant = shown.iter().filter(|v| !named || volumes::mount(&v.view) == volume);
    let short = meant.any(|v| volumes::is_full(&v.view) || volumes::is_filling(&v.view));
    let state = match (shown.is_empty(), short) {
        (true, _) => State::Unread(NO_VOLUME.to_owned()),
        (false, true) => State::Open,
        (false, false) => State::Closed("no volume of the database is seen to be short of space".to_owned()),
    };
    Gate::new("the volume is short of space", state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, healthy, preflight, refused, unconnected, with_facts};
    use crate::rooms::network::evidence::ConnectOutcome;
    use crate::rooms::storage::volumes::tests::{volume, with_volumes};

    fn bars(e: &Evidence, action: &Action) -> Vec<String> {
        of(e, action).iter().filter_map(Gate::bars).collect()
    }

    /// With space, and having been asked what a start would meet.
    fn roomy(mut e: Evidence, change: impl FnOnce(&mut Preflight)) -> Evidence {
        preflight(&mut e, change);
        with_volumes(e, vec![volume(10_000, 5_000)])
    }

    #[test]
    fn nothing_read_means_every_gate_is_closed() {
        let told = bars(&refused("57P03", "odd"), &Action::RestartDb);
        assert!(told.len() >= 6 && told.iter().all(|t| t.contains("counts as closed")), "{told:?}");
        assert!(barred(&refused("57P03", "odd"), &Action::StartDb).is_some());
    }

    #[test]
    fn on_another_server_than_the_services_nothing_is_done() {
        use crate::identity::tests::{ANOTHER, answered_by, expecting};
        let e = expecting(answered_by(ANOTHER));
        for action in [Action::RestartApi, Action::Cancel { sessions: Vec::new() }, Action::StartDb] {
            assert!(barred(&e, &action).expect("barred").contains("wrong-server"), "{action:?}");
        }
        assert_eq!(barred(&healthy(), &Action::RestartApi), None);
    }

    #[test]
    fn a_full_disk_bars_start_and_restart_whatever_else_is_well() {
        for free in [0, 20] {
            let e = with_volumes(healthy(), vec![volume(10_000, free)]);
            for action in [Action::RestartDb, Action::StartDb] {
                assert!(barred(&e, &action).expect("barred").starts_with("free space: "), "{action:?}");
            }
        }
        let mut none = volume(10_000, 5_000);
        none.available_inodes = 3;
        let told = barred(&with_volumes(healthy(), vec![none]), &Action::StartDb).expect("barred");
        assert!(told.starts_with("inodes: "), "{told}");
    }

    #[test]
    fn a_start_wants_to_see_that_nobody_runs() {
        let start = |e: &Evidence| {
            let gates = of(e, &Action::StartDb);
            gates.into_iter().find(|gate| gate.name == "no server runs").expect("a gate").state
        };
        let nobody = unconnected(&[(ADDRESS, ConnectOutcome::Refused, Some(111))]);
        assert!(matches!(start(&nobody), State::Unread(_)), "from afar nobody sees");
        assert_eq!(start(&with_volumes(nobody, vec![volume(10_000, 5_000)])), State::Open);
        assert!(matches!(start(&refused("57P03", "the database system is starting up")), State::Closed(_)));
        assert!(matches!(start(&healthy()), State::Closed(_)));
        let mut pooled = healthy();
        pooled.front.query = None;
        pooled.front.startup.as_mut().expect("startup").pooler = Some("it says so".into());
        let pooled = with_volumes(pooled, vec![volume(10_000, 5_000)]);
        assert_eq!(start(&pooled), State::Open, "a pooler's welcome is no server");
    }

    #[test]
    fn an_old_measure_is_none_where_the_server_said_that_no_space_was_left() {
        use crate::platform::told::MemberRole;
        use crate::rooms::storage::volumes::tests::on_platform;
        let space_of = |mut e: Evidence| {
            on_platform(&mut e, 100, None, MemberRole::Primary);
            space(&e).state
        };
        assert_eq!(space_of(refused("57P03", "the database system is starting up")), State::Open);
        let full = refused("53100", "could not extend file \"base/5/1\": No space left on device");
        assert!(matches!(space_of(full), State::Unread(_)));
    }

    #[test]
    fn each_thing_that_a_restart_would_ruin_bars_it() {
        let well = roomy(healthy(), |_| ());
        assert_eq!(bars(&well, &Action::RestartDb), Vec::<String>::new());
        let broken = |change: fn(&mut Preflight)| {
            barred(&roomy(healthy(), change), &Action::RestartDb).expect("barred")
        };
        assert!(broken(|p| p.hba = Seen::Seen(vec![Default::default()])).starts_with("pg_hba.conf: "));
        assert!(broken(|p| p.settings = Seen::Seen(vec![Default::default()])).starts_with("configuration "));
        assert!(
            broken(|p| p.base_backups = Seen::Seen(vec![Default::default()])).starts_with("base backup: ")
        );
        let facts = |change: fn(&mut crate::sql::facts::SqlFacts)| {
            barred(&roomy(with_facts(change), |_| ()), &Action::RestartDb).expect("barred")
        };
        assert!(facts(|f| f.sessions.prepared_total = 2).starts_with("prepared transactions: "));
        assert!(
            facts(|f| f.server.pending_restart = vec!["shared_buffers".into()]).contains("shared_buffers")
        );
    }

    #[test]
    fn a_volume_is_grown_only_up_to_the_cap_and_only_when_it_is_short() {
        let grow =
            Action::ExtendVolume { volume: "vol_1".into(), from_gb: Some(10), to_gb: 15, of_data: true };
        let mut e = with_volumes(healthy(), vec![volume(10_000, 1)]);
        assert!(barred(&e, &grow).expect("barred").contains("max_volume_gb is not set"));
        e.policy.max_volume_gb = Some(14);
        assert!(barred(&e, &grow).expect("barred").contains("max_volume_gb is 14"));
        e.policy.max_volume_gb = Some(15);
        assert_eq!(barred(&e, &grow), None);
        assert!(!is_spent(&e, &grow));
        let mut idle = with_volumes(healthy(), vec![volume(10_000, 9_000)]);
        assert!(is_spent(&idle, &grow) && !is_spent(&idle, &Action::StartDb));
        assert!(!is_spent(&healthy(), &grow), "no volume is seen");
        idle.policy.max_volume_gb = Some(15);
        assert!(barred(&idle, &grow).expect("barred").contains("short of space"));
    }
}

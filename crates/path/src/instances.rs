//! What the platform tells of the instances that run the API and the database, for citing it. Knows no platform, and
//! judges nothing: what is down, what a health check met, and how old that is.

use crate::evidence::Evidence;
use crate::platform::told::{CheckLogin, Checked, Instance, InstanceState, MemberRole, PlatformEvidence};
use crate::rooms::server::gone::lets_in;
use pgmedic_model::{Fact, Ms, ServerError, Source, Timestamp};

/// A check's word that is older than this, in ms, proves nothing by itself.
const FRESH_MS: i64 = 300_000;
/// An end that is longer ago than this, in ms, and was got over, is of the past.
const LATELY_MS: i64 = 600_000;

/// The database's instances.
pub(crate) fn of_db(e: &Evidence) -> &[Instance] {
    told(e).and_then(|told| told.db.get()).map_or(&[], Vec::as_slice)
}

/// The API's instances.
pub(crate) fn of_api(e: &Evidence) -> &[Instance] {
    told(e).and_then(|told| told.api.get()).map_or(&[], Vec::as_slice)
}

fn told(e: &Evidence) -> Option<&PlatformEvidence> {
    e.platform.get()
}

/// There are instances, and none of them runs or is on its way up.
pub(crate) fn all_down(list: &[Instance]) -> bool {
    let down = |i: &Instance| {
        matches!(i.state, InstanceState::Stopped | InstanceState::Stopping | InstanceState::Failed)
    };
    !list.is_empty() && list.iter().all(down)
}

/// The platform shows the database itself as gone: what stood on it (a name, an address, a port) went with it.
pub(crate) fn db_is_gone(e: &Evidence) -> bool {
    let list = of_db(e);
    all_down(list) || (!list.is_empty() && list.iter().all(|i| i.unreachable))
}

/// True where the instance's last end is of now: it is not up again since, or that was in the last ten minutes.
pub(crate) fn ended_lately(e: &Evidence, i: &Instance) -> bool {
    let ended = i.exit.as_ref().and_then(|exit| exit.at);
    let recent = told(e).zip(ended).is_some_and(|(told, at)| told.at.0.saturating_sub(at.0) <= LATELY_MS);
    i.exit.is_some() && (recent || i.state != InstanceState::Running)
}

/// True where a check's word is of the last minutes.
pub(crate) fn is_fresh(e: &Evidence, at: Option<Timestamp>) -> bool {
    match (told(e), at) {
        (Some(told), Some(at)) => told.at.0.saturating_sub(at.0) <= FRESH_MS,
        _ => false,
    }
}

/// `muddy-sun-1 (148e21e7c22d89)`.
pub(crate) fn name(i: &Instance) -> String {
    if i.name.is_empty() || i.name == i.id { i.id.clone() } else { format!("{} ({})", i.name, i.id) }
}

/// An instance's state and how it came to it: `muddy-sun-1 (148e…) is stopped: killed for want of memory, exit code 137`.
pub(crate) fn state(e: &Evidence, i: &Instance) -> String {
    let running = matches!(i.state, InstanceState::Running | InstanceState::Starting);
    let how = i.exit.as_ref().filter(|_| !running).map(|exit| {
        let mut parts = Vec::new();
        if exit.requested {
            parts.push("somebody asked for it".to_owned());
        }
        if exit.out_of_memory {
            parts.push("killed for want of memory".to_owned());
        }
        match (exit.signal, exit.code) {
            (Some(signal), _) => parts.push(format!("ended by signal {signal}")),
            (None, Some(code)) if !exit.requested || code != 0 => parts.push(format!("exit code {code}")),
            _ => {}
        }
        parts.extend(exit.at.and_then(|at| age(e, at)).map(|age| format!("{age} ago")));
        parts.join(", ")
    });
    let how = how.filter(|how| !how.is_empty()).map(|how| format!(": {how}")).unwrap_or_default();
    let remarks: String = i.remarks.iter().map(|remark| format!("; {remark}")).collect();
    format!("{} is {}{how}{remarks}", name(i), i.word)
}

fn age(e: &Evidence, at: Timestamp) -> Option<Ms> {
    let ms = told(e)?.at.0.checked_sub(at.0).filter(|ms| *ms >= 0)?;
    #[expect(clippy::cast_precision_loss, reason = "an age is shown with two digits")]
    Some(Ms(ms as f64))
}

/// An instance's state, as a fact. The value is the platform's word.
pub(crate) fn fact(e: &Evidence, i: &Instance) -> Fact {
    let (at, platform) = told(e).map_or((e.started_at, ""), |told| (told.at, told.platform.as_str()));
    Fact::new(Source::Platform, at, format!("{platform}: {}", i.id), state(e, i)).value(i.word.as_str())
}

/// What a check told, as a fact that says how old it is where it is old.
pub(crate) fn check_fact<T>(e: &Evidence, i: &Instance, checked: &Checked<T>, said: &str) -> Fact {
    let platform = told(e).map_or("", |told| told.platform.as_str());
    let old = match checked.at {
        Some(_) if is_fresh(e, checked.at) => String::new(),
        Some(at) => age(e, at).map(|age| format!(" (by a check last updated {age} ago)")).unwrap_or_default(),
        None => " (by a check of unknown age)".to_owned(),
    };
    let at = checked.at.or(told(e).map(|told| told.at)).unwrap_or(e.started_at);
    Fact::new(
        Source::Platform,
        at,
        format!("{platform}: {}, check {}", i.id, checked.check),
        format!("{said}{old}"),
    )
}

/// What the servers said to the platform's own checks, freshly, where no way leads in and no primary lets its check in.
/// What they say of the check's own role is not of the service.
pub(crate) fn refusals(e: &Evidence) -> impl Iterator<Item = (&str, &ServerError, Timestamp)> {
    let shut = !lets_in(e) && !of_db(e).iter().any(is_primary_and_answers);
    let of_the_role = |error: &ServerError| {
        error
            .code
            .as_ref()
            .is_none_or(|code| ["28", "3D"].iter().any(|class| code.as_str().starts_with(class)))
    };
    of_db(e).iter().filter(move |_| shut).filter_map(move |i| {
        let login = i.server.login.as_ref().filter(|login| is_fresh(e, login.at))?;
        match &login.value {
            CheckLogin::Refused(error) if !of_the_role(error) => Some((i.id.as_str(), error, login.at?)),
            _ => None,
        }
    })
}

fn is_primary_and_answers(i: &Instance) -> bool {
    let admitted = i.server.login.as_ref().is_some_and(|login| login.value == CheckLogin::Admitted);
    admitted && has_role(i, MemberRole::Primary)
}

/// True where a check told this role.
pub(crate) fn has_role(i: &Instance, role: MemberRole) -> bool {
    i.server.role.as_ref().is_some_and(|told| told.value == role)
}

/// The first instance whose check tells this role, with the fact that cites it.
pub(crate) fn with_role<'e>(e: &'e Evidence, role: MemberRole, said: &str) -> Option<(&'e Instance, Fact)> {
    let i = of_db(e).iter().find(|i| has_role(i, role))?;
    let told = i.server.role.as_ref()?;
    Some((i, check_fact(e, i, told, said)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{AT, fatal, first_bytes, healthy};
    use crate::platform::told::Exit;
    use crate::rooms::proxy::evidence::FirstBytes;

    /// The platform tells of these instances of the database, and of nothing else.
    pub(crate) fn platform_tells(e: &mut Evidence, db: Vec<Instance>) {
        let unseen = || "not configured".to_owned();
        e.platform = Seen::Seen(PlatformEvidence {
            at: AT,
            elapsed_ms: Ms(20.0),
            platform: "fly".to_owned(),
            api: Seen::NotSeen(unseen()),
            db: Seen::Seen(db),
            volumes: Seen::NotSeen(unseen()),
            api_log: Seen::NotSeen(unseen()),
            db_log: Seen::NotSeen(unseen()),
        });
    }

    /// An instance in this state.
    pub(crate) fn instance(state: InstanceState, word: &str) -> Instance {
        Instance {
            id: "148e".into(),
            name: "muddy-sun-1".into(),
            state,
            word: word.into(),
            ..Instance::default()
        }
    }

    /// A check's word of now.
    pub(crate) fn checked<T>(value: T) -> Option<Checked<T>> {
        Some(Checked { value, check: "pg".into(), at: Some(AT) })
    }

    #[test]
    fn a_state_says_how_it_came_about() {
        let mut e = healthy();
        let mut i = instance(InstanceState::Failed, "stopped");
        i.exit = Some(Exit {
            at: Some(Timestamp(AT.0 - 180_000)),
            code: Some(137),
            signal: None,
            out_of_memory: true,
            requested: false,
        });
        i.remarks = vec!["its host is unreachable".into()];
        platform_tells(&mut e, vec![i]);
        assert_eq!(
            fact(&e, &of_db(&e)[0]).fact,
            "muddy-sun-1 (148e) is stopped: killed for want of memory, exit code 137, 3 min ago; its host is unreachable"
        );
    }

    #[test]
    fn a_check_speaks_for_the_server_only_freshly_and_where_nobody_gets_in() {
        let refused = |at| {
            let mut i = instance(InstanceState::Running, "started");
            let error = fatal("53300", "sorry, too many clients already");
            i.server.login = Some(Checked { value: CheckLogin::Refused(error), check: "pg".into(), at });
            i
        };
        let said = |mut e: Evidence, db: Vec<Instance>| {
            platform_tells(&mut e, db);
            crate::said::errors(&e).filter(|said| said.route == crate::said::CHECK).count()
        };
        let shut = || first_bytes(FirstBytes::Closed);
        assert_eq!(said(shut(), vec![refused(Some(AT))]), 1);
        assert_eq!(said(healthy(), vec![refused(Some(AT))]), 0);
        assert_eq!(said(shut(), vec![refused(Some(Timestamp(AT.0 - 3_600_000)))]), 0);
        assert_eq!(said(shut(), vec![refused(None)]), 0);
        let mut primary = instance(InstanceState::Running, "started");
        primary.server.login = checked(CheckLogin::Admitted);
        primary.server.role = checked(MemberRole::Primary);
        assert_eq!(said(shut(), vec![primary, refused(Some(AT))]), 0);
        let mut own = refused(Some(AT));
        own.server.login = checked(CheckLogin::Refused(fatal("28P01", "password authentication failed")));
        assert_eq!(said(shut(), vec![own]), 0, "the check's own password");
    }

    #[test]
    fn what_is_on_its_way_up_is_not_down() {
        let list = |states: &[InstanceState]| states.iter().map(|s| instance(*s, "")).collect::<Vec<_>>();
        assert!(all_down(&list(&[InstanceState::Stopped, InstanceState::Failed])));
        for up in [InstanceState::Running, InstanceState::Starting, InstanceState::Unknown] {
            assert!(!all_down(&list(&[InstanceState::Stopped, up])), "{up:?}");
        }
        assert!(!all_down(&[]));
    }
}

//! How many slots are taken and who holds them: from the server's views where a way in was admitted, else from the
//! process titles of the host window. Not in here: what follows from it.

use crate::evidence::{Evidence, RouteEvidence};
use crate::paste;
use crate::platform::evidence::TitleGroup;
use crate::rooms::sessions::ending;
use crate::sql::facts::SessionGroup;
use pgmedic_model::{Action, Fact, Ms, RemedyKind, RemedyPlan, Source, Timestamp};

/// Slots and their holders. Of pgmedic's own sessions only a standing one is counted: it holds its slot between the walks,
/// too. Walsenders have slots of their own since
/// Postgres 12 (`max_wal_senders`), so they are not among them.
pub(crate) struct Slots {
    /// Client backends.
    pub(crate) taken: u64,
    /// pgmedic's standing session among them: 1, or 0.
    pub(crate) standing: u64,
    /// `max_connections` less the reserves.
    pub(crate) ordinary: u64,
    /// `max_connections`.
    pub(crate) max: u64,
    /// True where the count is exact: the asking role sees everyone.
    pub(crate) exact: bool,
    /// Who holds them, largest first.
    pub(crate) holders: Vec<Holder>,
    source: Source,
    at: Timestamp,
    place: String,
}

/// Sessions of one application (or role, where no application_name is known).
pub(crate) struct Holder {
    /// `renderflow-api`, `role app`.
    pub(crate) name: String,
    /// How many.
    pub(crate) count: u64,
    /// Their states, the commonest first.
    pub(crate) states: Vec<(String, u64)>,
    /// Idle for longer than policy `idle_after`.
    pub(crate) over_idle_after: u64,
}

/// Counts them, from the best witness there is.
pub(crate) fn count(e: &Evidence) -> Option<Slots> {
    from_views(e).or_else(|| from_titles(e))
}

fn from_views(e: &Evidence) -> Option<Slots> {
    let (facts, at, address) = e.told()?;
    let a = &facts.admission;
    if a.max_connections == 0 {
        return None;
    }
    let mut holders = Vec::new();
    for g in a.groups.iter().filter(|g| g.application != "pgmedic") {
        let state = g.state.as_deref().unwrap_or("state not visible");
        let over = if is_idle(g) { g.over_idle_after } else { 0 };
        gather(&mut holders, name_of(g), state, g.count, over);
    }
    let stands = u64::from(e.standing.get().is_some_and(RouteEvidence::admitted));
    Some(Slots {
        taken: a.client_backends.saturating_sub(a.own.saturating_sub(stands)),
        standing: stands.min(a.own),
        ordinary: a.ordinary(),
        max: a.max_connections,
        exact: facts.me.sees_all || facts.me.superuser,
        holders: sorted(holders),
        source: Source::Sql,
        at,
        place: format!("pg_stat_activity at {address}"),
    })
}

fn from_titles(e: &Evidence) -> Option<Slots> {
    let host = e.host.get()?;
    let (groups, max) = (host.backends.as_ref()?, host.max_connections?);
    let mut holders = Vec::new();
    for g in groups {
        gather(&mut holders, of_role(&g.role), doing(g), g.count, 0);
    }
    let reserved = host.superuser_reserved.unwrap_or(3) + host.reserved.unwrap_or(0);
    Some(Slots {
        taken: groups.iter().map(|g| g.count).sum(),
        standing: 0,
        ordinary: max.saturating_sub(reserved),
        max,
        exact: true,
        holders: sorted(holders),
        source: Source::Host,
        at: host.at,
        place: "process titles of the server's backends".to_owned(),
    })
}

/// What a process title's activity means as a state.
fn doing(g: &TitleGroup) -> &str {
    match g.activity.as_str() {
        "startup" | "authentication" => "logging in",
        idle if idle.starts_with("idle") => idle,
        waiting if waiting.ends_with(" waiting") => "waiting for a lock",
        _ => "active",
    }
}

/// True for a group that idles outside of a transaction.
fn is_idle(g: &SessionGroup) -> bool {
    g.state.as_deref() == Some("idle")
}

fn name_of(g: &SessionGroup) -> String {
    if g.application.is_empty() { of_role(&g.role) } else { g.application.clone() }
}

fn of_role(role: &str) -> String {
    format!("role {role}")
}

fn gather(holders: &mut Vec<Holder>, name: String, state: &str, count: u64, over: u64) {
    let at = holders.iter().position(|h| h.name == name).unwrap_or_else(|| {
        holders.push(Holder { name, count: 0, states: Vec::new(), over_idle_after: 0 });
        holders.len() - 1
    });
    let holder = &mut holders[at];
    holder.count += count;
    holder.over_idle_after += over;
    match holder.states.iter_mut().find(|(s, _)| s == state) {
        Some((_, n)) => *n += count,
        None => holder.states.push((state.to_owned(), count)),
    }
}

fn sorted(mut holders: Vec<Holder>) -> Vec<Holder> {
    holders.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    for holder in &mut holders {
        holder.states.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    }
    holders
}

impl Holder {
    /// `91 by renderflow-api, idle over 10 min`.
    pub(crate) fn phrase(&self, idle_after_ms: f64) -> String {
        let after = Ms(idle_after_ms);
        let Self { count, name, over_idle_after: over, .. } = self;
        match self.states.as_slice() {
            [(state, _)] if state == "idle" && over == count => {
                format!("{count} by {name}, idle over {after}")
            }
            [(state, _)] if *over > 0 => format!("{count} by {name}, {state}, {over} of them over {after}"),
            [(state, _)] => format!("{count} by {name}, {state}"),
            states => {
                let parts: Vec<_> = states.iter().map(|(state, n)| format!("{n} {state}")).collect();
                format!("{count} by {name} ({})", parts.join(", "))
            }
        }
    }
}

impl Holder {
    /// True for the service's own API, as far as its sessions tell: they are its role's. What another program holds is not
    /// given back by a restart of the API.
    fn is_the_apis(&self, e: &Evidence) -> bool {
        let Some(facts) = e.facts() else {
            // Process titles have the role, and no application: a holder of most slots is no migration and no dump.
            return self.name == of_role(&e.target.user);
        };
        let mut own = facts.admission.groups.iter().filter(|g| name_of(g) == self.name);
        own.all(|g| g.role == e.target.user && !ending::is_upkeep(&g.application))
    }
}

impl Slots {
    /// Ordinary slots that are free.
    pub(crate) const fn free(&self) -> u64 {
        self.ordinary.saturating_sub(self.taken)
    }

    /// `97 of 97`: at most all, although sessions in reserved slots count as well.
    pub(crate) fn ratio(&self) -> String {
        format!("{} of {}", self.taken.min(self.ordinary), self.ordinary)
    }

    /// True where every ordinary slot is taken and a reserved one is seen free: whoever was told "too many clients"
    /// then met logins that were themselves being refused, each of which takes a slot for a moment.
    pub(crate) const fn reserve_free(&self) -> bool {
        self.exact && self.ordinary > 0 && self.taken >= self.ordinary && self.taken < self.max
    }

    /// Four fifths of the ordinary slots, or more, are taken.
    pub(crate) const fn short(&self) -> bool {
        self.taken * 5 >= self.ordinary * 4
    }

    /// The largest holder, as a phrase.
    pub(crate) fn who(&self, e: &Evidence) -> Option<String> {
        self.holders.first().map(|h| h.phrase(e.policy.idle_after_ms))
    }

    /// The count and its three largest holders, as facts.
    pub(crate) fn facts(&self, e: &Evidence) -> Vec<Fact> {
        let cite = |text: String| Fact::new(self.source, self.at, self.place.as_str(), text);
        let reserved = self.max - self.ordinary;
        let total = format!(
            "{} ordinary slots taken ({} sessions; max_connections {}, {reserved} reserved)",
            self.ratio(),
            self.taken,
            self.max
        );
        let mut facts = vec![cite(total).value(self.taken)];
        facts.extend(
            self.holders.iter().take(3).map(|h| cite(h.phrase(e.policy.idle_after_ms)).value(h.count)),
        );
        facts
    }
}

/// Advice to look: who holds the slots, by application, role, client and state.
pub(crate) fn look(e: &Evidence) -> RemedyPlan {
    let sql = "select application_name, usename, client_addr, state, count(*), max(now() - state_change) as longest \
               from pg_stat_activity where backend_type = 'client backend' group by 1, 2, 3, 4 order by 5 desc";
    RemedyPlan::by_hand(
        "see-who-holds-slots",
        RemedyKind::Advice,
        "see which application holds the slots, and in which state: that decides what to end",
        paste::psql(e, sql),
    )
}

/// Where no session has idled for long enough to be ended: restart the application that holds most, one instance after the
/// other.
pub(crate) fn restart_holder(e: &Evidence, slots: Option<&Slots>) -> Option<RemedyPlan> {
    let holder = slots?.holders.first()?;
    let plan = format!(
        "restart the largest holder ({}), one instance after the other, then see whether its sessions come back; if they \
         do, its pools are too large",
        holder.name
    );
    let sql = "select application_name, usename, count(*) from pg_stat_activity where backend_type = 'client backend' \
               group by 1, 2 order by 3 desc";
    let watch = format!("{}   # before and after", paste::psql(e, sql));
    let restart = RemedyPlan::by_hand("restart-largest-holder", RemedyKind::AppRestart, plan, watch);
    Some(if holder.is_the_apis(e) { restart.doing(Action::RestartApi) } else { restart })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{refused, window, with_facts};

    fn group(application: &str, state: &str, count: u64, over_idle_after: u64) -> SessionGroup {
        SessionGroup {
            application: application.to_owned(),
            role: "app".to_owned(),
            state: Some(state.to_owned()),
            count,
            over_idle_after,
            ..SessionGroup::default()
        }
    }

    #[test]
    fn views_are_summed_by_application_without_pgmedic() {
        let e = with_facts(|f| {
            (f.admission.client_backends, f.admission.own) = (98, 1);
            f.admission.groups = vec![
                group("api", "idle", 60, 60),
                group("api", "active", 31, 0),
                group("pgmedic", "active", 1, 0),
            ];
        });
        let slots = count(&e).unwrap();
        assert_eq!((slots.taken, slots.ordinary, slots.free()), (97, 97, 0));
        assert_eq!(slots.who(&e).unwrap(), "91 by api (60 idle, 31 active)");
        assert_eq!(slots.holders.len(), 1);
        assert!(slots.short());
    }

    #[test]
    fn a_holder_whose_sessions_all_idle_too_long_is_said_in_one_breath() {
        let e = with_facts(|f| f.admission.groups = vec![group("renderflow-api", "idle", 91, 91)]);
        assert_eq!(count(&e).unwrap().who(&e).unwrap(), "91 by renderflow-api, idle over 10 min");
    }

    #[test]
    fn titles_tell_where_nobody_was_admitted() {
        let mut e = refused("53300", "sorry, too many clients already");
        assert!(count(&e).is_none());
        window(&mut e, |host| {
            host.max_connections = Some(20);
            let title = |activity: &str, count| TitleGroup {
                role: "app".into(),
                activity: activity.into(),
                count,
                ..TitleGroup::default()
            };
            host.backends = Some(vec![title("SELECT waiting", 12), title("idle", 5)]);
        });
        let slots = count(&e).unwrap();
        assert_eq!(slots.ratio(), "17 of 17");
        assert_eq!(slots.who(&e).unwrap(), "17 by role app (12 waiting for a lock, 5 idle)");
        assert_eq!(slots.facts(&e)[0].source, Source::Host);
    }
}

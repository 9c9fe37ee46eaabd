//! `fills-soon`: at the rate that was seen, something ends soon.

use crate::audit::{changes, growth, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::storage::volumes;
use pgmedic_model::{
    AuditFinding, Confidence, Fact, Forecast, Needs, ObjectKind, Severity, Source, Timestamp,
};

weakness! {
    /// At the rate that was seen a volume is full, or a slot beyond its cap, within weeks.
    ///
    /// ## What it is
    /// A percentage says how full a disk is, not how long it lasts: 60 % of 20 GB at 1 MB/s are two hours.
    ///
    /// ## What breaks
    /// Every write, and with WAL on the same volume the server. Fly's Postgres turns read-only at 90 %.
    ///
    /// ## What proves it
    /// Several looks, a rate, and how evenly it grew: what `pgmedic watch` saw before, where it watches the service, and those
    /// of `pgmedic audit --watch-for 1m`. One look is no forecast.
    ///
    /// ## What mends it
    /// See what grows (`pgmedic audit` names it; `pgmedic explain disk-filling`), and extend the volume before it hurts.
    ///
    /// ## References
    /// Postgres manual: "Monitoring Disk Usage", "Disk Full Failure".
    "fills-soon" in Storage, proved by Proof::Drill;
}

/// Later than this it is in the forecast alone.
const SOON_MS: i64 = 60 * 86_400_000;
const DAY_MS: i64 = 86_400_000;

fn find(e: &Evidence) -> Option<AuditFinding> {
    let now = e.started_at;
    let all = growth::forecasts(e);
    let soon = |f: &&Forecast| f.unit == "bytes" && f.ends_at.is_some_and(|at| at.0 - now.0 < SOON_MS);
    let mut soon: Vec<(Timestamp, &Forecast)> =
        all.iter().filter(soon).filter_map(|f| Some((f.ends_at?, f))).collect();
    soon.sort_by_key(|(at, _)| *at);
    let (at, first) = *soon.first()?;
    let fact = |f: &Forecast| {
        let rate = f.per_second.unwrap_or_default();
        let text = format!("{}: {:.0} bytes, {rate:.0} bytes/s; from {}", f.subject, f.value, f.rests_on);
        let source = if f.subject.contains("volume") { Source::Host } else { Source::Sql };
        Fact::new(source, now, f.subject.as_str(), text).value(rate)
    };
    let severity = if at.0 - now.0 < DAY_MS { Severity::Critical } else { Severity::Warning };
    let look = volumes::look(e, volumes::of_wal(e));
    let extend = volumes::extend(e, volumes::of_wal(e));
    let change = |setting: &str, plan: &pgmedic_model::RemedyPlan| {
        changes::person(
            ObjectKind::Service,
            "the volume",
            setting,
            ("it fills", &plan.plan),
            plan.command.clone(),
            Needs::Nothing,
        )
    };
    Some(
        AuditFinding::new(
            WEAKNESS.id,
            WEAKNESS.room,
            format!("{}: {}", first.subject, first.says),
            fact(first),
        )
        .and_all(soon.iter().skip(1).map(|(_, f)| fact(f)))
        .weighs(severity, first.confidence.unwrap_or(Confidence::Possible))
        .breaks_by(now, at, "every write fails; with WAL on the same volume the server ends")
        .mended_by([change("what grows", &look), change("size", &extend)]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::rooms::storage::volumes::tests::{volume, with_volumes};
    use pgmedic_model::Nearness;

    /// Nine looks at a volume that loses so many MB from one to the next, 7.5 s apart.
    fn losing(mb: u64) -> Option<AuditFinding> {
        let at = |left: u64| with_volumes(audited(|_| {}), vec![volume(100_000, left)]);
        let mut now = at(50_000);
        now.earlier = (1..9)
            .rev()
            .map(|back| {
                let mut look = growth::look(&at(50_000 + back * mb));
                look.seen.iter_mut().for_each(|q| q.at.0 -= 7_500 * i64::try_from(back).unwrap());
                look
            })
            .collect();
        find(&now)
    }

    #[test]
    fn fills_soon_by_its_rate_and_not_by_its_share() {
        assert!(losing(0).is_none());
        let hours = losing(50).unwrap();
        assert_eq!((hours.severity, hours.nearness), (Severity::Critical, Nearness::Days));
        assert!(
            hours.summary.starts_with("data volume /data: full on Monday about 05:"),
            "{}",
            hours.summary
        );
        let days = losing(1).unwrap();
        assert_eq!((days.severity, days.confidence), (Severity::Warning, Confidence::Possible));
        assert!(find(&with_volumes(audited(|_| {}), vec![volume(100, 1)])).is_none(), "one look");
    }
}

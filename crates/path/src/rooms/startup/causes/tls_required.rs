//! `tls-required`: the server takes this client with TLS only.

use super::hba_rejects::turned_down_by_hba;
use crate::cause::Proof;
use crate::evidence::{Evidence, RouteEvidence};
use crate::rooms::proxy::evidence::FirstBytes;
use crate::rooms::startup::refusal::{refused, says};
use crate::rooms::tls::evidence::TlsOutcome;
use crate::ways::Around;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, ServerError, Source};

cause! {
    /// The server accepts this client with TLS only, and the client came without.
    ///
    /// ## What it is
    /// The lines of `pg_hba.conf` that would match are `hostssl`, or a `hostnossl … reject` stands before
    /// them. The server says `no pg_hba.conf entry for host …, no encryption` (28000); the last two words are
    /// the hint. A PgBouncer with `client_tls_sslmode=require` says `SSL required`.
    ///
    /// ## What proves it
    /// The same login with `sslmode=require` is admitted. The words `no encryption` alone say only how the
    /// client came: where no line would match with TLS either, the cause is `hba-rejects`.
    ///
    /// ## What mends it
    /// `sslmode=require` (better `verify-full`) in the service's URL, then restart one API instance.
    ///
    /// ## What makes it worse
    /// Changing `hostssl` to `host` in `pg_hba.conf`: passwords and data of every client may then cross the
    /// network in clear.
    ///
    /// ## What prevents it
    /// `sslmode` set in every URL, never left to the driver's default; drivers differ in it.
    ///
    /// ## References
    /// Postgres manual, "The pg_hba.conf File" (`hostssl`, `hostnossl`), "SSL Support" (`sslmode`); PgBouncer
    /// manual, `client_tls_sslmode`.
    "tls-required" in Startup, proved by Proof::Drill;
}

/// True where a client without TLS was turned down, and TLS is the way that is left: it was not tried (or
/// came to nothing), and the peer did not say that it has none.
pub(super) fn for_want_of_tls(route: &RouteEvidence, error: &ServerError) -> bool {
    if says(error, Words::PoolerDemandsTls) {
        return true;
    }
    let tls = route.tls.as_ref();
    let under_tls = tls.is_some_and(|t| matches!(t.outcome, TlsOutcome::Established { .. }));
    let has_none = route.proxy.as_ref().is_some_and(|p| p.first == FirstBytes::TlsNotOffered);
    let by_socket = route.address.starts_with(['/', '@']);
    let refused_with_tls_too = tls.and_then(|t| t.first_refusal.as_ref()).is_some_and(turned_down_by_hba);
    turned_down_by_hba(error)
        && says(error, Words::NoEncryption)
        && !(under_tls || has_none || by_socket || refused_with_tls_too)
}

fn find(e: &Evidence) -> Option<Finding> {
    let refusal = refused(e, for_want_of_tls)?;
    let pooler_says_so = says(refusal.error, Words::PoolerDemandsTls);
    let admitted = crate::ways::struck(e, Around::Aside, admitted_with_tls).map(|w| w.route);
    let certain = pooler_says_so || admitted.is_some();
    let confidence = if certain { Confidence::Certain } else { Confidence::Likely };
    let mode = refusal.way.route.tls.as_ref().map_or(e.target.ssl_mode, |t| t.mode);
    let (address, role, mode) = (&refusal.way.route.address, refusal.user, mode.as_str());
    let what = if certain {
        format!("{address} takes role {role} with TLS only, and it came without (sslmode={mode})")
    } else {
        format!("{address} turns role {role} down without TLS (sslmode={mode})")
    };
    let mut finding = refusal.finding(e, &CAUSE, confidence, &what);
    if let Some(route) = admitted {
        let said = "with TLS the login is admitted";
        finding = finding.and(Fact::new(Source::Startup, e.started_at, &route.address, said));
    } else if !certain {
        finding = finding
            .or_else("hba-rejects", "the same login with sslmode=require: refused again, it is hba-rejects");
    }
    Some(finding.mended_by(RemedyPlan::by_hand(
        "use-tls",
        RemedyKind::Advice,
        "try the login with TLS; if it is admitted, put sslmode=require (or verify-full) into the service's URL",
        format!("PGSSLMODE=require {}", refusal.login(refusal.database, "select 1")),
    )))
}

fn admitted_with_tls(route: &RouteEvidence) -> bool {
    let tls = route.tls.as_ref().is_some_and(|t| matches!(t.outcome, TlsOutcome::Established { .. }));
    tls && route.admitted()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{fatal, healthy, refused as walk_refused};
    use pgmedic_model::{Severity, SslMode};

    const NO_ENTRY: &str =
        "no pg_hba.conf entry for host \"10.0.0.3\", user \"app\", database \"renderflow\", no encryption";

    fn without_tls(code: &str, message: &str) -> Evidence {
        let mut e = walk_refused(code, message);
        e.target.ssl_mode = SslMode::Disable;
        if let Some(proxy) = &mut e.front.proxy {
            proxy.first = FirstBytes::Error(fatal(code, message));
        }
        if let Some(tls) = &mut e.front.tls {
            tls.mode = SslMode::Disable;
        }
        e
    }

    #[test]
    fn tls_required_is_likely_where_a_plain_client_is_turned_down() {
        for message in [NO_ENTRY.to_owned(), NO_ENTRY.replace("no encryption", "SSL off")] {
            let found = find(&without_tls("28000", &message)).expect("found");
            assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Likely));
            assert_eq!(found.alternatives[0].cause, "hba-rejects");
            assert!(found.summary.ends_with("(sslmode=disable)"));
        }
        let command = find(&without_tls("28000", NO_ENTRY)).expect("found").remedies[0].command.clone();
        assert!(
            command.starts_with("PGSSLMODE=require psql -h renderflow-db.internal -p 5432 -U app"),
            "{command}"
        );
    }

    #[test]
    fn tls_required_is_certain_by_poolers_own_words() {
        assert_eq!(
            find(&without_tls("08P01", "SSL required")).expect("found").confidence,
            Confidence::Certain
        );
    }

    #[test]
    fn tls_required_is_not_where_tls_is_not_to_be_had_or_was_refused_as_well() {
        assert!(find(&walk_refused("28000", NO_ENTRY)).is_none(), "the server answered N");
        let mut e = without_tls("28000", NO_ENTRY);
        if let Some(tls) = &mut e.front.tls {
            tls.first_refusal = Some(fatal("28000", &NO_ENTRY.replace("no encryption", "SSL encryption")));
        }
        assert!(find(&e).is_none());
        assert!(find(&healthy()).is_none());
    }
}

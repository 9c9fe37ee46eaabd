//! `certificate-expires`: the server's certificate ends soon.

use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Confidence, Fact, Needs, ObjectKind, Severity, Source};

weakness! {
    /// The server's certificate ends within 30 days.
    ///
    /// ## What it is
    /// Nobody renews it, or what renews it does not have the server read it: a running server goes on with the one that it
    /// has read.
    ///
    /// ## What breaks
    /// From that second on every client that verifies (`sslmode=verify-ca`, `verify-full`) is refused by itself; those that
    /// are connected stay, and each that reconnects is gone.
    ///
    /// ## What proves it
    /// The end of the certificate that the server showed on this walk, on each way in.
    ///
    /// ## What mends it
    /// A new certificate in the place of `ssl_cert_file`, and a reload; no restart.
    ///
    /// ## References
    /// Postgres manual: "Secure TCP/IP Connections with SSL"; RFC 5280, 4.1.2.5.
    "certificate-expires" in Tls, proved by Proof::Drill;
}

const DAY_MS: i64 = 86_400_000;
/// It is told of this long before.
const AHEAD: i64 = 30 * DAY_MS;

fn find(e: &Evidence) -> Option<AuditFinding> {
    let shown =
        e.routes().filter_map(|(name, route)| Some((name, route, route.tls.as_ref()?.certificate.as_ref()?)));
    let now = e.started_at;
    // What has ended is the cause certificate-expired.
    let ends = shown.filter(|(_, _, c)| c.not_after > now && c.not_after.0 - now.0 < AHEAD);
    let (name, route, certificate) = ends.min_by_key(|(_, _, c)| c.not_after)?;
    let days = (certificate.not_after.0 - now.0) / DAY_MS;
    let summary =
        format!("the certificate of {} ends in {days} day(s), at {}", route.address, certificate.not_after);
    let text = format!("{name}: {}, until {}", certificate.subject, certificate.not_after);
    let fact =
        Fact::new(Source::Tls, now, route.address.as_str(), text).value(certificate.not_after.to_string());
    let verifies = ["verify-ca", "verify-full"].contains(&e.target.ssl_mode.as_str());
    let severity = if verifies { Severity::Critical } else { Severity::Warning };
    let how = "renew it, put it in place of ssl_cert_file, and reload: select pg_reload_conf()";
    let until = certificate.not_after.to_string();
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(severity, Confidence::Certain)
            .breaks_by(
                now,
                certificate.not_after,
                "every client that verifies the server is refused from then on",
            )
            .mended_by([changes::person(
                ObjectKind::File,
                "ssl_cert_file",
                "valid until",
                (&until, "a year ahead"),
                how,
                Needs::Reload,
            )]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::evidence::fixture::AT;
    use crate::rooms::tls::evidence::CertificateView;
    use pgmedic_model::{Nearness, SslMode, Timestamp};

    fn until(days: i64) -> Evidence {
        let mut e = audited(|_| {});
        if let Some(tls) = &mut e.front.tls {
            tls.certificate = Some(CertificateView {
                subject: "CN=db".into(),
                issuer: "CN=ca".into(),
                names: vec!["db".into()],
                not_before: AT,
                not_after: Timestamp(AT.0 + days * DAY_MS),
                self_signed: false,
            });
        }
        e
    }

    #[test]
    fn certificate_expires_within_a_month() {
        assert!(find(&until(40)).is_none());
        assert!(find(&until(-1)).is_none(), "that is certificate-expired");
        let found = find(&until(20)).unwrap();
        assert_eq!((found.nearness, found.severity), (Nearness::Weeks, Severity::Warning));
        let mut verified = until(3);
        verified.target.ssl_mode = SslMode::VerifyFull;
        let found = find(&verified).unwrap();
        assert_eq!((found.nearness, found.severity), (Nearness::Days, Severity::Critical));
    }
}

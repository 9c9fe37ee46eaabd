//! `key-file-rejected`: the next start will not take the server's private key.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::argument;
use crate::platform::evidence::{KeyFileStat, KeyFileView};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The server's private key has a mode or an owner that its next start will refuse.
    ///
    /// ## What it is
    /// Somebody renewed or copied the key and left it readable to others, or of the wrong owner. The running server has
    /// its key in memory and a reload passes the file over in silence; the next start ends with FATAL.
    ///
    /// ## What proves it
    /// `ssl` is on, and the file that `ssl_key_file` names is missing, is no regular file, belongs to neither the server's
    /// user nor root, or is open to more than `0600` (`0640` where root owns it) allows. The server would say `private
    /// key file "server.key" has group or world access`, or `… must be owned by the database user or root`.
    ///
    /// ## What mends it
    /// `chown` and `chmod 600` the file; then reload, and see in the log that nothing was passed over.
    ///
    /// ## What makes it worse
    /// **Restarting the server**, for whatever reason: it does not come up again until this is mended.
    ///
    /// ## What prevents it
    /// `install -m 600 -o postgres` in the script that renews the certificate, and a reload at its end that is looked at;
    /// `pgmedic audit` before a restart.
    ///
    /// ## References
    /// Postgres manual, "Secure TCP/IP Connections with SSL"; `check_ssl_key_file_permissions` (be-secure-common.c).
    "key-file-rejected" in Tls, latent, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    e.preflight.get()?;
    let host = e.host.get()?;
    let key = host.key_file.as_ref()?;
    let fault = fault(key)?;
    let KeyFileView { path, server, found } = key;
    let seen = found.as_ref().map_or_else(
        || "it is not there".to_owned(),
        |f| format!("mode {:04o}, owner uid {}; the server runs as uid {server}", f.mode, f.owner),
    );
    let proof = Fact::new(Source::Host, host.at, path, format!("ssl_key_file: {seen}"));
    let summary = format!("the private key {path} {fault}: the server's next start ends at it");
    let file = argument(path);
    let command = match found {
        Some(_) => format!(
            "chown {server} {file} && chmod 600 {file} && ls -ln {file}   # as root, on the server's host"
        ),
        None => {
            format!("ls -ln $(dirname {file})   # then put the key back, or set ssl_key_file to where it is")
        }
    };
    Some(Finding::new(CAUSE.id, Room::Tls, Severity::Warning, Confidence::Certain, summary, proof).mended_by(
        RemedyPlan::by_hand(
            "restore-key-file",
            RemedyKind::Advice,
            "give the file the owner and the mode that a start demands, before anything restarts the server",
            command,
        ),
    ))
}

/// What a start has against the file, in the order in which it looks.
fn fault(key: &KeyFileView) -> Option<&'static str> {
    let Some(KeyFileStat { regular, mode, owner }) = key.found else { return Some("is missing") };
    // Root's key may be readable to the server by its group.
    let allowed = if owner == key.server { 0o700 } else { 0o740 };
    match () {
        () if !regular => Some("is not a regular file"),
        () if owner != key.server && owner != 0 => Some("belongs to neither the server's user nor root"),
        () if mode & 0o777 & !allowed != 0 => Some("has group or world access"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{healthy, preflight, window};

    fn key(found: Option<(bool, u32, u32)>) -> Evidence {
        let mut e = healthy();
        let found = found.map(|(regular, mode, owner)| KeyFileStat { regular, mode, owner });
        window(&mut e, |host| {
            host.key_file = Some(KeyFileView { path: "/data/server.key".into(), found, server: 105 });
        });
        preflight(&mut e, |_| {});
        e
    }

    #[test]
    fn key_file_rejected_for_what_a_start_has_against_it() {
        for (found, said) in [
            (Some((true, 0o600, 105)), None),
            (Some((true, 0o400, 105)), None),
            (Some((true, 0o640, 0)), None),
            (Some((true, 0o640, 105)), Some("has group or world access")),
            (Some((true, 0o660, 0)), Some("has group or world access")),
            (Some((true, 0o644, 105)), Some("has group or world access")),
            (Some((true, 0o600, 7)), Some("belongs to neither")),
            (Some((false, 0o600, 105)), Some("is not a regular file")),
            (None, Some("is missing")),
        ] {
            let summary = find(&key(found)).map(|f| f.summary);
            assert_eq!(summary.is_some(), said.is_some(), "{found:?}: {summary:?}");
            assert!(summary.unwrap_or_default().contains(said.unwrap_or_default()));
        }
    }

    #[test]
    fn key_file_rejected_is_latent_and_no_finding_of_a_check() {
        let e = key(Some((true, 0o644, 105)));
        assert!(crate::diagnose(&e).is_empty());
        let found = crate::latent(&e);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Warning));
        assert!(found[0].remedies[0].command.starts_with("chown 105 /data/server.key && chmod 600"));
        let unasked = Evidence { preflight: Seen::NotSeen("a check".into()), ..e };
        assert!(crate::latent(&unasked).is_empty());
    }
}

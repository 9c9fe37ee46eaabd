//! The files of this side: root certificates, client certificate and key, found by libpq's rules (Postgres manual, "SSL
//! Support" and "Parameter Key Words"; `fe-secure-openssl.c`, `initialize_SSL`).

use crate::rooms::tls::chain::Trust;
use crate::rooms::tls::evidence::TlsOutcome;
use pgmedic_model::SslMode;
use pgmedic_model::target::Tls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Roots to verify against, with what they are called.
pub(super) struct Roots {
    /// A path, or `system`.
    pub(super) label: String,
    /// The certificates.
    pub(super) trust: Trust,
}

/// A client's certificate chain and key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn unusable(path: &Path, text: impl Into<String>) -> TlsOutcome {
    TlsOutcome::LocalFile { path: path.display().to_string(), text: text.into() }
}

/// The file that is named, or libpq's default of it under `~/.postgresql`.
fn named_or_default(named: Option<&str>, default: &str) -> Option<PathBuf> {
    named
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".postgresql").join(default)))
}

/// The roots, or None where none are configured and the mode does without.
pub(super) fn roots(tls: &Tls) -> Result<Option<Roots>, TlsOutcome> {
    let verifies = tls.mode >= SslMode::VerifyCa;
    if tls.root_cert.as_deref() == Some("system") {
        return system_roots(tls.mode).map(Some);
    }
    let Some(path) = named_or_default(tls.root_cert.as_deref(), "root.crt") else {
        return if verifies {
            Err(unusable(Path::new("~"), "no home directory to look for root.crt in"))
        } else {
            Ok(None)
        };
    };
    if !path.exists() {
        let text = "the root certificate file does not exist; name it in sslrootcert, or use sslmode=require";
        return if verifies { Err(unusable(&path, text)) } else { Ok(None) };
    }
    let certificates = certificates(&path)?;
    Ok(Some(Roots { label: path.display().to_string(), trust: Trust::new(certificates) }))
}

/// libpq takes the system's roots with `verify-full` alone: anyone may have a certificate of theirs for some name.
fn system_roots(mode: SslMode) -> Result<Roots, TlsOutcome> {
    let system = Path::new("system");
    if mode != SslMode::VerifyFull {
        let text = format!("sslmode={} is too weak for sslrootcert=system; use verify-full", mode.as_str());
        return Err(unusable(system, text));
    }
    let loaded = rustls_native_certs::load_native_certs();
    match loaded.errors.first() {
        Some(error) if loaded.certs.is_empty() => Err(unusable(system, error.to_string())),
        None if loaded.certs.is_empty() => Err(unusable(system, "this host has no root certificates")),
        _ => Ok(Roots { label: "system".to_owned(), trust: Trust::new(loaded.certs) }),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsOutcome> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(unusable(path, "it holds no certificate")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unusable(path, error.to_string())),
    }
}

/// The client's certificate and key. As in libpq a certificate file that is not there is no error (the server says so
/// if it wants one); a certificate without its key is.
pub(super) fn identity(tls: &Tls) -> Result<Option<Identity>, TlsOutcome> {
    let Some(cert) = named_or_default(tls.cert.as_deref(), "postgresql.crt").filter(|path| path.exists())
    else {
        return Ok(None);
    };
    let chain = certificates(&cert)?;
    let key = named_or_default(tls.key.as_deref(), "postgresql.key");
    let Some(key) = key.filter(|path| path.exists()) else {
        return Err(unusable(&cert, "the certificate is there, and its private key file is not"));
    };
    check_mode(&key)?;
    let private = PrivateKeyDer::from_pem_file(&key).map_err(|error| {
        let text = match error {
            rustls::pki_types::pem::Error::NoItemsFound => {
                "it holds no private key without a passphrase".to_owned()
            }
            error => error.to_string(),
        };
        unusable(&key, text)
    })?;
    Ok(Some((chain, private)))
}

/// libpq refuses a key that others may read: 0600 of its user, or 0640 of root.
fn check_mode(key: &Path) -> Result<(), TlsOutcome> {
    let metadata = std::fs::metadata(key).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => unusable(key, "this user may not read it"),
        _ => unusable(key, error.to_string()),
    })?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden == 0 {
        return Ok(());
    }
    Err(unusable(key, "it may be read by others; libpq demands mode 0600, or 0640 where root owns it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(mode: SslMode, root: &str) -> Tls {
        Tls { mode, root_cert: Some(root.to_owned()), ..Tls::default() }
    }

    #[test]
    fn a_missing_root_file_matters_only_where_the_mode_verifies() {
        assert!(matches!(roots(&tls(SslMode::Require, "/nonexistent/root.crt")), Ok(None)));
        assert!(matches!(
            roots(&tls(SslMode::VerifyCa, "/nonexistent/root.crt")),
            Err(TlsOutcome::LocalFile { path, .. }) if path == "/nonexistent/root.crt"
        ));
    }

    #[test]
    fn the_systems_roots_are_for_verify_full() {
        assert!(matches!(roots(&tls(SslMode::VerifyCa, "system")), Err(TlsOutcome::LocalFile { .. })));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mode = |bits| std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(bits));
        mode(0o644).expect("chmod");
        assert!(check_mode(file.path()).is_err());
        mode(0o600).expect("chmod");
        assert!(check_mode(file.path()).is_ok());
    }
}

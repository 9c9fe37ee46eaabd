//! Certificates for the server, made by an authority of the lab's own.

use crate::error::{LabError, Tried as _};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);

/// The authority: its certificate lies in the lab's folder for clients to trust.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: PathBuf,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("root", &self.root).finish_non_exhaustive()
    }
}

/// A certificate and its key, as PEM.
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

/// From when to when a certificate holds, seen from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// From yesterday for a year.
    InDate,
    /// From yesterday for ten days.
    EndsSoon,
    /// From a month ago until yesterday.
    Expired,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// Where its certificate cannot be made or written.
    pub fn new(folder: &Path) -> Result<Self, LabError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "pgmedic lab authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        hold(&mut params, Validity::InDate);
        let root = folder.join("authority.pem");
        let pem = params.self_signed(&key)?.pem();
        std::fs::write(&root, pem).tried(|| root.display().to_string())?;
        Ok(Self { issuer: Issuer::new(params, key), root })
    }

    /// The authority's own certificate, as a file.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Signs a server's certificate for one name.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn sign(&self, name: &str, validity: Validity) -> Result<Pair, LabError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        hold(&mut params, validity);
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }
}

/// Sets the dates.
fn hold(params: &mut CertificateParams, validity: Validity) {
    let now = SystemTime::now();
    let (from, until) = match validity {
        Validity::InDate => (now - DAY, now + 365 * DAY),
        Validity::EndsSoon => (now - DAY, now + 10 * DAY),
        Validity::Expired => (now - 30 * DAY, now - DAY),
    };
    params.not_before = from.into();
    params.not_after = until.into();
}

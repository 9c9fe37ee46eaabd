//! Drills of the room `tls`.

use super::{PLAIN, TLS, drill, without_tls};
use crate::drills::{Drill, Found};
use pgmedic_lab::faults;

/// Every drill of the room.
pub(super) const DRILLS: &[Drill] = &[
    drill(
        TLS,
        "tls-not-offered",
        "The server's TLS is switched off, and the client insists on it.",
        faults::tls_not_offered::inject,
    ),
    drill(
        TLS,
        "certificate-expired",
        "The server's certificate ran out yesterday.",
        faults::certificate_expired::inject,
    ),
    drill(
        TLS,
        "certificate-wrong-name",
        "The server's certificate is for another name.",
        faults::certificate_wrong_name::inject,
    ),
    Drill {
        configure: without_tls,
        ..drill(
            PLAIN,
            "tls-required",
            "The server lets nobody in without TLS, and the client comes without.",
            faults::tls_required::inject,
        )
    },
    Drill {
        found: Found::Latent,
        ..drill(
            TLS,
            "key-file-rejected",
            "The server's key was left readable to everybody; its next start would refuse it.",
            faults::key_file_rejected::inject,
        )
    },
    drill(
        TLS,
        "certificate-untrusted",
        "The server's certificate was issued anew by an authority that the client does not know.",
        faults::certificate_untrusted::inject,
    ),
    drill(
        TLS,
        "tls-version-mismatch",
        "The server was told to speak old versions of TLS only.",
        faults::tls_version_mismatch::inject,
    ),
];

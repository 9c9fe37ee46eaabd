//! The causes of the room `tls`, one file each.

use crate::cause::Cause;

pub mod certificate_expired;
pub mod certificate_untrusted;
pub mod certificate_wrong_name;
pub mod key_file_rejected;
pub mod tls_not_offered;
pub mod tls_version_mismatch;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[
    &tls_not_offered::CAUSE,
    &certificate_expired::CAUSE,
    &certificate_wrong_name::CAUSE,
    &certificate_untrusted::CAUSE,
    &tls_version_mismatch::CAUSE,
    &key_file_rejected::CAUSE,
];

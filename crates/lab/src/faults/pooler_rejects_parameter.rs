//! The service's URL sets `search_path` at login (`options=-c search_path=shop`), and the pooler takes that no more.

use crate::{Guard, Lab, LabError};

/// What the service's URL has for `options`.
pub const OPTIONS: &str = "-c search_path=shop";

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lab.pooler()?.reconfigure("extra_float_digits,options", "extra_float_digits")
}

//! Waiting for something to come about: asked again and again until a deadline, never slept for and hoped.

use crate::error::LabError;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Time between two looks.
const STEP: Duration = Duration::from_millis(3);

/// Asks `look` until it gives a value. It says why not yet; the last such word is in the error.
///
/// # Errors
/// [`LabError::Late`] after `within`, and whatever `look` gives up with.
pub fn until<T, W: Display>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<Result<T, W>, LabError>,
) -> Result<T, LabError> {
    let from = Instant::now();
    loop {
        match look()? {
            Ok(value) => return Ok(value),
            Err(why) if from.elapsed() >= within => {
                let last = format!(": {why}");
                return Err(LabError::Late { what: what.to_owned(), waited: within, last });
            }
            Err(_) => std::thread::sleep(STEP),
        }
    }
}

/// Asks `look` until it is true.
///
/// # Errors
/// [`LabError::Late`] after `within`.
pub fn until_true(what: &str, within: Duration, mut look: impl FnMut() -> bool) -> Result<(), LabError> {
    let from = Instant::now();
    while !look() {
        if from.elapsed() >= within {
            return Err(LabError::Late { what: what.to_owned(), waited: within, last: String::new() });
        }
        std::thread::sleep(STEP);
    }
    Ok(())
}

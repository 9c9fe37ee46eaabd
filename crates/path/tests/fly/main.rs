//! Fly's window against Fly's double, which real processes and volumes stand behind: what it tells in order and out of
//! order, and what the diagnosis makes of it where nothing else is seen.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contract;
mod meaning;
#[path = "../real/mod.rs"]
mod real;

use pgmedic_lab::fly as double;
use pgmedic_model::Secret;
use pgmedic_path::platform::fly::{Fly, FlyPlaces};

/// Fly's window on the double, with this token.
fn window(double: &double::Fly, token: Option<&str>) -> Fly {
    let places = FlyPlaces {
        machines: Some(double.url()),
        web: Some(double.url()),
        api: Some(double::API_APP.to_owned()),
        db: Some(double::DB_APP.to_owned()),
    };
    Fly::new(places, token.map(Secret::new).as_ref()).unwrap()
}

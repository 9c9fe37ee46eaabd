//! Free ports below the range that the system hands out by itself, and loopback addresses of our own.

use crate::error::LabError;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// The range: above the registered services, below Linux' `ip_local_port_range` (32768).
const FIRST: u32 = 18_000;
const COUNT: u32 = 14_000;

/// Candidates given out by this process.
static GIVEN: AtomicU32 = AtomicU32::new(0);

/// A port that nobody listens on now, over TCP and UDP, on 127.0.0.1. Salted with the process id so that labs that
/// run side by side seldom meet; who takes it must still be ready to find it taken.
///
/// # Errors
/// [`LabError::Late`] where every candidate is taken.
pub(crate) fn free() -> Result<u16, LabError> {
    for _ in 0..COUNT {
        let n = GIVEN.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(61));
        let port = u16::try_from(FIRST + n % COUNT).unwrap_or(u16::MAX);
        let free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
            && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if free {
            return Ok(port);
        }
    }
    let what = format!("a free port from {FIRST} to {}", FIRST + COUNT);
    Err(LabError::Late { what, waited: std::time::Duration::ZERO, last: String::new() })
}

/// A loopback address that only this process uses: faults may cut it off without touching anybody else's.
#[must_use]
pub(crate) fn own_address() -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 77, high, low.max(1))
}

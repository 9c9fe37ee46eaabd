//! Reads what the server sends: where a message ends, and the few that the pool needs to know of.
//!
//! Source: Postgres manual, "Message Formats". Not in here: contents; no row is looked at.

use super::Wire;
use crate::reason::Stage;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// As much of a message's body as is ever looked at: BackendKeyData's two numbers.
const KEPT: usize = 8;

/// Where in the server's stream of messages the reader stands.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    header: [u8; 5],
    header_have: usize,
    body: [u8; KEPT],
    body_have: usize,
    /// Bytes of the body still to come.
    left: usize,
}

impl Incoming {
    /// Takes the bytes that came.
    pub(crate) fn take(&mut self, mut bytes: &[u8], wire: &Wire) {
        while !bytes.is_empty() {
            if self.header_have < self.header.len() {
                let n = bytes.len().min(self.header.len() - self.header_have);
                self.header[self.header_have..self.header_have + n].copy_from_slice(&bytes[..n]);
                self.header_have += n;
                bytes = &bytes[n..];
                if self.header_have < self.header.len() {
                    return;
                }
                let [_, a, b, c, d] = self.header;
                self.left = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
                self.left = self.left.saturating_sub(4);
            }
            let n = bytes.len().min(self.left);
            let keep = n.min(KEPT - self.body_have);
            self.body[self.body_have..self.body_have + keep].copy_from_slice(&bytes[..keep]);
            self.body_have += keep;
            self.left -= n;
            bytes = &bytes[n..];
            if self.left == 0 {
                self.message(wire);
                self.header_have = 0;
                self.body_have = 0;
            }
        }
    }

    fn message(&self, wire: &Wire) {
        let body = &self.body[..self.body_have];
        match (self.header[0], body) {
            // ReadyForQuery.
            (b'Z', [status, ..]) => {
                wire.status.store(*status, Relaxed);
                wire.copying.store(false, Relaxed);
                // The first one ends the startup; no request asked for it.
                if wire.stage() == Stage::Recycle {
                    wire.answered.fetch_add(1, Release);
                } else {
                    wire.reached(Stage::Recycle);
                }
            }
            // CopyInResponse: the Sync that went out with the COPY is ignored by the server (manual, "COPY Operations").
            (b'G', _) => {
                wire.copying.store(true, Relaxed);
                wire.answered.fetch_add(1, Release);
            }
            // CommandComplete; the tag ends with a zero byte.
            (b'C', b"LISTEN\0") => wire.listened.store(true, Release),
            // AuthenticationOk.
            (b'R', [0, 0, 0, 0, ..]) => wire.reached(Stage::Admission),
            (b'K', [p0, p1, p2, p3, k0, k1, k2, k3]) => {
                wire.process_id.store(i32::from_be_bytes([*p0, *p1, *p2, *p3]), Relaxed);
                wire.secret_key.store(i32::from_be_bytes([*k0, *k1, *k2, *k3]), Relaxed);
            }
            _ => {}
        }
    }
}

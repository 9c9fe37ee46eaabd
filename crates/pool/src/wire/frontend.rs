//! Reads what we send: which requests will be answered by a ReadyForQuery, and whether they can have changed anything.
//!
//! Source: Postgres manual, "Message Formats". Not in here: contents; no query is looked at.

use super::Wire;
use crate::reason::Stage;
use std::sync::atomic::Ordering::Release;

/// The code in an SSLRequest (Postgres manual, "Message Formats").
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// What the first packets are.
#[derive(Debug, Default, PartialEq, Eq)]
enum Opening {
    /// An untyped packet: SSLRequest or StartupMessage.
    #[default]
    Untyped,
    /// Typed messages.
    Over,
}

/// Where in our stream of messages the reader stands.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    opening: Opening,
    header: [u8; 8],
    have: usize,
    left: usize,
    /// The messages since the last Sync can have changed something.
    telling: bool,
    /// An SSLRequest went out; one byte comes back that is no message.
    pub(crate) asked_for_tls: bool,
}

impl Outgoing {
    /// Takes the bytes that went out.
    pub(crate) fn take(&mut self, mut bytes: &[u8], wire: &Wire) {
        while !bytes.is_empty() {
            let size = if self.opening == Opening::Over { 5 } else { 8 };
            if self.have < size {
                let n = bytes.len().min(size - self.have);
                self.header[self.have..self.have + n].copy_from_slice(&bytes[..n]);
                self.have += n;
                bytes = &bytes[n..];
                if self.have < size {
                    return;
                }
                self.left = self.length();
                self.message(wire);
            }
            let n = bytes.len().min(self.left);
            self.left -= n;
            bytes = &bytes[n..];
            if self.left == 0 {
                self.have = 0;
            }
        }
    }

    /// Bytes after the header.
    fn length(&self) -> usize {
        let [a, b, c, d, e, ..] = self.header;
        let (length, counted) = match self.opening {
            Opening::Untyped => ([a, b, c, d], 8),
            Opening::Over => ([b, c, d, e], 4),
        };
        usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX).saturating_sub(counted)
    }

    fn message(&mut self, wire: &Wire) {
        if self.opening == Opening::Untyped {
            if self.header[4..8] == SSL_REQUEST {
                self.asked_for_tls = true;
                wire.reached(Stage::Tls);
            } else {
                // The StartupMessage: typed ones follow.
                self.opening = Opening::Over;
                wire.reached(Stage::Startup);
            }
            return;
        }
        match self.header[0] {
            // Sync.
            b'S' => {
                let sent = wire.sent.fetch_add(1, Release).wrapping_add(1);
                if self.telling {
                    wire.telling.store(sent, Release);
                }
                self.telling = false;
            }
            // Query, FunctionCall.
            b'Q' | b'F' => {
                let sent = wire.sent.fetch_add(1, Release).wrapping_add(1);
                wire.telling.store(sent, Release);
            }
            // Close, Flush: what is prepared is the connection's own affair.
            b'C' | b'H' => {}
            _ => self.telling = true,
        }
    }
}

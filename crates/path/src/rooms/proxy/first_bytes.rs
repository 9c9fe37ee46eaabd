//! What a peer's first bytes are: Postgres', TLS', or another protocol's.

use crate::rooms::startup::wire::readable;

/// How much of a foreign greeting is shown, in characters.
const SHOWN: usize = 60;

/// Other protocols by the first bytes of their greetings or of their answers to something they do not understand.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"HTTP/", "an HTTP server"),
    (b"<!DOCTYPE", "an HTTP server"),
    (b"<html", "an HTTP server"),
    (b"SSH-", "an SSH server"),
    (b"220 ", "an SMTP or FTP server"),
    (b"220-", "an SMTP or FTP server"),
    (b"+OK", "a POP3 server"),
    (b"* OK", "an IMAP server"),
    (b"-ERR", "a Redis server"),
    (b"-DENIED", "a Redis server"),
    (b"-NOAUTH", "a Redis server"),
    (b"\x15\x03", TLS_AT_ONCE),
    (b"\x16\x03", TLS_AT_ONCE),
];

const TLS_AT_ONCE: &str = "a TLS server that expects TLS at once";
const MYSQL: &str = "a MySQL server";
const NAMELESS: &str = "no Postgres server";

/// The tags with which a server's answer to a StartupMessage may begin: authentication, error, notice, a setting (a
/// pooler that asks for nothing may begin with one), and NegotiateProtocolVersion.
const STARTUP_TAGS: &[u8] = b"RENSKZv";

/// Longest first message that is taken for one, in bytes.
const PLAUSIBLE: u32 = 64 * 1024;

/// The tag of a protocol-3 message that `bytes` may begin with.
pub(super) fn message_tag(bytes: &[u8]) -> Option<char> {
    let [tag, rest @ ..] = bytes else { return None };
    let length_fits = match rest {
        [a, b, c, d, ..] => (4..=PLAUSIBLE).contains(&u32::from_be_bytes([*a, *b, *c, *d])),
        // The length's first byte is zero in any plausible message.
        [a, ..] => *a == 0,
        [] => true,
    };
    (STARTUP_TAGS.contains(tag) && length_fits).then_some(char::from(*tag))
}

/// True where `bytes` begin with a TLS record: a handshake message or an alert (RFC 8446 section 5.1).
pub(super) fn is_tls_record(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16] | [0x15 | 0x16, 0x03, ..])
}

/// What a peer that speaks no Postgres seems to be, with its start.
pub(super) fn foreign(bytes: &[u8]) -> String {
    let known = FOREIGN.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, name)| *name);
    let name = known.unwrap_or(if is_mysql(bytes) { MYSQL } else { NAMELESS });
    let line = bytes.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let start: String = readable(line).chars().take(SHOWN).collect();
    format!("{name}: {start:?}")
}

/// Whether what [`foreign`] told is another service, and if so whether it is known which. A TLS server that expects
/// TLS at once may be a Postgres behind something that ends TLS.
pub(super) fn other_service(told: &str) -> Option<Service> {
    if told.starts_with(NAMELESS) {
        return Some(Service::Unknown);
    }
    let mut known = FOREIGN.iter().map(|(_, name)| *name).chain([MYSQL]);
    known.any(|name| name != TLS_AT_ONCE && told.starts_with(name)).then_some(Service::Known)
}

/// Another service than Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// Known by its greeting.
    Known,
    /// Known only not to answer as Postgres does.
    Unknown,
}

/// True where the bytes are of a protocol known to be another.
pub(super) fn is_known_foreign(bytes: &[u8]) -> bool {
    FOREIGN.iter().any(|(start, _)| bytes.starts_with(start)) || is_mysql(bytes)
}

/// MySQL greets with a packet of sequence number 0, protocol version 10 and a version (MySQL internals,
/// "Protocol::HandshakeV10"). The packet's length may pass for any tag; but a message of 10 bytes is none that Postgres
/// begins with.
fn is_mysql(bytes: &[u8]) -> bool {
    matches!(bytes, [_, 0, 0, 0, 10, b'0'..=b'9', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_of_others_are_named() {
        for (bytes, name) in [
            (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "an HTTP server: \"HTTP/1.1 400 Bad Request\""),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH server: \"SSH-2.0-OpenSSH_9.2\""),
            (b"J\0\0\0\x0a8.0.36\0", "a MySQL server"),
            (b"hello", "no Postgres server: \"hello\""),
            (b"\x1b[2J", "no Postgres server: \"\u{fffd}[2J\""),
        ] {
            assert!(foreign(bytes).starts_with(name), "{}", foreign(bytes));
        }
    }

    #[test]
    fn a_mysql_greeting_of_any_length_is_no_message() {
        for length in [b'J', b'R', b'E', b'N', b'S', b'Z'] {
            let greeting = [&[length, 0, 0, 0, 10][..], b"5.5.5-10.11.6-MariaDB\0"].concat();
            assert!(is_known_foreign(&greeting) && foreign(&greeting).starts_with(MYSQL), "{length}");
        }
        assert!(!is_known_foreign(b"R\0\0\0\x08\0\0\0\0"));
    }

    #[test]
    fn a_message_is_known_by_tag_and_length() {
        for (bytes, tag) in [
            (&b"R\0\0\0\x08\0\0\0\0"[..], Some('R')),
            (b"E\0\0\0\x50SFATAL", Some('E')),
            (b"R", Some('R')),
            (b"R\0", Some('R')),
            (b"Ecould not fork", None),
            (b"Rubbish", None),
            (b"X\0\0\0\x04", None),
        ] {
            assert_eq!(message_tag(bytes), tag, "{bytes:?}");
        }
    }
}

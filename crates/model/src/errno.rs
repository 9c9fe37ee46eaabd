//! The closed set of operating-system errors that a connection attempt can end in, by name.

use serde::{Deserialize, Serialize};

/// An errno by its symbolic name and number (Linux numbers; `man 3 errno`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errno {
    /// Symbolic name, `ECONNREFUSED`; `E?` with the number when it is not in the table.
    pub name: String,
    /// The number the system gave.
    pub number: i32,
}

/// (number on Linux, name, what it says to a person).
const TABLE: &[(i32, &str, &str)] = &[
    (1, "EPERM", "the local firewall forbids it"),
    (2, "ENOENT", "no such file"),
    (11, "EAGAIN", "the listener's queue is full"),
    (13, "EACCES", "not permitted"),
    (22, "EINVAL", "the route is a black hole"),
    (23, "ENFILE", "the host is out of file descriptors"),
    (24, "EMFILE", "this process is out of file descriptors"),
    (32, "EPIPE", "the peer closed the connection"),
    (91, "EPROTOTYPE", "the socket file is of another kind"),
    (97, "EAFNOSUPPORT", "this host has no such address family"),
    (99, "EADDRNOTAVAIL", "no local address or port is left"),
    (101, "ENETUNREACH", "network unreachable"),
    (104, "ECONNRESET", "the peer reset the connection"),
    (110, "ETIMEDOUT", "no answer"),
    (111, "ECONNREFUSED", "nothing listens there"),
    (113, "EHOSTUNREACH", "no route to host"),
];

impl Errno {
    /// Names an errno.
    #[must_use]
    pub fn from_number(number: i32) -> Self {
        let name = TABLE.iter().find(|(n, _, _)| *n == number).map_or("E?", |(_, name, _)| name);
        Self { name: name.to_owned(), number }
    }

    /// What it says to a person.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        TABLE.iter().find(|(n, _, _)| *n == self.number).map_or("an error of the operating system", |t| t.2)
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.number)
    }
}

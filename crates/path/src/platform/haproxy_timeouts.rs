//! The timeouts that hold for the sessions of one HAProxy frontend, by its configuration on disk: the frontend's own or
//! its `listen` section's, its backend's, else those of the `defaults` before it (configuration manual, 2.5 and 4.2).
//! Not read: named `defaults` that a section asks for by `from`, rules that choose a backend, changes at run time.

use super::evidence::HaproxyTimeouts;
use pgmedic_model::Ms;

/// A section of the configuration, as far as timeouts go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    kind: String,
    name: String,
    ports: Vec<u16>,
    default_backend: Option<String>,
    /// `(which, milliseconds)`.
    timeouts: Vec<(String, u64)>,
}

/// Takes the next line of the configuration.
pub(super) fn take(sections: &mut Vec<Section>, line: &str) {
    const KINDS: [&str; 5] = ["global", "defaults", "frontend", "backend", "listen"];
    let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
    let (first, second, third) = (words.next().unwrap_or_default(), words.next(), words.next());
    if KINDS.contains(&first) {
        let (kind, name) = (first.to_owned(), second.unwrap_or_default().to_owned());
        sections.push(Section { kind, name, ..Section::default() });
        return;
    }
    let Some(section) = sections.last_mut() else { return };
    match (first, second, third) {
        ("bind", Some(address), _) => section.ports.extend(address.split(',').filter_map(port)),
        ("default_backend", Some(name), _) => section.default_backend = Some(name.to_owned()),
        ("timeout", Some(which), Some(time)) => {
            section.timeouts.extend(milliseconds(time).map(|ms| (which.to_owned(), ms)));
        }
        _ => {}
    }
}

/// The port of `:5432`, `127.0.0.1:5432`, `ipv6@[::]:5432`.
fn port(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}

/// A time: milliseconds, or a number with `us`, `ms`, `s`, `m`, `h`, `d` (configuration manual, 2.5).
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "us" => Some(number / 1000),
        "" | "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => None,
    }
}

/// The timeouts of the frontend that listens on `port`. None where no section does.
pub(super) fn of_port(sections: &[Section], port: u16) -> Option<HaproxyTimeouts> {
    let at = sections.iter().position(|s| s.ports.contains(&port))?;
    let front = &sections[at];
    let backend = front.default_backend.as_ref();
    let back = match backend {
        Some(name) => sections.iter().position(|s| s.kind == "backend" && s.name == *name)?,
        None => at,
    };
    Some(HaproxyTimeouts {
        client_ms: effective(sections, at, "client"),
        server_ms: effective(sections, back, "server"),
        // In a tunnel (any TCP session that is established) this one replaces both.
        tunnel_ms: effective(sections, back, "tunnel"),
        queue_ms: effective(sections, back, "queue").or_else(|| effective(sections, back, "connect")),
    })
}

/// The section's own value, else that of the last `defaults` before it.
fn effective(sections: &[Section], at: usize, which: &str) -> Option<Ms> {
    let own =
        |section: &Section| section.timeouts.iter().rev().find(|(name, _)| name == which).map(|(_, ms)| *ms);
    let defaults = || sections[..at].iter().rev().find(|s| s.kind == "defaults").and_then(own);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a day have 27 bits")]
    own(&sections[at]).or_else(defaults).map(|ms| Ms(ms as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Section> {
        let mut sections = Vec::new();
        text.lines().for_each(|line| take(&mut sections, line));
        sections
    }

    /// Debian's own defaults, and a frontend for Postgres with one longer and one shorter.
    const CFG: &str = "global\n  maxconn 100\ndefaults\n  mode http\n  timeout connect 5000\n  timeout client 50000\n\
        timeout server 50s # seconds\nfrontend web\n  bind :80\n  timeout client 1s\nfrontend pg\n  bind 127.0.0.1:5432,:5433\n\
        default_backend pg\n  timeout client 10m\nbackend other\n  timeout server 1s\nbackend pg\n  timeout queue 3s\n\
        listen replica\n  bind ipv6@[::]:6000\n  timeout tunnel 2h\n";

    #[test]
    fn a_frontends_sessions_have_its_own_times_its_backends_and_the_defaults() {
        let sections = read(CFG);
        let times = of_port(&sections, 5433).expect("it listens there");
        assert_eq!(times.client_ms, Some(Ms(600_000.0)));
        assert_eq!((times.server_ms, times.tunnel_ms), (Some(Ms(50_000.0)), None));
        assert_eq!(times.queue_ms, Some(Ms(3_000.0)));
        assert_eq!(times.idle_ms(), Some(Ms(50_000.0)));
        let listen = of_port(&sections, 6000).expect("it listens there");
        assert_eq!((listen.queue_ms, listen.idle_ms()), (Some(Ms(5_000.0)), Some(Ms(7_200_000.0))));
        assert_eq!(of_port(&sections, 1), None);
    }

    #[test]
    fn times_have_units() {
        for (text, ms) in [("1500", 1_500), ("2s", 2_000), ("4m", 240_000), ("1h", 3_600_000), ("9us", 0)] {
            assert_eq!(milliseconds(text), Some(ms), "{text}");
        }
        assert_eq!((milliseconds("soon"), milliseconds("1w"), milliseconds("")), (None, None, None));
    }
}

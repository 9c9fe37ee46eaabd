//! What a person sees while the walk goes: one line on stderr, erased at the end. Nothing where stderr is no terminal.

use super::style::{columns, unicode};
use super::text::{ascii, cut};
use crate::output;
use pgmedic_path::events::Event;
use std::io::IsTerminal;
use std::sync::Mutex;

/// The line. Told of every event; must not block for long, and does not: it writes under 200 bytes.
pub(crate) struct Progress {
    /// The rooms of the front way so far. None where nobody watches.
    rooms: Option<Mutex<String>>,
    width: usize,
    unicode: bool,
}

impl Progress {
    /// For whoever watches stderr.
    pub(crate) fn on_stderr() -> Self {
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let watched = std::io::stderr().is_terminal() && !dumb;
        let rooms = watched.then(|| Mutex::new(String::new()));
        Self { rooms, width: columns(std::io::stderr()), unicode: unicode() }
    }

    /// Draws one event.
    pub(crate) fn tell(&self, event: &Event) {
        let Some(Ok(mut line)) = self.rooms.as_ref().map(Mutex::lock) else { return };
        let now = match event {
            Event::Entered { route: "front", room } => format!("{room} …"),
            Event::Left { route: "front", room, passed, elapsed } => {
                let mark = if *passed { '✔' } else { '✘' };
                line.push_str(&format!("{mark} {room} {elapsed}  "));
                String::new()
            }
            Event::Entered { route, room } => format!("{route}: {room} …"),
            Event::Left { .. } => return,
        };
        let text = cut(&format!("{}{now}", *line), self.width - 1);
        let text = if self.unicode { text } else { cut(&ascii(&text), self.width - 1) };
        output::stderr(&format!("\r\u{1b}[K{text}"));
    }

    /// Leaves the terminal as it was.
    pub(crate) fn erase(&self) {
        if self.rooms.is_some() {
            output::stderr("\r\u{1b}[K");
        }
    }
}

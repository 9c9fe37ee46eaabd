//! Whoever sits at the terminal is told what happens, and asked. Not in here: what a step looks like (`render::fix`).

use crate::output;
use crate::render::{fix as screen, style::Look};
use pgmedic_model::PlanStep;
use pgmedic_path::fix::{Answering, Company, News};
use std::io::BufRead;

/// A person.
pub(super) struct Asking {
    look: Look,
}

impl Asking {
    pub(super) const fn new(look: Look) -> Self {
        Self { look }
    }
}

impl Company for Asking {
    fn told(&mut self, news: &News<'_>) {
        output::stdout(&screen::news(news, &self.look));
    }

    fn may<'a>(&'a mut self, step: &'a PlanStep) -> Answering<'a> {
        output::stdout(&screen::question(step, &self.look));
        answer()
    }
}

/// Nobody is told; where somebody could be asked all the same, on stderr.
pub(super) struct Quiet {
    asks: bool,
}

impl Quiet {
    pub(super) const fn new(asks: bool) -> Self {
        Self { asks }
    }
}

impl Company for Quiet {
    fn told(&mut self, _: &News<'_>) {}

    fn may<'a>(&'a mut self, step: &'a PlanStep) -> Answering<'a> {
        if !self.asks {
            return Box::pin(async { false });
        }
        let plain = Look { colour: false, unicode: false, width: 80 };
        output::stderr(&screen::question(step, &plain));
        answer()
    }
}

/// Reads a line on a thread of its own, so that a signal is heard meanwhile. Anything but yes is no; so is the end of the
/// input.
fn answer() -> Answering<'static> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let yes = read.is_ok() && matches!(line.trim().to_lowercase().as_str(), "y" | "yes");
        // Nobody waits any more where this fails.
        let _ = tell.send(yes);
    });
    Box::pin(async move { told.await.unwrap_or(false) })
}

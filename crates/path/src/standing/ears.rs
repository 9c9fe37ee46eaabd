//! Hearing what the standing session says though nothing was asked: that the server is stopped (57P01), that another of its
//! processes crashed (57P02), that the session was idle for too long (57P05), a changed setting; and its end.

use super::{Inner, Standing, bare};
use crate::clock::Stopwatch;
use crate::evidence::QueryOutcome;
use crate::rooms::startup::session::Unasked;
use crate::rooms::startup::wire::{End, NOTICE_LIMIT};
use pgmedic_model::{ServerError, Timestamp};
use std::sync::Arc;
use std::task::{Context, Poll};

/// Unasked messages between two looks; more are a flood, and the session is given up.
const MOST: usize = 64;

/// What was heard, unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// When.
    pub at: Timestamp,
    /// Errors and notices, in the server's words, at most 16.
    pub said: Vec<ServerError>,
    /// Settings that changed, with their new values.
    pub settings: Vec<(String, String)>,
    /// False where the session is over.
    pub open: bool,
}

impl Standing {
    /// Comes back as soon as the session ends, or its server says something unasked; until then it waits, also while no
    /// session is open. It reads only while nobody looks through the session, and may be dropped at any time: what was
    /// heard and not given is given to the next call, and stands in the evidence of the next look besides.
    pub async fn ended(&self) -> Word {
        std::future::poll_fn(|cx| self.poll_ended(cx)).await
    }

    fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<Word> {
        let mut inner = self.inner();
        if inner.untold.is_none() {
            inner.listen(cx);
        }
        if let Some(word) = inner.untold.take() {
            return Poll::Ready(word);
        }
        if !inner.ears.iter().any(|ear| ear.will_wake(cx.waker())) {
            inner.ears.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Inner {
    /// Hears what has come by now.
    fn listen(&mut self, cx: &mut Context<'_>) {
        while let (Some(session), Some(opened)) = (&mut self.session, &self.opened) {
            let Poll::Ready(heard) = session.poll_unasked(cx) else { return };
            let opened = Arc::clone(opened);
            let watch = Stopwatch::start();
            self.unasked += 1;
            let flood = self.unasked > MOST;
            let end = match heard {
                _ if flood => Some(QueryOutcome::Unreadable(format!("more than {MOST} messages unasked"))),
                Unasked::Error(error) => Some(QueryOutcome::Error(error)),
                Unasked::Notice(notice) => {
                    self.note(watch.at).said.push(notice.clone());
                    self.said.push(notice);
                    self.said.truncate(NOTICE_LIMIT);
                    None
                }
                Unasked::Setting(name, value) => {
                    self.note(watch.at).settings.push((name, value));
                    None
                }
                Unasked::End(End::Closed | End::Reset) => Some(QueryOutcome::Closed),
                Unasked::End(End::TlsAlert(text)) => {
                    Some(QueryOutcome::Unreadable(format!("TLS alert {text}")))
                }
                Unasked::End(End::Malformed(text) | End::Protocol2(text)) => {
                    Some(QueryOutcome::Unreadable(text))
                }
                Unasked::End(End::Silent) => Some(QueryOutcome::Silent),
            };
            if let Some(outcome) = end {
                self.over(&opened, bare(watch, outcome));
            }
        }
    }

    /// The word that is being heard.
    fn note(&mut self, at: Timestamp) -> &mut Word {
        self.untold.get_or_insert_with(|| Word { at, said: Vec::new(), settings: Vec::new(), open: true })
    }
}

//! Runs a program of this host and reads what it says, bounded in time and bytes. Arguments are a list, never a shell
//! line. Nothing of it is left running: with its answer, at the deadline, or where nobody waits any more, its whole
//! process group ends. Not in here: what the words mean.

use futures_util::future::{Either, select};
use pgmedic_model::mask;
use rustix::process::{Pid, Signal, kill_process_group};
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

/// Bytes of what a program complains of that are kept.
const COMPLAINTS: usize = 4096;
/// Characters of a complaint that are shown.
const WORDS: usize = 300;
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// What a program said.
#[derive(Debug)]
pub(super) struct Said {
    /// What it wrote, cut at the limit.
    pub(super) text: Vec<u8>,
    /// True where it came to its end within the limit.
    pub(super) whole: bool,
    /// What it complained of, at most 4 KiB.
    pub(super) complaint: String,
    /// How it ended; None where it was cut off at the limit.
    pub(super) status: Option<ExitStatus>,
}

impl Said {
    /// Its complaint, or how it ended, on one line and masked.
    pub(super) fn words(&self) -> String {
        match (mask::excerpt(&self.complaint, WORDS), self.status) {
            (words, _) if !words.is_empty() => words,
            (_, Some(status)) => status.to_string(),
            (_, None) => "it had too much to say".to_owned(),
        }
    }
}

/// Why a program said nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsaid {
    /// It is not installed, or not on PATH.
    #[error("{0} is not on PATH")]
    Missing(String),
    /// The system did not run it.
    #[error("{0} cannot be run: {1}")]
    Refused(String, std::io::Error),
    /// It had not ended at the deadline.
    #[error("{0} did not answer in time")]
    Silent(String),
}

/// Runs a program to its end, in English and in UTC, and reads at most `limit` bytes of what it writes.
pub(super) async fn run(
    program: &Path,
    arguments: &[&str],
    limit: usize,
    until: Instant,
) -> Result<Said, Unsaid> {
    let name = || program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C").env("TZ", "UTC");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Unsaid::Missing(name()),
        _ => Unsaid::Refused(name(), error),
    })?;
    // Dropped before the child where nobody waits any more.
    let group = Group::of(&child);
    let listening = listen(&mut child, limit);
    let said = timeout_at(until, listening).await.map_err(|_| Unsaid::Silent(name()))?;
    let said = said.map_err(|error| Unsaid::Refused(name(), error))?;
    if said.status.is_some() {
        group.disarm();
    }
    Ok(said)
}

async fn listen(child: &mut Child, limit: usize) -> std::io::Result<Said> {
    let mut complaint = Vec::new();
    let (text, whole) = {
        let reading = pin!(read(child.stdout.take(), limit));
        let draining = pin!(drain(child.stderr.take(), &mut complaint));
        match select(reading, draining).await {
            // What is cut off is not waited for.
            Either::Left((Ok((text, false)), _)) => (text, false),
            Either::Left((heard, draining)) => {
                draining.await;
                heard?
            }
            Either::Right(((), reading)) => reading.await?,
        }
    };
    let status = if whole { Some(child.wait().await?) } else { None };
    Ok(Said { text, whole, complaint: String::from_utf8_lossy(&complaint).into_owned(), status })
}

/// Reads up to the limit; true where that was all.
async fn read(pipe: Option<impl AsyncRead + Unpin>, limit: usize) -> std::io::Result<(Vec<u8>, bool)> {
    let mut text = Vec::new();
    let Some(mut pipe) = pipe else { return Ok((text, true)) };
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = pipe.read(&mut chunk).await?;
        let room = limit - text.len();
        text.extend_from_slice(&chunk[..count.min(room)]);
        match count {
            0 => return Ok((text, true)),
            _ if count > room => return Ok((text, false)),
            _ => {}
        }
    }
}

/// Reads to the end and keeps the first bytes.
async fn drain(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0; COMPLAINTS];
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        let room = COMPLAINTS - kept.len();
        kept.extend_from_slice(&chunk[..count.min(room)]);
    }
}

/// The process group of a child: killed when this goes, unless the child was seen to end.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// The child was reaped: its id may soon be another's.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended meanwhile.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

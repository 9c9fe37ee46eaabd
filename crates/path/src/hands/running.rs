//! Runs a program that changes something. It is never ended by us: a script that is killed halfway has done half of
//! something, and nobody knows which half. At the deadline, or where nobody waits any more, it goes on by itself, in a
//! process group of its own, so that Ctrl-C at pgmedic's terminal does not reach it.
//!
//! What it writes goes to a file without a name and not to a pipe: a pipe whose reader is gone would end it by SIGPIPE
//! (pipe(7)), and one that its children hold open would keep us waiting for them. Not in here: what the words mean;
//! programs that only look, which end with their answer (`platform/command`).

use pgmedic_model::mask;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::process::{ExitStatus, Stdio};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

/// Bytes of the end of what it wrote that are read.
const TAIL: usize = 4096;
/// Characters of it that are shown.
const WORDS: usize = 300;

/// What came of it.
#[derive(Debug)]
pub(super) enum Ran {
    /// It ended, and the last that it wrote, masked and on one line.
    Ended(ExitStatus, String),
    /// It had not ended at the deadline, and goes on.
    GoesOn,
}

/// Runs it to its end or to the deadline.
///
/// # Errors
/// Where it was not started at all: nothing has changed.
pub(super) async fn run(mut command: Command, until: Instant) -> io::Result<Ran> {
    let file = nameless()?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file.try_clone()?);
    let mut child = command.process_group(0).kill_on_drop(false).spawn()?;
    // Its own ends of the file are with it now.
    drop(command);
    match timeout_at(until, child.wait()).await {
        Ok(Ok(status)) => {
            let words = last_words(&file);
            close(&file);
            Ok(Ran::Ended(status, words))
        }
        // That it cannot be waited for does not say that it was not started.
        Ok(Err(_)) | Err(_) => Ok(Ran::GoesOn),
    }
}

/// A file in memory: there may be no room on any disk, which is what the command may be to mend (memfd_create(2)).
#[cfg(target_os = "linux")]
fn nameless() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(memfd_create("pgmedic-command", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?.into())
}

/// A file that has lost its name.
#[cfg(not(target_os = "linux"))]
fn nameless() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("pgmedic-command-{}", std::process::id()));
    let file = File::options().read(true).append(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// What it left behind, a daemon with the same standard output, may not fill the memory with it: further writes are
/// refused (fcntl(2), `F_SEAL_GROW`).
#[cfg(target_os = "linux")]
fn close(file: &File) {
    use rustix::fs::{SealFlags, fcntl_add_seals};
    // Where that is refused the file ends with whoever holds it.
    let _open = fcntl_add_seals(file, SealFlags::GROW);
}

#[cfg(not(target_os = "linux"))]
const fn close(_: &File) {}

/// The end of what was written. A line that is cut off at its beginning may begin within a secret and is left out.
fn last_words(file: &File) -> String {
    let length = file.metadata().map_or(0, |meta| meta.len());
    let from = length.saturating_sub(TAIL as u64);
    let mut tail = vec![0; TAIL];
    let mut read = 0;
    while let Ok(count @ 1..) = file.read_at(&mut tail[read..], from + read as u64) {
        read += count;
    }
    let text = String::from_utf8_lossy(&tail[..read]);
    let whole = match from {
        0 => &*text,
        _ => text.split_once('\n').map_or("", |(_, rest)| rest),
    };
    let words = mask::excerpt(whole, TAIL);
    let cut = words.chars().count().saturating_sub(WORDS);
    words.chars().skip(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn shell(script: &str, within: Duration) -> Ran {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, Instant::now() + within).await.unwrap()
    }

    #[tokio::test]
    async fn the_last_words_are_kept_masked_and_a_cut_line_is_not_shown() {
        let Ran::Ended(status, words) =
            shell("echo one; echo password=hunter2 >&2; exit 3", Duration::from_secs(10)).await
        else {
            panic!("no end")
        };
        assert_eq!((status.code(), words.as_str()), (Some(3), "one password=***"));
        let long = "i=0; printf 'password=x'; while [ $i -lt 5000 ]; do printf hunter2; i=$((i+1)); done; echo; echo last";
        let Ran::Ended(_, words) = shell(long, Duration::from_secs(20)).await else { panic!("no end") };
        assert_eq!(words, "last");
    }

    #[tokio::test]
    async fn a_daemon_that_holds_the_output_keeps_nobody_waiting_and_fills_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let over = folder.path().join("over");
        let script = format!(
            "(while [ ! -e {0} ]; do sleep 0.05; done; echo more || touch {0}.refused; touch {0}.seen) & echo up",
            over.display()
        );
        let Ran::Ended(status, words) = shell(&script, Duration::from_secs(10)).await else {
            panic!("no end")
        };
        assert!(status.success() && words == "up", "{words}");
        std::fs::write(&over, "").unwrap();
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while !folder.path().join("over.seen").exists() {
            assert!(std::time::Instant::now() < end);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(folder.path().join("over.refused").exists(), cfg!(target_os = "linux"));
    }

    #[tokio::test]
    async fn what_has_not_ended_at_the_deadline_goes_on_and_writes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (go, done) = (folder.path().join("go"), folder.path().join("done"));
        let script = format!(
            "while [ ! -e {} ]; do sleep 0.05; done; echo later && touch {}",
            go.display(),
            done.display()
        );
        assert!(matches!(shell(&script, Duration::from_millis(200)).await, Ran::GoesOn));
        std::fs::write(&go, "").unwrap();
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while !done.exists() {
            assert!(std::time::Instant::now() < end, "it was ended");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

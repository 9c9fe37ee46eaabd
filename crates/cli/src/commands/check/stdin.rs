//! `--api-log -`: log lines piped in, their end only, for a bounded time: a log that is followed never ends.

use std::io::Read;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// The most that is kept, in bytes, from the end.
const KEPT: usize = 4 * 1024 * 1024;

/// What is piped in until it ends or the time is up.
pub(super) fn piped(longest: Duration) -> String {
    let (sender, receiver) = channel();
    let deadline = Instant::now() + longest;
    // Not joined: a read that never returns is left behind when the process ends.
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut block = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = stdin.read(&mut block) {
            if sender.send(block[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    let mut kept = Vec::new();
    while let Ok(block) = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        kept.extend(block);
        if kept.len() > 2 * KEPT {
            kept.drain(..kept.len() - KEPT);
        }
    }
    let from = kept.len().saturating_sub(KEPT);
    String::from_utf8_lossy(&kept[from..]).into_owned()
}

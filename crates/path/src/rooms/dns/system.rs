//! The system's resolver: getaddrinfo(3), which nothing can cancel. A call that hangs leaves its thread behind until libc gives
//! up (10 s and more), so that whoever asks for the same name meanwhile waits for a call in flight instead of adding one for
//! each look. Not in here: nameservers by themselves.

use super::evidence::{SystemLookup, SystemOutcome};
use super::nameserver::MAX_ADDRESSES;
use crate::aside::{self, NoResult};
use crate::clock::Stopwatch;
use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, SockType};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Calls in flight for one name. More than one, because a call that was begun when the resolver was silent asks it again only
/// after seconds, and the resolver's return is to be seen sooner.
const IN_FLIGHT: usize = 3;

/// What a call comes to: None while it is in flight.
type Coming = watch::Receiver<Option<SystemOutcome>>;

/// The calls in flight, by name, the newest last.
static CALLS: Mutex<BTreeMap<String, Vec<Coming>>> = Mutex::new(BTreeMap::new());

/// getaddrinfo(3) for both families, at most until the deadline.
pub async fn system(name: &str, deadline: Instant) -> SystemLookup {
    let watch = Stopwatch::start();
    let outcome = match joined(name) {
        Ok(coming) => wait(coming, deadline).await,
        Err(call) => {
            let asked = name.to_owned();
            let resolving = move || {
                let outcome = resolve(&asked);
                call.done(&outcome);
                outcome
            };
            match aside::call("getaddrinfo", deadline, resolving).await {
                Ok(outcome) => outcome,
                Err(NoResult::Silent) => SystemOutcome::Silent,
                Err(NoResult::Failed(text)) => failed("EAI_SYSTEM", &text),
            }
        }
    };
    SystemLookup { elapsed_ms: watch.elapsed(), outcome }
}

/// A call of one's own, to be told of when it is done. Dropped, it is in flight no more, however it ended.
struct Call {
    name: String,
    tell: watch::Sender<Option<SystemOutcome>>,
}

impl Call {
    fn done(&self, outcome: &SystemOutcome) {
        self.tell.send_replace(Some(outcome.clone()));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = calls();
        if let Some(of_it) = calls.get_mut(&self.name) {
            of_it.retain(|coming| !coming.same_channel(&self.tell.subscribe()));
            if of_it.is_empty() {
                calls.remove(&self.name);
            }
        }
    }
}

/// The newest call in flight for a name, where there are enough of them; else the right to make one.
fn joined(name: &str) -> Result<Coming, Call> {
    let mut calls = calls();
    let of_it = calls.entry(name.to_owned()).or_default();
    match of_it.last() {
        Some(newest) if of_it.len() >= IN_FLIGHT => Ok(newest.clone()),
        _ => {
            let (tell, coming) = watch::channel(None);
            of_it.push(coming);
            Err(Call { name: name.to_owned(), tell })
        }
    }
}

fn calls() -> MutexGuard<'static, BTreeMap<String, Vec<Coming>>> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn wait(mut coming: Coming, deadline: Instant) -> SystemOutcome {
    match timeout_at(deadline, coming.wait_for(Option::is_some)).await {
        Ok(Ok(outcome)) => outcome.clone().unwrap_or(SystemOutcome::Silent),
        Ok(Err(_)) => failed("EAI_SYSTEM", "this host cannot do it: the call in flight panicked"),
        Err(_) => SystemOutcome::Silent,
    }
}

/// getaddrinfo(3). A socket type is given, so that each address comes once.
fn resolve(name: &str) -> SystemOutcome {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    match dns_lookup::getaddrinfo(Some(name), None, Some(hints)) {
        Ok(found) => {
            let mut addresses: Vec<IpAddr> = Vec::new();
            for ip in found.flatten().map(|info| info.sockaddr.ip()).take(MAX_ADDRESSES) {
                if !addresses.contains(&ip) {
                    addresses.push(ip);
                }
            }
            SystemOutcome::Resolved(addresses)
        }
        Err(error) => {
            let code = code(&error);
            let text = std::io::Error::from(error).to_string();
            failed(code, text.strip_prefix("failed to lookup address information: ").unwrap_or(&text))
        }
    }
}

/// A failure by its code and text.
pub(super) fn failed(code: &str, text: &str) -> SystemOutcome {
    SystemOutcome::Failed { code: code.to_owned(), text: text.to_owned() }
}

/// The code's name (getaddrinfo(3)).
fn code(error: &LookupError) -> &'static str {
    /// glibc's EAI_ADDRFAMILY (netdb.h), which `dns-lookup` has no name for.
    const ADDRFAMILY: i32 = -9;
    match error.kind() {
        LookupErrorKind::Again => "EAI_AGAIN",
        LookupErrorKind::Badflags => "EAI_BADFLAGS",
        LookupErrorKind::NoName => "EAI_NONAME",
        LookupErrorKind::NoData => "EAI_NODATA",
        LookupErrorKind::Fail => "EAI_FAIL",
        LookupErrorKind::Family => "EAI_FAMILY",
        LookupErrorKind::Socktype => "EAI_SOCKTYPE",
        LookupErrorKind::Service => "EAI_SERVICE",
        LookupErrorKind::Memory => "EAI_MEMORY",
        LookupErrorKind::System => "EAI_SYSTEM",
        _ if error.error_num() == ADDRFAMILY => "EAI_ADDRFAMILY",
        // A name with a NUL in it never reaches getaddrinfo.
        _ if error.error_num() == 0 => "EAI_NONAME",
        _ => "EAI_?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_name_that_hangs_is_asked_for_by_a_few_calls_however_often_it_is_looked_up() {
        let name = "hangs.invalid";
        let mine: Vec<Call> =
            (0..IN_FLIGHT).map(|_| joined(name).expect_err("a call of one's own")).collect();
        let soon = Instant::now() + Duration::from_secs(1);
        assert_eq!(system(name, soon).await.outcome, SystemOutcome::Silent, "it waited with the newest");
        let told = SystemOutcome::Resolved(vec![IpAddr::from([127, 0, 0, 1])]);
        let asking = tokio::spawn(async move { system(name, soon + Duration::from_secs(1)).await.outcome });
        tokio::task::yield_now().await;
        mine[IN_FLIGHT - 1].done(&told);
        assert_eq!(asking.await.unwrap(), told);
        drop(mine);
        assert!(!calls().contains_key(name), "nothing is kept of what is over");
    }
}

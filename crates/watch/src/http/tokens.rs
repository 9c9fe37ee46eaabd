//! Who bears which token. Tokens are compared by their HMACs under a key of this process, so that neither the time nor the
//! length of a comparison tells of them, and an address that fails too often is not heard for a while.

use pgmedic_model::Secret;
use ring::hmac;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// An address may fail this often at once,
pub(super) const FAILURES: u32 = 10;
/// and then once in so long.
pub(super) const FORGIVEN: Duration = Duration::from_secs(6);
/// The most addresses that are remembered; all others then count as one.
const ADDRESSES: usize = 1024;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearer {
    /// To read and to act.
    Acts,
    /// To read.
    Reads,
    /// Nothing: it is not one of ours.
    Nobody,
}

/// The tokens.
pub(super) struct Tokens {
    key: hmac::Key,
    act: Option<hmac::Tag>,
    read: Option<hmac::Tag>,
    /// Of each address, when all is forgiven; each failure puts that off by one span.
    failures: Mutex<HashMap<IpAddr, Instant>>,
}

impl Tokens {
    /// None where the system has no randomness.
    pub(super) fn new(act: Option<&Secret>, read: Option<&Secret>) -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new()).ok()?;
        let tag = |secret: Option<&Secret>| secret.map(|s| hmac::sign(&key, s.reveal().as_bytes()));
        Some(Self { act: tag(act), read: tag(read), key, failures: Mutex::default() })
    }

    /// True where something that acts can be reached at all.
    pub(super) const fn can_act(&self) -> bool {
        self.act.is_some()
    }

    /// What `given` allows. Both tokens are compared, whichever fits.
    fn bearer(&self, given: &[u8]) -> Bearer {
        let fits = |tag: &Option<hmac::Tag>| {
            tag.as_ref().is_some_and(|tag| hmac::verify(&self.key, given, tag.as_ref()).is_ok())
        };
        match (fits(&self.act), fits(&self.read)) {
            (true, _) => Bearer::Acts,
            (false, true) => Bearer::Reads,
            (false, false) => Bearer::Nobody,
        }
    }

    /// The same for a peer, unless it failed too often: then how long it is not heard.
    pub(super) fn judge(&self, peer: IpAddr, given: &[u8], now: Instant) -> Result<Bearer, Duration> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = place(peer);
        failures.retain(|_, until| *until > now);
        if failures.len() >= ADDRESSES && !failures.contains_key(&key) {
            key = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        }
        let owed = failures.get(&key).map_or(Duration::ZERO, |until| until.duration_since(now));
        if owed > FORGIVEN * (FAILURES - 1) {
            return Err(owed - FORGIVEN * (FAILURES - 1));
        }
        let bearer = self.bearer(given);
        if bearer == Bearer::Nobody {
            failures.insert(key, now + owed + FORGIVEN);
        }
        Ok(bearer)
    }
}

/// What counts as one peer: an IPv4 address, or a /64.
fn place(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 1))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(Some(&Secret::new("the-token-that-acts")), Some(&Secret::new("the-token-that-reads")))
            .unwrap()
    }

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    #[tokio::test(start_paused = true)]
    async fn each_token_allows_what_it_is_for_and_no_other_is_one() {
        let tokens = tokens();
        let judge = |given: &str| tokens.judge(PEER, given.as_bytes(), Instant::now());
        assert_eq!(judge("the-token-that-acts"), Ok(Bearer::Acts));
        assert_eq!(judge("the-token-that-reads"), Ok(Bearer::Reads));
        for given in ["", "the-token-that-act", "the-token-that-acts ", "the-token-that-acts\0"] {
            assert_eq!(judge(given), Ok(Bearer::Nobody), "{given:?}");
        }
        let none = Tokens::new(None, None).unwrap();
        assert_eq!(none.judge(PEER, b"", Instant::now()), Ok(Bearer::Nobody));
        assert!(!none.can_act());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_guesses_is_not_heard_for_a_while_and_others_are() {
        let tokens = tokens();
        let now = Instant::now();
        for _ in 0..FAILURES {
            assert_eq!(tokens.judge(PEER, b"guess", now), Ok(Bearer::Nobody));
        }
        assert_eq!(
            tokens.judge(PEER, b"the-token-that-acts", now),
            Err(FORGIVEN),
            "the right one is not told apart"
        );
        assert_eq!(tokens.judge("10.0.0.10".parse().unwrap(), b"the-token-that-acts", now), Ok(Bearer::Acts));
        let later = now + FORGIVEN;
        assert_eq!(tokens.judge(PEER, b"guess", later), Ok(Bearer::Nobody), "one more");
        assert!(tokens.judge(PEER, b"guess", later).is_err());
        assert_eq!(tokens.judge(PEER, b"the-token-that-acts", later + FORGIVEN), Ok(Bearer::Acts));
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_addresses_are_not_remembered_one_by_one() {
        let tokens = tokens();
        let now = Instant::now();
        let mut unheard = 0;
        for n in 0..10_000_u32 {
            unheard += u32::from(tokens.judge(IpAddr::from(n.to_be_bytes()), b"guess", now).is_err());
        }
        assert!(tokens.failures.lock().unwrap().len() <= ADDRESSES + 1);
        assert!(unheard > 8_000, "{unheard}");
    }
}

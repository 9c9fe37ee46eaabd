//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), the client's half. The key is derived once for each password,
//! salt and number of rounds: thousands of rounds of HMAC at each walk would be most of what a walk costs.
//!
//! Not in here: which mechanism is taken, the bound on the rounds, and the messages' frames (`auth`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Characters of our half of the nonce: 144 bits.
const NONCE_BYTES: usize = 18;

/// Most keys that are remembered. Each is of a server that has proved to know it, so that nobody can crowd out others'.
const REMEMBERED: usize = 4096;

/// What the exchange is bound to.
pub(super) enum Binding {
    /// The client could and the server does not offer it.
    Unrequested,
    /// The client cannot.
    Unsupported,
    /// `tls-server-end-point` of the server's certificate.
    EndPoint(Vec<u8>),
}

impl Binding {
    const fn header(&self) -> &'static str {
        match self {
            Self::Unrequested => "y,,",
            Self::Unsupported => "n,,",
            Self::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    /// `c=`: the header and what is bound to, in base64.
    fn attribute(&self) -> String {
        let mut bound = self.header().as_bytes().to_vec();
        if let Self::EndPoint(data) = self {
            bound.extend_from_slice(data);
        }
        STANDARD.encode(bound)
    }
}

/// An exchange that has begun.
pub(super) struct Scram {
    binding: Binding,
    /// The client's first message without its header.
    bare: String,
    nonce: String,
}

/// What the server must prove to know. Never printed.
pub(super) struct Verdict {
    auth_message: String,
    keys: Keys,
    tag: Option<Tag>,
}

/// ClientKey and ServerKey. Whoever has them can log in: they are never printed.
#[derive(Clone)]
struct Keys {
    client: [u8; 32],
    server: [u8; 32],
}

type Tag = [u8; 32];

impl Scram {
    /// Begins one with a nonce of its own. The name stays empty: Postgres takes the startup message's.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub(super) fn new(binding: Binding) -> Result<Self, String> {
        let mut bytes = [0; NONCE_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| format!("no randomness for SCRAM: {error}"))?;
        Ok(Self::with(binding, "", STANDARD.encode(bytes)))
    }

    fn with(binding: Binding, name: &str, nonce: String) -> Self {
        Self { binding, bare: format!("n={name},r={nonce}"), nonce }
    }

    /// The client's first message.
    pub(super) fn first(&self) -> String {
        format!("{}{}", self.binding.header(), self.bare)
    }

    /// The client's final message in answer to the server's first one, and what the server must prove then.
    ///
    /// # Errors
    /// What is wrong with the server's message.
    pub(super) fn answer(self, first: &[u8], password: &[u8]) -> Result<(String, Verdict), String> {
        let first = std::str::from_utf8(first).map_err(|_| "SCRAM: a message that is no text".to_owned())?;
        let (nonce, salt, rounds) = read_first(first)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("SCRAM: an invalid nonce, which does not go on from ours".to_owned());
        }
        let (keys, tag) = keys(password, &salt, rounds);
        let bare = format!("c={},r={nonce}", self.binding.attribute());
        let auth_message = format!("{},{first},{bare}", self.bare);
        let stored = digest::digest(&digest::SHA256, &keys.client);
        let signature = sign(stored.as_ref(), auth_message.as_bytes());
        let mut proof = keys.client;
        proof.iter_mut().zip(signature).for_each(|(byte, other)| *byte ^= other);
        let last = format!("{bare},p={}", STANDARD.encode(proof));
        Ok((last, Verdict { auth_message, keys, tag }))
    }
}

impl Verdict {
    /// Whether the server's final message proves that it knows the password. The key is remembered then.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn check(self, last: &[u8]) -> Result<(), String> {
        let last = std::str::from_utf8(last).map_err(|_| "a message that is no text".to_owned())?;
        if let Some(error) = last.strip_prefix("e=") {
            return Err(format!("SCRAM error: {error}"));
        }
        let given = last.strip_prefix("v=").ok_or("neither proof nor error")?;
        let given = STANDARD.decode(given).map_err(|_| "a proof that is no base64")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.keys.server);
        hmac::verify(&key, self.auth_message.as_bytes(), &given)
            .map_err(|_| "another proof than its password's")?;
        if let Some(tag) = self.tag {
            remembered().put(tag, self.keys);
        }
        Ok(())
    }
}

/// `r=…,s=…,i=…` and nothing else: an extension that must be understood (`m=`) is not.
fn read_first(first: &str) -> Result<(&str, Vec<u8>, NonZeroU32), String> {
    let wrong = || "SCRAM: the server's first message is not r=…,s=…,i=…".to_owned();
    let mut attributes = first.split(',');
    let mut next = |name: &str| attributes.next().and_then(|a| a.strip_prefix(name)).ok_or_else(wrong);
    let (nonce, salt, rounds) = (next("r=")?, next("s=")?, next("i=")?);
    if attributes.next().is_some() {
        return Err(wrong());
    }
    let salt = STANDARD.decode(salt).map_err(|_| "SCRAM: a salt that is no base64".to_owned())?;
    Ok((nonce, salt, rounds.parse().map_err(|_| wrong())?))
}

/// A password as it is hashed: by SASLprep, or as it is where that does not apply, as libpq does (`scram-common.c`,
/// `pg_saslprep`).
fn prepared(password: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(password).ok().and_then(|text| stringprep::saslprep(text).ok());
    text.map_or_else(|| password.to_vec(), |text| text.into_owned().into_bytes())
}

/// The keys, and by what they may be remembered.
fn keys(password: &[u8], salt: &[u8], rounds: NonZeroU32) -> (Keys, Option<Tag>) {
    let tag = tag(password, salt, rounds);
    if let Some(keys) = tag.and_then(|tag| remembered().get(&tag)) {
        return (keys, None);
    }
    let mut salted = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, &prepared(password), &mut salted);
    (Keys { client: sign(&salted, b"Client Key"), server: sign(&salted, b"Server Key") }, tag)
}

fn sign(key: &[u8], message: &[u8]) -> [u8; 32] {
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(signature.as_ref());
    bytes
}

/// Stands for a password, a salt and a number of rounds, and says nothing of them: signed by a key that no other process
/// has. None where the system gives no randomness.
fn tag(password: &[u8], salt: &[u8], rounds: NonZeroU32) -> Option<Tag> {
    static OWN: OnceLock<Option<hmac::Key>> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).ok()?;
        Some(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    });
    let mut context = hmac::Context::with_key(own.as_ref()?);
    for part in [password, salt, &rounds.get().to_be_bytes()] {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    let mut tag = [0; 32];
    tag.copy_from_slice(context.sign().as_ref());
    Some(tag)
}

/// Keys of this process, the oldest let go first.
#[derive(Default)]
struct Remembered {
    keys: HashMap<Tag, Keys>,
    order: VecDeque<Tag>,
}

impl Remembered {
    fn get(&self, tag: &Tag) -> Option<Keys> {
        self.keys.get(tag).cloned()
    }

    fn put(&mut self, tag: Tag, keys: Keys) {
        if self.keys.insert(tag, keys).is_none() {
            self.order.push_back(tag);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }
}

fn remembered() -> std::sync::MutexGuard<'static, Remembered> {
    static REMEMBERED: OnceLock<Mutex<Remembered>> = OnceLock::new();
    REMEMBERED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3.
    const FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn of_the_rfc() -> Scram {
        Scram::with(Binding::Unsupported, "user", "rOprNGfwEbeRWgbNEkqO".to_owned())
    }

    #[test]
    fn the_exchange_of_the_rfc_is_what_comes_out() {
        for _ in 0..2 {
            // The second time by the remembered key.
            let scram = of_the_rfc();
            assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
            let (last, verdict) = scram.answer(FIRST.as_bytes(), b"pencil").expect("answered");
            assert_eq!(
                last,
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
            );
            assert_eq!(verdict.check(LAST.as_bytes()), Ok(()));
        }
    }

    #[test]
    fn a_key_is_derived_once_and_only_for_who_has_proved_to_know_it() {
        let rounds = NonZeroU32::new(4096).expect("some");
        let (_, tag) = keys(b"once", b"salt", rounds);
        assert!(tag.is_some() && keys(b"once", b"salt", rounds).1.is_some(), "it was not proved");
        let (first, tag) = keys(b"once", b"salt", rounds);
        remembered().put(tag.expect("one"), first.clone());
        let (again, tag) = keys(b"once", b"salt", rounds);
        assert!(tag.is_none() && again.client == first.client && again.server == first.server);
        for (password, salt, n) in [("once", "salz", 4096), ("twice", "salt", 4096), ("once", "salt", 4097)] {
            let n = NonZeroU32::new(n).expect("some");
            assert!(keys(password.as_bytes(), salt.as_bytes(), n).1.is_some(), "{password} {salt} {n}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut all = Remembered::default();
        for number in 0..REMEMBERED + 10 {
            let mut tag = [0; 32];
            tag[..8].copy_from_slice(&number.to_be_bytes());
            all.put(tag, Keys { client: [0; 32], server: [0; 32] });
            all.put(tag, Keys { client: [1; 32], server: [0; 32] });
        }
        assert_eq!((all.keys.len(), all.order.len()), (REMEMBERED, REMEMBERED));
    }

    #[test]
    fn a_server_that_answers_out_of_rule_is_told_apart() {
        for first in [
            "r=other,s=W22Z,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=!,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=0",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=99999999999",
            "m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1,x=y",
            "",
        ] {
            assert!(of_the_rfc().answer(first.as_bytes(), b"pencil").is_err(), "{first}");
        }
        for last in ["e=invalid-proof", "v=", "v=AAAA", "", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="]
        {
            let (_, verdict) = of_the_rfc().answer(FIRST.as_bytes(), b"pencil").expect("answered");
            assert!(verdict.check(last.as_bytes()).is_err(), "{last}");
        }
    }

    #[test]
    fn a_password_is_prepared_as_libpq_does() {
        assert_eq!(prepared("I\u{ad}X".as_bytes()), b"IX");
        assert_eq!(prepared("\u{2168}".as_bytes()), b"IX");
        assert_eq!(prepared(b"bad \x07 control"), b"bad \x07 control");
        assert_eq!(prepared(b"\xff\xfe"), b"\xff\xfe");
    }
}

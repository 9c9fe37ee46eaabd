//! Proving who asks: trust, cleartext, MD5, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, with libpq's `channel_binding`.
//! The hashing of MD5 is `postgres-protocol`'s, that of SCRAM in `scram`.

use crate::rooms::startup::evidence::{AuthMethod, StartupOutcome};
use crate::rooms::startup::probe::{Channel, Hall};
use crate::rooms::startup::scram::{Binding, Scram};
use crate::rooms::startup::wire::readable;
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use pgmedic_model::target::ChannelBinding as Wanted;
use pgmedic_model::{Secret, Target};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{SCRAM_SHA_256, SCRAM_SHA_256_PLUS};
use postgres_protocol::message::{backend::Message, frontend};
use std::io;

/// Most authentication requests that are answered. Postgres sends one.
const REQUEST_LIMIT: usize = 4;

/// Most SASL mechanisms of a server's list that are read. Postgres has four.
const MECHANISM_LIMIT: usize = 16;
/// Longest name of one that is read, in characters. RFC 4422, 3.1, allows 20.
const NAME_LIMIT: usize = 40;

/// Most rounds of SCRAM that are done, some tenths of a second: the server says how many. Postgres' default is 4,096, and
/// drivers stop at the same limit (pgjdbc's `scramMaxIterations`).
const ITERATION_LIMIT: u64 = 100_000;

const WAITING_FOR_REQUEST: &str = "authentication request";
const WAITING_FOR_VERDICT: &str = "answer to the password";

/// Goes from the StartupMessage to AuthenticationOk.
pub(super) async fn authenticate(
    hall: &mut Hall<'_>,
    target: &Target,
    channel: &Channel,
) -> Result<(), StartupOutcome> {
    let mut waiting_for = WAITING_FOR_REQUEST;
    for _ in 0..REQUEST_LIMIT {
        let mut answer = BytesMut::new();
        match hall.next(waiting_for).await? {
            Message::AuthenticationOk => return admitted(hall, target),
            Message::AuthenticationCleartextPassword => {
                let password = password(hall, target, AuthMethod::Cleartext)?;
                written(frontend::password_message(password.reveal().as_bytes(), &mut answer))?;
            }
            Message::AuthenticationMd5Password(body) => {
                let password = password(hall, target, AuthMethod::Md5)?;
                let hash = md5_hash(target.user.as_bytes(), password.reveal().as_bytes(), body.salt());
                written(frontend::password_message(hash.as_bytes(), &mut answer))?;
            }
            Message::AuthenticationSasl(body) => {
                let name = |m: &str| readable(m.as_bytes()).chars().take(NAME_LIMIT).collect();
                let names = body.mechanisms().map(|m| Ok(name(m))).take(MECHANISM_LIMIT);
                let offered: Vec<String> = names.collect().map_err(|e| protocol(&e))?;
                scram(hall, target, channel, &offered).await?;
            }
            message => return Err(unsupported(hall, &message)),
        }
        if !answer.is_empty() {
            hall.send(&answer, WAITING_FOR_VERDICT).await?;
        }
        waiting_for = WAITING_FOR_VERDICT;
    }
    Err(StartupOutcome::Protocol(format!("more than {REQUEST_LIMIT} authentication requests")))
}

/// AuthenticationOk came. `channel_binding=require` means that nothing but a bound SCRAM will do.
fn admitted(hall: &mut Hall<'_>, target: &Target) -> Result<(), StartupOutcome> {
    let method = hall.evidence.auth.get_or_insert(AuthMethod::Trust);
    if target.tls.channel_binding == Wanted::Require && *method != AuthMethod::ScramSha256Plus {
        return Err(StartupOutcome::Unsupported(
            "channel_binding=require, and the server asks for none".to_owned(),
        ));
    }
    hall.evidence.authenticated = true;
    Ok(())
}

/// Notes the method; gives the password, unless it must not be sent this way or there is none.
fn password<'t>(
    hall: &mut Hall<'_>,
    target: &'t Target,
    method: AuthMethod,
) -> Result<&'t Secret, StartupOutcome> {
    let bound = method == AuthMethod::ScramSha256Plus;
    hall.evidence.auth = Some(method);
    if target.tls.channel_binding == Wanted::Require && !bound {
        return Err(StartupOutcome::Unsupported(
            "channel_binding=require, and the server does not offer SCRAM-SHA-256-PLUS".to_owned(),
        ));
    }
    // As in libpq an empty password is none.
    target.password.as_ref().filter(|p| !p.reveal().is_empty()).ok_or(StartupOutcome::NoPassword)
}

/// SCRAM up to the server's proof; AuthenticationOk is still to come.
async fn scram(
    hall: &mut Hall<'_>,
    target: &Target,
    channel: &Channel,
    offered: &[String],
) -> Result<(), StartupOutcome> {
    let (method, binding) = match choose(offered, channel, target.tls.channel_binding) {
        Ok(choice) => choice,
        Err(outcome) => {
            hall.evidence.auth = Some(AuthMethod::Unsupported(offered.join(", ")));
            return Err(outcome);
        }
    };
    let mechanism = if method == AuthMethod::ScramSha256Plus { SCRAM_SHA_256_PLUS } else { SCRAM_SHA_256 };
    let password = password(hall, target, method)?;
    let scram = Scram::new(binding).map_err(StartupOutcome::Protocol)?;

    let mut bytes = BytesMut::new();
    written(frontend::sasl_initial_response(mechanism, scram.first().as_bytes(), &mut bytes))?;
    hall.send(&bytes, WAITING_FOR_VERDICT).await?;
    let Message::AuthenticationSaslContinue(body) = hall.next(WAITING_FOR_VERDICT).await? else {
        return Err(StartupOutcome::Protocol("SCRAM: the server's first message did not come".to_owned()));
    };
    if let Some(rounds) = iterations(body.data()).filter(|rounds| *rounds > ITERATION_LIMIT) {
        let what = format!("SCRAM of {rounds} iterations (at most {ITERATION_LIMIT} are done)");
        return Err(StartupOutcome::Unsupported(what));
    }
    let (last, verdict) =
        scram.answer(body.data(), password.reveal().as_bytes()).map_err(StartupOutcome::Protocol)?;

    bytes.clear();
    written(frontend::sasl_response(last.as_bytes(), &mut bytes))?;
    hall.send(&bytes, WAITING_FOR_VERDICT).await?;
    let Message::AuthenticationSaslFinal(body) = hall.next(WAITING_FOR_VERDICT).await? else {
        return Err(StartupOutcome::Protocol(
            "SCRAM: the server did not prove that it knows the password".to_owned(),
        ));
    };
    verdict.check(body.data()).map_err(|why| {
        StartupOutcome::Protocol(format!("SCRAM: the server did not prove that it knows the password: {why}"))
    })
}

/// The iteration count in the server's first message (RFC 5802 section 5.1: `r=…,s=…,i=4096`).
fn iterations(first: &[u8]) -> Option<u64> {
    let count = first.split(|b| *b == b',').find_map(|attribute| attribute.strip_prefix(b"i="))?;
    std::str::from_utf8(count).ok()?.parse().ok()
}

/// The mechanism and the channel binding, by libpq's rules (`fe-auth.c`, `pg_SASL_init`; RFC 5802 section 6 for the
/// flags: `p` bound, `y` could have been and was not offered, `n` cannot).
fn choose(
    offered: &[String],
    channel: &Channel,
    wanted: Wanted,
) -> Result<(AuthMethod, Binding), StartupOutcome> {
    let offers = |mechanism: &str| offered.iter().any(|m| m == mechanism);
    if offers(SCRAM_SHA_256_PLUS) && !channel.tls {
        return Err(StartupOutcome::Protocol("SCRAM-SHA-256-PLUS offered without TLS".to_owned()));
    }
    match (&channel.end_point, wanted) {
        (Some(end_point), Wanted::Prefer | Wanted::Require) if offers(SCRAM_SHA_256_PLUS) => {
            Ok((AuthMethod::ScramSha256Plus, Binding::EndPoint(end_point.clone())))
        }
        (Some(_), Wanted::Prefer | Wanted::Require) if offers(SCRAM_SHA_256) => {
            Ok((AuthMethod::ScramSha256, Binding::Unrequested))
        }
        _ if offers(SCRAM_SHA_256) => Ok((AuthMethod::ScramSha256, Binding::Unsupported)),
        _ => Err(StartupOutcome::Unsupported(offered.join(", "))),
    }
}

/// A request that pgmedic does not answer.
fn unsupported(hall: &mut Hall<'_>, message: &Message) -> StartupOutcome {
    let name = match message {
        Message::AuthenticationGss | Message::AuthenticationGssContinue(_) => "GSSAPI",
        Message::AuthenticationSspi => "SSPI",
        Message::AuthenticationKerberosV5 => "Kerberos V5",
        Message::AuthenticationScmCredential => "SCM credentials",
        _ => return StartupOutcome::Protocol("a message out of turn during authentication".to_owned()),
    };
    hall.evidence.auth = Some(AuthMethod::Unsupported(name.to_owned()));
    StartupOutcome::Unsupported(name.to_owned())
}

fn written(result: io::Result<()>) -> Result<(), StartupOutcome> {
    result.map_err(|_| StartupOutcome::Unsupported("a password that holds a NUL".to_owned()))
}

fn protocol(error: &io::Error) -> StartupOutcome {
    StartupOutcome::Protocol(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mechanisms(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn the_mechanism_follows_libpq() {
        let plain = Channel::default();
        let bound = Channel { tls: true, end_point: Some(vec![1]) };
        let unknown = Channel { tls: true, end_point: None };
        let both = mechanisms(&[SCRAM_SHA_256_PLUS, SCRAM_SHA_256]);
        let one = mechanisms(&[SCRAM_SHA_256]);
        for (offered, channel, wanted, method) in [
            (&both, &bound, Wanted::Prefer, Some(AuthMethod::ScramSha256Plus)),
            (&both, &bound, Wanted::Require, Some(AuthMethod::ScramSha256Plus)),
            (&both, &bound, Wanted::Disable, Some(AuthMethod::ScramSha256)),
            (&both, &unknown, Wanted::Prefer, Some(AuthMethod::ScramSha256)),
            (&both, &plain, Wanted::Prefer, None),
            (&one, &plain, Wanted::Prefer, Some(AuthMethod::ScramSha256)),
            (&one, &bound, Wanted::Prefer, Some(AuthMethod::ScramSha256)),
            (&mechanisms(&["OAUTHBEARER"]), &bound, Wanted::Prefer, None),
        ] {
            assert_eq!(choose(offered, channel, wanted).map(|c| c.0).ok(), method, "{offered:?} {wanted:?}");
        }
    }
}

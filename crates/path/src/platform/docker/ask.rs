//! One request at the engine, the version that both speak, and what the engine's refusals mean for whoever configured it.
//! The POSTs are `hands/docker`'s, which this lends its way of asking.

use super::Docker;
use crate::http::{Answer, Request, exchange};
use crate::platform::Untold;
use crate::rooms::app::evidence::HttpOutcome;
use crate::rooms::app::probe::in_words;
use crate::rooms::dns::probe::Resolver;
use crate::rooms::network::evidence::ConnectOutcome;
use hyper::Method;
use pgmedic_model::{Host, mask};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::os::unix::fs::MetadataExt;
use tokio::time::Instant;

/// The newest version of the API whose shapes are read (20.10), and the oldest (1.12).
const NEWEST: (u32, u32) = (1, 41);
const OLDEST: (u32, u32) = (1, 24);
/// Bytes read of the engine's version.
const VERSION: usize = 64 * 1024;
/// Characters of the engine's words that are shown.
const SHOWN: usize = 300;

/// `GET /version`.
#[derive(Deserialize)]
struct Versions {
    #[serde(rename = "ApiVersion")]
    newest: String,
    #[serde(rename = "MinAPIVersion", default)]
    oldest: String,
}

impl Docker {
    /// Asks once, in the version that both speak.
    pub(super) async fn get(&self, path: &str, limit: usize, until: Instant) -> Result<Answer, Untold> {
        let version = self.version.get_or_try_init(|| self.negotiate(until)).await?;
        self.get_plain(&format!("/v{version}{path}"), limit, until).await
    }

    /// The same, and the answer read.
    pub(super) async fn get_json<T: DeserializeOwned>(
        &self,
        path: &str,
        limit: usize,
        until: Instant,
    ) -> Result<T, Untold> {
        read(&self.get(path, limit, until).await?).map_err(|what| self.failed(path, &what))
    }

    /// POSTs once, without a body, and gives the answer as it came.
    ///
    /// # Errors
    /// Where the version that both speak is not known: nothing was sent.
    pub(crate) async fn post(
        &self,
        path: &str,
        limit: usize,
        until: Instant,
    ) -> Result<Result<Answer, HttpOutcome>, Untold> {
        let version = self.version.get_or_try_init(|| self.negotiate(until)).await?;
        let endpoint = self.endpoint.at(&format!("/v{version}{path}"));
        let request = Request { method: Method::POST, ..Request::get(&endpoint, limit) };
        Ok(exchange(request, &Resolver::default(), until).await.result)
    }

    async fn negotiate(&self, until: Instant) -> Result<String, Untold> {
        let answer = self.get_plain("/version", VERSION, until).await?;
        let both: Versions = read(&answer).map_err(|what| self.failed("/version", &what))?;
        common(&both).map_err(|what| self.failed("/version", &what))
    }

    async fn get_plain(&self, path: &str, limit: usize, until: Instant) -> Result<Answer, Untold> {
        let endpoint = self.endpoint.at(path);
        let exchange = exchange(Request::get(&endpoint, limit), &Resolver::default(), until).await;
        match exchange.result {
            Ok(answer) if answer.status == 200 => Ok(answer),
            Ok(answer) => Err(self.failed(path, &refusal(&answer))),
            Err(outcome) => {
                Err(Untold::Failed(format!("{}: {}", endpoint_name(self), self.unreached(&outcome))))
            }
        }
    }

    fn failed(&self, path: &str, what: &str) -> Untold {
        let path = path.split('?').next().unwrap_or_default();
        Untold::Failed(format!("{} GET {path}: {what}", endpoint_name(self)))
    }

    /// Why the engine was not reached, and the next step.
    fn unreached(&self, outcome: &HttpOutcome) -> String {
        let words = in_words(outcome);
        let Host::Socket(path) = &self.endpoint.host else { return words };
        match outcome {
            HttpOutcome::NotConnected(ConnectOutcome::Forbidden) => match group_of(path) {
                Some(group) => format!(
                    "permission denied; the socket belongs to the group {group}: sudo usermod -aG {group} USER and log in anew, \
                     or run pgmedic as root"
                ),
                None => "permission denied; run pgmedic as a user that may write to this socket, or as root".to_owned(),
            },
            HttpOutcome::NotConnected(ConnectOutcome::NoSuchSocket) => {
                "there is no such socket; does Docker run on this host? DOCKER_HOST or platform.docker_host names another"
                    .to_owned()
            }
            HttpOutcome::NotConnected(ConnectOutcome::Refused) => {
                "nobody listens on it: the engine itself is stopped (systemctl status docker)".to_owned()
            }
            _ => words,
        }
    }
}

fn endpoint_name(docker: &Docker) -> &str {
    &docker.endpoint.shown
}

/// The name of the group that a file belongs to.
fn group_of(path: &str) -> Option<String> {
    let gid = std::fs::metadata(path).ok()?.gid().to_string();
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    let name = groups.lines().find(|line| line.split(':').nth(2) == Some(gid.as_str()))?.split(':').next()?;
    Some(name.to_owned())
}

/// A JSON answer.
fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, String> {
    if !answer.whole {
        return Err(format!("the answer broke off, or is longer than {} bytes", answer.body.len()));
    }
    // The error's text may quote the answer, which holds environment variables; its place is enough.
    serde_json::from_slice(&answer.body).map_err(|error| {
        format!("not what Docker's engine answers (line {}, column {})", error.line(), error.column())
    })
}

/// The newest version that both speak.
fn common(both: &Versions) -> Result<String, String> {
    let said = |text: &str| mask::excerpt(text, 20);
    let newest =
        number(&both.newest).ok_or_else(|| format!("no version of an API: {:?}", said(&both.newest)))?;
    let oldest = number(&both.oldest).unwrap_or(OLDEST);
    if newest < OLDEST {
        return Err(format!(
            "the engine speaks API {}; 1.24 (Docker 1.12) is the oldest that is read",
            said(&both.newest)
        ));
    }
    // An engine that has dropped the newest that we know still has these shapes in its oldest.
    let (major, minor) = NEWEST.min(newest).max(oldest);
    Ok(format!("{major}.{minor}"))
}

fn number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// What the engine said instead of an answer, and the next step.
pub(crate) fn refusal(answer: &Answer) -> String {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    let said = serde_json::from_slice::<Said>(&answer.body).map(|said| mask::excerpt(&said.message, SHOWN));
    let step = match answer.status {
        401 | 403 => {
            "; an authorisation plugin or a proxy before the socket forbids it: let it GET /version and /containers, and POST what fix may do"
        }
        _ => "",
    };
    format!("status {} {}{step}", answer.status, said.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(oldest: &str, newest: &str) -> Result<String, String> {
        common(&Versions { newest: newest.to_owned(), oldest: oldest.to_owned() })
    }

    #[test]
    fn the_version_is_one_that_both_speak() {
        assert_eq!(versions("1.12", "1.41").as_deref(), Ok("1.41"));
        assert_eq!(versions("1.24", "1.47").as_deref(), Ok("1.41"));
        assert_eq!(versions("1.44", "1.52").as_deref(), Ok("1.44"));
        assert_eq!(versions("", "1.24").as_deref(), Ok("1.24"));
        assert!(versions("1.12", "1.23").unwrap_err().contains("1.24"));
        assert!(versions("", "latest").is_err());
    }

    #[test]
    fn a_refusal_is_quoted_with_its_next_step() {
        let answer = |status, body: &str| Answer {
            status,
            headers: hyper::HeaderMap::new(),
            body: body.as_bytes().to_vec(),
            whole: true,
        };
        // Recorded from 20.10.24.
        let gone = refusal(&answer(404, "{\"message\":\"No such container: nope\"}"));
        assert_eq!(gone, "status 404 No such container: nope");
        assert!(refusal(&answer(403, "<html>")).contains("plugin"));
    }
}

//! One request at the API server, and what its refusals mean for whoever configured it. What changes something is asked for
//! by `hands/kubernetes`, which this lends its way of asking.

use super::Kubernetes;
use super::kubeconfig::{Token, file};
use crate::aside;
use crate::http::{Answer, Request, exchange};
use crate::platform::Untold;
use crate::rooms::app::evidence::HttpOutcome;
use crate::rooms::app::probe::in_words;
use crate::rooms::dns::probe::Resolver;
use hyper::Method;
use pgmedic_model::{Secret, mask};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

/// Characters of the server's words that are shown.
const SHOWN: usize = 300;
/// Bytes read of the answer to a change: what was changed, as it is now.
const ANSWER: usize = 1024 * 1024;

/// Something that is asked for: its path, and the rule that allows it (Kubernetes documentation, "Using RBAC
/// Authorization").
pub(crate) struct Resource {
    pub(crate) path: String,
    pub(crate) group: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) verb: &'static str,
}

/// Why there is no answer.
pub(super) enum Refused {
    /// There is no such thing.
    Absent,
    /// Anything else, for people.
    Because(String),
}

impl Refused {
    pub(super) fn because(self) -> Untold {
        match self {
            Self::Absent => Untold::Failed("there is no such thing".to_owned()),
            Self::Because(why) => Untold::Failed(why),
        }
    }
}

impl Kubernetes {
    /// Asks once and reads the answer.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        asked: &Resource,
        limit: usize,
        until: Instant,
    ) -> Result<T, Refused> {
        let answer = self.get_bytes(asked, limit, until).await?;
        let failed = |what: String| Err(Refused::Because(format!("GET {}: {what}", shown(&asked.path))));
        if !answer.whole {
            return failed(format!("the answer broke off, or is longer than {limit} bytes"));
        }
        // The error's text may quote the answer; its place is enough.
        serde_json::from_slice(&answer.body).or_else(|error| {
            failed(format!("not what Kubernetes answers (line {}, column {})", error.line(), error.column()))
        })
    }

    /// Asks once.
    pub(super) async fn get_bytes(
        &self,
        asked: &Resource,
        limit: usize,
        until: Instant,
    ) -> Result<Answer, Refused> {
        let because = |what: String| Refused::Because(format!("GET {}: {what}", shown(&asked.path)));
        let authorization = self.authorization(until).await.map_err(because)?;
        let endpoint = self.access.endpoint.at(&asked.path);
        let request = Request {
            authorization: authorization.as_ref(),
            tls: self.access.tls.as_ref(),
            ..Request::get(&endpoint, limit)
        };
        match exchange(request, &Resolver::default(), until).await.result {
            Ok(answer) if answer.status == 200 => Ok(answer),
            Ok(answer) if answer.status == 404 && says_not_found(&answer) => Err(Refused::Absent),
            Ok(answer) => Err(because(self.refusal(&answer, asked))),
            Err(outcome) => {
                let server = &self.access.endpoint.authority;
                Err(because(format!("{} at {server}", in_words(&outcome))))
            }
        }
    }

    /// Asks once for a change, with a body of this type, and gives the answer as it came.
    ///
    /// # Errors
    /// Where there are no credentials to ask with: nothing was sent.
    pub(crate) async fn send(
        &self,
        asked: &Resource,
        method: Method,
        (content_type, body): (&'static str, &str),
        until: Instant,
    ) -> Result<Result<Answer, HttpOutcome>, String> {
        let authorization = self.authorization(until).await?;
        let endpoint = self.access.endpoint.at(&asked.path);
        let request = Request {
            method,
            authorization: authorization.as_ref(),
            tls: self.access.tls.as_ref(),
            content_type,
            body,
            ..Request::get(&endpoint, ANSWER)
        };
        Ok(exchange(request, &Resolver::default(), until).await.result)
    }

    /// The `Authorization` header. A token in a file is read each time: it changes within the hour.
    async fn authorization(&self, until: Instant) -> Result<Option<Secret>, String> {
        let bearer = |token: &str| Secret::new(format!("Bearer {}", token.trim()));
        match &self.access.token {
            Token::None => Ok(None),
            Token::Is(token) => Ok(Some(bearer(token.reveal()))),
            Token::In(path) => {
                let path = path.clone();
                let read = aside::call("read-token", until, move || file(&path)).await;
                let bytes = read.map_err(|error| error.to_string())??;
                Ok(Some(bearer(&String::from_utf8_lossy(&bytes))))
            }
        }
    }

    /// What the server said instead of an answer, and the next step.
    pub(crate) fn refusal(&self, answer: &Answer, asked: &Resource) -> String {
        let status: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let said = status.as_ref().and_then(|s| s.get("message")).and_then(Value::as_str);
        let said = said.map(|said| format!(" {}", mask::excerpt(said, SHOWN))).unwrap_or_default();
        let step = match answer.status {
            401 => "; the token or certificate is not accepted (expired?): make a token with kubectl create token".to_owned(),
            403 => format!("; {}", self.rule(asked)),
            429 | 500..=599 => "; the API server itself fails or is overloaded".to_owned(),
            _ => String::new(),
        };
        format!("status {}{said}{step}", answer.status)
    }

    /// The rule that is missing.
    fn rule(&self, asked: &Resource) -> String {
        let rule = format!(
            "{{apiGroups: [{:?}], resources: [{:?}], verbs: [{:?}]}}",
            asked.group, asked.resource, asked.verb
        );
        match asked.resource.starts_with("nodes") || asked.resource == "storageclasses" {
            true => format!("missing in a ClusterRole of pgmedic's account: {rule}"),
            false => {
                format!("missing in a Role of pgmedic's account in the namespace {}: {rule}", self.namespace)
            }
        }
    }
}

/// True for a Status that says that a thing is not there, and not for the 404 of something that is no API server.
fn says_not_found(answer: &Answer) -> bool {
    let status: Option<Value> = serde_json::from_slice(&answer.body).ok();
    status.is_some_and(|s| s.get("reason").and_then(Value::as_str) == Some("NotFound"))
}

/// The path without its query.
fn shown(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

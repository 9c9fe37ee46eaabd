//! Posting to a receiver of alerts: one attempt with a deadline, no redirect followed, trusted roots read once and only
//! where TLS asks for them. What an answer means, and when to try again, is not in here.

use super::url::Endpoint;
use super::{Request, Tls, client_config, exchange};
use crate::aside;
use crate::rooms::app::evidence::HttpOutcome;
use crate::rooms::dns::probe::Resolver;
use crate::rooms::network::evidence::ConnectOutcome;
use hyper::Method;
use hyper::header::RETRY_AFTER;
use pgmedic_model::{Secret, mask};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Bytes of an answer's body that are read.
const LIMIT: usize = 8 * 1024;
/// Characters of it that are given.
const WORDS: usize = 200;

/// Where to post, checked. Nothing of it but [`Place::authority`] may be shown.
#[derive(Clone)]
pub struct Place(Endpoint);

impl std::fmt::Debug for Place {
    /// Without path and query, which may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Place").field(&self.0.authority).finish()
    }
}

impl Place {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// Where it is no `http` or `https` URL. The text does not repeat it.
    pub fn parse(url: &Secret) -> Result<Self, String> {
        Endpoint::parse(url.reveal()).map(Self)
    }

    /// The same place with a path below the one that it has.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        Self(self.0.at(path))
    }

    /// Host and port as the URL has them, without credentials.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.0.authority
    }

    /// Path and query. May be secret.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.0.resource
    }
}

/// This host's trusted roots, read when TLS first asks for them, and kept.
#[derive(Debug, Default)]
pub struct Roots(Mutex<Option<Tls>>);

impl Roots {
    /// Read, or what was read before. A failure is not kept: the roots may be there at the next attempt.
    async fn tls(&self, deadline: Instant) -> Result<Tls, Unanswered> {
        let mut kept = self.0.lock().await;
        if let Some(tls) = kept.as_ref() {
            return Ok(tls.clone());
        }
        let read = aside::call("read-roots", deadline, client_config).await;
        let config = read.map_err(|error| Unanswered(error.to_string()))?.map_err(Unanswered)?;
        Ok(kept.insert(Tls { config: Arc::new(config), name: None }).clone())
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Status code.
    pub status: u16,
    /// The `Retry-After` header as it came.
    pub retry_after: Option<String>,
    /// The start of the body on one line, values that look secret masked. Of the peer's making.
    pub words: String,
}

/// Why there is no answer, in words. Names no URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

/// Posts JSON once.
///
/// # Errors
/// Where no answer came before the deadline: not resolved, not connected, TLS failed, silent, closed, not HTTP.
pub async fn post(
    to: &Place,
    headers: &[(&'static str, &str)],
    body: &str,
    roots: &Roots,
    deadline: Instant,
) -> Result<Answered, Unanswered> {
    let tls = if to.0.tls { Some(roots.tls(deadline).await?) } else { None };
    let request =
        Request { method: Method::POST, headers, body, tls: tls.as_ref(), ..Request::get(&to.0, LIMIT) };
    let answer = exchange(request, &Resolver::default(), deadline)
        .await
        .result
        .map_err(|end| Unanswered(words(&end)))?;
    let retry_after = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Ok(Answered {
        status: answer.status,
        retry_after: retry_after.map(|value| value.chars().take(64).collect()),
        words: mask::excerpt(&String::from_utf8_lossy(&answer.body), WORDS),
    })
}

fn words(end: &HttpOutcome) -> String {
    match end {
        HttpOutcome::NotResolved => "its name does not resolve".to_owned(),
        HttpOutcome::NotConnected(outcome) => not_connected(*outcome).to_owned(),
        HttpOutcome::Silent => "it did not answer in time".to_owned(),
        HttpOutcome::Closed => "it closed the connection without an answer".to_owned(),
        HttpOutcome::TlsFailed(text) => format!("TLS failed: {text}"),
        HttpOutcome::NotHttp(text) => format!("its answer is not HTTP: {text}"),
        HttpOutcome::Answered { status, .. } => format!("it answers {status}"),
    }
}

const fn not_connected(outcome: ConnectOutcome) -> &'static str {
    match outcome {
        ConnectOutcome::Refused | ConnectOutcome::NoSuchSocket => "nothing listens there",
        ConnectOutcome::Silent => "no answer to the connection attempt",
        ConnectOutcome::Reset => "the connection was reset",
        ConnectOutcome::Rejected => "no route to its host",
        ConnectOutcome::Unreachable => "its network is unreachable",
        ConnectOutcome::Forbidden => "this host forbids the connection",
        ConnectOutcome::CannotTry => "this host cannot try",
        ConnectOutcome::QueueFull => "its queue of connections is full",
        ConnectOutcome::Connected | ConnectOutcome::Failed => "the connection failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use std::time::Duration;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n{}") {
            head.push(stream.read_u8().await.unwrap());
        }
        let answer = b"HTTP/1.1 429 No\r\nretry-after: 7\r\ncontent-length: 16\r\n\r\npassword=hunter2";
        stream.write_all(answer).await.unwrap();
        let _ = stream.shutdown().await;
    }

    async fn posted(scheme: &str, port: u16, roots: &Roots) -> Result<Answered, Unanswered> {
        let place = Place::parse(&Secret::new(format!("{scheme}://localhost:{port}/hook"))).unwrap();
        post(&place, &[("x-a", "1")], "{}", roots, Instant::now() + Duration::from_secs(5)).await
    }

    fn taken() -> Answered {
        Answered { status: 429, retry_after: Some("7".to_owned()), words: "password=***".to_owned() }
    }

    #[tokio::test]
    async fn plain_http_reads_no_trusted_roots() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { answer(listener.accept().await.unwrap().0).await });
        let roots = Roots::default();
        assert_eq!(posted("http", port, &roots).await, Ok(taken()));
        assert!(roots.0.lock().await.is_none());
    }

    #[tokio::test]
    async fn tls_trusts_the_roots_that_were_kept_and_no_others() {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = CertificateDer::from(own.cert.der().to_vec());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let stream = listener.accept().await.unwrap().0;
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer(stream).await;
                }
            }
        });
        let trusting = |certificates: Vec<CertificateDer<'static>>| {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(certificates);
            let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(store)
                .with_no_client_auth();
            Roots(Mutex::new(Some(Tls { config: Arc::new(config), name: None })))
        };
        assert_eq!(posted("https", port, &trusting(vec![certificate])).await, Ok(taken()));
        let refused = posted("https", port, &trusting(Vec::new())).await.unwrap_err();
        assert!(refused.to_string().starts_with("TLS failed: "), "{refused}");
    }
}

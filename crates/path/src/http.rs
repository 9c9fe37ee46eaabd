//! One HTTP exchange, stage by stage: name, connection, TLS, answer. No redirect is followed and nothing is tried twice;
//! every length and time is bounded. The API's endpoints and the platforms are asked with it; what an answer means is
//! not in here.

pub mod post;
pub(crate) mod url;

use crate::aside;
use crate::clock::Stopwatch;
use crate::rooms::app::evidence::HttpOutcome;
use crate::rooms::dns::evidence::DnsEvidence;
use crate::rooms::dns::probe::{Resolver, look_aside};
use crate::rooms::network::evidence::ConnectOutcome;
use crate::rooms::network::probe::{Address, attempt};
use crate::rooms::startup::wire::Io;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, Response, client::conn::http1};
use hyper_util::rt::TokioIo;
use pgmedic_model::{Host, Ms, Secret, Timestamp, mask};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use url::Endpoint;

/// Bytes of the answer's head that are read.
const HEAD: usize = 64 * 1024;
/// Addresses tried, one after the other.
const MAX_TRIES: u32 = 8;
/// Characters of a peer's words that are shown.
const WORDS: usize = 200;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// Whom, and for what. A [`Host::Socket`] is the path of a unix socket itself.
    pub(crate) endpoint: &'a Endpoint,
    /// How.
    pub(crate) method: Method,
    /// The `Authorization` header, in place of what the URL's credentials would make.
    pub(crate) authorization: Option<&'a Secret>,
    /// Headers more.
    pub(crate) headers: &'a [(&'static str, &'a str)],
    /// A body; empty for none.
    pub(crate) body: &'a str,
    /// What the body is.
    pub(crate) content_type: &'static str,
    /// Bytes of the answer's body that are read.
    pub(crate) limit: usize,
    /// TLS in place of this host's trusted roots.
    pub(crate) tls: Option<&'a Tls>,
}

/// TLS as one peer wants it.
#[derive(Clone)]
pub(crate) struct Tls {
    /// Whom it trusts, and who we are.
    pub(crate) config: Arc<ClientConfig>,
    /// The name that the certificate must have, where that is not the host.
    pub(crate) name: Option<ServerName<'static>>,
}

impl std::fmt::Debug for Tls {
    /// Without the configuration, which may hold a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'a> Request<'a> {
    /// A GET of an endpoint, of whose answer at most `limit` bytes are read.
    pub(crate) const fn get(endpoint: &'a Endpoint, limit: usize) -> Self {
        Self {
            endpoint,
            method: Method::GET,
            authorization: None,
            headers: &[],
            body: "",
            content_type: "application/json",
            limit,
            tls: None,
        }
    }
}

/// What came of one exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// When it began.
    pub(crate) at: Timestamp,
    /// The whole of it.
    pub(crate) elapsed_ms: Ms,
    /// The lookup of its name.
    pub(crate) dns: DnsEvidence,
    /// The answer, or how it ended without one.
    pub(crate) result: Result<Answer, HttpOutcome>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// The headers, 64 KiB of them at most.
    pub(crate) headers: HeaderMap,
    /// The body, cut at the caller's limit.
    pub(crate) body: Vec<u8>,
    /// True where the body came to its end within the limit.
    pub(crate) whole: bool,
}

/// Asks once.
pub(crate) async fn exchange(asked: Request<'_>, resolver: &Resolver, deadline: Instant) -> Exchange {
    let watch = Stopwatch::start();
    let dns = look_aside(&asked.endpoint.host, resolver, deadline).await;
    let addresses = match &asked.endpoint.host {
        Host::Socket(path) => vec![Address::Unix(path.clone())],
        Host::Name(_) | Host::Address(_) => {
            let tcp = |ip: IpAddr| Address::Tcp(SocketAddr::new(ip, asked.endpoint.port));
            dns.addresses().into_iter().map(tcp).collect()
        }
    };
    let result = if addresses.is_empty() {
        Err(HttpOutcome::NotResolved)
    } else {
        talk(&asked, &addresses, deadline).await
    };
    Exchange { at: watch.at, elapsed_ms: watch.elapsed(), dns, result }
}

async fn talk(asked: &Request<'_>, addresses: &[Address], deadline: Instant) -> Result<Answer, HttpOutcome> {
    let endpoint = asked.endpoint;
    let io = connect(addresses, deadline).await.map_err(HttpOutcome::NotConnected)?;
    let silent = |_| HttpOutcome::Silent;
    let io = if endpoint.tls {
        timeout_at(deadline, secure(io, asked, deadline)).await.map_err(silent)??
    } else {
        io
    };
    timeout_at(deadline, ask(io, asked)).await.map_err(silent)?
}

/// Tries the addresses in order, as the API's clients do; each has its share of the time that is left. Where none
/// connects, the first one's end stands for all.
async fn connect(addresses: &[Address], deadline: Instant) -> Result<Io, ConnectOutcome> {
    let mut first = None;
    let tries = u32::try_from(addresses.len()).unwrap_or(MAX_TRIES).min(MAX_TRIES);
    for (left, address) in (1..=tries).rev().zip(addresses) {
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        let (tried, connected) = attempt(address, Instant::now() + share).await;
        match connected {
            Some(connected) => return Ok(connected.io),
            None => first = first.or(Some(tried.outcome)),
        }
    }
    Err(first.unwrap_or(ConnectOutcome::CannotTry))
}

/// The TLS handshake, against this host's trusted roots or as this peer wants it.
async fn secure(io: Io, asked: &Request<'_>, deadline: Instant) -> Result<Io, HttpOutcome> {
    let failed = |text: String| HttpOutcome::TlsFailed(mask::excerpt(&text, WORDS));
    let config = match asked.tls {
        Some(tls) => Arc::clone(&tls.config),
        None => trusted(deadline).await.map_err(failed)?,
    };
    let name = match (asked.tls.and_then(|tls| tls.name.clone()), &asked.endpoint.host) {
        (Some(name), _) => name,
        (None, Host::Address(ip)) => ServerName::IpAddress((*ip).into()),
        (None, host) => ServerName::try_from(host.to_string()).map_err(|error| failed(error.to_string()))?,
    };
    let connector = TlsConnector::from(config);
    match connector.connect(name, io).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) if error.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>()) => {
            Err(HttpOutcome::Closed)
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

/// This host's trust, for so long, before it is read anew: a watcher asks each second.
const TRUSTED_FOR: Duration = Duration::from_secs(600);

/// What the handshake needs, read once in a while.
async fn trusted(deadline: Instant) -> Result<Arc<ClientConfig>, String> {
    static READ: Mutex<Option<(Instant, Arc<ClientConfig>)>> = Mutex::new(None);
    let known = || READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, config)) = known().as_ref().filter(|(at, _)| at.elapsed() < TRUSTED_FOR) {
        return Ok(Arc::clone(config));
    }
    let read = aside::call("read-roots", deadline, client_config).await;
    let config = Arc::new(read.map_err(|error| error.to_string())??);
    *known() = Some((Instant::now(), Arc::clone(&config)));
    Ok(config)
}

/// What the handshake needs: this host's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` go before them).
fn client_config() -> Result<ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
        return Err(format!("no trusted root certificate on this host{why}"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config =
        builder.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The request and its answer.
async fn ask(io: Io, asked: &Request<'_>) -> Result<Answer, HttpOutcome> {
    let mut builder = http1::Builder::new();
    let (mut sender, connection) =
        builder.max_buf_size(HEAD).handshake(TokioIo::new(io)).await.map_err(|error| ended(&error))?;
    // Dropped with this function, and the connection with it.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = request(asked).map_err(HttpOutcome::NotHttp)?;
    match sender.send_request(request).await {
        Ok(response) => Ok(read(response, asked.limit).await),
        // The reason is the connection's: the sender only knows that it is gone.
        Err(error) if error.is_canceled() || error.is_closed() => Err(match driver.join_next().await {
            Some(Ok(Err(reason))) => ended(&reason),
            _ => HttpOutcome::Closed,
        }),
        Err(error) => Err(ended(&error)),
    }
}

fn request(asked: &Request<'_>) -> Result<hyper::Request<Full<Bytes>>, String> {
    let endpoint = asked.endpoint;
    let mut request = hyper::Request::builder()
        .method(asked.method.clone())
        .uri(&endpoint.resource)
        .header(HOST, &endpoint.authority)
        .header(USER_AGENT, "pgmedic")
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close");
    if let Some(secret) = asked.authorization.or(endpoint.authorization.as_ref()) {
        let value = HeaderValue::from_str(secret.reveal());
        let mut value = value.map_err(|_| "the credentials hold what no header may".to_owned())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    if !asked.body.is_empty() {
        request = request.header(CONTENT_TYPE, asked.content_type);
    }
    for (name, value) in asked.headers {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::copy_from_slice(asked.body.as_bytes()));
    request.body(body).map_err(|error| format!("the request cannot be made: {error}"))
}

/// Reads the body up to the limit. A peer that hangs up in the midst of it has answered all the same.
async fn read(response: Response<Incoming>, limit: usize) -> Answer {
    let status = response.status().as_u16();
    let (head, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    let whole = loop {
        match incoming.frame().await {
            None => break true,
            Some(Err(_)) => break false,
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                let room = limit - body.len();
                body.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room || body.len() >= limit {
                    break false;
                }
            }
        }
    };
    Answer { status, headers: head.headers, body, whole }
}

/// What an error of hyper says of the peer.
fn ended(error: &hyper::Error) -> HttpOutcome {
    let by_the_system = std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>());
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() || by_the_system {
        return HttpOutcome::Closed;
    }
    HttpOutcome::NotHttp(mask::excerpt(&error.to_string(), WORDS))
}

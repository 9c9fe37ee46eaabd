//! The startup exchange, from the StartupMessage to ReadyForQuery, with everything the server says on the way.
//! Connecting, TLS and the statement afterwards are not in here.

use crate::clock::Stopwatch;
use crate::rooms::startup::auth;
use crate::rooms::startup::evidence::{StartupEvidence, StartupOutcome};
use crate::rooms::startup::wire::{End, NOTICE_LIMIT, Wire, readable, server_error};
use bytes::BytesMut;
use pgmedic_model::{ServerError, SqlState, Target, pooler_words};
use postgres_protocol::message::{backend::Message, frontend};
use std::time::Duration;
use tokio::time::Instant;

/// The bounds that pgmedic sets on its own session, so that it is never the problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// `statement_timeout`.
    pub statement: Duration,
    /// `lock_timeout`.
    pub lock: Duration,
}

/// The settings that only [`Bounds`] puts into a StartupMessage.
const OWN_SETTINGS: [&str; 3] = ["statement_timeout", "lock_timeout", "jit"];

/// Most messages that are read in one startup. Postgres sends some twenty.
const MESSAGE_LIMIT: usize = 500;

/// The StartupMessage of a target (Postgres manual, "Message Formats"). `jit` is off because one statement on
/// catalogs gains nothing from it.
///
/// # Errors
/// Where a value holds a NUL, which the protocol cannot carry.
pub fn startup_message(target: &Target, bounds: Option<Bounds>) -> Result<BytesMut, String> {
    let ms = |span: Duration| span.as_millis().clamp(1, 2_147_483_647).to_string();
    let own = bounds.map(|b| [ms(b.statement), ms(b.lock), "off".to_owned()]);
    let mut parameters = vec![("user", target.user.as_str()), ("database", target.database.as_str())];
    parameters.extend(target.replication.as_deref().map(|value| ("replication", value)));
    parameters.extend(target.options.as_deref().map(|value| ("options", value)));
    parameters.extend([("application_name", "pgmedic"), ("client_encoding", "UTF8")]);
    if let Some(values) = &own {
        parameters.extend(OWN_SETTINGS.into_iter().zip(values.iter().map(String::as_str)));
    }
    let mut bytes = BytesMut::new();
    frontend::startup_message(parameters, &mut bytes)
        .map_err(|_| "a user, database or option holds a NUL".to_owned())?;
    Ok(bytes)
}

/// True where an error refuses one of the settings that [`Bounds`] adds, so that it is pgmedic that is refused and
/// not the API: a pooler that does not pass them on, a server that does not know them.
#[must_use]
pub fn refuses_own_settings(error: &ServerError) -> bool {
    let code = error.code.as_ref().map_or("", SqlState::as_str);
    // 22023 invalid_parameter_value, 0A000 feature_not_supported.
    [
        SqlState::PROTOCOL_VIOLATION,
        SqlState::UNDEFINED_OBJECT,
        SqlState::INSUFFICIENT_PRIVILEGE,
        "22023",
        "0A000",
    ]
    .contains(&code)
        && names_own_setting(&error.message)
}

/// True where a text names one of the settings that [`Bounds`] adds.
#[must_use]
pub fn names_own_setting(text: &str) -> bool {
    OWN_SETTINGS.iter().any(|name| text.contains(name))
}

/// Why an error shows that a pooler speaks and not Postgres, if it does.
#[must_use]
pub fn pooler_of(error: &ServerError) -> Option<String> {
    let row = pooler_words::TABLE.iter().find(|row| error.message.contains(row.text))?;
    row.origin.starts_with("PgBouncer").then(|| format!("it says {:?} as PgBouncer does", error.message))
}

/// The encryption that the exchange runs in.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// True under TLS.
    pub tls: bool,
    /// `tls-server-end-point` of the server's certificate (RFC 5929 section 4.1), where it can be known.
    pub end_point: Option<Vec<u8>>,
}

/// What came of a startup exchange.
pub struct Startup {
    /// What was seen.
    pub evidence: StartupEvidence,
    /// Process id and key for a CancelRequest.
    pub key: Option<(i32, i32)>,
    /// A fatal TLS alert that ended it: a client certificate refused under TLS 1.3, where the client's handshake is
    /// over before the server has looked (RFC 8446 section 4.4.2.4).
    pub tls_alert: Option<String>,
}

/// Goes through the exchange. The StartupMessage has been sent, when `watch` was started.
pub async fn exchange(
    wire: &mut Wire,
    target: &Target,
    channel: &Channel,
    watch: Stopwatch,
    deadline: Instant,
) -> Startup {
    // The first bytes that answer the StartupMessage may be here already; those of the TLS negotiation are taken.
    let before = wire.received() - wire.buffered().len() as u64;
    let mut hall =
        Hall { wire, deadline, evidence: blank(target, watch), key: None, tls_alert: None, read: 0 };
    let outcome = match auth::authenticate(&mut hall, target, channel).await {
        Ok(()) => hall.settle().await.map_or_else(|outcome| outcome, |()| StartupOutcome::Ready),
        Err(outcome) => outcome,
    };
    let Hall { wire, mut evidence, key, tls_alert, .. } = hall;
    evidence.received_bytes = wire.received() - before;
    if let StartupOutcome::Error(error) = &outcome {
        evidence.pooler = pooler_of(error);
    }
    evidence.outcome = outcome;
    evidence.elapsed_ms = watch.elapsed();
    Startup { evidence, key, tls_alert }
}

/// The evidence of a startup that this side could not begin or see through.
#[must_use]
pub fn unsent(target: &Target, outcome: StartupOutcome) -> StartupEvidence {
    StartupEvidence { outcome, ..blank(target, Stopwatch::start()) }
}

fn blank(target: &Target, watch: Stopwatch) -> StartupEvidence {
    StartupEvidence {
        at: watch.at,
        elapsed_ms: watch.elapsed(),
        user: target.user.clone(),
        database: target.database.clone(),
        auth: None,
        authenticated: false,
        outcome: StartupOutcome::Closed,
        notices: Vec::new(),
        server_version: None,
        product: None,
        in_hot_standby: None,
        default_transaction_read_only: None,
        is_superuser: None,
        backend_pid: None,
        pooler: None,
        received_bytes: 0,
    }
}

/// A version as it may be kept.
fn shown(value: &str) -> String {
    readable(value.as_bytes()).chars().take(100).collect()
}

/// The exchange while it goes.
pub(super) struct Hall<'a> {
    pub(super) wire: &'a mut Wire,
    pub(super) deadline: Instant,
    pub(super) evidence: StartupEvidence,
    key: Option<(i32, i32)>,
    tls_alert: Option<String>,
    read: usize,
}

impl Hall<'_> {
    /// The next message that is no notice, setting or key; or how the exchange has ended.
    pub(super) async fn next(&mut self, waiting_for: &str) -> Result<Message, StartupOutcome> {
        loop {
            self.read += 1;
            if self.read > MESSAGE_LIMIT {
                return Err(StartupOutcome::Protocol(format!("more than {MESSAGE_LIMIT} messages")));
            }
            let message = match self.wire.startup_message(self.deadline).await {
                Ok(message) => message,
                Err(end) => return Err(self.ended(end, waiting_for)),
            };
            match message {
                Message::ErrorResponse(body) => {
                    return Err(StartupOutcome::Error(server_error(body.fields())));
                }
                Message::NoticeResponse(body) if self.evidence.notices.len() < NOTICE_LIMIT => {
                    self.evidence.notices.push(server_error(body.fields()));
                }
                Message::NoticeResponse(_) => {}
                Message::ParameterStatus(body) => {
                    if let (Ok(name), Ok(value)) = (body.name(), body.value()) {
                        self.note(name, value);
                    }
                }
                Message::BackendKeyData(body) => {
                    self.key = Some((body.process_id(), body.secret_key()));
                    self.evidence.backend_pid = u32::try_from(body.process_id()).ok();
                }
                message => return Ok(message),
            }
        }
    }

    /// Sends bytes, or says that the peer does not take them.
    pub(super) async fn send(&mut self, bytes: &[u8], waiting_for: &str) -> Result<(), StartupOutcome> {
        self.wire.send(bytes, self.deadline).await.map_err(|end| self.ended(end, waiting_for))
    }

    /// From AuthenticationOk to ReadyForQuery.
    async fn settle(&mut self) -> Result<(), StartupOutcome> {
        match self.next("ready for query").await? {
            Message::ReadyForQuery(_) => Ok(()),
            _ => Err(StartupOutcome::Protocol("a message out of turn after authentication".to_owned())),
        }
    }

    fn ended(&mut self, end: End, waiting_for: &str) -> StartupOutcome {
        match end {
            End::Closed => StartupOutcome::Closed,
            End::Reset => StartupOutcome::Reset,
            End::Silent => StartupOutcome::Silent { waiting_for: waiting_for.to_owned() },
            End::Protocol2(text) => StartupOutcome::ErrorV2(text),
            End::Malformed(text) => StartupOutcome::Protocol(text),
            End::TlsAlert(alert) => {
                let text = format!("TLS alert {alert}");
                self.tls_alert = Some(alert);
                StartupOutcome::Protocol(text)
            }
        }
    }

    fn note(&mut self, name: &str, value: &str) {
        let on = Some(value == "on");
        match name {
            "server_version" => self.evidence.server_version = Some(shown(value)),
            // Each tells every client that it is there (`statusReportParams` of CockroachDB's pgwire; Amazon's ODBC driver
            // reads the other).
            "crdb_version" => self.evidence.product = Some(format!("CockroachDB ({name} {})", shown(value))),
            "padb_version" => {
                self.evidence.product = Some(format!("Amazon Redshift ({name} {})", shown(value)));
            }
            "in_hot_standby" => self.evidence.in_hot_standby = on,
            "default_transaction_read_only" => self.evidence.default_transaction_read_only = on,
            "is_superuser" => self.evidence.is_superuser = on,
            _ => {}
        }
    }
}

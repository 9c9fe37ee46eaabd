//! TLS by rustls against a real Postgres: what passes inside is known as well as what passes in the clear.
//!
//! Not in here: a TLS that errs, is slow or never answers (`gates`).

mod support;

use pgmedic_lab::{Lab, Parts};
use pgmedic_pool::tokio_postgres::Config;
use pgmedic_pool::tokio_postgres::config::SslMode;
use pgmedic_pool::tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use pgmedic_pool::{BoxFuture, Kind, Pool, Stage, Stream};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use support::{config, off, with_lab};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The least that makes rustls a connector; `tokio-postgres-rustls` is a published one.
#[derive(Clone)]
struct Rustls {
    config: Arc<rustls::ClientConfig>,
    name: String,
}

impl Rustls {
    fn trusting(lab: &Lab) -> Self {
        let root = lab.authority().expect("TLS").root();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(root).expect("a certificate")).expect("it is one");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
        Self { config: Arc::new(config), name: String::new() }
    }
}

impl MakeTlsConnect<Stream> for Rustls {
    type Stream = Session;
    type TlsConnect = Self;
    type Error = io::Error;

    fn make_tls_connect(&mut self, name: &str) -> Result<Self, io::Error> {
        Ok(Self { name: name.to_owned(), config: Arc::clone(&self.config) })
    }
}

impl TlsConnect<Stream> for Rustls {
    type Stream = Session;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Session>>;

    fn connect(self, stream: Stream) -> Self::Future {
        Box::pin(async move {
            let name = ServerName::try_from(self.name).map_err(io::Error::other)?;
            Ok(Session(tokio_rustls::TlsConnector::from(self.config).connect(name, stream).await?))
        })
    }
}

struct Session(tokio_rustls::client::TlsStream<Stream>);

impl AsyncRead for Session {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Session {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl TlsStream for Session {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

fn over_tls(lab: &Lab, name: &str) -> Config {
    let mut config = config(lab.postgres());
    // The name is the certificate's, the address that of the lab.
    let mut named = Config::new();
    named.host(name).hostaddr(std::net::Ipv4Addr::LOCALHOST.into()).port(lab.postgres().port());
    named.user(config.get_user().expect("a role")).dbname(config.get_dbname().expect("a database"));
    named.password(config.get_password().expect("a password")).ssl_mode(SslMode::Require);
    config.clone_from(&named);
    config
}

#[test]
fn inside_tls_a_connection_is_known_to_be_clean_cancelled_and_rolled_back() {
    let parts = Parts { tls: true, ..Parts::default() };
    with_lab(parts, async |lab| {
        let config = over_tls(lab, pgmedic_lab::dns::NAME);
        let pool = Pool::builder(config).max(1).tls(Rustls::trusting(lab)).build().expect("a pool");
        let object = pool.get().await.expect("a connection");
        let question = "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()";
        let row = object.query_one(question, &[]).await.expect("a row");
        assert_eq!(row.get::<_, &str>(0), "true");
        let backend = object.backend();
        assert_ne!(backend, 0, "read off the startup inside TLS");
        drop(object);

        let object = pool.get().await.expect("a connection");
        object.batch_execute("begin; create temporary table t (x int)").await.expect("begun");
        drop(object);
        let object = pool.get().await.expect("a connection");
        let row = object.query_one("select to_regclass('pg_temp.t') is null", &[]).await.expect("a row");
        assert!(row.get::<_, bool>(0), "rolled back");

        let sleeping = object.batch_execute("select pg_sleep(30)");
        tokio::time::timeout(Duration::from_millis(50), sleeping).await.expect_err("it sleeps");
        drop(object);
        let from = Instant::now();
        let object = pool.get().await.expect("a connection");
        object.batch_execute("select 1").await.expect("an answer");
        assert_eq!(object.backend(), backend, "cancelled over TLS, and kept");
        assert!(from.elapsed() < Duration::from_secs(2), "{:?}", from.elapsed());
    });
}

#[test]
fn what_tls_fails_of_is_said() {
    let parts = Parts { tls: true, ..Parts::default() };
    with_lab(parts, async |lab| {
        let told = async |config: Config, with: bool| {
            let builder = Pool::builder(config);
            let builder = if with { builder.tls(Rustls::trusting(lab)) } else { builder };
            let error = builder.build().expect("a pool").get().await.expect_err("no TLS");
            println!("{error}");
            assert_eq!((error.stage(), error.kind()), (Some(Stage::Tls), Kind::Down), "{error}");
            error.to_string()
        };
        let other = told(over_tls(lab, "other.example"), true).await;
        assert!(other.contains("not valid for name"), "{other}");
        let without = told(over_tls(lab, pgmedic_lab::dns::NAME), false).await;
        assert!(without.contains("no TLS implementation configured"), "{without}");
        off(|| lab.postgres().write("tls.conf", "ssl = off\n").and_then(|()| lab.postgres().reload()))
            .expect("reloaded");
        let refused = told(over_tls(lab, pgmedic_lab::dns::NAME), true).await;
        assert!(refused.contains("server does not support TLS"), "{refused}");
    });
}

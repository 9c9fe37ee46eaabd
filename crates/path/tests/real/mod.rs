//! A real Postgres of the lab, and the way in to it. Not in here: what is expected of it.
#![allow(dead_code, reason = "each test crate uses its own part of it")]

use pgmedic_lab::certificates::{Pair, Validity};
pub(crate) use pgmedic_lab::dns::NAME;
use pgmedic_lab::postgres::{DATABASE, PASSWORD};
use pgmedic_lab::{Lab, Parts};
use pgmedic_model::target::Tls;
use pgmedic_model::{Host, Secret, ServerError, SslMode, Target};
use pgmedic_path::evidence::{Evidence, RouteEvidence};
use pgmedic_path::rooms::dns::probe::Resolver;
use pgmedic_path::rooms::startup::probe::Bounds;
use pgmedic_path::rooms::startup::session::{Answer, Session};
use pgmedic_path::route::open;
use pgmedic_path::service::Service;
use pgmedic_path::walk;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;

/// A lab with nothing but its Postgres, and a runtime for the way in.
pub(crate) struct Server {
    lab: Lab,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    pub(crate) fn plain() -> Self {
        Self::build(Parts::default())
    }

    pub(crate) fn with_tls() -> Self {
        Self::build(Parts { tls: true, ..Parts::default() })
    }

    pub(crate) fn build(parts: Parts) -> Self {
        let lab = Lab::build(parts).unwrap_or_else(|error| panic!("{error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { lab, runtime }
    }

    /// The server by address, as `user`.
    pub(crate) fn target(&self, user: &str) -> Target {
        Target {
            host: Host::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            hostaddr: None,
            port: self.lab.postgres().port(),
            user: user.to_owned(),
            database: DATABASE.to_owned(),
            password: Some(Secret::new(PASSWORD)),
            tls: Tls { mode: SslMode::Disable, ..Tls::default() },
            options: None,
            wants_standby: false,
            replication: None,
        }
    }

    /// The server by name, with the lab's authority trusted.
    pub(crate) fn named_target(&self, user: &str) -> Target {
        let mut target = self.target(user);
        target.host = Host::Name(NAME.to_owned());
        target.hostaddr = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        target.tls.root_cert = Some(self.lab.authority().expect("TLS").root().display().to_string());
        target
    }

    /// The server by its unix socket.
    pub(crate) fn socket_target(&self, user: &str) -> Target {
        let sockets = self.lab.folder().join("primary-socket").display().to_string();
        Target { host: Host::Socket(sockets), ..self.target(user) }
    }

    /// The API's service as `user`: through whatever stands in front, and around it.
    pub(crate) fn service(&self, user: &str) -> Service {
        let direct = self.target(user);
        let port = self.lab.front_port();
        Service {
            name: "lab".to_owned(),
            named: true,
            direct: (port != direct.port).then_some(direct.clone()),
            ..Service::bare(Target { port, ..direct.clone() })
        }
    }

    /// Walks a service.
    pub(crate) fn walk(&self, service: &Service, timeout: Duration) -> Evidence {
        self.run(walk(service, timeout, &|_| {}))
    }

    pub(crate) fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The one value of a query.
    pub(crate) fn value(&self, sql: &str) -> String {
        let rows = self.lab.postgres().sql(sql).expect("the lab may do anything");
        rows[0][0].clone().expect("a value")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.lab.folder()
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Walks the way in.
    pub(crate) fn open(&self, target: &Target) -> (RouteEvidence, Option<Session>) {
        let bounds = Bounds { statement: Duration::from_secs(20), lock: Duration::from_secs(2) };
        self.run(async {
            let deadline = Instant::now() + Duration::from_secs(10);
            open(target, &Resolver::default(), Some(bounds), deadline).await
        })
    }

    pub(crate) fn ask(&self, session: &mut Session, sql: &str, within_ms: u64) -> Answer {
        self.run(async { session.simple_query(sql, Instant::now() + Duration::from_millis(within_ms)).await })
    }

    pub(crate) fn sql(&self, sql: &str) {
        self.lab.postgres().sql(sql).expect("the lab may do anything");
    }

    /// Puts rules before the lab's own.
    pub(crate) fn hba(&self, rules: &str) {
        let rest = "host all all 127.0.0.0/8 scram-sha-256";
        self.lab.postgres().set_hba(&format!("{rules}\n{rest}\n")).expect("reloaded");
    }

    /// Waits until a query gives so many rows.
    pub(crate) fn wait_until(&self, query: &str, rows: usize) {
        let done = || self.lab.postgres().sql(query).is_ok_and(|found| found.len() == rows);
        pgmedic_lab::wait::until_true(query, Duration::from_secs(5), done).expect("in time");
    }

    pub(crate) fn wait_until_gone(&self, user: &str) {
        self.wait_until(&format!("select 1 from pg_stat_activity where usename = '{user}'"), 0);
    }

    pub(crate) fn sign(&self, name: &str, validity: Validity) -> Pair {
        self.lab.authority().expect("TLS").sign(name, validity).expect("signed")
    }

    /// Has the server show a certificate of the lab's authority.
    pub(crate) fn show(&self, name: &str, validity: Validity) {
        let pair = self.sign(name, validity);
        self.show_pair(&pair.certificate, &pair.key);
    }

    /// Has the server show a certificate.
    pub(crate) fn show_pair(&self, certificate: &str, key: &str) {
        let postgres = self.lab.postgres();
        postgres.write("server.crt", certificate).expect("written");
        postgres.write_key("server.key", key).expect("written");
        postgres.reload().expect("reloaded");
    }

    /// Has the server ask clients for certificates of the lab's authority.
    pub(crate) fn trust_clients_of_the_authority(&self) {
        let root = std::fs::read_to_string(self.lab.authority().expect("TLS").root()).expect("readable");
        let postgres = self.lab.postgres();
        postgres.write("clients.crt", &root).expect("written");
        postgres.write("fault.conf", "ssl = on\nssl_ca_file = 'clients.crt'\n").expect("written");
        postgres.reload().expect("reloaded");
    }

    /// A file of ours in the lab's folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    /// The same, for us alone to read.
    pub(crate) fn key_file(&self, name: &str, text: &str) -> String {
        let path = self.file(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        path
    }
}

/// The error with which a way in was refused.
pub(crate) fn error(route: &RouteEvidence) -> &ServerError {
    route
        .refusal()
        .unwrap_or_else(|| panic!("not refused by an error: {:?} {:?}", route.proxy, route.startup))
}

/// A certificate that vouches for itself, as `openssl req -x509` makes it, and its key.
pub(crate) fn self_signed(name: &str) -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
}

/// A version-1 certificate with its key and the file of its root.
pub(crate) struct Recipe {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) root: String,
}

/// The recipe of the Postgres manual ("Creating Certificates"): `openssl x509 -req` without extensions makes a
/// certificate of version 1.
pub(crate) fn version_1(folder: &Path, curve: &str) -> Recipe {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
        let output = output.expect("openssl runs: apt-get install openssl");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let new_key = format!("-newkey ec -pkeyopt ec_paramgen_curve:{curve} -nodes");
    openssl(&format!("req -x509 {new_key} -keyout v1-root.key -out v1-root.crt -days 2 -subj /CN=v1-root"));
    openssl(&format!("req -new {new_key} -keyout v1.key -out v1.csr -subj /CN={NAME}"));
    openssl("x509 -req -in v1.csr -CA v1-root.crt -CAkey v1-root.key -CAcreateserial -days 2 -out v1.crt");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("written by openssl");
    Recipe {
        certificate: read("v1.crt"),
        key: read("v1.key"),
        root: folder.join("v1-root.crt").display().to_string(),
    }
}

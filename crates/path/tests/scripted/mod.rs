//! A peer that does what a script says, on loopback, and remembers what it was sent. Not in here: what is expected.

use pgmedic_model::target::Tls;
use pgmedic_model::{Host, Secret, SslMode, Target};
use pgmedic_path::Service;
use pgmedic_path::service::Window;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One thing that a peer does on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Reads what comes next.
    Read,
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends bytes one by one, 5 ms apart.
    Drip(Vec<u8>),
    /// Sends bytes over and over, as fast as they are taken.
    Forever(Vec<u8>),
    /// Answers the client's first message of SCRAM and asks for so many iterations.
    Iterations(u64),
    /// Does nothing for so long.
    Pause(Duration),
    /// Does nothing for ever.
    Never,
    /// Closes with a reset.
    Reset,
}

/// A peer. Each connection runs the script of its number; the last script serves all that follow. At a script's end
/// the connection is closed.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Peer {
    pub(crate) async fn new(scripts: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let ears = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                // The kernel keeps real time: a byte held back for an acknowledgement would come after the test.
                stream.set_nodelay(true).expect("a fresh socket");
                let script = scripts[number.min(scripts.len() - 1)].clone();
                ears.lock().expect("no panic").push(Vec::new());
                tokio::spawn(play(stream, script, number, Arc::clone(&ears)));
                number += 1;
            }
        });
        Self { address, heard }
    }

    /// What was heard on each connection.
    pub(crate) fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().expect("no panic").clone()
    }

    /// The peer as a target, in clear.
    pub(crate) fn target(&self) -> Target {
        Target {
            host: Host::Address(self.address.ip()),
            hostaddr: None,
            port: self.address.port(),
            user: "app".to_owned(),
            database: "app".to_owned(),
            password: Some(Secret::new("secret")),
            tls: Tls { mode: SslMode::Disable, ..Tls::default() },
            options: None,
            wants_standby: false,
            replication: None,
        }
    }

    /// The peer as a service with nothing beside the way in.
    pub(crate) fn service(&self) -> Service {
        Service {
            name: "scripted".to_owned(),
            named: true,
            window: Window::Off,
            ..Service::bare(self.target())
        }
    }
}

async fn play(mut stream: TcpStream, script: Vec<Act>, number: usize, ears: Arc<Mutex<Vec<Vec<u8>>>>) {
    for act in script {
        match act {
            Act::Read => {
                let mut buffer = [0; 65536];
                let Ok(length @ 1..) = stream.read(&mut buffer).await else { return };
                ears.lock().expect("no panic")[number].extend(&buffer[..length]);
            }
            Act::Send(bytes) => {
                let _ = stream.write_all(&bytes).await;
            }
            Act::Drip(bytes) => {
                for byte in bytes {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    let _ = stream.write_all(&[byte]).await;
                }
            }
            Act::Forever(bytes) => {
                let many = bytes.repeat(1 + 16 * 1024 / bytes.len());
                while stream.write_all(&many).await.is_ok() {}
                return;
            }
            Act::Iterations(count) => {
                let heard = String::from_utf8_lossy(&ears.lock().expect("no panic")[number]).into_owned();
                let nonce = heard.rsplit("r=").next().expect("a client's first message").to_owned();
                let first = format!("r={nonce}more,s=c2FsdA==,i={count}");
                let _ = stream.write_all(&message(b'R', &[b"\0\0\0\x0b", first.as_bytes()].concat())).await;
            }
            Act::Pause(time) => tokio::time::sleep(time).await,
            Act::Never => std::future::pending().await,
            Act::Reset => {
                let _ = stream.set_zero_linger();
                return;
            }
        }
    }
}

/// A message of protocol 3.
pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
    [&[tag][..], &length, body].concat()
}

/// An ErrorResponse (`E`) or NoticeResponse (`N`).
pub(crate) fn said(tag: u8, severity: &str, code: &str, text: &str) -> Vec<u8> {
    message(tag, format!("S{severity}\0V{severity}\0C{code}\0M{text}\0\0").as_bytes())
}

/// From AuthenticationOk to ReadyForQuery, with a backend key.
pub(crate) fn admitted() -> Vec<u8> {
    admitted_by(&[("server_version", "15.18"), ("in_hot_standby", "off")])
}

/// The same of a server with these settings.
pub(crate) fn admitted_by(settings: &[(&str, &str)]) -> Vec<u8> {
    let settings =
        settings.iter().map(|(name, value)| message(b'S', format!("{name}\0{value}\0").as_bytes()));
    [
        message(b'R', &[0, 0, 0, 0]),
        settings.collect::<Vec<_>>().concat(),
        message(b'K', &[0, 0, 0, 42, 0, 0, 0, 7]),
        message(b'Z', b"I"),
    ]
    .concat()
}

/// The answer to `select 1`.
pub(crate) fn one() -> Vec<u8> {
    let field = [&b"one\0"[..], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0]].concat();
    [
        message(b'T', &[&[0, 1][..], &field].concat()),
        message(b'D', &[0, 1, 0, 0, 0, 1, b'1']),
        message(b'C', b"SELECT 1\0"),
        message(b'Z', b"I"),
    ]
    .concat()
}

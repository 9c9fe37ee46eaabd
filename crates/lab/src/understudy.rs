//! Hundreds of servers at once, where one Postgres would be the limit: each answers from what a real one said to the same
//! words, so that whoever asks is at as much work as with the real one. What hangs can be had too, in each place on the way in.
//!
//! Not in here: what only a real server can prove. An understudy's sessions, locks and clocks stand still at the recording.

use crate::error::{LabError, Tried as _};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, watch};

/// The longest message that is read, in bytes. An account of 500 sessions takes a few hundred thousand.
const LONGEST: usize = 8 << 20;
/// SSLRequest and GSSENCRequest: refused, as a server without TLS does.
const ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];
/// CancelRequest.
const CANCEL: u32 = 80_877_102;

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// As the real one did.
    Answers,
    /// Lets everybody connect and says nothing: a hung proxy, a hung server.
    Silent,
    /// Drops each SYN: a firewall, a host that is gone.
    Dropped,
    /// Lets everybody log in and answers no statement.
    Mute,
    /// As the real one did until [`Understudies::stall`]; from then on it is silent, in sessions that stand too.
    Stalls,
}

/// Servers, until this is dropped.
#[derive(Debug)]
pub struct Understudies {
    stall: watch::Sender<bool>,
    stage: Arc<Stage>,
    runtime: Runtime,
}

/// What all of them share.
#[derive(Debug)]
struct Stage {
    real: SocketAddr,
    /// Sessions of the real server, by the startup message.
    recordings: Mutex<HashMap<Vec<u8>, Arc<Mutex<Recording>>>>,
    answered: AtomicU64,
}

/// One session of the real server, and what was said in it.
#[derive(Debug)]
struct Recording {
    real: TcpStream,
    greeting: Arc<[u8]>,
    answers: HashMap<Vec<u8>, Arc<[u8]>>,
}

impl Understudies {
    /// Nobody yet. Who is asked what to say is a real server that lets everybody in without a password.
    ///
    /// # Errors
    /// Where there is no runtime to be had.
    pub fn of(real: SocketAddr) -> Result<Self, LabError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let recordings = Mutex::new(HashMap::new());
        Ok(Self {
            stall: watch::Sender::new(false),
            stage: Arc::new(Stage { real, recordings, answered: AtomicU64::new(0) }),
            runtime: runtime.tried(|| "a runtime".to_owned())?,
        })
    }

    /// So many more servers of a role; gives their ports on 127.0.0.1.
    ///
    /// # Errors
    /// Where no port is to be had.
    pub fn add(&self, role: Role, count: usize) -> Result<Vec<u16>, LabError> {
        (0..count)
            .map(|_| self.runtime.block_on(self.one(role)).tried(|| "an understudy".to_owned()))
            .collect()
    }

    /// From now on those that stall are silent.
    pub fn stall(&self) {
        self.stall.send_replace(true);
    }

    /// Statements that were answered so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.stage.answered.load(Ordering::Relaxed)
    }

    async fn one(&self, role: Role) -> io::Result<u16> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        // Linux drops a SYN where as many wait to be accepted as may (listen(2)).
        let listener = socket.listen(if role == Role::Dropped { 0 } else { 128 })?;
        let port = listener.local_addr()?.port();
        if role == Role::Dropped {
            let waits = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            tokio::spawn(async move {
                let _both = (listener, waits);
                std::future::pending::<()>().await;
            });
            return Ok(port);
        }
        tokio::spawn(serve(listener, role, Arc::clone(&self.stage), self.stall.subscribe()));
        Ok(port)
    }
}

async fn serve(listener: TcpListener, role: Role, stage: Arc<Stage>, stall: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        let (stage, mut stall) = (Arc::clone(&stage), stall.clone());
        tokio::spawn(async move {
            let mut client = client;
            let silent = async {
                match role {
                    Role::Silent | Role::Dropped => {}
                    Role::Stalls => drop(stall.wait_for(|stalls| *stalls).await),
                    Role::Answers | Role::Mute => std::future::pending().await,
                }
            };
            let over = tokio::select! {
                biased;
                () = silent => false,
                // Whoever leaves in the midst of a message has left.
                _ = play(&mut client, role, &stage) => true,
            };
            if !over {
                // It listens, says nothing, and ends when the other side does.
                let mut heard = [0; 4096];
                while client.read(&mut heard).await.is_ok_and(|n| n > 0) {}
            }
        });
    }
}

/// One session.
async fn play(client: &mut TcpStream, role: Role, stage: &Stage) -> io::Result<()> {
    client.set_nodelay(true)?;
    let startup = loop {
        let message = body(client).await?;
        let code = message.first_chunk().map(|code| u32::from_be_bytes(*code));
        match code {
            Some(code) if ENCRYPTION.contains(&code) => client.write_all(b"N").await?,
            Some(CANCEL) | None => return Ok(()),
            Some(_) => break message,
        }
    };
    let recording = stage.recording(startup).await?;
    let greeting = Arc::clone(&recording.lock().await.greeting);
    client.write_all(&greeting).await?;
    while let b'Q' = client.read_u8().await? {
        let asked = body(client).await?;
        if role == Role::Mute {
            continue;
        }
        let answer = recording.lock().await.answer(asked).await?;
        client.write_all(&answer).await?;
        stage.answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

impl Stage {
    async fn recording(&self, startup: Vec<u8>) -> io::Result<Arc<Mutex<Recording>>> {
        let mut recordings = self.recordings.lock().await;
        if let Some(known) = recordings.get(&startup) {
            return Ok(Arc::clone(known));
        }
        let mut real = TcpStream::connect(self.real).await?;
        real.write_all(&framed(&startup)).await?;
        let greeting = until_ready(&mut real).await?;
        let new = Arc::new(Mutex::new(Recording { real, greeting, answers: HashMap::new() }));
        recordings.insert(startup, Arc::clone(&new));
        Ok(new)
    }
}

impl Recording {
    /// What the real server says to it, asked once.
    async fn answer(&mut self, asked: Vec<u8>) -> io::Result<Arc<[u8]>> {
        if let Some(known) = self.answers.get(&asked) {
            return Ok(Arc::clone(known));
        }
        self.real.write_u8(b'Q').await?;
        self.real.write_all(&framed(&asked)).await?;
        let answer = until_ready(&mut self.real).await?;
        self.answers.insert(asked, Arc::clone(&answer));
        Ok(answer)
    }
}

/// A message's body, behind its length.
async fn body(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    let length = length.checked_sub(4).filter(|n| *n <= LONGEST).ok_or(io::ErrorKind::InvalidData)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), body].concat()
}

/// Every message up to ReadyForQuery, as it came.
async fn until_ready(real: &mut TcpStream) -> io::Result<Arc<[u8]>> {
    let mut all = Vec::new();
    loop {
        let tag = real.read_u8().await?;
        let message = body(real).await?;
        all.push(tag);
        all.extend(framed(&message));
        match tag {
            b'Z' => return Ok(all.into()),
            // A password is wanted (an authentication request other than AuthenticationOk), or it is refused.
            b'R' if message.iter().any(|byte| *byte != 0) => {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            _ if all.len() > LONGEST => return Err(io::ErrorKind::InvalidData.into()),
            _ => {}
        }
    }
}

//! A real DNS server (dnsmasq) on a loopback port, and the one question that the lab's API asks it.

use crate::error::LabError;
use crate::process::{Account, Launch, Server};
use crate::{ports, programs, wait};
use rustix::process::Signal;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, QCLASS, QTYPE, Question, RCODE, TYPE};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The database's name, as the runbook has it.
pub const NAME: &str = "renderflow-db.internal";
const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_millis(300);
/// Addresses that are tried, where others are somebody's.
const ADDRESSES: u32 = 20;

/// What the server knows of [`NAME`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// No such name (NXDOMAIN).
    NoSuchName,
    /// The name, with no address of either family (NODATA).
    NoAddress,
    /// Nothing, and nobody to ask: dnsmasq without an upstream refuses (REFUSED).
    NobodyToAsk,
}

impl Zone {
    /// dnsmasq(8)'s options for it. `--local` makes it the authority for the rest of the domain.
    fn options(&self) -> Vec<String> {
        match self {
            Self::Addresses(list) => {
                let records = list.iter().map(|ip| format!("--host-record={NAME},{ip}"));
                records.chain(["--local=/internal/".to_owned()]).collect()
            }
            Self::NoSuchName => vec!["--local=/internal/".to_owned()],
            Self::NoAddress => vec![format!("--txt-record={NAME},moved"), "--local=/internal/".to_owned()],
            Self::NobodyToAsk => Vec::new(),
        }
    }
}

/// A DNS server of the lab.
#[derive(Debug)]
pub struct Dns {
    program: PathBuf,
    account: Option<Account>,
    folder: PathBuf,
    address: SocketAddr,
    server: Mutex<Option<Server>>,
}

impl Dns {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// Where it is not installed or does not come up.
    pub fn start(folder: &Path, zone: &Zone) -> Result<Self, LabError> {
        let dns = Self {
            program: programs::find("dnsmasq")?,
            account: Account::for_servers()?,
            folder: folder.to_owned(),
            address: address()?,
            server: Mutex::new(None),
        };
        dns.serve(zone)?;
        Ok(dns)
    }

    /// Its address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    fn running(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves another zone: starts again on the same port.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn serve(&self, zone: &Zone) -> Result<(), LabError> {
        let mut running = self.running();
        *running = None;
        let mut arguments: Vec<OsString> = [
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-hosts",
            "--no-resolv",
            "--bind-interfaces",
        ]
        .map(OsString::from)
        .to_vec();
        arguments.push("--pid-file=".into());
        arguments.push(format!("--listen-address={}", self.address.ip()).into());
        arguments.push(format!("--port={}", self.address.port()).into());
        if self.address.port() == 53 {
            arguments.extend(["--user=root".into(), "--group=root".into()]);
        }
        arguments.extend(zone.options().into_iter().map(OsString::from));
        let log = self.folder.join("dnsmasq.log");
        let launch = Launch {
            name: "dnsmasq",
            program: self.program.clone(),
            arguments,
            folder: &self.folder,
            log: &log,
            // Who may have port 53 keeps its own account and group, and the parent-death signal with them, which a change loses.
            account: self.account.as_ref().filter(|_| self.address.port() != 53),
            end: Signal::TERM,
        };
        let mut server = launch.start()?;
        wait::until("an answering dnsmasq", PATIENCE, || {
            server.expect_alive()?;
            Ok(ask(self.address(), NAME, ANSWER_WITHIN).map(drop))
        })?;
        *running = Some(server);
        Ok(())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), LabError> {
        self.running().as_ref().ok_or(LabError::PartAbsent("a running DNS server"))?.signal(signal)
    }
}

/// Where a DNS server may listen: at port 53 of a loopback address that nobody else uses, so that a program can be given it by
/// resolv.conf(5), which knows no other port. Who may not have port 53 takes a free one of 127.0.0.1.
fn address() -> Result<SocketAddr, LabError> {
    let mut tried = 0;
    loop {
        let port = ports::free()?;
        let [high, low] = port.to_be_bytes();
        let own: SocketAddr = (Ipv4Addr::new(127, 53, high, low), 53).into();
        match UdpSocket::bind(own).and_then(|_| TcpListener::bind(own)) {
            Ok(_) => return Ok(own),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Ok((Ipv4Addr::LOCALHOST, port).into());
            }
            // Somebody else's for the moment: another address is not.
            Err(_) if tried < ADDRESSES => tried += 1,
            Err(source) => {
                return Err(LabError::Io { what: format!("a nameserver's address, {own}"), source });
            }
        }
    }
}

/// Asks a nameserver for a name's IPv4 addresses, once: the resolver of the lab's API.
///
/// # Errors
/// In words: no answer, or the response code.
pub fn ask(server: SocketAddr, name: &str, within: Duration) -> Result<Result<Vec<IpAddr>, RCODE>, String> {
    let words = |e: &dyn std::fmt::Display| format!("lookup of {name} at {server}: {e}");
    let mut query = Packet::new_query(0x7067);
    query.set_flags(simple_dns::PacketFlag::RECURSION_DESIRED);
    let name_asked = Name::new(name).map_err(|e| words(&e))?;
    query.questions.push(Question::new(name_asked, QTYPE::TYPE(TYPE::A), QCLASS::CLASS(CLASS::IN), false));
    let bytes = query.build_bytes_vec().map_err(|e| words(&e))?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| words(&e))?;
    socket.connect(server).map_err(|e| words(&e))?;
    socket.set_read_timeout(Some(within)).map_err(|e| words(&e))?;
    socket.send(&bytes).map_err(|e| words(&e))?;
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).map_err(|e| words(&e))?;
    let answer = Packet::parse(&buffer[..length]).map_err(|e| words(&e))?;
    if answer.rcode() != RCODE::NoError {
        return Ok(Err(answer.rcode()));
    }
    let address = |rdata: &RData<'_>| match rdata {
        RData::A(a) => Some(IpAddr::V4(Ipv4Addr::from(a.address))),
        _ => None,
    };
    Ok(Ok(answer.answers.iter().filter_map(|record| address(&record.rdata)).collect()))
}

//! What this host's resolver is told: `/etc/resolv.conf` (resolv.conf(5)) and `/etc/hosts` (hosts(5)), read as glibc
//! reads them. Not read: the environment's `LOCALDOMAIN` and `RES_OPTIONS`, and nsswitch.conf(5).

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Where the nameservers stand.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where names stand that need no nameserver.
pub const HOSTS: &str = "/etc/hosts";

/// Whom glibc asks where no nameserver is given (resolv.conf(5)): this host.
pub const DEFAULT_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

/// Nameservers that glibc looks at (`MAXNS` of resolv.h).
const MAX_SERVERS: usize = 3;
/// Domains of the search list that are tried here: the limit of glibc before 2.26, and enough for Kubernetes' five.
const MAX_SEARCH: usize = 6;
/// The greatest `ndots` that glibc takes (`RES_MAXNDOTS`).
const MAX_NDOTS: usize = 15;
/// Bytes read of either file.
const LIMIT: u64 = 1 << 20;

/// `/etc/resolv.conf`, as far as a lookup needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// Nameservers in order, at most three. Where there is none, glibc asks [`DEFAULT_SERVER`].
    pub servers: Vec<SocketAddr>,
    /// The search list.
    pub search: Vec<String>,
    /// Names with fewer dots go through the search list first.
    pub ndots: usize,
}

impl ResolvConf {
    /// Reads a file's text. Lines that make no sense are passed over, as glibc does.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (mut servers, mut search, mut ndots) = (Vec::new(), Vec::new(), 1);
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => servers.extend(words.next().and_then(server)),
                // The last `search` or `domain` line is the one that counts.
                Some("domain") => search = words.take(1).map(domain).collect(),
                Some("search") => search = words.take(MAX_SEARCH).map(domain).collect(),
                Some("options") => {
                    let mut given =
                        words.filter_map(|word| word.strip_prefix("ndots:")?.parse::<usize>().ok());
                    ndots = given.next_back().unwrap_or(ndots).min(MAX_NDOTS);
                }
                _ => {}
            }
        }
        servers.truncate(MAX_SERVERS);
        Self { servers, search, ndots }
    }

    /// This host's. Where no search list is given, the domain of the host's own name is one (resolv.conf(5)).
    #[must_use]
    pub fn load() -> Self {
        let mut conf = Self::parse(&read(RESOLV_CONF));
        if conf.search.is_empty() {
            let hostname = read("/proc/sys/kernel/hostname");
            conf.search.extend(hostname.trim().split_once('.').map(|(_, rest)| domain(rest)));
        }
        conf
    }

    /// The names that a lookup of `name` asks for, in glibc's order (res_nsearch): as it is first where it has
    /// `ndots` dots or more, and last otherwise. A final dot forbids the search list.
    #[must_use]
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        // The root, `.`, is a search domain that adds nothing.
        let domains = self.search.iter().filter(|domain| !domain.is_empty());
        let mut names: Vec<String> = domains.map(|domain| format!("{name}.{domain}")).collect();
        let first = name.matches('.').count() >= self.ndots;
        names.insert(if first { 0 } else { names.len() }, name.to_owned());
        names
    }
}

/// A domain without its final dot.
fn domain(text: &str) -> String {
    text.trim_end_matches('.').to_owned()
}

/// A `nameserver` value: an address, IPv6 with an interface after `%` where it is link-local.
fn server(text: &str) -> Option<SocketAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some((ip, 53).into());
    }
    let (ip, interface) = text.split_once('%')?;
    let known =
        !interface.is_empty() && interface.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let by_name = || read(&format!("/sys/class/net/{interface}/ifindex")).trim().parse().ok();
    let scope = interface.parse::<u32>().ok().or_else(|| known.then(by_name).flatten())?;
    Some(SocketAddrV6::new(ip.parse::<Ipv6Addr>().ok()?, 53, 0, scope).into())
}

/// Why `name` is answered without a nameserver on this host, if it is.
#[must_use]
pub fn answered_without(name: &str) -> Option<String> {
    let plain = name.trim_end_matches('.').to_ascii_lowercase();
    if plain == "localhost" || plain.ends_with(".localhost") {
        return Some(format!("{name} is this host itself (RFC 6761): no nameserver is asked for it"));
    }
    in_hosts(&read(HOSTS), &plain).then(|| format!("{HOSTS} has {name}: no nameserver is asked for it"))
}

/// True where the text of a hosts file has the name (in lower case).
fn in_hosts(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        words.next().is_some_and(|ip| ip.parse::<IpAddr>().is_ok())
            && words.any(|w| w.eq_ignore_ascii_case(name))
    })
}

/// A small file's text; empty where it cannot be read, as glibc takes it.
fn read(path: &str) -> String {
    let mut bytes = Vec::new();
    let _ = std::fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_search_list_and_ndots_are_read_as_glibc_reads_them() {
        let conf = ResolvConf::parse(
            "# by hand\nnameserver 10.0.0.1\nnameserver fdaa::3\nnameserver fe80::1%7\nnameserver 10.0.0.4\n\
             domain old.example\nsearch ns.svc.cluster.local svc.cluster.local. \noptions rotate ndots:5\n",
        );
        let said: Vec<String> = conf.servers.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["10.0.0.1:53", "[fdaa::3]:53", "[fe80::1%7]:53"]);
        assert_eq!(conf.search, ["ns.svc.cluster.local", "svc.cluster.local"]);
        assert_eq!(conf.ndots, 5);
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over() {
        let conf = ResolvConf::parse("; nothing\nnameserver nonsense\noptions ndots:x\nsearch\n");
        assert_eq!(conf, ResolvConf { servers: Vec::new(), search: Vec::new(), ndots: 1 });
    }

    #[test]
    fn the_search_list_comes_first_below_ndots_and_last_from_there_on() {
        let conf = ResolvConf::parse("search a.example\noptions ndots:2");
        assert_eq!(conf.candidates("db.internal"), ["db.internal.a.example", "db.internal"]);
        assert_eq!(conf.candidates("db.x.internal"), ["db.x.internal", "db.x.internal.a.example"]);
        assert_eq!(conf.candidates("db."), ["db"]);
        assert_eq!(ResolvConf::parse("search .").candidates("db"), ["db"]);
    }

    #[test]
    fn names_of_this_host_need_no_nameserver() {
        assert!(answered_without("localhost").is_some_and(|why| why.contains("RFC 6761")));
        assert!(answered_without("db.LOCALHOST.").is_some());
        let hosts = "127.0.0.1 one\n::1\ttwo Three # four\nnonsense five\n";
        let found = ["one", "two", "three", "four", "five"].map(|name| in_hosts(hosts, name));
        assert_eq!(found, [true, true, true, false, false]);
    }
}

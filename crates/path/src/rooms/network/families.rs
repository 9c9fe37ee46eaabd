//! Which address families this host has beyond its loopback. Sends nothing. Asked only where every attempt failed before a
//! packet left.

use super::evidence::Families;
use std::io::Read;

/// Bytes read of a table of the kernel.
const LIMIT: u64 = 1 << 20;

/// The families, by the kernel's tables (proc(5): `/proc/net/route`, `/proc/net/if_inet6`). None where there are none.
pub(super) fn of_this_host() -> Option<Families> {
    let routes = table("/proc/net/route")?;
    // A kernel without IPv6 has no such table.
    let addresses = table("/proc/net/if_inet6").unwrap_or_default();
    Some(Families { ipv4: has_ipv4(&routes), ipv6: has_ipv6(&addresses) })
}

fn table(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(LIMIT).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A route by an interface that is no loopback. The first row is the header.
fn has_ipv4(routes: &str) -> bool {
    let interfaces = routes.lines().skip(1).filter_map(|row| row.split_whitespace().next());
    interfaces.into_iter().any(|interface| interface != "lo")
}

/// An address of global scope: `address index prefix scope flags interface`, in hexadecimal; a link-local one has scope
/// 20, a loopback's 10.
fn has_ipv6(addresses: &str) -> bool {
    addresses.lines().any(|row| row.split_whitespace().nth(3) == Some("00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_there_where_it_leads_beyond_the_loopback() {
        let header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n";
        assert!(!has_ipv4(header) && !has_ipv4(&format!("{header}lo\t0000007F\t00000000\t0001\n")));
        assert!(has_ipv4(&format!("{header}eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n")));
        let loopback = "00000000000000000000000000000001 01 80 10 80       lo\n";
        let link = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n";
        assert!(!has_ipv6("") && !has_ipv6(&format!("{loopback}{link}")));
        assert!(has_ipv6("fd000000000000000000000000000002 04 40 00 80     eth0\n"));
    }
}

//! Whether a request may come in, by its headers alone: which host it means, which page sent it, which token it bears. Pure,
//! but for the count of failures.
//!
//! A browser is the way in for others: a page from anywhere can make it send requests to 127.0.0.1. Such a request shows: its
//! `Host` is not this daemon's (DNS rebinding), or its `Origin` or `Sec-Fetch-Site` says that another site sent it. It is
//! refused whether it reads or acts. The one exception is a link that a person follows: a navigation of the whole window by GET,
//! of which the page before it sees nothing.

use super::problem::Problem;
use super::routes::Access;
use super::tokens::{Bearer, Tokens};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use hyper::{Method, StatusCode, Uri, Version};
use std::net::{IpAddr, SocketAddr};
use tokio::time::Instant;

/// What the gate goes by.
pub(super) struct Gate {
    tokens: Tokens,
    /// Listening where only this host reaches it.
    loopback: bool,
    /// Scheme, host and port of `external_url`.
    external: Option<(String, String)>,
}

impl Gate {
    pub(super) fn new(at: SocketAddr, tokens: Tokens, external_url: Option<&str>) -> Self {
        let external = external_url.and_then(|url| {
            let (scheme, rest) = url.split_once("://")?;
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            Some((scheme.to_ascii_lowercase(), host.to_ascii_lowercase()))
        });
        Self { tokens, loopback: super::listen::is_loopback(at), external }
    }

    /// Which host is meant, and which page sent it.
    pub(super) fn comes_from_here(
        &self,
        method: &Method,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        let host = self.host(version, uri, headers)?;
        if self.is_foreign(method, headers, host.as_deref()) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "origin",
                "the request was sent by a page of another site",
                "open the address itself, or ask with a program that is no browser",
            ));
        }
        Ok(())
    }

    /// The host that is meant, in lower case. None where an HTTP/1.0 client names none, which no browser is.
    fn host(&self, version: Version, uri: &Uri, headers: &HeaderMap) -> Result<Option<String>, Problem> {
        let mut named = headers.get_all(HOST).iter();
        let (first, second) = (named.next(), named.next());
        let bad =
            || Problem::request("the request has no Host, or none that can be read", "send one Host header");
        if second.is_some() || first.is_none() && version >= Version::HTTP_11 {
            return Err(bad());
        }
        let mut host = None;
        if let Some(value) = first {
            host = Some(value.to_str().map_err(|_| bad())?.trim().to_ascii_lowercase());
        }
        // An absolute target counts more than Host (RFC 9112, 3.2.2): both must be ours.
        let target = uri.authority().map(|a| a.as_str().to_ascii_lowercase());
        for name in [&host, &target].into_iter().flatten() {
            if self.loopback && !self.is_ours(name) {
                return Err(Problem::new(
                    StatusCode::MISDIRECTED_REQUEST,
                    "host",
                    "this daemon listens on loopback and is not asked for by that host name",
                    "ask for http://127.0.0.1 or http://localhost and the port, or set external_url in [watch] to the name \
                     that people use",
                ));
            }
        }
        Ok(target.or(host))
    }

    /// True for a name that no foreign name server can lead here.
    fn is_ours(&self, host: &str) -> bool {
        if self.external.as_ref().is_some_and(|(_, external)| external == host) {
            return true;
        }
        let name = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }

    fn is_foreign(&self, method: &Method, headers: &HeaderMap, host: Option<&str>) -> bool {
        let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
        if let Some(site) = text("sec-fetch-site") {
            let follows_a_link = method == Method::GET
                && text("sec-fetch-mode") == Some("navigate")
                && text("sec-fetch-dest") == Some("document");
            if !matches!(site, "same-origin" | "none") && !follows_a_link {
                return true;
            }
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        origins.any(|origin| {
            let origin = origin.to_str().unwrap_or("null").to_ascii_lowercase();
            let Some((scheme, of)) = origin.split_once("://") else { return true };
            let here = scheme == "http" && host == Some(of);
            !here && !self.external.as_ref().is_some_and(|(s, h)| s == scheme && h == of)
        })
    }

    /// Whether the token that is borne, if one is, allows it.
    pub(super) fn may(&self, access: Access, peer: IpAddr, headers: &HeaderMap) -> Result<(), Problem> {
        match access {
            Access::Open => return Ok(()),
            Access::Read if self.loopback => return Ok(()),
            Access::Act if !self.tokens.can_act() => return Err(no_token_is_set()),
            Access::Read | Access::Act => {}
        }
        let mut borne = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (borne.next(), borne.next()) else {
            return Err(Problem::token("this needs the token"));
        };
        let Some(given) = bearer(value.as_bytes()) else {
            return Err(Problem::token("Authorization is not of the form: Bearer, a space, the token"));
        };
        match (self.tokens.judge(peer, given, Instant::now()), access) {
            (Ok(Bearer::Acts), _) | (Ok(Bearer::Reads), Access::Read) => Ok(()),
            (Ok(Bearer::Reads), _) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "token",
                "this token may read and not act",
                "use the token of [watch], not its read_token",
            )),
            (Ok(Bearer::Nobody), _) => Err(Problem::token("that is not the token")),
            (Err(wait), _) => Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "token",
                "too many wrong tokens came from your address; no token of it is heard for a while",
                "wait, and send the right one; `pgmedic pause` on the daemon's host needs none",
            )
            .after(wait.as_secs() + 1)),
        }
    }
}

fn no_token_is_set() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "token",
        "no token is set, so nothing that acts can be reached here",
        "set token = \"file:PATH\" or \"env:NAME\" in [watch] of pgmedic.toml (openssl rand -base64 32 makes one) and send \
         pgmedic watch SIGHUP; `pgmedic fix` and `pgmedic pause` on the daemon's host need none",
    )
}

/// What follows `Bearer ` (RFC 6750; the scheme's name is of any case).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderName;

    fn gate(at: &str, external: Option<&str>) -> Gate {
        Gate::new(at.parse().unwrap(), Tokens::new(None, None).unwrap(), external)
    }

    fn ask(gate: &Gate, method: &Method, headers: &[(&str, &str)]) -> u16 {
        let map: HeaderMap =
            headers.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse().unwrap())).collect();
        let outcome = gate.comes_from_here(method, Version::HTTP_11, &Uri::from_static("/metrics"), &map);
        outcome.map_or_else(|p| p.status.as_u16(), |()| 200)
    }

    #[test]
    fn on_loopback_only_names_that_lead_to_loopback_by_themselves_are_served() {
        let gate = gate("127.0.0.1:9187", Some("https://pgmedic.example.com/x"));
        for host in [
            "127.0.0.1:9187",
            "localhost",
            "LocalHost:9999",
            "[::1]:9187",
            "127.9.9.9",
            "pgmedic.example.com",
        ] {
            assert_eq!(ask(&gate, &Method::GET, &[("host", host)]), 200, "{host}");
        }
        let hosts = [
            "evil.example:9187",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "",
            "[::2]",
            "0.0.0.0",
        ];
        for host in hosts {
            assert_eq!(ask(&gate, &Method::GET, &[("host", host)]), 421, "{host}");
        }
        assert_eq!(ask(&gate, &Method::GET, &[]), 400);
        assert_eq!(ask(&gate, &Method::GET, &[("host", "localhost"), ("host", "evil.example")]), 400);
        let absolute = "http://evil.example/metrics".parse::<Uri>().unwrap();
        let headers: HeaderMap = [(HOST, "localhost".parse().unwrap())].into_iter().collect();
        let outcome = gate.comes_from_here(&Method::GET, Version::HTTP_11, &absolute, &headers);
        assert_eq!(outcome.unwrap_err().status.as_u16(), 421);
    }

    #[test]
    fn a_page_of_another_origin_neither_reads_nor_acts() {
        let gate = gate("127.0.0.1:9187", Some("https://pgmedic.example.com"));
        let host = ("host", "localhost:9187");
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            for origin in [
                "http://evil.example",
                "null",
                "https://localhost:9187",
                "http://localhost:3000",
                "http://localhost:9187.evil",
            ] {
                assert_eq!(ask(&gate, &method, &[host, ("origin", origin)]), 403, "{origin}");
            }
            for site in ["cross-site", "same-site", "nonsense"] {
                assert_eq!(ask(&gate, &method, &[host, ("sec-fetch-site", site)]), 403, "{site}");
            }
            assert_eq!(
                ask(
                    &gate,
                    &method,
                    &[host, ("origin", "http://localhost:9187"), ("sec-fetch-site", "same-origin")]
                ),
                200
            );
            assert_eq!(ask(&gate, &method, &[host, ("origin", "https://pgmedic.example.com")]), 200);
        }
    }

    #[test]
    fn a_link_may_be_followed_and_a_frame_or_a_form_may_not() {
        let gate = gate("127.0.0.1:9187", None);
        let from = |mode, dest| {
            [
                ("host", "localhost"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", dest),
            ]
        };
        assert_eq!(ask(&gate, &Method::GET, &from("navigate", "document")), 200);
        assert_eq!(ask(&gate, &Method::POST, &from("navigate", "document")), 403);
        assert_eq!(ask(&gate, &Method::GET, &from("navigate", "iframe")), 403);
        assert_eq!(ask(&gate, &Method::GET, &from("no-cors", "image")), 403);
        assert_eq!(ask(&gate, &Method::GET, &from("websocket", "websocket")), 403);
    }
}

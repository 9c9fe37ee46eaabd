//! The URL of an endpoint, taken apart: where to connect, what to ask for, and what of it may be shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use percent_encoding::percent_decode_str;
use pgmedic_model::{Host, Secret};

/// An endpoint. Credentials in it are sent, and never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Where it is.
    pub(crate) host: Host,
    /// Its port; 80 or 443 where the URL has none.
    pub(crate) port: u16,
    /// `https`.
    pub(crate) tls: bool,
    /// Path and query, as they are asked for.
    pub(crate) resource: String,
    /// The `Host` header: the authority without credentials.
    pub(crate) authority: String,
    /// The `Authorization` header, where the URL has credentials (RFC 7617).
    pub(crate) authorization: Option<Secret>,
    /// The URL without credentials and query.
    pub(crate) shown: String,
}

impl Endpoint {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// Where it is no `http` or `https` URL. The text does not repeat the URL, which may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.trim().parse().map_err(|error| format!("not a URL: {error}"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("not an http:// or https:// URL".to_owned()),
        };
        let authority = uri.authority().ok_or("a URL without a host")?;
        let (credentials, place) = match authority.as_str().rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, authority.as_str()),
        };
        let name = uri.host().filter(|host| !host.is_empty()).ok_or("a URL without a host")?;
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let port = match place.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')) {
            Some(port) => port.parse().map_err(|_| "a port that is none".to_owned())?,
            None if tls => 443,
            None => 80,
        };
        Ok(Self {
            host: bare.parse().map_or_else(|_| Host::Name(bare.to_owned()), Host::Address),
            port,
            tls,
            resource: uri.path_and_query().map_or("/", |resource| resource.as_str()).to_owned(),
            authority: place.to_owned(),
            authorization: credentials.map(basic),
            shown: format!("{}://{place}{}", if tls { "https" } else { "http" }, uri.path()),
        })
    }

    /// The same place, asked for another resource: path and query, after the path that this one has.
    pub(crate) fn at(&self, resource: &str) -> Self {
        let path = |text: &str| text.split('?').next().unwrap_or_default().trim_end_matches('/').to_owned();
        Self {
            resource: format!("{}{resource}", path(&self.resource)),
            shown: format!("{}{}", path(&self.shown), path(resource)),
            ..self.clone()
        }
    }
}

/// `user:password` of a URL as Basic credentials.
fn basic(credentials: &str) -> Secret {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let mut plain: Vec<u8> = percent_decode_str(user).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    Secret::new(format!("Basic {}", STANDARD.encode(plain)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let url = Endpoint::parse("http://renderflow-api.internal:3000/api/v1/ready?full=1").unwrap();
        assert_eq!(url.host, Host::Name("renderflow-api.internal".into()));
        assert_eq!((url.port, url.tls, url.resource.as_str()), (3000, false, "/api/v1/ready?full=1"));
        assert_eq!(url.shown, "http://renderflow-api.internal:3000/api/v1/ready");
        assert_eq!(url.authorization, None);

        let six = Endpoint::parse("https://[fdaa::2]").unwrap();
        assert_eq!((six.host, six.port), (Host::Address("fdaa::2".parse().unwrap()), 443));
        assert_eq!((six.authority.as_str(), six.resource.as_str()), ("[fdaa::2]", "/"));
    }

    #[test]
    fn a_place_is_asked_for_several_things() {
        let base = Endpoint::parse("https://api.machines.dev").unwrap();
        let list = base.at("/v1/apps/a/machines?region=ord");
        assert_eq!(list.resource, "/v1/apps/a/machines?region=ord");
        assert_eq!(list.shown, "https://api.machines.dev/v1/apps/a/machines");
        let below = Endpoint::parse("http://127.0.0.1:1/fly/").unwrap().at("/v1");
        assert_eq!((below.resource.as_str(), below.shown.as_str()), ("/fly/v1", "http://127.0.0.1:1/fly/v1"));
    }

    #[test]
    fn credentials_are_sent_and_never_shown() {
        let url = Endpoint::parse("http://probe:hun%40ter2@api:3000/ready?token=hunter2").unwrap();
        let sent = url.authorization.as_ref().map(|secret| secret.reveal().to_owned());
        assert_eq!(sent, Some(format!("Basic {}", STANDARD.encode("probe:hun@ter2"))));
        assert_eq!((url.authority.as_str(), url.shown.as_str()), ("api:3000", "http://api:3000/ready"));
        assert!(!format!("{:?}", url.authorization).contains("Basic"));
    }

    #[test]
    fn what_is_no_endpoint_is_refused_without_being_repeated() {
        for url in [
            "",
            "ready",
            "/ready",
            "ftp://u:hunter2@h/",
            "http://",
            "http://h:99999/",
            "http://u:hunter2@:1/",
            "http://u:hunter 2@h/",
        ] {
            let refused = Endpoint::parse(url).unwrap_err();
            assert!(!refused.contains("hunter"), "{url}: {refused}");
        }
    }
}

//! Where the engine is: `DOCKER_HOST` as the docker client reads it.

use crate::http::url::Endpoint;
use pgmedic_model::Host;

/// The endpoint of `unix:///path`, `tcp://host:port`, `http://host:port`.
///
/// # Errors
/// What is not spoken, with the next step. The text repeats no credentials.
pub(super) fn endpoint(host: &str) -> Result<Endpoint, String> {
    let host = host.trim();
    if let Some(path) = host.strip_prefix("unix://") {
        if !path.starts_with('/') {
            return Err(
                "unix:// is followed by an absolute path, as in unix:///var/run/docker.sock".to_owned()
            );
        }
        return Ok(Endpoint {
            host: Host::Socket(path.to_owned()),
            port: 0,
            tls: false,
            resource: String::new(),
            authority: "docker".to_owned(),
            authorization: None,
            shown: format!("unix://{path}"),
        });
    }
    if let Some(rest) = host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://")) {
        let authority = rest.trim_end_matches('/');
        // The engine's port without TLS (dockerd(8)).
        let named =
            authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let with_port = if named { authority.to_owned() } else { format!("{authority}:2375") };
        return Endpoint::parse(&format!("http://{with_port}"))
            .map(|parsed| Endpoint { shown: format!("tcp://{}", parsed.authority), ..parsed });
    }
    let scheme = host.split("://").next().unwrap_or_default();
    Err(match scheme {
        "ssh" => "Docker over ssh is not spoken; forward the socket (ssh -L /tmp/docker.sock:/var/run/docker.sock HOST) and \
                  give unix:///tmp/docker.sock"
            .to_owned(),
        "https" => "Docker over TLS is not spoken; forward the socket by ssh -L, or run pgmedic on the engine's host".to_owned(),
        _ => "an engine is at unix:///path or tcp://host:port".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_at_a_socket_or_a_port() {
        let socket = endpoint("unix:///var/run/docker.sock").unwrap();
        assert_eq!(socket.host, Host::Socket("/var/run/docker.sock".to_owned()));
        let path = socket.at("/version");
        assert_eq!(path.resource, "/version");
        let tcp = endpoint("tcp://127.0.0.1").unwrap();
        assert_eq!((tcp.port, tcp.shown.as_str()), (2375, "tcp://127.0.0.1:2375"));
        assert_eq!(endpoint("http://[::1]:4243/").unwrap().port, 4243);
    }

    #[test]
    fn what_is_not_spoken_says_what_to_do() {
        for (host, said) in [
            ("ssh://me@h", "ssh -L"),
            ("https://h:2376", "TLS"),
            ("npipe:////./pipe/docker", "unix:///path"),
            ("/var/run/docker.sock", "unix:///path"),
            ("unix://relative", "absolute"),
        ] {
            assert!(endpoint(host).unwrap_err().contains(said), "{host}");
        }
    }
}

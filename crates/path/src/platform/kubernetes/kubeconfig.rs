//! Where a cluster is and how to log in to it: a kubeconfig (Kubernetes documentation, "Organizing Cluster Access Using
//! kubeconfig Files"; client-go `tools/clientcmd/api/v1`), or a pod's own service account. No program is run for credentials.

use super::yaml;
use crate::http::Tls;
use crate::http::url::Endpoint;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgmedic_model::{Host, Secret};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a pod finds its account (Kubernetes documentation, "Accessing the Kubernetes API from a Pod").
pub(super) const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The most that is read of a file of credentials.
const FILE: u64 = 1 << 20;

/// What it takes to ask a cluster.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) endpoint: Endpoint,
    pub(super) tls: Option<Tls>,
    pub(super) token: Token,
    /// The namespace that the context or the account names.
    pub(super) namespace: Option<String>,
}

/// A bearer token.
#[derive(Clone, Debug)]
pub(super) enum Token {
    /// A certificate logs in, or nothing does.
    None,
    /// It is this.
    Is(Secret),
    /// It stands in this file, and changes within the hour.
    In(PathBuf),
}

/// Takes a kubeconfig apart. Relative paths start from `folder`. `token` goes before what the user has.
///
/// # Errors
/// What is missing, cannot be read or is not spoken, with the next step. Nothing of a secret is repeated.
pub(super) fn read(
    text: &str,
    folder: &Path,
    context: Option<&str>,
    token: Option<Secret>,
) -> Result<Access, String> {
    let config = yaml::read(text)?;
    let name = match context.or_else(|| config.get("current-context").and_then(Value::as_str)) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => return Err("names no current-context; platform.context names one".to_owned()),
    };
    let context = named(&config, "contexts", "context", &name)?;
    let of = |key: &str| text_of(context, key).ok_or_else(|| format!("the context {name:?} names no {key}"));
    let cluster = named(&config, "clusters", "cluster", of("cluster")?)?;
    // A context without a user is one that needs none.
    let nobody = Value::Null;
    let user = match text_of(context, "user") {
        Some(user) => named(&config, "users", "user", user)?,
        None => &nobody,
    };
    let token = match token {
        Some(token) => Token::Is(token),
        None => token_of(user, folder)?,
    };
    let endpoint = endpoint(cluster, &token)?;
    let tls = if endpoint.tls { Some(tls(cluster, user, folder)?) } else { None };
    let namespace = text_of(context, "namespace").map(str::to_owned);
    Ok(Access { endpoint, tls, token, namespace })
}

/// What a pod's own account gives.
///
/// # Errors
/// Where this is no pod, or the account is not mounted.
pub(super) fn of_pod(host: &str, port: &str, account: &Path) -> Result<Access, String> {
    let bare = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let endpoint = Endpoint::parse(&format!("https://{bare}:{port}"))?;
    let authority = file(&account.join("ca.crt"))?;
    let namespace =
        file(&account.join("namespace")).ok().map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    Ok(Access {
        endpoint,
        tls: Some(Tls { config: Arc::new(client(&authority, None)?), name: None }),
        token: Token::In(account.join("token")),
        namespace,
    })
}

/// The entry of a list by its name.
fn named<'v>(config: &'v Value, list: &str, member: &str, name: &str) -> Result<&'v Value, String> {
    let all = config.get(list).and_then(Value::as_array);
    let entry = all.into_iter().flatten().find(|entry| text_of(entry, "name") == Some(name));
    entry.and_then(|entry| entry.get(member)).ok_or_else(|| format!("has no {member} {name:?} in {list}"))
}

fn text_of<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn token_of(user: &Value, folder: &Path) -> Result<Token, String> {
    if let Some(exec) = user.get("exec").filter(|exec| !exec.is_null()) {
        let program = text_of(exec, "command").and_then(|c| c.rsplit('/').next()).unwrap_or("a program");
        return Err(format!(
            "the user's credentials come from a plugin ({program}), and pgmedic runs no program for credentials; {MAKE_ONE}"
        ));
    }
    if user.get("auth-provider").is_some_and(|provider| !provider.is_null()) {
        return Err(format!(
            "the user's credentials come from an auth-provider, which Kubernetes has given up; {MAKE_ONE}"
        ));
    }
    if text_of(user, "username").is_some() {
        return Err(format!(
            "a user name and password are no way into Kubernetes 1.19 and later; {MAKE_ONE}"
        ));
    }
    // The file goes before the token (client-go, `AuthInfo.TokenFile`).
    Ok(match (text_of(user, "tokenFile"), text_of(user, "token")) {
        (Some(path), _) => Token::In(folder.join(path)),
        (None, Some(token)) => Token::Is(Secret::new(token)),
        (None, None) => Token::None,
    })
}

/// What to do where the user's credentials are of no use.
const MAKE_ONE: &str = "make a token for an account that may read (kubectl create token pgmedic --duration 24h > token) and \
                        set platform.token = \"file:token\"";

fn endpoint(cluster: &Value, token: &Token) -> Result<Endpoint, String> {
    let server = text_of(cluster, "server").ok_or("the cluster names no server")?;
    if text_of(cluster, "proxy-url").is_some() {
        return Err(
            "the cluster is reached through a proxy (proxy-url), which is not spoken; run pgmedic beside it"
                .to_owned(),
        );
    }
    if cluster.get("insecure-skip-tls-verify").and_then(Value::as_bool) == Some(true) {
        return Err(
            "insecure-skip-tls-verify would give the token to anybody; name the certificate-authority"
                .to_owned(),
        );
    }
    let endpoint = Endpoint::parse(server.trim_end_matches('/'))
        .map_err(|why| format!("the cluster's server: {why}"))?;
    let here = matches!(endpoint.host, Host::Address(ip) if ip.is_loopback());
    match token {
        Token::Is(_) | Token::In(_) if !endpoint.tls && !here => {
            Err("the cluster's server is http://, and a token is not sent in the clear".to_owned())
        }
        _ => Ok(endpoint),
    }
}

fn tls(cluster: &Value, user: &Value, folder: &Path) -> Result<Tls, String> {
    let authority = inline_or_file(cluster, "certificate-authority", folder)?;
    let certificate = inline_or_file(user, "client-certificate", folder)?;
    let key = inline_or_file(user, "client-key", folder)?;
    let identity = certificate.zip(key);
    let config = match authority {
        Some(authority) => client(&authority, identity)?,
        None => {
            return Err(
                "the cluster names no certificate-authority; name it, with certificate-authority-data"
                    .to_owned(),
            );
        }
    };
    let name = text_of(cluster, "tls-server-name").map(|name| ServerName::try_from(name.to_owned()));
    let name = name.transpose().map_err(|_| "tls-server-name is no name".to_owned())?;
    Ok(Tls { config: Arc::new(config), name })
}

/// `key-data` in base64, which goes before the file that `key` names.
fn inline_or_file(value: &Value, key: &str, folder: &Path) -> Result<Option<Vec<u8>>, String> {
    if let Some(data) = text_of(value, &format!("{key}-data")) {
        let dense: String = data.split_whitespace().collect();
        return STANDARD.decode(dense).map(Some).map_err(|_| format!("{key}-data is not base64"));
    }
    text_of(value, key).map(|path| file(&folder.join(path))).transpose()
}

/// A file of credentials.
pub(super) fn file(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// TLS by the cluster's own authority, and with a certificate of our own where there is one.
fn client(authority: &[u8], identity: Option<(Vec<u8>, Vec<u8>)>) -> Result<ClientConfig, String> {
    let chain = |pem: &[u8], what: &str| -> Result<Vec<CertificateDer<'static>>, String> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        all.ok().filter(|all| !all.is_empty()).ok_or_else(|| format!("{what} is no certificate in PEM"))
    };
    let mut roots = RootCertStore::empty();
    for root in chain(authority, "certificate-authority")? {
        roots.add(root).map_err(|error| format!("certificate-authority: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key =
                PrivateKeyDer::from_pem_slice(&key).map_err(|_| "client-key is no key in PEM".to_owned())?;
            let chain = chain(&certificate, "client-certificate")?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("client-certificate: {error}"))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {{cluster: c, user: u, namespace: shop}}\n\
             clusters:\n- name: c\n  cluster:\n    {cluster}\nusers:\n- name: u\n  user:\n    {user}\n"
        )
    }

    fn refused(cluster: &str, user: &str) -> String {
        read(&config(cluster, user), Path::new("/nowhere"), None, None).unwrap_err()
    }

    const LOCAL: &str = "server: http://127.0.0.1:8001";

    #[test]
    fn a_context_leads_to_server_token_and_namespace() {
        let access = read(&config(LOCAL, "token: hunter2"), Path::new(""), None, None).unwrap();
        assert_eq!((access.endpoint.port, access.namespace.as_deref()), (8001, Some("shop")));
        assert!(matches!(&access.token, Token::Is(token) if token.reveal() == "hunter2"));
        assert!(!format!("{access:?}").contains("hunter2"));
        let file = read(&config(LOCAL, "tokenFile: t"), Path::new("/f"), Some("a"), None).unwrap();
        assert!(matches!(file.token, Token::In(path) if path == Path::new("/f/t")));
    }

    #[test]
    fn what_is_not_spoken_says_what_to_do() {
        let plugin = refused(LOCAL, "exec: {command: /usr/bin/gke-gcloud-auth-plugin, args: [hunter2]}");
        assert!(
            plugin.contains("gke-gcloud-auth-plugin") && plugin.contains("kubectl create token"),
            "{plugin}"
        );
        assert!(!plugin.contains("hunter2"));
        assert!(refused(LOCAL, "auth-provider: {name: gcp}").contains("create token"));
        assert!(refused(LOCAL, "username: a").contains("create token"));
        assert!(
            refused("{server: 'https://h', insecure-skip-tls-verify: true}", "token: x")
                .contains("name the certificate-authority")
        );
        assert!(refused("server: http://10.0.0.1", "token: x").contains("in the clear"));
        assert!(refused("server: https://h", "token: x").contains("certificate-authority-data"));
        assert!(
            refused("{server: 'https://h', certificate-authority: ca.crt}", "token: x")
                .contains("/nowhere/ca.crt")
        );
        assert!(
            refused("{server: 'https://h', certificate-authority-data: '%'}", "token: x").contains("base64")
        );
        assert!(
            refused("{server: 'https://h', proxy-url: 'http://u:hunter2@p'}", "token: x").contains("proxy")
        );
        assert!(read("a: b", Path::new(""), None, None).unwrap_err().contains("current-context"));
        assert!(
            read(&config(LOCAL, "token: x"), Path::new(""), Some("b"), None).unwrap_err().contains("\"b\"")
        );
    }

    #[test]
    fn a_pod_finds_its_account() {
        let account = tempfile::tempdir().unwrap();
        assert!(of_pod("10.0.0.1", "443", account.path()).unwrap_err().contains("ca.crt"));
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        std::fs::write(account.path().join("ca.crt"), authority).unwrap();
        std::fs::write(account.path().join("namespace"), "shop\n").unwrap();
        let access = of_pod("fd00::1", "6443", account.path()).unwrap();
        assert_eq!((access.endpoint.port, access.namespace.as_deref()), (6443, Some("shop")));
    }
}

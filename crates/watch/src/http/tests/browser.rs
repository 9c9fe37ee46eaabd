//! The same as `security`, by a real browser: a page of another origin that tries everything a page can.

use super::*;
use std::process::Stdio;

/// Tries each way and tells its own server what came of it.
const PAGE: &str = r#"<!doctype html><title>evil</title><body><iframe name=f></iframe><script>
const at = 'http://127.0.0.1:PORT';
const said = [];
const tell = (what, how) => said.push(what + '=' + how);
const tries = [
  fetch(at + '/api/v1/services').then(() => tell('cors', 'READ'), () => tell('cors', 'no')),
  fetch(at + '/api/v1/pause', {method: 'POST', mode: 'no-cors', body: '{}'}).then(r => tell('nocors', r.type), () => tell('nocors', 'no')),
  fetch(at + '/api/v1/pause', {method: 'POST', headers: {'Content-Type': 'application/json', Authorization: 'Bearer TOKEN'}, body: '{}'})
    .then(() => tell('json', 'READ'), () => tell('json', 'no')),
  new Promise(done => { const s = new WebSocket('ws://127.0.0.1:PORT/api/v1/services');
    s.onopen = () => done(tell('socket', 'OPEN')); s.onerror = () => done(tell('socket', 'no')); }),
  new Promise(done => { const i = new Image(); i.onload = () => done(tell('img', 'READ'));
    i.onerror = () => done(tell('img', 'no')); i.src = at + '/metrics'; }),
  new Promise(done => { const s = document.createElement('script'); s.onload = () => done(tell('script', 'RAN'));
    s.onerror = () => done(tell('script', 'no')); s.src = at + '/api/v1/services'; document.body.append(s); }),
  navigator.sendBeacon(at + '/api/v1/pause', '{}'),
];
const form = document.createElement('form');
form.method = 'POST'; form.action = at + '/api/v1/pause'; form.enctype = 'text/plain'; form.target = 'f';
const field = document.createElement('input'); field.name = '{"by":"'; field.value = '"}'; form.append(field);
document.body.append(form); form.submit();
Promise.allSettled(tries).then(() => setTimeout(() => fetch('/said?' + said.sort().join('&')), 500));
</script>"#;

/// Serves the page, and returns what it tells.
async fn evil(port: u16, listener: TcpListener) -> String {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 4096];
        let n = stream.read(&mut bytes).await.unwrap_or(0);
        let head = String::from_utf8_lossy(&bytes[..n]).into_owned();
        if let Some((said, _)) = head.strip_prefix("GET /said?").and_then(|rest| rest.split_once(' ')) {
            return said.to_owned();
        }
        let page = PAGE.replace("PORT", &port.to_string()).replace("TOKEN", TOKEN);
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
            page.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

fn chromium(folder: &std::path::Path, arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new("chromium");
    command
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-dev-shm-usage",
        ])
        .arg(format!("--user-data-dir={}", folder.display()))
        .arg("--host-resolver-rules=MAP evil.example 127.0.0.1")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Whether there is a browser to try with; where there is none that is said, and counted by scripts/test.
fn is_there() -> bool {
    let version = std::process::Command::new("chromium").arg("--version").output();
    let there = version.is_ok_and(|output| output.status.success());
    if !there {
        let said = "not run: a browser on another origin (apt-get install chromium)\n";
        std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).unwrap();
    }
    there
}

#[tokio::test]
async fn a_real_chromium_on_another_origin_neither_acts_nor_reads() {
    if !is_there() {
        return;
    }
    for token in [false, true] {
        for host in ["evil.example", "localhost"] {
            let server = serve(token).await;
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let page = format!("http://{host}:{}/", listener.local_addr().unwrap().port());
            let folder = tempfile::tempdir().unwrap();
            let _browser = chromium(folder.path(), &[&page]).spawn().unwrap();
            let said = tokio::time::timeout(Duration::from_secs(60), evil(server.at.port(), listener))
                .await
                .unwrap();
            assert_eq!(
                said, "cors=no&img=no&json=no&nocors=no&script=no&socket=no",
                "token {token}, from {host}"
            );
            assert_eq!(server.orders(), Vec::<String>::new());
            let requests = server.board.state().own.requests.clone();
            let refused = requests.get(&("other", 403)).copied().unwrap_or(0);
            assert!(refused >= 6 && requests.len() == 1, "they came, and were refused: {requests:?}");
        }
    }
}

#[tokio::test]
async fn a_real_chromium_whose_name_was_rebound_reads_nothing_and_one_that_asks_rightly_does() {
    if !is_there() {
        return;
    }
    let server = serve(false).await;
    for (host, expected) in
        [("evil.example", "is not asked for by that host name"), ("127.0.0.1", "pgmedic.services/1")]
    {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("http://{host}:{}/api/v1/services", server.at.port());
        let output = chromium(folder.path(), &["--dump-dom", &url]).output();
        let output = tokio::time::timeout(Duration::from_secs(60), output).await.unwrap().unwrap();
        let dom = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(dom.contains(expected), "{host}: {dom}");
    }
}

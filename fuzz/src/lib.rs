//! The fuzz targets that come in by the front door: whole peers, recordings, connection strings and logs. Whatever is
//! read is diagnosed, reported and recorded too. The readers behind them alone are in `pgmedic_path::fuzzing`.

use pgmedic_model::target::{FileText, Settings, Surroundings};
use pgmedic_model::{SslMode, Target};
use pgmedic_path::evidence::{Evidence, Seen};
use pgmedic_path::rooms::app::evidence::AppEvidence;
use pgmedic_path::rooms::app::{log, probe};
use pgmedic_path::service::{LogSource, Window};
use pgmedic_path::{Service, diagnose, latent, record, report, walk};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::Instant;

/// How long one peer may take: it hangs up as soon as it has said everything.
const PATIENCE: Duration = Duration::from_millis(500);

/// A peer on a unix socket that says these bytes to whoever comes and hangs up. The first byte chooses `sslmode`, and
/// whether a pooler's console is asked at the same place.
pub fn peer(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).expect("a socket");
        let mut service = service(folder.path());
        service.target.tls.mode = if choice & 1 == 0 { SslMode::Disable } else { SslMode::Prefer };
        service.pooler = (choice & 2 != 0).then(|| service.target.clone());
        let everybody = async {
            while let Ok((stream, _)) = listener.accept().await {
                say(stream, bytes).await;
            }
        };
        tokio::select! {
            evidence = walk(&service, PATIENCE, &|_| {}) => judge(&evidence),
            () = everybody => unreachable!("the listener stays"),
        }
    });
}

/// An HTTP peer that says these bytes to whoever asks for readiness or metrics.
pub fn http(data: &[u8]) {
    run(async {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut service = service(Path::new("/nowhere"));
        service.ready = Some(format!("http://{address}/ready"));
        service.metrics = Some(format!("http://{address}/metrics"));
        let everybody = async {
            while let Ok((stream, _)) = listener.accept().await {
                say(stream, data).await;
            }
        };
        let app = tokio::select! {
            app = probe::look(&service, Instant::now() + PATIENCE, |_, _| {}) => app,
            () = everybody => unreachable!("the listener stays"),
        };
        judge_app(app).await;
    });
}

/// A recording, as `--replay` reads it.
pub fn replay(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(evidence) = record::read(text) {
        judge(&evidence);
    }
}

/// A connection string; or a service file and a password file. The first byte chooses.
pub fn target(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(bytes).into_owned();
    if choice & 1 == 0 {
        if let Ok(target) = Settings::parse(&text).and_then(|s| s.resolve(&Surroundings::default())) {
            let _shown = target.display();
            let _around = target.by_way_of("db.internal:5433");
        }
        return;
    }
    let file = FileText { path: "file".to_owned(), text };
    let _read = Settings::default().fill_from_service("renderflow", std::slice::from_ref(&file));
    let around = Surroundings { password_file: Some(file), ..Surroundings::default() };
    let _resolved = Settings::parse("postgres://app@db.internal/renderflow").and_then(|s| s.resolve(&around));
}

/// An API's log.
pub fn api_log(data: &[u8]) {
    run(async {
        let source = LogSource::Text(String::from_utf8_lossy(data).into_owned());
        let log = log::look(&source, "db.internal", Instant::now() + PATIENCE).await;
        let unseen = || "not looked at".to_owned();
        let app = AppEvidence { ready: Seen::NotSeen(unseen()), metrics: Seen::NotSeen(unseen()), log };
        judge_app(app).await;
    });
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work);
    runtime.shutdown_background();
}

/// Says everything, then listens until the other side is gone: an answer must not be lost to a reset.
async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) {
    if stream.write_all(bytes).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut heard = [0; 4096];
    while matches!(stream.read(&mut heard).await, Ok(1..)) {}
}

/// A service whose server's socket is in this folder.
fn service(folder: &Path) -> Service {
    let socket = folder.display().to_string().replace('/', "%2F");
    let settings = Settings::parse(&format!("postgres://app:secret@{socket}/renderflow")).expect("a URL");
    let target: Target = settings.resolve(&Surroundings::default()).expect("a target");
    Service { name: "renderflow".to_owned(), window: Window::Off, ..Service::bare(target) }
}

/// Diagnoses a service of which only the API was seen.
async fn judge_app(app: AppEvidence) {
    let evidence = walk(&service(Path::new("/nowhere")), PATIENCE, &|_| {}).await;
    judge(&Evidence { app, ..evidence });
}

/// Everything that is done with evidence.
fn judge(evidence: &Evidence) {
    let findings = diagnose(evidence);
    let _latent = latent(evidence);
    let page = serde_json::to_string(&report(evidence, findings)).expect("a page");
    let recording = record::write(evidence).expect("a recording");
    assert!(!page.contains("secret@") && !recording.contains("secret@"), "a password is shown");
}

//! A real Prometheus scrapes the server, in each of the two formats.

use super::*;
use std::process::Stdio;

/// A Prometheus that scrapes `target` each second.
fn prometheus(folder: &std::path::Path, port: u16, target: SocketAddr, token: &str) -> tokio::process::Child {
    let config = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs:\n- job_name: pgmedic\n  authorization: {{ credentials: {token} }}\n  static_configs: [{{ targets: [\"{target}\"] }}]\n"
    );
    let file = folder.join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    tokio::process::Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The results of a query.
async fn query(port: u16, of: &str) -> Option<Vec<Value>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("GET /api/v1/query?query={of} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let body: Value = serde_json::from_str(&Answered::read(&answer).body).ok()?;
    body["data"]["result"].as_array().cloned()
}

#[tokio::test]
async fn a_real_prometheus_reads_it_with_the_token_that_only_reads() {
    let config = Config {
        token: Some(Secret::new(TOKEN)),
        read_token: Some(Secret::new(READ_TOKEN)),
        ..Config::default()
    };
    let server = serve_with(config, fixture::board(20), Fake::default(), "0.0.0.0:0").await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let target = SocketAddr::from(([127, 0, 0, 1], server.at.port()));
    let _prometheus = prometheus(folder.path(), free, target, READ_TOKEN);
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    let services = loop {
        match query(free, "pgmedic_service_up").await {
            Some(found) if !found.is_empty() => break found,
            _ => assert!(tokio::time::Instant::now() < until, "it was scraped within 30 s"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(services.len(), 20);
    // Prometheus asks for OpenMetrics before anything else: a page that is not would have been refused whole.
    let requests = server.board.state().own.requests.clone();
    assert!(requests.keys().eq([&("/metrics", 200)]), "{requests:?}");
    let count = |found: Option<Vec<Value>>| found.map_or(0, |list| list.len());
    assert_eq!(count(query(free, "pgmedic_looks_total").await), 40);
    assert_eq!(count(query(free, "pgmedic_room_duration_seconds_count").await), 200);
    let slow = query(free, "histogram_quantile(0.9,pgmedic_look_duration_seconds_bucket)").await.unwrap();
    assert_eq!(slow.len(), 2, "{slow:?}");
}

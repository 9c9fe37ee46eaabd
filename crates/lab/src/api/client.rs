//! A client of the API: one request on a connection of its own.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What an answer may have, in bytes.
const LONGEST: u64 = 1 << 20;

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Asks, and reads the answer to its end.
pub(super) async fn ask(at: SocketAddr, method: &str, path: &str, body: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(at).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(LONGEST).read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("no answer of HTTP"))?;
    Ok(Answer { status, body: body.to_owned() })
}

/// The same within a time.
pub(super) async fn ask_within(within: Duration, at: SocketAddr, path: &str) -> Result<Answer, String> {
    let answer = tokio::time::timeout(within, ask(at, "GET", path, "")).await;
    answer.map_err(|_| format!("{path}: no answer within {within:?}"))?.map_err(|e| format!("{path}: {e}"))
}

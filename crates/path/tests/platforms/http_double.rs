//! A scripted HTTP/1.1 server over any stream: one request a connection, answered by a route.

use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a route answers.
#[allow(dead_code, reason = "each test crate uses its own part of it")]
pub(crate) enum Reply {
    /// A status and a body.
    Says(u16, Vec<u8>),
    /// Nothing, for ever.
    Hangs,
    /// Bytes that are no HTTP.
    Garbles,
    /// A body without an end.
    NeverEnds,
}

impl Reply {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Says(200, body.into())
    }
}

/// Method and resource, the `authorization` and `content-type` headers, and the body.
#[allow(dead_code, reason = "each test crate uses its own part of it")]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) resource: String,
    pub(crate) authorization: String,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

pub(crate) type Route = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// Answers one request.
pub(crate) async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, route: Route) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let field = |name: &str| {
        head.lines().find_map(|line| {
            line.to_ascii_lowercase().starts_with(name).then(|| line[name.len()..].trim().to_owned())
        })
    };
    let mut body = vec![0; field("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0)];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    let mut words = head.split(' ');
    let asked = Asked {
        method: words.next().unwrap_or_default().to_owned(),
        resource: words.next().unwrap_or_default().to_owned(),
        authorization: field("authorization:").unwrap_or_default(),
        content_type: field("content-type:").unwrap_or_default(),
        body: String::from_utf8(body).unwrap(),
    };
    // Who hangs up early has heard enough.
    let _ = reply(&mut stream, route(&asked)).await;
}

async fn reply(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Says(status, body) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
            stream.shutdown().await
        }
        Reply::Hangs => std::future::pending().await,
        Reply::Garbles => {
            stream.write_all(b"\x00\xff\x1b[2J SSH-2.0-OpenSSH\r\n\r\n").await?;
            stream.shutdown().await
        }
        Reply::NeverEnds => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            let chunk = format!("4000\r\n{}\r\n", "[".repeat(0x4000));
            loop {
                stream.write_all(chunk.as_bytes()).await?;
            }
        }
    }
}

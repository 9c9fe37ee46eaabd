//! An API that has lost its database although the path is healthy, until it is restarted by a command that counts itself.

use crate::scene::Shop;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The API, and the folder in which its restarts are counted.
pub(crate) struct Api {
    port: u16,
    folder: PathBuf,
    over: Arc<AtomicBool>,
}

impl Api {
    pub(crate) fn new(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (over, folder) = (Arc::new(AtomicBool::new(false)), folder.to_owned());
        let (ends, mended) = (Arc::clone(&over), folder.join("mended"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                answer(stream, mended.exists());
            }
        });
        Self { port, folder, over }
    }

    /// The key of the service.
    pub(crate) fn key(&self) -> String {
        format!("ready = \"http://127.0.0.1:{}/api/v1/ready\"", self.port)
    }

    /// A command that counts itself, does what the script says, and mends.
    pub(crate) fn script(&self, name: &str, script: &str) -> String {
        let path = self.folder.join(name);
        let text = format!(
            "#!/bin/sh\ncd {0}\necho {name} >> count\n{script}\ntouch mended\n",
            self.folder.display()
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        format!("{name} = [\"{}\"]\n", path.display())
    }

    /// How often a command was run.
    pub(crate) fn count(&self, name: &str) -> usize {
        let text = std::fs::read_to_string(self.folder.join("count")).unwrap_or_default();
        text.lines().filter(|line| *line == name).count()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// As before the first restart.
    pub(crate) fn reset(&self) {
        for name in ["count", "mended", "go", "begun"] {
            let _absent = std::fs::remove_file(self.folder.join(name));
        }
    }

    /// A service with this API, whose restart takes as long as the script says.
    pub(crate) fn of(shop: &Shop, script: &str) -> Self {
        let api = Self::new(shop.place.path());
        let commands = api.script("restart_api", script);
        shop.configure(&api.key(), &format!("kind = \"host\"\n{commands}"), "");
        api
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn answer(mut stream: TcpStream, well: bool) {
    let _bounded = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut request = [0; 2048];
    let _read = stream.read(&mut request);
    let (status, body) = match well {
        true => ("200 OK", r#"{"status":"ready","db":"connected"}"#),
        false => ("503 Service Unavailable", r#"{"status":"unavailable","db":"disconnected"}"#),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
    let _gone = write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len());
}

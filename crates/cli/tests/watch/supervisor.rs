//! Whoever restarts the lab's parts when a command of `pgmedic.toml` asks for it, as `systemctl` asks systemd.

use pgmedic_lab::Lab;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// It writes down what it was asked for.
pub(crate) struct Supervisor {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Asks for something, and fails where it is not done.
const ASK: &str =
    "exec 3<>/dev/tcp/127.0.0.1/$0; echo $1 >&3; read -r said <&3; echo $said; [[ $said = done* ]]";

impl Supervisor {
    /// For the parts of this lab.
    pub(crate) fn of(lab: &Lab) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let (api, proxy) = (lab.api().ok().cloned(), lab.proxy().ok().cloned());
        let (postgres, write) = (Arc::clone(lab.postgres()), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut line = String::new();
                let mut reader = BufReader::new(stream);
                reader.read_line(&mut line).unwrap();
                let order = line.trim().to_owned();
                let outcome = match order.as_str() {
                    "restart-api" => api.as_ref().map(|api| api.start_anew()),
                    "restart-proxy" => proxy.as_ref().map(|proxy| proxy.kill_and_start()),
                    "start-db" => Some(postgres.ensure_up()),
                    _ => None,
                };
                let said = match outcome {
                    Some(Ok(())) => format!("done: {order}\n"),
                    Some(Err(why)) => format!("failed: {why}\n"),
                    None => format!("nobody does that: {order}\n"),
                };
                write.lock().unwrap().push(order);
                // Whoever asked may have left.
                let _gone = reader.get_mut().write_all(said.as_bytes());
            }
        });
        Self { port, asked }
    }

    /// A command for `pgmedic.toml`.
    pub(crate) fn command(&self, order: &str) -> String {
        format!("[\"bash\", \"-c\", {ASK:?}, \"{}\", \"{order}\"]", self.port)
    }

    /// What it was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

//! A machine of the double: what happened to it, as events (fly-go, `MachineEvent`, `MachineExitEvent`).

use pgmedic_model::Timestamp;
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::SystemTime;

/// A machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) is_started: bool,
    /// Newest first, as Fly lists them.
    pub(super) events: Vec<Value>,
}

/// Now.
pub(super) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

impl Machine {
    /// One that runs.
    pub(super) fn started(id: &'static str, name: &'static str) -> Self {
        let launch = json!({ "id": "01H1", "type": "launch", "status": "created", "source": "user", "timestamp": now().0 });
        let mut machine = Self { id, name, is_started: false, events: vec![launch] };
        machine.start();
        machine
    }

    /// It is started.
    pub(super) fn start(&mut self) {
        self.is_started = true;
        self.happens("start", "started", Value::Null);
    }

    /// It ends, with its main process' status. A status is None where that process is within the lab's own.
    pub(super) fn stop(&mut self, requested: bool, status: Option<ExitStatus>) {
        if !self.is_started {
            return;
        }
        self.is_started = false;
        let code =
            status.map_or(0, |status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
        let signal = status.and_then(|status| status.signal()).unwrap_or(-1);
        let exit = json!({
            "exit_code": code, "guest_exit_code": code, "guest_signal": signal, "oom_killed": false,
            "requested_stop": requested, "restarting": false, "signal": -1, "exited_at": now(),
        });
        self.happens("exit", "stopped", json!({ "exit_event": exit, "restart_count": 0 }));
    }

    fn happens(&mut self, kind: &str, status: &str, request: Value) {
        let mut event =
            json!({ "id": "01H1", "type": kind, "status": status, "source": "flyd", "timestamp": now().0 });
        if !request.is_null() {
            event["request"] = request;
        }
        self.events.insert(0, event);
    }
}

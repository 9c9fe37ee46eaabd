//! How and when a machine last started and ended, from its events (fly-go, `MachineEvent`, `MachineExitEvent`).

use super::super::told::Exit;
use pgmedic_model::Timestamp;
use serde_json::Value;

/// What a machine's events tell.
#[derive(Default)]
pub(super) struct Past {
    pub(super) started_at: Option<Timestamp>,
    pub(super) restarts: Option<u64>,
    pub(super) exit: Option<Exit>,
}

/// Reads the events, in whatever order they come.
pub(super) fn read(events: &[Value]) -> Past {
    let kind = |event: &Value| event.get("type").and_then(Value::as_str).map(str::to_owned);
    let newest = |wanted: &str| {
        let of_kind = events.iter().filter(|event| kind(event).as_deref() == Some(wanted));
        of_kind.max_by_key(|event| at(event))
    };
    let ended = newest("exit");
    let request = ended.and_then(|event| event.get("request"));
    Past {
        started_at: newest("start").and_then(at),
        restarts: request.and_then(|request| request.get("restart_count")).and_then(Value::as_u64),
        exit: ended.map(|event| exit(event, request)),
    }
}

fn at(event: &Value) -> Option<Timestamp> {
    event.get("timestamp").and_then(Value::as_i64).map(Timestamp)
}

fn exit(event: &Value, request: Option<&Value>) -> Exit {
    let told = request.and_then(|request| {
        request.pointer("/MonitorEvent/exit_event").or_else(|| request.get("exit_event"))
    });
    let number = |name: &str| told.and_then(|told| told.get(name)).and_then(Value::as_i64);
    let yes = |name: &str| told.and_then(|told| told.get(name)).and_then(Value::as_bool).unwrap_or(false);
    // 0 and -1 stand for no signal.
    let signal = |name: &str| number(name).filter(|signal| *signal > 0);
    let guest = number("guest_exit_code").filter(|code| *code != 0);
    let time = told.and_then(|told| told.get("exited_at")).and_then(Value::as_str);
    let time = time.and_then(|text| text.parse::<Timestamp>().ok()).filter(|at| at.0 > 0);
    Exit {
        at: time.or_else(|| at(event)),
        code: number("exit_code").filter(|code| *code != 0).or(guest).or_else(|| number("exit_code")),
        signal: signal("signal").or_else(|| signal("guest_signal")),
        out_of_memory: yes("oom_killed"),
        requested: yes("requested_stop"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_exit_and_start_count_whatever_their_order() {
        let events = serde_json::json!([
            { "type": "start", "status": "started", "timestamp": 1_795_403_000_000_i64 },
            { "type": "exit", "status": "stopped", "source": "flyd", "timestamp": 1_795_402_000_000_i64,
              "request": { "restart_count": 4, "exit_event": {
                "exit_code": 137, "guest_exit_code": 0, "guest_signal": 9, "oom_killed": true, "requested_stop": false,
                "restarting": true, "signal": -1, "exited_at": "2026-11-23T02:46:39.123456789Z" } } },
            { "type": "exit", "timestamp": 1, "request": { "exit_event": { "requested_stop": true } } },
            { "type": "launch" }, 7, null
        ]);
        let past = read(events.as_array().unwrap());
        assert_eq!((past.started_at, past.restarts), (Some(Timestamp(1_795_403_000_000)), Some(4)));
        let exit = past.exit.unwrap();
        assert_eq!(
            (exit.code, exit.signal, exit.out_of_memory, exit.requested),
            (Some(137), Some(9), true, false)
        );
        assert_eq!(exit.at.unwrap().to_string(), "2026-11-23T02:46:39.123Z");
    }

    #[test]
    fn an_exit_that_tells_little_is_an_exit_all_the_same() {
        let events = serde_json::json!([{ "type": "exit", "timestamp": 5,
            "request": { "MonitorEvent": { "exit_event": { "exit_code": 1, "exited_at": "0001-01-01T00:00:00Z" } } } }]);
        let exit = read(events.as_array().unwrap()).exit.unwrap();
        assert_eq!((exit.code, exit.at), (Some(1), Some(Timestamp(5))));
        assert!(read(&[]).exit.is_none());
    }
}

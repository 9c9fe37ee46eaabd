//! What the engine tells of one container (`GET /containers/ID/json`), in words of no platform.

use crate::paste;
use crate::platform::told::{ByHand, Check, CheckStatus, Exit, Instance, InstanceState};
use pgmedic_model::{Timestamp, mask};
use serde::Deserialize;

/// Characters of a health check's output, and of the engine's own error.
const OUTPUT: usize = 400;
/// SIGTERM, SIGINT, SIGQUIT: by which an end is asked for.
const ASKED_FOR: [i64; 3] = [15, 2, 3];

/// The account. Members that are not read are not kept: the environment holds secrets.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    id: String,
    name: String,
    state: State,
    #[serde(default)]
    restart_count: u64,
    #[serde(default)]
    config: Config,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(default)]
    mounts: Vec<Mount>,
    #[serde(default)]
    graph_driver: GraphDriver,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: String,
    #[serde(rename = "OOMKilled", default)]
    out_of_memory: bool,
    #[serde(default)]
    exit_code: i64,
    #[serde(default)]
    error: String,
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    finished_at: String,
    health: Option<Health>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: String,
    #[serde(default)]
    failing_streak: u64,
    #[serde(default)]
    log: Option<Vec<HealthLog>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HealthLog {
    #[serde(default)]
    end: String,
    #[serde(default)]
    output: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    tty: bool,
    #[serde(default, deserialize_with = "places")]
    env: Vec<(String, String)>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    restart_policy: RestartPolicy,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RestartPolicy {
    #[serde(default)]
    name: String,
}

/// What is mounted into the container.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Mount {
    #[serde(rename = "Type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) source: String,
    #[serde(default)]
    pub(super) destination: String,
    #[serde(default)]
    pub(super) driver: String,
}

/// Where the container's own layer is. What it holds differs by driver.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GraphDriver {
    #[serde(default)]
    data: Option<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Layer {
    upper_dir: Option<String>,
}

/// Of the environment only what says where Postgres keeps its files; the rest is dropped as it is read.
fn places<'d, D: serde::Deserializer<'d>>(from: D) -> Result<Vec<(String, String)>, D::Error> {
    let all = Option::<Vec<String>>::deserialize(from)?.unwrap_or_default();
    let place = |text: &String| {
        let (key, value) = text.split_once('=')?;
        let kept = ["PGDATA", "POSTGRES_INITDB_WALDIR", "POSTGRESQL_DATA_DIR"].contains(&key);
        kept.then(|| (key.to_owned(), value.to_owned()))
    };
    Ok(all.iter().filter_map(place).collect())
}

impl Container {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Its name; the engine puts a slash before it.
    pub(super) fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    pub(super) fn has_terminal(&self) -> bool {
        self.config.tty
    }

    pub(super) fn started_at(&self) -> Option<Timestamp> {
        time(&self.state.started_at)
    }

    pub(super) fn status(&self) -> &str {
        &self.state.status
    }

    pub(super) fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// The host's path of its own writable layer, where the driver tells.
    pub(super) fn layer(&self) -> Option<&str> {
        self.graph_driver.data.as_ref()?.upper_dir.as_deref()
    }

    /// A variable of its environment that says where Postgres keeps its files.
    pub(super) fn place(&self, key: &str) -> Option<&str> {
        self.config.env.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The container as an instance. `option` is what a person puts behind `docker`.
    pub(super) fn instance(&self, option: &str) -> Instance {
        let name = paste::argument(self.name());
        let docker = |verb: &str| format!("docker {option}{verb} {name}");
        Instance {
            id: self.id.clone(),
            name: self.name().to_owned(),
            state: self.state(),
            word: self.word(),
            started_at: self.started_at(),
            restarts: Some(self.restart_count),
            exit: self.exit(),
            checks: self.state.health.iter().filter_map(Health::check).collect(),
            remarks: self.remarks(),
            by_hand: ByHand {
                look: format!("{}; {}", docker("inspect -f '{{json .State}}'"), docker("logs --tail 50")),
                start: docker(if self.status() == "paused" { "unpause" } else { "start" }),
                restart: docker("restart"),
            },
            ..Instance::default()
        }
    }

    fn state(&self) -> InstanceState {
        let orderly = self.state.exit_code == 0 || self.was_asked_to_end();
        match self.status() {
            "running" => InstanceState::Running,
            "restarting" => InstanceState::Starting,
            "removing" | "stopping" => InstanceState::Stopping,
            // Its processes are frozen: its sockets take connections, and nobody answers.
            "paused" => InstanceState::Stopped,
            "exited" | "created" | "initialized" | "configured" if orderly && !self.state.out_of_memory => {
                InstanceState::Stopped
            }
            "exited" | "created" | "dead" => InstanceState::Failed,
            _ => InstanceState::Unknown,
        }
    }

    /// As `docker ps` writes it: `Exited (137)`, `Restarting (1)`, `Up (unhealthy)`.
    fn word(&self) -> String {
        let health = self.state.health.as_ref().map(|h| h.status.as_str()).filter(|status| *status != "none");
        match (self.status(), health) {
            ("running", Some(health)) => format!("Up ({health})"),
            ("running", None) => "Up".to_owned(),
            ("exited", _) => format!("Exited ({})", self.state.exit_code),
            ("restarting", _) => format!("Restarting ({})", self.state.exit_code),
            (other, _) => mask::excerpt(other, 40),
        }
    }

    /// How it last ended; None where it never ran.
    fn exit(&self) -> Option<Exit> {
        let code = self.state.exit_code;
        let at = time(&self.state.finished_at);
        match self.status() {
            // The code of an end that was followed by a start is gone; its time is not.
            "running" | "paused" => at.map(|at| Exit { at: Some(at), ..Exit::default() }),
            "created" if code == 0 => None,
            _ => Some(Exit {
                at,
                code: Some(code),
                signal: signal(code),
                out_of_memory: self.state.out_of_memory,
                requested: self.was_asked_to_end(),
            }),
        }
    }

    /// True where the engine would have started it again, had nobody stopped it (docker run reference, "Restart
    /// policies"), or where it ended by a signal that asks for an end.
    fn was_asked_to_end(&self) -> bool {
        let policy = self.host_config.restart_policy.name.as_str();
        let kept_up = matches!(policy, "always" | "unless-stopped");
        let asked = signal(self.state.exit_code).is_some_and(|signal| ASKED_FOR.contains(&signal));
        self.status() == "exited" && (kept_up || asked)
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let error = mask::excerpt(&self.state.error, OUTPUT);
        if !error.is_empty() {
            remarks.push(error);
        }
        if self.status() == "paused" {
            remarks.push("paused: its processes are frozen, and whoever connects gets no answer".to_owned());
        }
        remarks
    }
}

impl Health {
    fn check(&self) -> Option<Check> {
        let status = match self.status.as_str() {
            "healthy" => CheckStatus::Passing,
            "unhealthy" => CheckStatus::Critical,
            "starting" => CheckStatus::Warning,
            "none" | "" => return None,
            _ => CheckStatus::Unknown,
        };
        let last = self.log.as_ref().and_then(|log| log.last());
        let output = last.map(|last| mask::excerpt(&last.output, OUTPUT)).unwrap_or_default();
        let streak = match self.failing_streak {
            0 => String::new(),
            n => format!(" (failed {n} times running)"),
        };
        Some(Check {
            name: "health".to_owned(),
            status,
            output: mask::excerpt(&format!("{output}{streak}"), OUTPUT),
            updated_at: last.and_then(|last| time(&last.end)),
        })
    }
}

/// The signal in an exit code: 128 and its number (POSIX shells; the engine does the same).
fn signal(code: i64) -> Option<i64> {
    (129..=192).contains(&code).then_some(code - 128)
}

/// A time; the year 1 stands for never.
fn time(text: &str) -> Option<Timestamp> {
    if text.starts_with("0001-") { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from 20.10.24, shortened.
    fn of(state: &str, rest: &str) -> Instance {
        let text = format!(
            "{{\"Id\":\"2d6a\",\"Name\":\"/db\",\"State\":{{{state}}},\"Config\":{{\"Tty\":false,\
             \"Env\":[\"PGDATA=/data\",\"POSTGRES_PASSWORD=hunter2\"]}}{rest}}}"
        );
        let container: Container =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        container.instance("")
    }

    const NEVER: &str = "0001-01-01T00:00:00Z";

    #[test]
    fn a_container_that_runs_with_its_health() {
        let seen = of(
            "\"Status\":\"running\",\"OOMKilled\":false,\"Pid\":16986,\"ExitCode\":0,\"Error\":\"\",\
             \"StartedAt\":\"2026-11-23T17:40:51.422151321Z\",\"FinishedAt\":\"0001-01-01T00:00:00Z\",\
             \"Health\":{\"Status\":\"unhealthy\",\"FailingStreak\":3,\"Log\":[{\"End\":\"2026-11-23T17:40:52.594908133Z\",\
             \"ExitCode\":2,\"Output\":\"psql: error: password=hunter2\\n\"}]}",
            ",\"RestartCount\":2",
        );
        assert_eq!((seen.state, seen.word.as_str()), (InstanceState::Running, "Up (unhealthy)"));
        assert_eq!((seen.restarts, seen.exit), (Some(2), None));
        assert_eq!(seen.started_at, Some("2026-11-23T17:40:51.422Z".parse().unwrap()));
        assert_eq!(seen.checks[0].status, CheckStatus::Critical);
        assert!(
            seen.checks[0].output.contains("failed 3 times") && !seen.checks[0].output.contains("hunter2")
        );
        assert_eq!(seen.by_hand.restart, "docker restart db");
    }

    #[test]
    fn ends_are_told_apart() {
        let ended = |code: i64, oom: bool, policy: &str| {
            let state = format!(
                "\"Status\":\"exited\",\"OOMKilled\":{oom},\"ExitCode\":{code},\"FinishedAt\":\"2026-11-23T17:41:10Z\""
            );
            let policy = format!(
                ",\"HostConfig\":{{\"RestartPolicy\":{{\"Name\":{policy:?},\"MaximumRetryCount\":0}}}}"
            );
            let seen = of(&state, &policy);
            let exit = seen.exit.unwrap();
            (seen.state, exit.signal, exit.out_of_memory, exit.requested)
        };
        assert_eq!(ended(0, false, "no"), (InstanceState::Stopped, None, false, false));
        assert_eq!(ended(1, false, "no"), (InstanceState::Failed, None, false, false));
        assert_eq!(ended(143, false, "no"), (InstanceState::Stopped, Some(15), false, true));
        assert_eq!(ended(137, true, "no"), (InstanceState::Failed, Some(9), true, false));
        assert_eq!(ended(137, false, "unless-stopped"), (InstanceState::Stopped, Some(9), false, true));
        assert_eq!(ended(255, false, "on-failure"), (InstanceState::Failed, None, false, false));
    }

    #[test]
    fn the_other_states() {
        let state = |text: &str| of(text, "");
        let loops = state("\"Status\":\"restarting\",\"ExitCode\":3,\"FinishedAt\":\"2026-11-23T17:41:16Z\"");
        assert_eq!((loops.state, loops.word.as_str()), (InstanceState::Starting, "Restarting (3)"));
        assert_eq!(loops.exit.unwrap().code, Some(3));
        let paused = state("\"Status\":\"paused\",\"StartedAt\":\"2026-11-23T17:41:16Z\"");
        assert_eq!(
            (paused.state, paused.by_hand.start.as_str()),
            (InstanceState::Stopped, "docker unpause db")
        );
        let never = state(&format!("\"Status\":\"created\",\"FinishedAt\":{NEVER:?}"));
        assert_eq!((never.state, never.exit), (InstanceState::Stopped, None));
        let cannot = state(
            "\"Status\":\"created\",\"ExitCode\":127,\"Error\":\"OCI runtime create failed: exec: \\\"nosuch\\\": not found\"",
        );
        assert_eq!(cannot.state, InstanceState::Failed);
        assert!(cannot.remarks[0].contains("nosuch"));
        assert_eq!(state("\"Status\":\"levitating\"").state, InstanceState::Unknown);
    }

    #[test]
    fn of_the_environment_only_places_are_kept() {
        let text = "{\"Id\":\"2\",\"Name\":\"/db\",\"State\":{\"Status\":\"running\"},\"Config\":{\"Env\":[\"PGDATA=/data\",\
                    \"POSTGRES_PASSWORD=hunter2\"]}}";
        let container: Container = serde_json::from_str(text).unwrap();
        assert_eq!(container.place("PGDATA"), Some("/data"));
        assert_eq!(container.place("POSTGRES_PASSWORD"), None);
    }
}

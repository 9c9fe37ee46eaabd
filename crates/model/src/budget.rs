//! The connection budget: who may open how many connections, against what the server lets in. The plan is what a
//! configuration says of the API's deployment; the sum is what an audit makes of it.

use serde::{Deserialize, Serialize};

/// `[service.budget]`: what the API's deployment may open at most. What is not said is taken from the pools' metrics, the
/// platform, or what is observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BudgetPlan {
    /// The API's role, where pgmedic does not go in by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Machines of the API, at most (the upper end of an autoscaler).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machines: Option<u64>,
    /// The most connections of one machine's pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_max: Option<u64>,
    /// Worker processes beside the machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<u64>,
    /// The most connections of one worker. Default: `pool_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_pool_max: Option<u64>,
    /// Connections of migrations that run while the API does. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations: Option<u64>,
    /// Machines that run besides while a deploy replaces the others. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_overlap: Option<u64>,
    /// Connections of others: exporters, consoles, cron. Default: as many as are observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<u64>,
    /// After this the pool closes a connection that idles, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_idle_ms: Option<f64>,
    /// After this the pool closes a connection whatever it does, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_lifetime_ms: Option<f64>,
    /// How long the pool waits for a connection, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_wait_ms: Option<f64>,
}

/// One line of the sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// What opens them: `3 machines × pool max 10`.
    pub what: String,
    /// How many connections.
    pub connections: u64,
    /// Where the figure is from: `pgmedic.toml`, `pg_pool_max`, `the platform`, `observed`, `default`.
    pub from: String,
}

/// The sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Its lines.
    pub terms: Vec<Term>,
    /// What is opened at most. None where a line could not be filled in.
    pub wanted: Option<u64>,
    /// What is let in: the tightest limit.
    pub allowed: u64,
    /// Which limit that is, with its arithmetic: `max_connections 25 − 3 reserved`.
    pub allowed_by: String,
    /// The largest pool size of each machine (and worker) that stays within it. None where there is no machine count, 0
    /// where there is no such size.
    pub largest_pool: Option<u64>,
    /// How that comes about: `(22 − 1 − 2) ÷ 6`.
    pub largest_pool_by: String,
}

impl Budget {
    /// True where more is wanted than is let in.
    #[must_use]
    pub fn is_overrun(&self) -> bool {
        self.wanted.is_some_and(|wanted| wanted > self.allowed)
    }
}

//! What an alert is: its name, expression, patience, and what it says.

use std::time::Duration;

/// How bad it is: the label `severity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Critical,
    Warning,
}

impl Severity {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// One alerting rule.
#[derive(Clone, Debug)]
pub(super) struct Alert {
    /// As people route it.
    pub(super) name: &'static str,
    /// Why the expression is as it is, as a comment above the rule.
    pub(super) why: String,
    /// PromQL, in lines.
    pub(super) expr: String,
    /// How long it must hold.
    pub(super) hold: Duration,
    pub(super) severity: Severity,
    /// Whose metrics it reads: the label `seen_by`.
    pub(super) seen_by: &'static str,
    /// The label `service`; None where the expression's result has it.
    pub(super) service: Option<String>,
    /// The label `cause`; None where the expression's result has it, or there is none.
    pub(super) cause: Option<&'static str>,
    /// The label `sign`, where several rules of one name tell by different signs.
    pub(super) sign: Option<&'static str>,
    pub(super) summary: String,
    pub(super) description: String,
    pub(super) runbook: String,
}

/// Rules that are evaluated together.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) every: Duration,
    pub(super) alerts: Vec<Alert>,
}

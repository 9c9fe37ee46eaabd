//! `startup-option-rejected`: a setting that comes with the login is refused.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::startup::refusal::{refused, says};
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, ServerError, SqlState};

cause! {
    /// The server or the pooler rejects a setting that comes with the login.
    ///
    /// ## What it is
    /// The URL carries settings (`options=-c…`, `search_path`, `client_encoding`, a `role`), and one of them is
    /// unknown to this server, has a value that it does not take, or may not be set by this role. After an upgrade
    /// a setting may be gone, after a clean-up a role. What a PgBouncer refuses is `pooler-rejects-parameter`.
    ///
    /// ## What proves it
    /// 42704 `unrecognized configuration parameter`, 22023 `invalid value for parameter`, 55P02, 42501
    /// `permission denied to set parameter`, 42601. The message names the setting.
    ///
    /// ## What mends it
    /// 1. Take the setting out of the service's URL, or correct it.
    /// 2. If it is not there: `PGOPTIONS` in its environment, or what its driver sends by itself. It is not a setting
    ///    of `ALTER ROLE … SET` or `ALTER DATABASE … SET`: of those the server only warns, and lets the client in.
    ///
    /// ## What makes it worse
    /// Restarting anything: each login brings the same setting again.
    ///
    /// ## What prevents it
    /// Settings kept at the role (`ALTER ROLE … SET`), where the server checks them when they are made; a
    /// login test against a new major version before the upgrade.
    ///
    /// ## References
    /// Postgres manual, "Parameter Interaction via the Shell" (`options`), "ALTER ROLE" (SET), error codes
    /// 42704 and 22023; PgBouncer manual, `ignore_startup_parameters`.
    "startup-option-rejected" in Startup, proved by Proof::Drill;
}

/// invalid_parameter_value, cant_change_runtime_param, syntax_error: at login they speak of a setting.
const CODES: [&str; 4] = [SqlState::UNDEFINED_OBJECT, "22023", "55P02", "42601"];

fn rejected(error: &ServerError) -> bool {
    CODES.iter().any(|code| error.is(code))
        || (error.is(SqlState::INSUFFICIENT_PRIVILEGE) && says(error, Words::SettingNotPermitted))
}

fn find(e: &Evidence) -> Option<Finding> {
    let refusal = refused(e, |_, error| rejected(error))?;
    let what = format!(
        "the server rejects a setting that comes with the login: {}",
        refusal.error.message.trim_end()
    );
    let finding = refusal.finding(e, &CAUSE, Confidence::Certain, &what);
    let plan = "take the setting out of the service's URL, or correct it; if it is not there, see PGOPTIONS and the \
                driver's own settings";
    let command =
        "env | grep -E '^PGOPTIONS='; grep -rn 'options' .env* config* 2>/dev/null   # where the API runs";
    Some(finding.mended_by(RemedyPlan::by_hand("correct-startup-option", RemedyKind::Advice, plan, command)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused as walk_refused};
    use pgmedic_model::Severity;

    #[test]
    fn startup_option_rejected_is_read_from_the_code() {
        for (code, message) in [
            ("42704", "unrecognized configuration parameter \"nosuch\""),
            ("22023", "invalid value for parameter \"client_encoding\": \"foo\""),
            ("55P02", "parameter \"port\" cannot be changed without restarting the server"),
            ("42501", "permission denied to set parameter \"log_statement\""),
            ("42501", "permission denied to set role \"reporting\""),
            ("42601", "invalid command-line argument for server process: -Z"),
        ] {
            let found = find(&walk_refused(code, message)).expect("found");
            assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
            assert!(found.summary.ends_with(message), "{}", found.summary);
        }
    }

    #[test]
    fn startup_option_rejected_is_not_another_42501() {
        assert!(find(&walk_refused("42501", "permission denied for database \"renderflow\"")).is_none());
        assert!(find(&walk_refused("08P01", "unsupported startup parameter: extra_float_digits")).is_none());
        assert!(find(&healthy()).is_none());
    }
}

//! What a server that lets nobody in yet shows of its progress: the startup process's title, postmaster.pid.
//! Not in here: whether it starts, recovers or stands by; the refusal's words say that.

use crate::evidence::Evidence;
use crate::paste;
use crate::rooms::server::log;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Fact, RemedyKind, RemedyPlan, ServerError, Source};

/// The startup process's title and the last line of postmaster.pid, where the host shows them.
pub(crate) fn progress(e: &Evidence) -> Vec<Fact> {
    let Some(host) = e.host.get() else { return Vec::new() };
    let title = host.auxiliaries.iter().find(|t| t.starts_with("startup"));
    let title = title.map(|t| Fact::new(Source::Host, host.at, "process titles", format!("process: {t}")));
    let status = host.postmaster_status.as_ref().map(|status| {
        Fact::new(Source::Host, host.at, "postmaster.pid", format!("status: {}", status.trim()))
    });
    title.into_iter().chain(status).collect()
}

/// Whether what recovers is a standby or a restore, where the host shows it: by its signal file, else by the log. A
/// server that recovers lets nobody in, nor does it look at anybody's password: where another way comes so far, that one
/// leads elsewhere, and the window shows the server there.
pub(crate) fn follows_an_archive(e: &Evidence) -> Option<bool> {
    if e.routes().any(|(_, route)| route.admitted() || route.refusal().is_some_and(looks_at_clients)) {
        return Some(true);
    }
    let by_file = e.host.get().and_then(|h| h.recovery_signal);
    let crashed = || {
        let of = [Words::CrashRecovery, Words::TerminatedBySignal];
        of.iter().any(|words| log::recent(e, *words).is_some()).then_some(false)
    };
    by_file.or_else(crashed)
}

/// A refusal for a reason of the client's own. While a server starts, recovers or stops it refuses with 57P03 before it
/// looks at a client (ProcessStartupPacket, backend_startup.c).
fn looks_at_clients(error: &ServerError) -> bool {
    let of_the_client = ["28000", "28P01", "3D000", "42501", "53300", "55000"];
    error.code.as_ref().is_some_and(|code| of_the_client.iter().any(|own| code.as_str() == *own))
}

/// What the startup process is at, for a summary: `, recovering 000000010000000000000003`.
pub(crate) fn at_work_on(e: &Evidence) -> String {
    let title = e.host.get().and_then(|h| h.auxiliaries.iter().find_map(|t| t.strip_prefix("startup ")));
    title.map(|t| format!(", {t}")).unwrap_or_default()
}

/// Advice to wait, with the command that ends when the server lets sessions in.
pub(crate) fn wait(e: &Evidence, plan: &str) -> RemedyPlan {
    RemedyPlan::by_hand("wait-for-server", RemedyKind::Advice, plan, paste::until_ready(e))
}

/// `$PGDATA`, or the data directory where the host shows it, as an argument.
pub(crate) fn data_directory(e: &Evidence) -> String {
    let seen = e.host.get().and_then(|h| h.data_directory.as_deref());
    seen.or_else(|| e.facts().and_then(|f| f.storage.data_directory.as_deref()))
        .map_or_else(|| "\"$PGDATA\"".to_owned(), paste::argument)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused, window};

    #[test]
    fn where_another_way_is_admitted_the_window_shows_another_server() {
        let mut e = healthy();
        window(&mut e, |host| host.recovery_signal = Some(false));
        assert_eq!(follows_an_archive(&e), Some(true));
        e.front.startup = None;
        assert_eq!(follows_an_archive(&e), Some(false));
        for (code, follows) in [("28P01", true), ("57P03", false)] {
            let mut e = refused(code, "so it is");
            window(&mut e, |host| host.recovery_signal = Some(false));
            assert_eq!(follows_an_archive(&e), Some(follows), "{code}");
        }
    }

    #[test]
    fn progress_is_read_off_the_title() {
        let mut e = healthy();
        assert!(progress(&e).is_empty() && at_work_on(&e).is_empty());
        assert_eq!(data_directory(&e), "\"$PGDATA\"");
        window(&mut e, |host| {
            host.auxiliaries =
                vec!["checkpointer".into(), "startup recovering 000000010000000000000003".into()];
            host.postmaster_status = Some("starting".into());
            host.data_directory = Some("/data".into());
        });
        assert_eq!(progress(&e).len(), 2);
        assert_eq!(at_work_on(&e), ", recovering 000000010000000000000003");
        assert_eq!(data_directory(&e), "/data");
        assert!(wait(&e, "wait").command.starts_with("until pg_isready"));
    }
}

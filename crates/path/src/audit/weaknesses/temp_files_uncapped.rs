//! `temp-files-uncapped`: one query may fill the disk with temporary files.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::storage::volumes;
use pgmedic_model::{AuditFinding, Confidence, Nearness, Risk, Severity};

weakness! {
    /// One query of the API may fill the disk with its temporary files.
    ///
    /// ## What it is
    /// A sort or a hash that does not fit in `work_mem` goes to disk. `temp_file_limit` is -1 by default: without end.
    ///
    /// ## What breaks
    /// A report with a forgotten join condition fills the volume in minutes; every write fails (53100), and the next
    /// checkpoint may end the server.
    ///
    /// ## What proves it
    /// What a new session of the API's role gets: `temp_file_limit = -1`.
    ///
    /// ## What mends it
    /// `alter role … set temp_file_limit`: half of what the volume has free, 5 GB where that is not seen. A query beyond it
    /// fails alone (53400). Only a superuser may set it.
    ///
    /// ## References
    /// Postgres manual: `temp_file_limit`, `log_temp_files`.
    "temp-files-uncapped" in Storage, proved by Proof::Drill;
}

/// Where no volume is seen.
const DEFAULT_GB: u64 = 5;

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let uncapped = |role: &&str| {
        view.effective(role, "temp_file_limit").and_then(|now| now.number).is_some_and(|bytes| bytes < 0.0)
    };
    let roles: Vec<&str> = view.api_roles().into_iter().filter(uncapped).collect();
    let first = roles.first()?;
    let free = volumes::shown(e).iter().find(|s| volumes::is_vital(&s.view)).map(|s| s.view.available_bytes);
    let advised = match free.map(|free| free / 2) {
        None => format!("{DEFAULT_GB}GB"),
        Some(half) if half >= 2 << 30 => format!("{}GB", half >> 30),
        Some(half) => format!("{}MB", (half >> 20).max(16)),
    };
    let summary =
        format!("one query of {} may write temporary files until the disk is full", roles.join(", "));
    let fact = view.fact("pg_settings", format!("temp_file_limit of role {first}: -1, no end"));
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(Severity::Warning, Confidence::Certain)
            .breaks(Nearness::Fault, "a query gone wild fills the volume, and every write fails")
            .mended_by(roles.iter().filter_map(|role| {
                changes::for_role(&view, role, "temp_file_limit", &advised, Risk::Bounds)
            })),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::{audited, set};
    use crate::rooms::storage::volumes::tests::{volume, with_volumes};

    #[test]
    fn temp_files_uncapped_get_half_of_what_is_free() {
        assert!(find(&audited(|_| {})).is_none());
        let e = audited(|told| set(told, "temp_file_limit", "-1"));
        assert_eq!(find(&e).unwrap().changes[0].statement, "alter role \"app\" set temp_file_limit = '5GB'");
        let small = with_volumes(e.clone(), vec![volume(4_000, 1_000)]);
        assert_eq!(find(&small).unwrap().changes[0].advised, "500MB");
        assert_eq!(find(&with_volumes(e, vec![volume(400_000, 16_384)])).unwrap().changes[0].advised, "8GB");
    }
}

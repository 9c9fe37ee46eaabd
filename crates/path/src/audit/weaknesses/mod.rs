//! THE table of weaknesses, in the order of the path. One weakness, one file: id = file name = page.

use super::Weakness;

pub mod api_is_superuser;
pub mod autovacuum_off;
pub mod budget_overrun;
pub mod certificate_expires;
pub mod crash_unsafe;
pub mod dead_peers_unnoticed;
pub mod fills_soon;
pub mod hba_open;
pub mod no_own_role;
pub mod no_reserve;
pub mod password_expires;
pub mod pool_outlives_proxy;
pub mod pooler_contradicts;
pub mod proxy_idle_shorter;
pub mod proxy_outgrown;
pub mod restart_pending;
pub mod role_unlimited;
pub mod single_resolver;
pub mod slot_unread;
pub mod slots_uncapped;
pub mod temp_files_uncapped;
pub mod timeouts_global;
pub mod timeouts_missing;
pub mod wal_outgrows_volume;
pub mod wraparound_nearing;

/// Every weakness, in the order of the path.
pub static ALL: &[&Weakness] = &[
    &single_resolver::WEAKNESS,
    &dead_peers_unnoticed::WEAKNESS,
    &proxy_outgrown::WEAKNESS,
    &proxy_idle_shorter::WEAKNESS,
    &pool_outlives_proxy::WEAKNESS,
    &pooler_contradicts::WEAKNESS,
    &certificate_expires::WEAKNESS,
    &password_expires::WEAKNESS,
    &hba_open::WEAKNESS,
    &budget_overrun::WEAKNESS,
    &api_is_superuser::WEAKNESS,
    &role_unlimited::WEAKNESS,
    &no_own_role::WEAKNESS,
    &no_reserve::WEAKNESS,
    &restart_pending::WEAKNESS,
    &crash_unsafe::WEAKNESS,
    &autovacuum_off::WEAKNESS,
    &wraparound_nearing::WEAKNESS,
    &timeouts_missing::WEAKNESS,
    &timeouts_global::WEAKNESS,
    &fills_soon::WEAKNESS,
    &wal_outgrows_volume::WEAKNESS,
    &slots_uncapped::WEAKNESS,
    &slot_unread::WEAKNESS,
    &temp_files_uncapped::WEAKNESS,
];

/// Every weakness.
pub fn all() -> impl Iterator<Item = &'static Weakness> {
    ALL.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::cause::Proof;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn folder() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/audit/weaknesses")
    }

    #[test]
    fn every_weakness_stands_in_the_file_of_its_name_and_every_file_is_registered() {
        let files: BTreeSet<String> = std::fs::read_dir(folder())
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().replace('_', "-"))
            .filter(|stem| stem != "mod")
            .collect();
        let registered: BTreeSet<String> = all().map(|w| w.id.to_owned()).collect();
        assert_eq!(files, registered);
        assert_eq!(registered.len(), ALL.len(), "one is registered twice");
        let causes: BTreeSet<&str> = crate::rooms::pages().map(|cause| cause.id).collect();
        assert!(all().all(|w| !causes.contains(w.id)), "an id that a cause has");
        assert!(ALL.is_sorted_by_key(|w| w.room), "not in the order of the path");
    }

    #[test]
    fn every_weakness_has_a_page_and_a_test_on_evidence_in_its_own_file() {
        for weakness in all() {
            let (id, title) = (weakness.id, weakness.title());
            assert!(title.ends_with('.') && title.chars().count() <= 120, "{id}: {title:?}");
            let mut parts = weakness.page.split("\n ## ").skip(1);
            for heading in Weakness::HEADINGS {
                let (found, text) = parts.next().and_then(|part| part.split_once('\n')).unwrap_or_default();
                assert_eq!(found, heading, "{id}");
                assert!(!text.trim().is_empty(), "{id}: nothing under {heading:?}");
            }
            assert_eq!(parts.next(), None, "{id}");
            let stem = id.replace('-', "_");
            let text = std::fs::read_to_string(folder().join(format!("{stem}.rs"))).unwrap();
            let tests = text.split_once("#[cfg(test)]").map_or("", |(_, tests)| tests);
            assert!(tests.contains(&format!("fn {stem}_")) && tests.contains("find("), "{id} has no test");
            if let Proof::None(why) = weakness.proof {
                assert!(!why.trim().is_empty(), "{id}");
            }
        }
    }

    #[test]
    fn a_server_that_is_set_well_has_none() {
        let e = audited(|_| {});
        let found: Vec<_> = all().filter_map(|w| (w.find)(&e)).map(|f| f.weakness).collect();
        assert_eq!(found, Vec::<String>::new());
    }
}

//! THE table: the ten rooms in the order of the path, and the causes of each.

use crate::cause::Cause;

pub mod admission;
pub mod app;
pub mod dns;
pub mod network;
pub mod proxy;
pub mod server;
pub mod sessions;
pub mod startup;
pub mod storage;
pub mod tls;

/// Every page that a finding may lead to: the causes, and the finding of last resort.
pub fn pages() -> impl Iterator<Item = &'static Cause> {
    causes().chain(std::iter::once(&crate::unrecognised::CAUSE))
}

/// Every cause, in the order of the path.
pub fn causes() -> impl Iterator<Item = &'static Cause> {
    [
        app::causes::ALL,
        dns::causes::ALL,
        network::causes::ALL,
        proxy::causes::ALL,
        tls::causes::ALL,
        startup::causes::ALL,
        admission::causes::ALL,
        server::causes::ALL,
        sessions::causes::ALL,
        storage::causes::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Proof;
    use pgmedic_model::Room;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The page's sections: heading and text, in their order.
    fn sections(page: &str) -> Vec<(&str, &str)> {
        let mut parts = page.split("\n ## ");
        let _title = parts.next();
        parts.map(|part| part.split_once('\n').unwrap_or((part, ""))).collect()
    }

    #[test]
    fn every_cause_has_an_id_of_its_own_in_kebab_case() {
        let mut seen = BTreeSet::new();
        for id in causes().map(|c| c.id) {
            assert!(seen.insert(id), "{id} is registered twice");
            let kebab = |word: &str| {
                !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            };
            assert!(id.split('-').all(kebab), "{id} is not in kebab-case");
        }
    }

    #[test]
    fn every_cause_stands_in_the_file_of_its_name_and_every_file_is_registered() {
        for room in Room::ALL {
            let folder =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rooms").join(room.as_str()).join("causes");
            let texts: Vec<(String, String)> = std::fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
                .map(|(stem, path)| (stem.replace('_', "-"), std::fs::read_to_string(path).unwrap()))
                .filter(|(_, text)| text.contains("\ncause! {"))
                .collect();
            let files: BTreeSet<&str> = texts.iter().map(|(stem, _)| stem.as_str()).collect();
            let registered: BTreeSet<&str> = causes().filter(|c| c.room == room).map(|c| c.id).collect();
            assert_eq!(files, registered, "in {}", folder.display());
        }
    }

    #[test]
    fn every_cause_has_a_test_on_evidence_in_its_own_file() {
        for cause in causes() {
            let file = format!("src/rooms/{}/causes/{}.rs", cause.room.as_str(), cause.id.replace('-', "_"));
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap();
            let tests = text.split_once("#[cfg(test)]").map_or("", |(_, tests)| tests);
            assert!(tests.contains("#[test]"), "{file} has no test");
            let judges = ["CAUSE", "find(", cause.id, "diagnose("];
            assert!(
                judges.iter().any(|word| tests.contains(word)),
                "{file}: its tests never ask for its finding"
            );
        }
    }

    #[test]
    fn every_page_has_its_title_and_its_six_headings_with_text_under_each() {
        for cause in causes() {
            let (id, title) = (cause.id, cause.title());
            assert!(title.ends_with('.'), "{id}: the title is no sentence: {title:?}");
            assert!(title.chars().count() <= 100, "{id}: the title is too long: {title:?}");
            let sections = sections(cause.page);
            let headings: Vec<&str> = sections.iter().map(|(heading, _)| *heading).collect();
            assert_eq!(headings, crate::Cause::HEADINGS, "{id}");
            for (heading, text) in sections {
                assert!(!text.trim().is_empty(), "{id}: nothing under {heading:?}");
            }
        }
    }

    #[test]
    fn every_cause_without_a_drill_says_why() {
        for cause in causes() {
            if let Proof::None(why) = cause.proof {
                assert!(!why.trim().is_empty(), "{}", cause.id);
            }
        }
    }
}

//! This folder's readers, for the fuzz targets.

use super::answer::read;
use pgmedic_model::Policy;

/// The rows of the statement's answer, one a line, columns parted by tabs, `\N` for a null; after a line `--` the locks'.
pub fn answer(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let column = |text: &str| (text != "\\N").then(|| text.to_owned());
    let rows = |text: &str| -> Vec<Vec<Option<String>>> {
        text.lines().map(|line| line.split('\t').map(column).collect()).collect()
    };
    let (first, locks) = text.split_once("\n--\n").unwrap_or((&text, ""));
    let Ok(mut account) = read(rows(first)) else { return };
    if account.wants_locks() {
        let _added = account.add_locks(&rows(locks));
    }
    let facts = account.into_facts(&Policy::default());
    let _json = serde_json::to_string(&facts);
}

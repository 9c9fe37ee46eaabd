//! What the house demands of every file, as a check that fails.

use crate::{Outcome, rust_files};
use pgmedic_path::rooms;
use std::path::Path;

/// A file may be this long; an exception carries its reason in the line `// tidy: long, because …`.
const LONGEST_FILE: usize = 500;

/// Words that may not stand in the sources, and why.
const BANNED: [(&str, &str); 4] = [
    ("TODO", "an unfinished thought belongs in an issue"),
    ("FIXME", "a known fault belongs in an issue"),
    ("mod utils", "a module says what it is for"),
    ("std::thread::sleep(std::time::Duration::from_secs", "a sleep that hopes: poll with a deadline"),
];

/// Checks the tree.
pub(crate) fn run(root: &Path) -> Outcome {
    let mut complaints = Vec::new();
    let mut files = rust_files(&root.join("crates"));
    files.extend(rust_files(&root.join("examples")));
    files.extend(rust_files(&root.join("xtask")));
    for path in &files {
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => complaints.extend(one_file(&name, &text)),
            Err(e) => complaints.push(format!("{name}: {e}")),
        }
    }
    complaints.extend(causes(root));
    complaints.extend(directions(root));
    if let Err(differences) = crate::codegen::run(root, true) {
        complaints.extend(differences);
    }
    if complaints.is_empty() { Ok(format!("tidy: {} files", files.len())) } else { Err(complaints) }
}

fn one_file(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{name}:1: a module opens with //!: what it is for, and what is not in it"));
    }
    let length = text.lines().count();
    if length > LONGEST_FILE && !text.contains("// tidy: long, because ") {
        complaints
            .push(format!("{name}: {length} lines; cut it where the reader would, at most {LONGEST_FILE}"));
    }
    if name.starts_with("xtask/") {
        return complaints;
    }
    for (number, line) in text.lines().enumerate() {
        for (word, why) in BANNED {
            if line.contains(word) {
                complaints.push(format!("{name}:{}: {word:?}: {why}", number + 1));
            }
        }
    }
    complaints
}

/// One cause, one file: the file carries the id, and a test in it is named after it.
fn causes(root: &Path) -> Vec<String> {
    let mut complaints = Vec::new();
    for cause in rooms::causes() {
        let stem = cause.id.replace('-', "_");
        let name = format!("crates/path/src/rooms/{}/causes/{stem}.rs", cause.room);
        match std::fs::read_to_string(root.join(&name)) {
            Ok(text) if !text.contains(&format!("fn {stem}")) => {
                complaints.push(format!("{name}: no test is named {stem}_…"));
            }
            Ok(_) => {}
            Err(e) => complaints.push(format!("{name}: {e}; a cause's file is named after its id")),
        }
    }
    complaints
}

/// `model` ← everything; `path` ← `lab`, `cli`; nothing needs `cli`.
fn directions(root: &Path) -> Vec<String> {
    let forbidden = [
        ("model", &["tokio", "pgmedic-path", "pgmedic-lab", "clap"][..]),
        ("path", &["pgmedic-lab", "clap", "toml"][..]),
        ("lab", &["clap"][..]),
        ("pool", &["pgmedic-path", "pgmedic-lab", "clap"][..]),
    ];
    let mut complaints = Vec::new();
    for (crate_name, words) in forbidden {
        let name = format!("crates/{crate_name}/Cargo.toml");
        let manifest = std::fs::read_to_string(root.join(&name)).unwrap_or_default();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for word in words {
            if dependencies
                .lines()
                .any(|l| l.starts_with(&format!("{word} ")) || l.starts_with(&format!("{word}.")))
            {
                complaints.push(format!("{name}: {crate_name} must not depend on {word}"));
            }
        }
    }
    complaints
}

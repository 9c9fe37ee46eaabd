//! Chores of the house: `cargo xtask tidy | codegen [--check] | new cause ROOM ID | accuracy [--quick]`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people")]

mod accuracy;
mod codegen;
mod log_patterns;
mod new;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask tidy               what the house demands of every file; also runs in `make lint`
cargo xtask codegen            writes docs/causes/ from the causes' doc comments, and docs/log-patterns.md
cargo xtask codegen --check    fails where they differ
cargo xtask accuracy           runs every drill on each Postgres of PGMEDIC_PG_BINS; writes docs/accuracy.md
cargo xtask accuracy --quick   this machine's own Postgres and 200 healthy checks; fails on any miss
cargo xtask new cause ROOM ID  a cause's file with its page, its test and its registration";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["tidy"] => tidy::run(&root()),
        ["codegen"] => codegen::run(&root(), false),
        ["codegen", "--check"] => codegen::run(&root(), true),
        ["accuracy"] => accuracy::run(&root(), accuracy::Extent::Whole),
        ["accuracy", "--quick"] => accuracy::run(&root(), accuracy::Extent::Quick),
        ["new", "cause", room, id] => new::cause(&root(), room, id),
        _ => Err(vec![USAGE.to_owned()]),
    };
    match outcome {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(complaints) => {
            for complaint in complaints {
                eprintln!("{complaint}");
            }
            ExitCode::FAILURE
        }
    }
}

/// What a chore ends in: a line to say, or complaints.
type Outcome = Result<String, Vec<String>>;

/// The workspace's root.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Every file below `folder` that ends in `.rs`, sorted.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_path_buf()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true if path.file_name().is_some_and(|n| n != "target") => todo.push(path),
                false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

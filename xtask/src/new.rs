//! Scaffolding: a new cause's file with its page, its test and its registration.

use crate::Outcome;
use pgmedic_model::Room;
use std::path::Path;

/// Writes `rooms/ROOM/causes/ID.rs` and registers it.
pub(crate) fn cause(root: &Path, room: &str, id: &str) -> Outcome {
    let known = Room::ALL.into_iter().find(|r| r.as_str() == room);
    let room = known.ok_or_else(|| {
        let all: Vec<&str> = Room::ALL.into_iter().map(Room::as_str).collect();
        vec![format!("no room {room:?}; the rooms are {}", all.join(", "))]
    })?;
    let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || !id.chars().all(kebab) {
        return Err(vec![format!("{id:?}: an id is kebab-case and states the fault, never the cure")]);
    }
    if pgmedic_path::rooms::causes().any(|c| c.id == id) {
        return Err(vec![format!("there is a cause {id} already")]);
    }
    let stem = id.replace('-', "_");
    let folder = root.join(format!("crates/path/src/rooms/{room}/causes"));
    let failed = |e: std::io::Error| vec![format!("{}: {e}", folder.display())];
    let registry = std::fs::read_to_string(folder.join("mod.rs")).map_err(failed)?;
    let registered = register(&registry, &stem)
        .ok_or_else(|| vec![format!("{}/mod.rs has no `pub static ALL`", folder.display())])?;
    std::fs::write(folder.join(format!("{stem}.rs")), stub(room, id, &stem)).map_err(failed)?;
    std::fs::write(folder.join("mod.rs"), registered).map_err(failed)?;
    Ok(format!(
        "wrote {room}/causes/{stem}.rs; its test fails until it is written. Then: cargo fmt, cargo xtask codegen, a drill"
    ))
}

/// The registry with one more cause.
fn register(registry: &str, stem: &str) -> Option<String> {
    let (head, list) = registry.split_once("pub static ALL: &[&Cause] = &[")?;
    let (modules, docs) = head.split_once("\n/// Every cause")?;
    Some(format!(
        "{modules}pub mod {stem};\n\n/// Every cause{docs}pub static ALL: &[&Cause] = &[&{stem}::CAUSE, {}",
        list.trim_start()
    ))
}

fn stub(room: Room, id: &str, stem: &str) -> String {
    let room_type = format!("{room:?}");
    format!(
        r#"//! `{id}`: (the fault in a clause).

use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::Finding;

cause! {{
    /// (The fault in one sentence.)
    ///
    /// ## What it is
    ///
    /// ## What proves it
    ///
    /// ## What mends it
    ///
    /// ## What makes it worse
    ///
    /// ## What prevents it
    ///
    /// ## References
    {id:?} in {room_type}, proved by Proof::Drill;
}}

fn find(_e: &Evidence) -> Option<Finding> {{
    None
}}

#[cfg(test)]
mod tests {{
    use super::*;
    use crate::evidence::fixture::healthy;

    #[test]
    fn {stem}_is_found() {{
        assert!(find(&healthy()).is_some(), "write the evidence that shows it");
    }}
}}
"#
    )
}

//! Nothing is done without a record: one that cannot be made, locked or written stops the fix before its first deed, with what
//! to do about it; one that is damaged does not make it forget, nor slow.

use crate::api::Api;
use crate::scene::{Shop, held};
use crate::support::{Ran, obeys};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The fix, with its record elsewhere.
fn fix_with(shop: &Shop, state: &Path) -> Ran {
    let mut command = shop.command(&["--yes", "--format", "json", "--allow", "app-restart"]);
    held(command.env("PGMEDIC_STATE", state).output().unwrap().into())
}

/// The only journal there.
fn journal(state: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(state.join("incidents")).unwrap().map(|file| file.unwrap().path());
    files.next().unwrap()
}

/// Nothing was done, and the one document says why and what to do.
fn nothing_done(ran: &Ran, api: &Api) {
    assert_eq!((ran.exit, api.count("restart_api")), (Some(1), 0), "{}", ran.all());
    let document = ran.json();
    obeys("error.schema.json", &document);
    let error = document["error"].as_str().unwrap();
    assert!(error.contains("without it nothing is done") && error.contains("PGMEDIC_STATE"), "{error}");
    assert!(ran.stderr.contains("PGMEDIC_STATE"), "{}", ran.stderr);
}

#[test]
fn where_no_record_can_be_made_nothing_is_done() {
    let shop = Shop::new();
    let api = Api::of(&shop, "");
    let file = PathBuf::from(shop.place.write("a-file", ""));
    nothing_done(&fix_with(&shop, &file), &api);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("incidents"), "").unwrap();
    nothing_done(&fix_with(&shop, folder.path()), &api);
    nothing_done(&fix_with(&shop, Path::new("/proc/pgmedic")), &api);
    // A folder in the journal's place.
    let good = tempfile::tempdir().unwrap();
    let human =
        shop.command(&["--yes", "--allow", "storage"]).env("PGMEDIC_STATE", good.path()).output().unwrap();
    let human = Ran::from(human);
    assert_eq!(human.exit, Some(1), "{}", human.all());
    let path = journal(good.path());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    nothing_done(&fix_with(&shop, good.path()), &api);
}

/// A filesystem of its own for the state.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ran = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "pgmedic-state"])
            .arg(folder.path())
            .status();
        assert!(ran.unwrap().success(), "mount needs root");
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) {
        let chunk = [0_u8; 4096];
        let mut file = std::fs::File::create(self.path().join("filler")).unwrap();
        while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn needs_root_where_the_records_disk_is_full_or_read_only_nothing_is_done() {
    let shop = Shop::new();
    let api = Api::of(&shop, "");
    nothing_done(&fix_with(&shop, Mounted::new("size=64k,ro").path()), &api);
    let full = Mounted::new("size=64k");
    full.fill();
    nothing_done(&fix_with(&shop, full.path()), &api);
    // With room for a line or two, it goes no further than the record does.
    std::fs::remove_file(full.path().join("filler")).unwrap();
    let ran = fix_with(&shop, full.path());
    assert_eq!((ran.exit, api.count("restart_api")), (Some(0), 1), "{}", ran.all());
}

#[test]
fn needs_root_a_record_that_fills_up_during_a_step_stops_the_fix_and_the_next_one_does_not_repeat_it() {
    let shop = Shop::new();
    let state = Mounted::new("size=256k");
    let api = Api::of(&shop, &format!("cat /dev/zero > {}/filler; exit 0", state.path().display()));
    let ran = fix_with(&shop, state.path());
    assert_eq!(api.count("restart_api"), 1, "{}", ran.all());
    assert_ne!(ran.exit, Some(0), "{}", ran.all());
    assert!(ran.json()["summary"].as_str().unwrap().contains("cannot be kept"), "{}", ran.all());
    std::fs::remove_file(state.path().join("filler")).unwrap();
    let again = fix_with(&shop, state.path());
    assert_eq!((again.exit, api.count("restart_api")), (Some(1), 1), "{}", again.all());
    let list =
        shop.place.command(&["incidents", "--format", "json"]).env("PGMEDIC_STATE", state.path()).output();
    let list = Ran::from(list.unwrap()).json()["incidents"].clone();
    assert_eq!(list[0]["steps"][0]["interrupted"], true, "{list:#}");
}

#[test]
fn damaged_lines_make_it_neither_forget_nor_fail() {
    let shop = Shop::new();
    let api = Api::of(&shop, "exit 3");
    let state = tempfile::tempdir().unwrap();
    let first = fix_with(&shop, state.path());
    assert_eq!((first.exit, api.count("restart_api")), (Some(2), 1), "{}", first.all());
    for damage in [
        &b"{\"schema\":\"pgmedic.journal/1\",\"at\":\"20"[..],
        b"\n\xff\xfe\0\n",
        b"[1]\n{}\nnull\n",
        &[b'x'; 70_000],
    ] {
        let mut file = std::fs::File::options().append(true).open(journal(state.path())).unwrap();
        std::io::Write::write_all(&mut file, damage).unwrap();
        let again = fix_with(&shop, state.path());
        assert_eq!((again.exit, api.count("restart_api")), (Some(1), 1), "{}", again.all());
    }
    let list =
        shop.place.command(&["incidents", "--format", "json"]).env("PGMEDIC_STATE", state.path()).output();
    let list = Ran::from(list.unwrap()).json()["incidents"].clone();
    assert_eq!(
        (list.as_array().unwrap().len(), list[0]["steps"].as_array().unwrap().len()),
        (1, 1),
        "{list:#}"
    );
}

#[test]
fn a_hundred_megabytes_of_garbage_cost_little_and_the_fix_is_recorded() {
    let shop = Shop::new();
    let api = Api::of(&shop, "");
    for garbage in [&[b'x'; 1 << 20][..], &[b'\n'; 1 << 20]] {
        api.reset();
        let state = tempfile::tempdir().unwrap();
        let ran = shop
            .command(&["--yes", "--allow", "storage"])
            .env("PGMEDIC_STATE", state.path())
            .output()
            .unwrap();
        assert_eq!(ran.status.code(), Some(1));
        let mut file = std::fs::File::create(journal(state.path())).unwrap();
        for _ in 0..100 {
            std::io::Write::write_all(&mut file, garbage).unwrap();
        }
        let from = Instant::now();
        let ran = fix_with(&shop, state.path());
        assert_eq!((ran.exit, api.count("restart_api")), (Some(0), 1), "{}", ran.all());
        assert!(from.elapsed() < Duration::from_secs(20), "{:?}", from.elapsed());
        let list = shop
            .place
            .command(&["incidents", "--format", "json"])
            .env("PGMEDIC_STATE", state.path())
            .output();
        let list = Ran::from(list.unwrap()).json()["incidents"].clone();
        assert_eq!(list[0]["steps"][0]["outcome"], "applied", "{list:#}");
    }
}

//! A name that is gone while the disk is full, on a running watch: the door shows the one, the windows the other.

use crate::stage::{Settings, Stage};
use pgmedic_lab::api::Kind;
use pgmedic_lab::{Parts, faults};

#[test]
fn needs_root_a_name_that_is_gone_while_the_disk_is_full_is_told_as_both_and_each_ends_by_itself() {
    let parts = Parts {
        proxy: Some(200),
        pooler: None,
        dns: true,
        api: Some(Kind::Renderflow),
        tls: false,
        volume_mb: Some(64),
    };
    let stage = Stage::build(parts, Settings::default());
    let full = faults::disk_full::inject(&stage.lab).unwrap();
    let gone = faults::name_not_found::inject(&stage.lab).unwrap();
    let causes = ["disk-full", "name-not-found"];
    for cause in causes {
        stage.fires(cause);
    }
    let mut told = stage.criticals();
    told.sort();
    assert_eq!(told, causes, "one incident each");
    gone.remove().unwrap();
    full.remove().unwrap();
    stage.resolved();
    stage.quiet();
    let mut told = stage.criticals();
    told.sort();
    assert_eq!(told, causes, "and no other");
    assert!(stage.acts().is_empty(), "{:?}", stage.acts());
}

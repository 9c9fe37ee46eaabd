//! A list of volumes, with the free space of the filesystems in them: blocks as statfs(2) has them, seen without a login.
//! How often Fly measures them it does not say.

use super::super::evidence::VolumeView;
use super::super::told::PlatformVolume;
use pgmedic_model::mask;
use serde_json::Value;

/// Volumes that are told of.
const MOST: usize = 100;
/// `size_gb` counts by this.
const GB: u64 = 1 << 30;
/// Where Fly's Postgres images keep their data (postgres-flex and postgres-ha, `/data`).
const DATA: &str = "/data";

/// The volumes of a list that are there.
pub(super) fn read(list: &[Value], app: &str) -> Vec<PlatformVolume> {
    let there = |volume: &&Value| volume.is_object() && !text(volume, "state").contains("destroy");
    list.iter().filter(there).take(MOST).map(|volume| one(volume, app)).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn one(volume: &Value, app: &str) -> PlatformVolume {
    let id = mask::excerpt(text(volume, "id"), 64);
    let attached = Some(text(volume, "attached_machine_id")).filter(|machine| !machine.is_empty());
    PlatformVolume {
        name: mask::excerpt(text(volume, "name"), 64),
        instance: attached.map(|machine| mask::excerpt(machine, 64)),
        word: mask::excerpt(text(volume, "state"), 40),
        size_bytes: volume.get("size_gb").and_then(Value::as_u64).map(|gb| gb.saturating_mul(GB)),
        filesystem: filesystem(volume, &id),
        extend_by: format!("fly volumes extend {} -s {{size_gb}} -a {app}", crate::paste::argument(&id)),
        id,
    }
}

/// The filesystem, where its blocks are told: all 0 for a volume that no machine has mounted.
fn filesystem(volume: &Value, id: &str) -> Option<VolumeView> {
    let number = |name: &str| volume.get(name).and_then(Value::as_u64);
    let (block, blocks) = (number("block_size")?, number("blocks").filter(|n| *n > 0)?);
    let available = number("blocks_avail")?;
    let free = number("blocks_free").unwrap_or(available);
    Some(VolumeView {
        path: id.to_owned(),
        mount: Some(DATA.to_owned()),
        kind: Some(text(volume, "fstype"))
            .filter(|kind| !kind.is_empty())
            .map(|kind| mask::excerpt(kind, 16)),
        total_bytes: blocks.saturating_mul(block),
        available_bytes: available.saturating_mul(block),
        reserved_bytes: free.saturating_sub(available).saturating_mul(block),
        ..VolumeView::default()
    })
    .filter(|view| view.total_bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blocks_are_bytes_and_what_is_not_told_is_not_made_up() {
        // The documentation's example (superfly/docs, machines/api, volumes-resource).
        let told = json!({ "id": "vol_4y521w2zlp1po82v", "name": "pg_data", "state": "created", "size_gb": 1,
            "region": "ord", "attached_machine_id": "148e21e7c22d89", "fstype": "ext4",
            "blocks": 255_696, "block_size": 4096, "blocks_free": 253_816, "blocks_avail": 236_392 });
        let unmounted = json!({ "id": "vol_2", "state": "created", "size_gb": 3, "attached_machine_id": null,
            "blocks": 0, "block_size": 0, "blocks_free": 0, "blocks_avail": 0 });
        let gone = json!({ "id": "vol_3", "state": "pending_destroy" });
        let found = read(&[told, unmounted, gone, json!(null)], "renderflow-db");
        assert_eq!(found.len(), 2);
        let view = found[0].filesystem.as_ref().unwrap();
        assert_eq!((view.total_bytes, view.available_bytes), (255_696 * 4096, 236_392 * 4096));
        assert_eq!(view.reserved_bytes, (253_816 - 236_392) * 4096);
        assert_eq!(found[0].instance.as_deref(), Some("148e21e7c22d89"));
        assert_eq!(
            found[0].extend_by,
            "fly volumes extend vol_4y521w2zlp1po82v -s {size_gb} -a renderflow-db"
        );
        assert_eq!((found[1].filesystem.as_ref(), found[1].size_bytes), (None, Some(3 << 30)));
    }

    #[test]
    fn figures_beyond_reason_are_bounded() {
        let huge = json!({ "id": "v", "blocks": u64::MAX, "block_size": u64::MAX, "blocks_avail": 1, "blocks_free": -3 });
        let found = read(&[huge], "a");
        assert_eq!(found[0].filesystem.as_ref().unwrap().total_bytes, u64::MAX);
        assert!(read(&[json!({ "blocks": "many", "block_size": 1 })], "a")[0].filesystem.is_none());
    }
}

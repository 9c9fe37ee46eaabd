//! What a volume's figures amount to: full, filling, out of inodes. Not in here: statvfs(3) itself (`platform`).

use crate::evidence::Evidence;
use crate::instances;
use crate::paste::argument;
use crate::platform::evidence::{VolumeUse, VolumeView};
use crate::platform::told::{Instance, MemberRole, PlatformEvidence, PlatformVolume};
use crate::rooms::server::log;
use crate::said::{self, Said};
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Action, Fact, RemedyKind, RemedyPlan, Source, SqlState};
use std::borrow::Cow;

/// Less than this is nothing: a checkpoint's or a login's small files no longer find room.
const NOTHING_BYTES: u64 = 2 << 20;
/// Less than a hundredth is nothing as well, unless the hundredth of a large disk is still this much.
const STILL_SOMETHING_BYTES: u64 = 64 << 20;
/// Filling from this share of used space on upwards, as df(1) counts it,
const FILLING: f64 = 0.85;
/// unless this much is still free: 15 % of 10 TB are 1.5 TB.
const PLENTY_BYTES: u64 = 50_000_000_000;
/// Fewer inodes than this are none.
const NO_INODES: u64 = 100;

/// A volume of the database, and which window shows it.
pub(crate) struct Shown<'e> {
    /// Its figures.
    pub(crate) view: Cow<'e, VolumeView>,
    /// Which window.
    pub(crate) by: By,
    /// The instance that has it, where the platform shows it.
    pub(crate) instance: Option<&'e Instance>,
    /// What a person would type to extend it; empty where that is not known.
    pub(crate) extend_by: &'e str,
    /// The fact that cites it. The value is the free bytes.
    pub(crate) fact: Fact,
}

/// Which window shows a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// This host's: measured by the walk itself.
    Host,
    /// The platform's own measure, of an age that it does not tell.
    Platform,
    /// A health check of the platform, of the last minutes.
    Check,
}

/// The database's volumes through every window: this host's, which measures itself; else the platform's, and what its
/// health checks freshly print.
pub(crate) fn shown(e: &Evidence) -> Vec<Shown<'_>> {
    let here = seen(e);
    if !here.is_empty() {
        let of_host = |v| Shown {
            view: Cow::Borrowed(v),
            by: By::Host,
            instance: None,
            extend_by: "",
            fact: fact(e, v),
        };
        return here.iter().map(of_host).collect();
    }
    let Some(told) = e.platform.get() else { return Vec::new() };
    let list = told.volumes.get().map_or(&[][..], Vec::as_slice);
    let of_platform = list.iter().filter_map(|volume| by_platform(e, told, volume));
    let of_checks = instances::of_db(e).iter().filter_map(|i| by_check(e, i, list));
    of_platform.chain(of_checks).collect()
}

/// The platform's measure of a volume that an instance of the database has mounted.
fn by_platform<'e>(
    e: &'e Evidence,
    told: &'e PlatformEvidence,
    volume: &'e PlatformVolume,
) -> Option<Shown<'e>> {
    let view = volume.filesystem.as_ref()?;
    let instance = instances::of_db(e).iter().find(|i| volume.instance.as_ref() == Some(&i.id))?;
    let text = format!("{}, as the platform measures it", figures(view));
    // The filesystem is made of what is paid for, less a few percent of its own.
    let small = volume.size_bytes.filter(|size| view.total_bytes < size / 5 * 4);
    let small = small.map(|size| format!("; {} are paid for: an extension has not reached it", bytes(size)));
    let place = format!("{}: {}", told.platform, volume.id);
    let fact = Fact::new(Source::Platform, told.at, place, text + &small.unwrap_or_default())
        .value(view.available_bytes);
    let (view, extend_by) = (Cow::Borrowed(view), volume.extend_by.as_str());
    Some(Shown { view, by: By::Platform, instance: Some(instance), extend_by, fact })
}

/// What a fresh check prints of an instance's filesystem, its size being told by the check or the volume.
fn by_check<'e>(e: &'e Evidence, i: &'e Instance, list: &'e [PlatformVolume]) -> Option<Shown<'e>> {
    let disk = i.server.disk.as_ref().filter(|disk| instances::is_fresh(e, disk.at))?;
    let volume = list.iter().find(|volume| volume.instance.as_ref() == Some(&i.id));
    let free = (1.0 - disk.value.used).max(0.0);
    let paid = volume.and_then(|volume| volume.size_bytes);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a check's share has three digits"
    )]
    let (total, available) = match (disk.value.available_bytes, paid) {
        (Some(bytes), _) if free > 0.0 => ((bytes as f64 / free) as u64, bytes),
        (Some(bytes), Some(paid)) => (paid.max(bytes), bytes),
        (None, Some(paid)) => (paid, (paid as f64 * free) as u64),
        _ => return None,
    };
    let path = disk.value.path.clone();
    let view = VolumeView {
        mount: Some(path.clone()).filter(|path| !path.is_empty()),
        path,
        total_bytes: total,
        available_bytes: available,
        ..VolumeView::default()
    };
    let said = format!("{} is {:.1} % used", mount(&view), disk.value.used * 100.0);
    let said = disk.value.available_bytes.map_or(said.clone(), |n| format!("{said}, {} free", bytes(n)));
    let fact = instances::check_fact(e, i, disk, &said).value(available);
    let extend_by = volume.map_or("", |volume| volume.extend_by.as_str());
    Some(Shown { view: Cow::Owned(view), by: By::Check, instance: Some(i), extend_by, fact })
}

impl Shown<'_> {
    /// True for the volume of the server that the service writes to, as far as that is told.
    pub(crate) fn is_the_writers(&self) -> bool {
        let other = [MemberRole::Replica, MemberRole::Witness];
        self.instance.is_none_or(|i| !other.iter().any(|role| instances::has_role(i, *role)))
    }

    /// True where another window shows the same volume.
    pub(crate) fn is_of(&self, other: &Shown<'_>) -> bool {
        self.by != other.by && self.instance.map(|i| &i.id) == other.instance.map(|i| &i.id)
    }
}

/// The volumes that the host shows.
pub(crate) fn seen(e: &Evidence) -> &[VolumeView] {
    e.host.get().map_or(&[], |h| &h.volumes)
}

/// The volume that WAL is written to: its own, or the data directory's.
pub(crate) fn of_wal(e: &Evidence) -> Option<&VolumeView> {
    let holding = |holds| seen(e).iter().find(move |v| v.holds == holds);
    holding(VolumeUse::Wal).or_else(|| holding(VolumeUse::Data))
}

/// True for a volume without which the server cannot write: not one of logs alone.
pub(crate) fn is_vital(v: &VolumeView) -> bool {
    v.holds != VolumeUse::Log
}

/// No bytes left.
pub(crate) fn is_full(v: &VolumeView) -> bool {
    let free = v.available_bytes;
    v.total_bytes > 0
        && (free < NOTHING_BYTES
            || (free < STILL_SOMETHING_BYTES && free.saturating_mul(100) < v.total_bytes))
}

/// Few bytes left, by share and by number.
pub(crate) fn is_filling(v: &VolumeView) -> bool {
    v.total_bytes > 0 && v.available_bytes < PLENTY_BYTES && v.used_share() > FILLING
}

/// No inodes left, on a filesystem that counts them.
pub(crate) fn is_out_of_inodes(v: &VolumeView) -> bool {
    v.total_inodes > 0 && v.available_inodes < NO_INODES
}

/// What the volume is used for, in words.
pub(crate) fn purpose(v: &VolumeView) -> &'static str {
    match v.holds {
        VolumeUse::Data => "data",
        VolumeUse::Wal => "WAL",
        VolumeUse::Tablespace => "tablespace",
        VolumeUse::Log => "log",
    }
}

/// Where it is mounted, else the path that was asked for.
pub(crate) fn mount(v: &VolumeView) -> &str {
    v.mount.as_deref().unwrap_or(&v.path)
}

/// Its figures, as a fact. The value is the free bytes.
pub(crate) fn fact(e: &Evidence, v: &VolumeView) -> Fact {
    let at = v.measured_at.or(e.host.get().map(|h| h.at)).unwrap_or(e.started_at);
    Fact::new(Source::Host, at, v.path.as_str(), figures(v)).value(v.available_bytes)
}

/// Its figures, in words.
fn figures(v: &VolumeView) -> String {
    let kind = v.kind.as_deref().map(|k| format!("{k}, ")).unwrap_or_default();
    let inodes =
        if v.total_inodes > 0 { format!(", {} inodes free", v.available_inodes) } else { String::new() };
    let mode = if v.read_only { ", mounted read-only" } else { "" };
    format!(
        "{} volume {}: {} of {} free ({kind}f_bavail){inodes}{mode}",
        purpose(v),
        mount(v),
        bytes(v.available_bytes),
        bytes(v.total_bytes)
    )
}

/// `; largest: pg_wal 3.2 GB, base 1.0 GB`, as far as it was read.
pub(crate) fn holders(v: &VolumeView) -> String {
    let mut held: Vec<_> = v.held.iter().filter(|(_, n)| *n > 0).collect();
    held.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let parts: Vec<_> = held.iter().take(2).map(|(what, n)| format!("{what} {}", bytes(*n))).collect();
    if parts.is_empty() { String::new() } else { format!("; largest: {}", parts.join(", ")) }
}

/// What said that no space is left on a disk: an error on a way in, else the server's log of the last minutes.
/// A full /dev/shm says it in the same words, and is none.
pub(crate) fn no_space(e: &Evidence) -> Option<Fact> {
    let of_disk = |s: &Said<'_>| {
        (s.error.is(SqlState::DISK_FULL) || s.says(Words::NoSpaceLeft)) && !s.says(Words::SharedMemoryFull)
    };
    let logged = || {
        let (entry, fact) = log::recent(e, Words::NoSpaceLeft)?;
        (!says(&entry.message, Words::SharedMemoryFull)).then_some(fact)
    };
    said::errors(e).find(of_disk).map(|s| s.fact()).or_else(logged)
}

/// Bytes as a person says them, in decimal units.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(n: u64) -> String {
    let n = n as f64;
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    units.iter().find(|(unit, _)| n >= *unit).map_or_else(
        || format!("{n} bytes"),
        |(unit, name)| {
            if n < 10.0 * unit {
                format!("{:.1} {name}", n / unit)
            } else {
                format!("{:.0} {name}", n / unit)
            }
        },
    )
}

/// Advice to look at what fills the volume.
pub(crate) fn look(e: &Evidence, v: Option<&VolumeView>) -> RemedyPlan {
    let data = crate::rooms::server::startup_process::data_directory(e);
    let mount = v.map_or_else(|| data.clone(), |v| argument(mount(v)));
    RemedyPlan::by_hand(
        "see-what-fills-it",
        RemedyKind::Advice,
        "see what fills it; delete the ballast file if there is one, and rotated logs; never anything in pg_wal, and no restart",
        format!(
            "df -h {mount}; df -i {mount}; du -xsh {data}/* {data}/base/pgsql_tmp 2>/dev/null | sort -h | tail; find {mount} -xdev -name '*ballast*'"
        ),
    )
}

/// The extension of a volume by half, as far as the policy allows. No downtime, but money, and it never shrinks.
pub(crate) fn extend(e: &Evidence, v: Option<&VolumeView>) -> RemedyPlan {
    extend_by(e, v, "")
}

/// The same by the command of the platform that has it: `{size_gb}` in it stands for the new size.
pub(crate) fn extend_by(e: &Evidence, v: Option<&VolumeView>, command: &str) -> RemedyPlan {
    let paid = of_platform(e, command);
    let wanted = paid.and_then(half_more).or_else(|| v.map(|v| half_more_of_bytes(v.total_bytes)));
    let to = wanted.map(|gb| e.policy.max_volume_gb.map_or(gb, |most| gb.min(most)));
    let size = to.map_or_else(|| "SIZE_GB".to_owned(), |gb| gb.to_string());
    let from = v.map(|v| format!(" from {}", bytes(v.total_bytes))).unwrap_or_default();
    let extend = RemedyPlan::by_hand(
        "extend-volume",
        RemedyKind::Storage,
        format!("extend the volume{from} to {size} GB; Postgres goes on by itself, no restart"),
        match command {
            "" => format!(
                "fly volumes extend VOLUME_ID -s {size} --app DB_APP   # on a host of your own: lvextend -r -L {size}G DEVICE"
            ),
            command => command.replace("{size_gb}", &size),
        },
    );
    let (Some(v), Some(to_gb)) = (v, to) else { return extend };
    let from_gb = paid.and_then(paid_gb).unwrap_or(v.total_bytes / 1_000_000_000);
    if to_gb <= from_gb || to_gb.saturating_mul(1_000_000_000) <= v.total_bytes {
        return extend;
    }
    let volume = paid.map_or_else(|| mount(v).to_owned(), |volume| volume.id.clone());
    let of_data = v.holds == VolumeUse::Data;
    extend.doing(Action::ExtendVolume { volume, from_gb: Some(from_gb), to_gb, of_data })
}

/// The platform's volume that is extended by this command.
fn of_platform<'e>(e: &'e Evidence, command: &str) -> Option<&'e PlatformVolume> {
    let list = e.platform.get()?.volumes.get()?;
    list.iter().find(|v| !command.is_empty() && v.extend_by == command)
}

/// What is paid for, in the platform's GB, of 2^30 bytes.
fn paid_gb(volume: &PlatformVolume) -> Option<u64> {
    volume.size_bytes.map(|size| size.div_ceil(1 << 30))
}

/// Half more of what is paid for, and one GB at least.
fn half_more(volume: &PlatformVolume) -> Option<u64> {
    paid_gb(volume).map(|gb| gb.saturating_add((gb / 2).max(1)))
}

fn half_more_of_bytes(total: u64) -> u64 {
    total.saturating_add(total / 2).div_ceil(1_000_000_000).max(1)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused, window};

    pub(crate) const MIB: u64 = 1 << 20;

    /// A volume of `total` MiB with `free` MiB, for data.
    pub(crate) fn volume(total: u64, free: u64) -> VolumeView {
        VolumeView {
            path: "/data".into(),
            mount: Some("/data".into()),
            kind: Some("ext4".into()),
            total_bytes: total * MIB,
            available_bytes: free * MIB,
            total_inodes: 65_536,
            available_inodes: 60_000,
            ..VolumeView::default()
        }
    }

    /// Shows these volumes through the window.
    pub(crate) fn with_volumes(mut e: Evidence, volumes: Vec<VolumeView>) -> Evidence {
        window(&mut e, |host| {
            host.data_directory = Some("/data/pg".into());
            host.volumes = volumes;
        });
        e
    }

    /// The platform measures `free` MiB of 160 on the volume of one instance of this role, whose check freshly saw this
    /// share used.
    pub(crate) fn on_platform(e: &mut Evidence, free: u64, checked_used: Option<f64>, role: MemberRole) {
        use crate::evidence::Seen;
        use crate::instances::tests::{checked, instance, platform_tells};
        use crate::platform::told::{CheckDisk, InstanceState};
        let mut i = instance(InstanceState::Running, "started");
        i.server.role = checked(role);
        let disk = |used| CheckDisk { path: "/data".into(), used, available_bytes: None };
        i.server.disk = checked_used.and_then(|used| checked(disk(used)));
        let attached = PlatformVolume {
            id: "vol_1".into(),
            instance: Some(i.id.clone()),
            size_bytes: Some(160 * MIB),
            filesystem: Some(volume(160, free)),
            extend_by: "fly volumes extend vol_1 -s {size_gb} -a db".into(),
            ..PlatformVolume::default()
        };
        let spare = PlatformVolume {
            id: "vol_2".into(),
            filesystem: Some(volume(160, 0)),
            ..PlatformVolume::default()
        };
        platform_tells(e, vec![i]);
        let Seen::Seen(told) = &mut e.platform else { unreachable!() };
        told.volumes = Seen::Seen(vec![spare, attached]);
    }

    #[test]
    fn volumes_of_the_platform_count_where_this_host_shows_none_and_only_mounted_ones() {
        let mut e = healthy();
        on_platform(&mut e, 90, Some(0.4), MemberRole::Primary);
        let by: Vec<_> = shown(&e).iter().map(|s| s.by).collect();
        assert_eq!(by, [By::Platform, By::Check]);
        assert!(
            shown(&e)[0]
                .fact
                .fact
                .ends_with("free (ext4, f_bavail), 60000 inodes free, as the platform measures it")
        );
        let here = with_volumes(e, vec![volume(160, 90)]);
        assert_eq!(shown(&here).iter().map(|s| s.by).collect::<Vec<_>>(), [By::Host]);
    }

    #[test]
    fn share_and_number_decide_together() {
        for (total, free, full, filling) in [
            (160, 0, true, true),
            (160, 8, false, true),
            (160, 30, false, false),
            (10_000, 60, true, true),
            (10_000, 99, false, true),
            (10_000_000, 1_000_000, false, false),
            (10_000_000, 40_000, false, true),
        ] {
            let v = volume(total, free);
            assert_eq!((is_full(&v), is_filling(&v)), (full, filling), "{free} of {total} MiB");
        }
        let unknown = VolumeView::default();
        assert!(!is_full(&unknown) && !is_filling(&unknown) && !is_out_of_inodes(&unknown));
    }

    #[test]
    fn bytes_are_said_with_two_digits() {
        let said: Vec<_> = [512, 1_500, 64 << 20, 3_200_000_000, 2_000_000_000_000].map(bytes).into();
        assert_eq!(said, ["512 bytes", "1.5 kB", "67 MB", "3.2 GB", "2.0 TB"]);
    }

    #[test]
    fn a_full_dev_shm_is_no_full_disk() {
        let shm = "could not resize shared memory segment \"/PostgreSQL.1\" to 1048576 bytes: No space left on device";
        assert!(no_space(&refused("53100", shm)).is_none());
        assert!(
            no_space(&refused("08P01", "could not extend file \"base/5/1\": No space left on device"))
                .is_some()
        );
        assert!(no_space(&healthy()).is_none());
    }
}

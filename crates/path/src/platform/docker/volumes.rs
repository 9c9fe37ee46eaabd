//! The database's volumes: which mount has the data, and its filesystem where this host is the engine's own.
//!
//! The engine tells nothing of free space (`/system/df` counts what a volume holds). Where it listens on a unix socket and
//! runs on this very host, the volume's folder is a path here.

use super::Docker;
use super::container::{Container, Mount};
use crate::aside;
use crate::platform::Part;
use crate::platform::Untold;
use crate::platform::evidence::{VolumeUse, VolumeView};
use crate::platform::place::Place;
use crate::platform::told::PlatformVolume;
use crate::platform::volumes::{Care, volumes};
use pgmedic_model::Host;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Where Postgres' images keep the data where no variable says so.
const DATA: &str = "/var/lib/postgresql/data";
/// Bytes read of the engine's account of itself.
const INFO: usize = 1024 * 1024;
/// The most time spent on what holds a tight volume.
const BREAKDOWN: Duration = Duration::from_millis(300);

#[derive(Deserialize)]
struct Info {
    /// The host's name.
    #[serde(rename = "Name")]
    name: String,
}

impl Docker {
    pub(super) async fn read_volumes(&self, until: Instant) -> Result<Vec<PlatformVolume>, Untold> {
        let containers = self.containers(Part::Db, until).await?;
        let far = self.is_far(until).await;
        let mut all = Vec::new();
        for one in &containers {
            for (holds, volume, path) in of(one) {
                all.push(look(one, holds, volume, path, far.as_deref(), until).await);
            }
        }
        Ok(all)
    }

    /// Why the engine's paths are not this host's; None where they are.
    async fn is_far(&self, until: Instant) -> Option<String> {
        if !matches!(self.endpoint.host, Host::Socket(_)) {
            return Some("the engine is asked over TCP: its paths are not this host's".to_owned());
        }
        let here = rustix::system::uname().nodename().to_string_lossy().into_owned();
        match self.get_json::<Info>("/info", INFO, until).await {
            Ok(info) if info.name == here => None,
            Ok(_) => Some("the engine runs on another host, or pgmedic in a container".to_owned()),
            Err(why) => Some(format!("the engine does not say where it runs: {why}")),
        }
    }
}

/// A container's volumes: what each holds, the volume, and the host's path of what is in it.
fn of(one: &Container) -> Vec<(VolumeUse, PlatformVolume, Option<PathBuf>)> {
    let data = one.place("PGDATA").or_else(|| one.place("POSTGRESQL_DATA_DIR")).unwrap_or(DATA);
    let wal = one.place("POSTGRES_INITDB_WALDIR").and_then(|path| Some((VolumeUse::Wal, below(one, path)?)));
    let first = match below(one, data) {
        Some(found) => (VolumeUse::Data, found),
        // Nothing is mounted there: the data goes with the container.
        None => (VolumeUse::Data, (own_layer(one), one.layer().map(PathBuf::from))),
    };
    let found = std::iter::once(first).chain(wal);
    found.map(|(holds, (volume, path))| (holds, volume, path)).collect()
}

/// The mount that a path of the container lies in, and the host's path of it.
fn below(one: &Container, path: &str) -> Option<(PlatformVolume, Option<PathBuf>)> {
    let path = Path::new(path);
    let over = one.mounts().iter().filter(|mount| !mount.destination.is_empty());
    let over = over.filter(|mount| path.starts_with(&mount.destination));
    let mount = over.max_by_key(|mount| mount.destination.len())?;
    let mut here = PathBuf::from(&mount.source);
    here.extend(path.strip_prefix(&mount.destination).ok()?);
    let here = (!mount.source.is_empty() && mount.kind != "tmpfs").then_some(here);
    Some((named(one, mount), here))
}

fn named(one: &Container, mount: &Mount) -> PlatformVolume {
    let id = [&mount.name, &mount.source, &mount.destination].into_iter().find(|name| !name.is_empty());
    let driver = if mount.driver.is_empty() { String::new() } else { format!(" ({})", mount.driver) };
    PlatformVolume {
        id: id.cloned().unwrap_or_default(),
        name: id.cloned().unwrap_or_default(),
        instance: Some(one.id().to_owned()),
        word: format!("{}{driver} at {}", mount.kind, mount.destination),
        ..PlatformVolume::default()
    }
}

fn own_layer(one: &Container) -> PlatformVolume {
    PlatformVolume {
        id: format!("{}:layer", one.id()),
        name: format!("{}'s own layer", one.name()),
        instance: Some(one.id().to_owned()),
        word: "no volume: the data goes with the container".to_owned(),
        ..PlatformVolume::default()
    }
}

/// The volume with its filesystem, or with the reason why that is not seen.
async fn look(
    one: &Container,
    holds: VolumeUse,
    mut volume: PlatformVolume,
    path: Option<PathBuf>,
    far: Option<&str>,
    until: Instant,
) -> PlatformVolume {
    let seen = match (far, path) {
        (Some(why), _) => Err(why.to_owned()),
        (None, None) => Err(format!("{} tells no path of it on its host", one.name())),
        (None, Some(path)) => {
            let named = path.display().to_string();
            let look = move || filesystem(&path, holds, until.into_std());
            match aside::call("volume", until, look).await {
                Ok(seen) => seen.map_err(|why| format!("{named}: {why}")),
                Err(error) => Err(format!("{named}: {error}")),
            }
        }
    };
    match seen {
        Ok(view) => volume.filesystem = Some(view),
        Err(why) => volume.word = format!("{}; free space not seen: {why}", volume.word),
    }
    volume
}

fn filesystem(path: &Path, holds: VolumeUse, until: std::time::Instant) -> Result<VolumeView, String> {
    let mut blind = Vec::new();
    let care = Care { mounts: true, breakdown: BREAKDOWN };
    // Only the folder's own filesystem: a link in it leads to a path of the container.
    let seen = volumes(&Place::here(path), None, care, until, &mut blind);
    match seen.into_iter().find(|view| view.holds == VolumeUse::Data) {
        Some(view) => Ok(VolumeView { holds, ..view }),
        None => Err(blind.pop().unwrap_or_else(|| "not looked at".to_owned())),
    }
}

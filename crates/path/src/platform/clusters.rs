//! Where distributions put a cluster, for when no postmaster runs that would tell.
//!
//! Debian: /etc/postgresql/VERSION/CLUSTER (postgresql-common). Red Hat: /var/lib/pgsql[/VERSION]/data. The official
//! container image: /var/lib/postgresql/data. Not in here: clusters elsewhere, which the configuration has to name.

use super::conf;
use super::place::Place;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Most clusters looked at.
const MOST_CLUSTERS: usize = 64;
/// The port of a cluster that sets none.
const DEFAULT_PORT: u64 = 5432;

/// Where clusters are sought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'a> {
    /// Folders of `VERSION/CLUSTER/postgresql.conf`.
    pub(super) configurations: &'a [&'a str],
    /// Data directories, or folders of `VERSION/data`.
    pub(super) data: &'a [&'a str],
}

/// The layouts of the distributions.
pub(super) const DISTRIBUTIONS: Layout<'_> = Layout {
    configurations: &["/etc/postgresql"],
    data: &["/var/lib/pgsql/data", "/var/lib/pgsql", "/var/lib/postgresql/data"],
};

/// A cluster found on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    /// Its data directory.
    pub(super) data: PathBuf,
    /// Why it is the service's.
    pub(super) by: String,
}

/// The only cluster on disk that is set to one of the ports. None where there is none, or more than one.
pub(super) fn on_ports(ports: &[u16], layout: Layout<'_>, until: Instant) -> Option<Cluster> {
    let mut matching = files(layout).into_iter().filter_map(|file| {
        let folder = file.parent()?;
        let settings = conf::read(&Place::here(folder), &file, until);
        let port = settings.number("port").unwrap_or(DEFAULT_PORT);
        let data = settings.text("data_directory").map_or_else(|| folder.to_owned(), PathBuf::from);
        let wanted = ports.iter().any(|p| u64::from(*p) == port);
        let by = format!("none runs; {} is set to port {port}", file.display());
        (wanted && data.join("PG_VERSION").exists()).then_some(Cluster { data, by })
    });
    let first = matching.next()?;
    matching.next().is_none().then_some(first)
}

/// Every postgresql.conf of a layout.
fn files(layout: Layout<'_>) -> Vec<PathBuf> {
    let below = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.take(MOST_CLUSTERS).map(|entry| entry.path()).collect()
    };
    let of_debian =
        layout.configurations.iter().flat_map(|root| below(Path::new(root))).flat_map(|v| below(&v));
    let of_others = layout.data.iter().flat_map(|root| {
        let versions = below(Path::new(root)).into_iter().map(|version| version.join("data"));
        std::iter::once(PathBuf::from(root)).chain(versions)
    });
    let all = of_debian.chain(of_others).map(|folder| folder.join("postgresql.conf"));
    all.filter(|file| file.is_file()).take(MOST_CLUSTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_cluster_is_known_by_its_port_if_it_is_the_only_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |below: &str| folder.path().join(below);
        let write = |below: &str, text: &str| {
            std::fs::create_dir_all(at(below).parent().expect("a parent")).expect("a folder");
            std::fs::write(at(below), text).expect("a file");
        };
        let data = at("lib/15/main");
        write(
            "etc/15/main/postgresql.conf",
            &format!("port = 5433\ndata_directory = '{}'\n", data.display()),
        );
        write("lib/15/main/PG_VERSION", "15\n");
        write("pgsql/16/data/postgresql.conf", "");
        write("pgsql/16/data/PG_VERSION", "16\n");
        let (etc, pgsql) = (at("etc").display().to_string(), at("pgsql").display().to_string());
        let layout = Layout { configurations: &[&etc], data: &[&pgsql] };
        let found = |ports: &[u16]| on_ports(ports, layout, Instant::now() + Duration::from_secs(5));
        assert_eq!(found(&[5433]).map(|c| c.data), Some(data));
        assert_eq!(found(&[5432]).map(|c| c.data), Some(at("pgsql/16/data")));
        assert_eq!(found(&[5432, 5433]), None, "two clusters may be it");
        assert_eq!(found(&[1]), None);
    }
}

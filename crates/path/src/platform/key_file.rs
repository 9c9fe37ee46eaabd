//! The file of the server's private key, as the next start will find it. Its content is never read.
//!
//! Not in here: which mode and owner a start demands; that is for the cause.

use super::conf::Settings;
use super::evidence::{KeyFileStat, KeyFileView};
use super::place::Place;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Postgres' default of `ssl_key_file`.
const DEFAULT: &str = "server.key";

/// Looks at it, where the settings on disk switch TLS on. Err says why it could not be looked at.
pub(super) fn look(place: &Place, settings: &Settings) -> Result<Option<KeyFileView>, String> {
    if !settings.text("ssl").is_some_and(is_on) {
        return Ok(None);
    }
    // A relative path is relative to the data directory, which a postmaster runs in.
    let path = place.data().join(settings.text("ssl_key_file").unwrap_or(DEFAULT));
    let of = |path: &Path| std::fs::metadata(place.locate(path));
    let seen = |path: &Path, error: &std::io::Error| format!("{}: {error}", path.display());
    let server = of(place.data()).map_err(|error| seen(place.data(), &error))?.uid();
    let found = match of(&path) {
        Ok(meta) => {
            Some(KeyFileStat { regular: meta.is_file(), mode: meta.mode() & 0o7777, owner: meta.uid() })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(seen(&path, &error)),
    };
    Ok(Some(KeyFileView { path: path.display().to_string(), found, server }))
}

/// Any beginning of `true` or `yes`, `on`, `1` (`parse_bool`).
fn is_on(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    !text.is_empty() && ["true", "yes"].iter().any(|word| word.starts_with(&text))
        || ["on", "1"].contains(&text.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::conf;
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    fn settings(place: &Place, text: &str) -> Settings {
        std::fs::write(place.data().join("postgresql.conf"), text).expect("a file");
        conf::settings(place, &["postgres".to_owned()], Instant::now() + Duration::from_secs(10))
    }

    #[test]
    fn the_key_is_looked_at_where_tls_is_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::here(folder.path());
        assert_eq!(look(&place, &settings(&place, "ssl = off\n")), Ok(None));
        let on = settings(&place, "ssl = on\nssl_key_file = 'tls/db.key'\n");
        let missing = look(&place, &on).expect("looked at").expect("on");
        assert_eq!(missing.found, None);
        assert!(missing.path.ends_with("/tls/db.key"));
        let key = folder.path().join("server.key");
        std::fs::write(&key, "").expect("a file");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        let seen = look(&place, &settings(&place, "ssl = tr\n")).expect("looked at").expect("on");
        let found = seen.found.expect("there");
        assert_eq!((found.regular, found.mode, found.owner), (true, 0o640, seen.server));
    }
}

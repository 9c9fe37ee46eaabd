//! What `[watch]` promises that can be held against this host: tokens, receivers, the store. Each is looked up by itself, so
//! that one that lacks hides no other. No secret is kept. Not in here: the daemon's own reading (`watched`).

use super::document::At;
use super::{Config, resolve};
use crate::doctor::By;
use crate::surroundings::Surroundings;
use pgmedic_model::Secret;
use pgmedic_watch::http::{ListenError, may_serve};
use pgmedic_watch::settings::StoreAt;
use std::path::{Path, PathBuf};

/// One promise.
pub(crate) enum Promised {
    /// A file of SQLite's.
    Store(PathBuf),
    /// It is there.
    Kept { right: &'static str, key: String },
    /// It is not, and the line that would bring it.
    Lacks { right: &'static str, key: String, why: String, line: Option<(By, String, String)> },
}

impl Config {
    /// What `[watch]` promises, in the order of the document.
    pub(crate) fn promised(&self, state: Option<&Path>, around: &mut Surroundings) -> Vec<Promised> {
        let keys = &self.watch;
        let mut all = Vec::new();
        let mut secrets = [None, None];
        for ((key, at), kept) in
            [("token", &keys.token), ("read_token", &keys.read_token)].into_iter().zip(&mut secrets)
        {
            if let Some(at) = at {
                *kept = self.fetched(key, at, around).ok().map(Secret::new);
                all.push(self.secret("watch-token", key.to_owned(), at, around));
            }
        }
        let [token, read_token] = secrets;
        let unread = |at: &Option<At<String>>, found: &Option<Secret>| at.is_some() && found.is_none();
        // A token that is not there is said already; without it nothing can be said of the address.
        if let Some(at) = keys
            .listen
            .as_ref()
            .filter(|_| !unread(&keys.token, &token) && !unread(&keys.read_token, &read_token))
        {
            let key = format!("listen = \"{}\"", at.value);
            all.push(match may_serve(at.value, token.as_ref(), read_token.as_ref()) {
                Ok(()) => Promised::Kept { right: "watch-listen", key },
                Err(error) => {
                    let line = match &error {
                        ListenError::NeedsToken(_) => "token = \"file:/etc/pgmedic/token\"".to_owned(),
                        _ => "listen = \"127.0.0.1:9187\"".to_owned(),
                    };
                    let line = Some((By::File, "pgmedic.toml, [watch]".to_owned(), line));
                    Promised::Lacks { right: "watch-listen", key, why: error.to_string(), line }
                }
            });
        }
        if keys.store.is_some() {
            all.extend(self.promised_store(state, around));
        }
        for (number, alert) in keys.alerts.iter().enumerate() {
            let each = [("url", Some(&alert.url)), ("key", alert.key.as_ref())];
            for (key, at) in each.into_iter().filter_map(|(key, at)| Some((key, at?))) {
                all.push(self.secret("alert", format!("alerts[{number}].{key}"), at, around));
            }
        }
        all
    }

    fn promised_store(&self, state: Option<&Path>, around: &mut Surroundings) -> Option<Promised> {
        match self.store(state.unwrap_or(Path::new("")), around) {
            Ok(StoreAt::Sqlite(path)) => Some(Promised::Store(path)),
            Ok(StoreAt::Memory) => None,
            // It is reached by the daemon; here it is enough that it can be read.
            Ok(StoreAt::Postgres(_)) => Some(Promised::Kept { right: "store", key: "store".to_owned() }),
            Err(error) => Some(Promised::Lacks {
                right: "store",
                key: "store".to_owned(),
                why: error.one_line(),
                line: None,
            }),
        }
    }

    /// A value that stands elsewhere: whether it is there.
    fn secret(&self, right: &'static str, key: String, at: &At<String>, around: &Surroundings) -> Promised {
        let place =
            if resolve::is_reference(&at.value) { format!("{key} = \"{}\"", at.value) } else { key.clone() };
        match self.fetched(&key, at, around) {
            Ok(_) => Promised::Kept { right, key: place },
            Err(error) => {
                let line = at.value.strip_prefix("env:").map(|name| {
                    (By::Shell, "pgmedic's environment".to_owned(), format!("export {name}='…'"))
                });
                Promised::Lacks { right, key: place, why: error.one_line(), line }
            }
        }
    }
}

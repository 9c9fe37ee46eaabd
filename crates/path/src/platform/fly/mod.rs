//! The window on Fly.io: machines with their checks and ends, volumes with their free blocks, logs, by its Machines API.
//!
//! Facts: superfly/docs (`machines/api`), superfly/fly-go 22d6e51 (`machine_types.go`, `volume_types.go`,
//! `tokens/tokens.go`, `resource_logs.go`). One GET for each thing and look: the API takes one request a second for each
//! action and app. Not in here: what it means, and anything that changes something (`hands/fly`).

pub(crate) mod ask;
mod exits;
mod flycheck;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod logs;
mod machines;
mod volumes;

use super::told::{Instance, PlatformVolume};
use super::{Asked, Part, Platform, Untold};
use crate::http::url::Endpoint;
use pgmedic_model::Secret;
use tokio::time::Instant;

/// Bytes read of a list of machines; a machine with its events and checks takes some ten thousand.
const MACHINES_BODY: usize = 4 * 1024 * 1024;
/// Bytes read of a list of volumes or of log lines.
const LIST_BODY: usize = 1024 * 1024;

/// How a Fly organisation's apps are asked.
#[derive(Clone, Debug)]
pub struct Fly {
    machines: Endpoint,
    web: Endpoint,
    authorization: Option<Secret>,
    api: Option<String>,
    db: Option<String>,
}

/// Where Fly is, as far as the configuration says.
#[derive(Clone, Debug, Default)]
pub struct FlyPlaces {
    /// The Machines API; [`Fly::MACHINES`] by default.
    pub machines: Option<String>,
    /// The web API, which has the logs; [`Fly::WEB`] by default.
    pub web: Option<String>,
    /// The API's app.
    pub api: Option<String>,
    /// The database's app.
    pub db: Option<String>,
}

impl Fly {
    /// The Machines API as anybody reaches it. Within Fly's network: `http://_api.internal:4280`.
    pub const MACHINES: &'static str = "https://api.machines.dev";
    /// The web API.
    pub const WEB: &'static str = "https://api.fly.io";

    /// Fly, asked with this token, or without one, in which case it tells why it tells nothing.
    ///
    /// # Errors
    /// Where a URL is none or an app's name cannot be one. The text holds no secret.
    pub fn new(places: FlyPlaces, token: Option<&Secret>) -> Result<Self, String> {
        let base = |url: Option<String>, default: &str| {
            Endpoint::parse(url.as_deref().unwrap_or(default).trim_end_matches('/'))
        };
        for name in [&places.api, &places.db].into_iter().flatten() {
            if !is_app(name) {
                return Err("the name of a Fly app is made of letters, digits and dashes".to_owned());
            }
        }
        Ok(Self {
            machines: base(places.machines, Self::MACHINES)?,
            web: base(places.web, Self::WEB)?,
            authorization: token.map(ask::authorization),
            api: places.api,
            db: places.db,
        })
    }

    /// A part's app.
    pub(crate) fn app(&self, part: Part) -> Result<&str, Untold> {
        let (app, key) = match part {
            Part::Api => (&self.api, "api"),
            Part::Db => (&self.db, "db"),
        };
        app.as_deref().ok_or(Untold::NotNamed(key))
    }
}

/// One machine, as Fly tells of it; None where it is none of the app's, or gone.
pub(crate) fn instance(machine: &serde_json::Value, app: &str) -> Option<Instance> {
    machines::read(std::slice::from_ref(machine), app).pop()
}

/// True for what can stand in a path as an app's name, a machine's or a volume's id.
pub(crate) fn is_app(name: &str) -> bool {
    name.len() <= 63 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

impl Platform for Fly {
    fn kind(&self) -> &'static str {
        "fly"
    }

    fn instances(&self, part: Part, until: Instant) -> Asked<'_, Vec<Instance>> {
        Box::pin(async move {
            let app = self.app(part)?;
            let path = format!("/v1/apps/{app}/machines");
            let list = self.get(&self.machines, &path, MACHINES_BODY, until).await?;
            Ok(machines::read(&list, app))
        })
    }

    fn volumes(&self, until: Instant) -> Asked<'_, Vec<PlatformVolume>> {
        Box::pin(async move {
            let app = self.app(Part::Db)?;
            let path = format!("/v1/apps/{app}/volumes");
            let list = self.get(&self.machines, &path, LIST_BODY, until).await?;
            Ok(volumes::read(&list, app))
        })
    }

    fn log(&self, part: Part, until: Instant) -> Asked<'_, String> {
        Box::pin(async move {
            let app = self.app(part)?;
            let path = format!("/api/v1/apps/{app}/logs?next_token=");
            Ok(logs::read(&self.get(&self.web, &path, LIST_BODY, until).await?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(api: &str) -> FlyPlaces {
        FlyPlaces { api: Some(api.into()), ..FlyPlaces::default() }
    }

    #[test]
    fn an_app_is_no_path_and_a_base_is_a_url() {
        assert!(Fly::new(places("renderflow-api"), None).is_ok());
        for name in ["../secrets", "a/b", "a?b", "a b"] {
            assert!(Fly::new(places(name), None).is_err(), "{name}");
        }
        let odd = FlyPlaces { machines: Some("api.machines.dev".into()), ..FlyPlaces::default() };
        assert!(Fly::new(odd, None).is_err());
    }

    #[test]
    fn a_token_is_in_no_debug_output() {
        let fly = Fly::new(places("a"), Some(&Secret::new("fm2_hunter2"))).unwrap();
        assert!(!format!("{fly:?}").contains("hunter2"));
    }
}

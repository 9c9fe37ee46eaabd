//! Which service is meant: by name, by URL, the only one configured, `DATABASE_URL`, or libpq's environment.

use crate::args::{AuditArgs, CheckArgs, DoctorArgs, FixArgs, Sides};
use crate::config::Config;
use crate::config::{http_url, nameserver};
use crate::failure::Failure;
use crate::surroundings::Surroundings;
use crate::usage::may_hold_a_secret;
use pgmedic_model::target::is_connection_string;
use pgmedic_path::Service;
use pgmedic_path::service::{LogSource, Window};
use std::path::{Path, PathBuf};

/// What a command line says of whom it means.
#[derive(Clone, Copy)]
pub(crate) struct Whom<'a> {
    /// A service or a connection string.
    what: Option<&'a str>,
    /// `--config`.
    config: Option<&'a Path>,
    /// What else to look at.
    sides: &'a Sides,
}

impl<'a> From<&'a CheckArgs> for Whom<'a> {
    fn from(args: &'a CheckArgs) -> Self {
        Self { what: args.what.as_deref(), config: args.config.as_deref(), sides: &args.sides }
    }
}

impl<'a> From<&'a FixArgs> for Whom<'a> {
    fn from(args: &'a FixArgs) -> Self {
        Self { what: args.what.as_deref(), config: args.config.as_deref(), sides: &args.sides }
    }
}

impl<'a> From<&'a AuditArgs> for Whom<'a> {
    fn from(args: &'a AuditArgs) -> Self {
        Self { what: args.what.as_deref(), config: args.config.as_deref(), sides: &args.sides }
    }
}

/// The configuration that is read where none is named.
pub(crate) const DEFAULT: &str = "pgmedic.toml";

/// Every service that the command line of `self doctor` means, and the configuration that they stand in, where they stand in
/// one: the one that is named, else all of the configuration, else what the environment names.
///
/// # Errors
/// Where none is meant, or what is meant cannot be read.
pub(crate) fn every(
    args: &DoctorArgs,
    around: &mut Surroundings,
) -> Result<(Option<Config>, Vec<Service>), Failure> {
    let sides = Sides::default();
    let whom = Whom { what: args.what.as_deref(), config: args.config.as_deref(), sides: &sides };
    if whom.what.is_some_and(is_connection_string) {
        return Ok((None, vec![service(whom, around)?]));
    }
    let Some(config) = configured(whom)? else { return Ok((None, vec![service(whom, around)?])) };
    let services = match whom.what {
        Some(_) => vec![service(whom, around)?],
        None => {
            let named = |name| config.service(name, around).transpose();
            config.names().map(named).filter_map(Result::transpose).collect::<Result<_, _>>()?
        }
    };
    Ok((Some(config), services))
}

/// The service that the command line means, its side doors included.
///
/// # Errors
/// Where none is meant, or what is meant cannot be read.
pub(crate) fn service(args: Whom<'_>, around: &mut Surroundings) -> Result<Service, Failure> {
    let mut service = match args.what {
        Some(url) if is_connection_string(url) => {
            if args.config.is_some() {
                return Err(Failure::Usage("either a URL or --config, not both".to_owned()));
            }
            Service::bare(around.target(Some(url)).map_err(|error| Failure::url("the URL", &error))?)
        }
        Some(name) => named(name, &configured(args)?, around)?,
        None => unnamed(args, around)?,
    };
    apply(args.sides, &mut service, around)?;
    Ok(service)
}

/// The configuration: the one named, else ./pgmedic.toml where there is one.
fn configured(args: Whom<'_>) -> Result<Option<Config>, Failure> {
    match args.config {
        Some(path) => Ok(Some(Config::load(path)?)),
        None if Path::new(DEFAULT).exists() => Ok(Some(Config::load(Path::new(DEFAULT))?)),
        None => Ok(None),
    }
}

/// The file that the service stands in, where it is one of a `pgmedic.toml`.
pub(crate) fn home(args: Whom<'_>) -> Option<PathBuf> {
    if args.what.is_some_and(is_connection_string) {
        return None;
    }
    args.config.map(Path::to_path_buf).or_else(|| Some(PathBuf::from(DEFAULT)).filter(|path| path.exists()))
}

fn named(name: &str, config: &Option<Config>, around: &mut Surroundings) -> Result<Service, Failure> {
    let shown = if may_hold_a_secret(name) { "that name".to_owned() } else { format!("{name:?}") };
    let Some(config) = config else {
        let problem =
            format!("no service {shown}: there is no {DEFAULT} here; name one by --config, or give a URL");
        return Err(Failure::Usage(problem));
    };
    if let Some(service) = config.service(name, around) {
        return Ok(service?);
    }
    let names: Vec<&str> = config.names().collect();
    let near = pgmedic_model::nearest::nearest(name, names.iter().copied());
    let near = near.map_or(String::new(), |near| format!("; nearest: {near}"));
    Err(Failure::Usage(format!("no service {shown}; there is {}{near}", names.join(", "))))
}

fn unnamed(args: Whom<'_>, around: &mut Surroundings) -> Result<Service, Failure> {
    if let Some(config) = configured(args)? {
        let names: Vec<&str> = config.names().collect();
        if let [name] = names.as_slice()
            && let Some(service) = config.service(name, around)
        {
            return Ok(service?);
        }
        return Err(Failure::Usage(format!(
            "several services are configured; name one: {}",
            names.join(", ")
        )));
    }
    if let Some(url) = around.variable("DATABASE_URL").filter(|url| !url.is_empty()) {
        let target = around.target(Some(&url));
        return target
            .map(Service::bare)
            .map_err(|error| Failure::Environment(format!("DATABASE_URL: {error}")));
    }
    if !around.names_a_connection() && !around.has_default_socket() {
        let problem = "nothing to check: give a URL, or name a service in ./pgmedic.toml, or set DATABASE_URL or PGHOST";
        return Err(Failure::Usage(problem.to_owned()));
    }
    around.target(None).map(Service::bare).map_err(|error| Failure::Environment(error.to_string()))
}

/// What the command line says of the side doors.
fn apply(sides: &Sides, service: &mut Service, around: &mut Surroundings) -> Result<(), Failure> {
    if let Some(address) = &sides.direct {
        let direct = service.target.by_way_of(address).map_err(|error| Failure::url("--direct", &error))?;
        service.direct = Some(direct);
    }
    for (option, url, slot) in
        [("--pooler", &sides.pooler, &mut service.pooler), ("--rescue", &sides.rescue, &mut service.rescue)]
    {
        if let Some(url) = url {
            *slot = Some(around.target(Some(url)).map_err(|error| Failure::url(option, &error))?);
        }
    }
    for (option, url, slot) in
        [("--ready", &sides.ready, &mut service.ready), ("--metrics", &sides.metrics, &mut service.metrics)]
    {
        if let Some(url) = url {
            *slot = Some(http_url(url).map_err(|problem| Failure::Usage(format!("{option}: {problem}")))?);
        }
    }
    if !sides.nameserver.is_empty() {
        let read = |text: &String| {
            nameserver(text).map_err(|problem| Failure::Usage(format!("--nameserver: {problem}")))
        };
        service.nameservers = sides.nameserver.iter().map(read).collect::<Result<_, _>>()?;
    }
    if sides.resolve_here && service.nameservers.is_empty() {
        return Err(Failure::Usage("--resolve-here needs a --nameserver to resolve at".to_owned()));
    }
    service.resolve_here |= sides.resolve_here;
    if let Some(path) = sides.api_log.as_ref().filter(|path| path.as_os_str() != "-") {
        std::fs::metadata(path).map_err(|error| {
            Failure::Usage(format!("--api-log: {} cannot be reached: {error}", path.display()))
        })?;
        service.api_log = Some(LogSource::File(path.clone()));
    }
    if sides.no_window {
        service.window = Window::Off;
    }
    Ok(())
}

//! `pgmedic self doctor`: walks each service once, and its rescue role after that, and holds what was seen against what the
//! configuration promises. Changes nothing, and remembers nothing.

use crate::args::{DoctorArgs, DoctorFormat, When};
use crate::commands::check::until_a_signal;
use crate::config::Config;
use crate::doctor::{self, Standing, Subject};
use crate::failure::Failure;
use crate::output;
use crate::render::{self, style::Look};
use crate::select;
use crate::surroundings::{Surroundings, os_user};
use pgmedic_path::events::Observer;
use pgmedic_path::service::Window;
use pgmedic_path::walk::Purpose;
use pgmedic_path::{Evidence, Seen, Service, veiled, walk_for};
use std::time::Duration;

/// Looks, writes, and gives the exit code of the worst.
pub(crate) fn run(args: &DoctorArgs, color: When) -> Result<i32, Failure> {
    let mut around = Surroundings::default();
    let (config, services) = select::every(args, &mut around)?;
    for note in &around.notes {
        output::stderr(&format!("pgmedic: {}\n", render::text::visible(note)));
    }
    let walked = until_a_signal(async |tell| {
        let mut all = Vec::new();
        for service in &services {
            all.push(walked(service, args.timeout, tell).await);
        }
        all
    })?;
    let user = os_user().unwrap_or_else(|| "pgmedic".to_owned());
    let looked = services.iter().zip(&walked).map(|(service, (evidence, rescue))| {
        let commands = commands(config.as_ref(), service);
        doctor::looked(Subject {
            service,
            evidence,
            rescue: rescue.as_ref(),
            commands: &commands,
            user: &user,
        })
    });
    let looked = looked.collect();
    let state = around.state_folder();
    let promised = config.map_or_else(Vec::new, |config| config.promised(state.as_deref(), &mut around));
    let account = doctor::account(looked, doctor::here(state.as_deref(), promised, &user));
    output::stdout(&match args.format {
        DoctorFormat::Human => render::doctor::screen(&account, &Look::of_stdout(color)),
        DoctorFormat::Json => render::json::document(&account).unwrap_or_default(),
    });
    Ok(match account.status {
        Standing::Ok => 0,
        Standing::Lacking => 1,
        Standing::Unreached => 2,
    })
}

fn commands(config: Option<&Config>, service: &Service) -> Vec<(pgmedic_model::Deed, Vec<String>)> {
    let named = config.filter(|_| service.named).and_then(|config| config.said(&service.name));
    named.map_or_else(Vec::new, |said| said.commands)
}

/// The service's walk and, once no session of that is left, the one by its rescue role; where the first took that way, its
/// part of it.
async fn walked(service: &Service, timeout: Duration, tell: Observer<'_>) -> (Evidence, Option<Evidence>) {
    let seen = veiled(walk_for(Purpose::Audit, service, timeout, tell).await, service);
    let Some(target) = &service.rescue else { return (seen, None) };
    let alone = Service {
        window: Window::Off,
        nameservers: service.nameservers.clone(),
        resolve_here: service.resolve_here,
        ..Service::bare(target.clone())
    };
    if let Seen::Seen(route) = &seen.rescue {
        // It was refused, or told: another walk would say the same.
        let rescue = Evidence { front: route.clone(), ..seen.clone() };
        return (seen, Some(rescue));
    }
    let rescue = veiled(walk_for(Purpose::Audit, &alone, timeout, tell).await, &alone);
    (seen, Some(rescue))
}

//! The lab's service as its owner would have configured it: everything that the lab's parts offer to look at.

use super::Configure;
use pgmedic_lab::dns;
use pgmedic_lab::pgbouncer::STATS_ROLE;
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE};
use pgmedic_lab::{Lab, LabError};
use pgmedic_model::Secret;
use pgmedic_model::target::{Host, SslMode, Target, Tls};
use pgmedic_path::Service;
use pgmedic_path::service::{HostPaths, LogSource, Window};
use std::net::{IpAddr, Ipv4Addr};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The service.
///
/// # Errors
/// None of its own: the drill's configuration may ask for a part that is not there.
pub(super) fn of(lab: &Lab, configures: &[Configure]) -> Result<Service, LabError> {
    let api = lab.api().ok();
    let hop = lab.proxy().is_ok() || lab.pooler().is_ok();
    let pooler = lab.pooler().ok();
    let postgres = lab.postgres();
    let mut service = Service {
        name: "renderflow".to_owned(),
        rescue: Some(at("rescue", DATABASE, postgres.port())),
        direct: hop.then(|| at(ROLE, DATABASE, postgres.port())),
        pooler: pooler.map(|pooler| at(STATS_ROLE, "pgbouncer", pooler.port())),
        ready: api.map(|api| api.ready_url()),
        metrics: api.map(|api| api.metrics_url()),
        nameservers: lab.dns().ok().map(|dns| dns.address()).into_iter().collect(),
        resolve_here: lab.dns().is_ok(),
        api_log: api.map(|api| LogSource::File(api.log().to_owned())),
        window: Window::Host(HostPaths {
            data_directory: Some(postgres.data().to_owned()),
            log: Some(postgres.log().to_owned()),
            proxy_log: None,
        }),
        named: true,
        ..Service::bare(at(ROLE, DATABASE, lab.front_port()))
    };
    if lab.dns().is_ok() {
        service.target.host = Host::Name(dns::NAME.to_owned());
    }
    if let Ok(authority) = lab.authority() {
        service.target.host = Host::Name(dns::NAME.to_owned());
        service.target.hostaddr = lab.dns().is_err().then_some(HERE);
        service.target.tls.mode = SslMode::VerifyFull;
        service.target.tls.root_cert = Some(authority.root().display().to_string());
    }
    for configure in configures {
        configure(lab, &mut service)?;
    }
    if let Some(direct) = &mut service.direct {
        direct.options.clone_from(&service.target.options);
    }
    Ok(service)
}

/// A role's way to a port of this host.
fn at(user: &str, database: &str, port: u16) -> Target {
    Target {
        host: Host::Address(HERE),
        hostaddr: None,
        port,
        user: user.to_owned(),
        database: database.to_owned(),
        password: Some(Secret::new(PASSWORD)),
        tls: Tls::default(),
        options: None,
        wants_standby: false,
        replication: None,
    }
}

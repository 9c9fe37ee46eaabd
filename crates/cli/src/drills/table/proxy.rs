//! Drills of the room `proxy`.

use super::{API, POOLER, PROXY, drill};
use crate::drills::Drill;
use pgmedic_lab::{Lab, LabError, faults};
use pgmedic_path::Service;
use pgmedic_path::identity::{Expected, Known};

/// Every drill of the room.
pub(super) const DRILLS: &[Drill] = &[
    drill(
        PROXY,
        "proxy-without-backend",
        "The proxy looks for its server where nobody listens.",
        faults::proxy_without_backend::inject,
    ),
    drill(
        PROXY,
        "proxy-hung",
        "The proxy is stopped; the kernel still accepts its connections.",
        faults::proxy_hung::inject,
    )
    .mended_by(&["restart-proxy"]),
    drill(
        PROXY,
        "proxy-client-limit",
        "The proxy has as many clients as its maxconn allows.",
        faults::proxy_client_limit::inject,
    ),
    drill(
        PROXY,
        "proxy-queue-timeout",
        "The proxy's server has all the sessions it may, and the proxy gives newcomers up.",
        faults::proxy_queue_timeout::inject,
    ),
    drill(
        PROXY,
        "proxy-idle-timeout",
        "The proxy closes what idles for a second, and the API's pool keeps it.",
        faults::proxy_idle_timeout::inject,
    )
    .on_a_stand_in(),
    drill(
        PROXY,
        "proxy-check-flaps",
        "The proxy's check fails and passes in turn, and sessions are cut each time.",
        faults::proxy_check_flaps::inject,
    ),
    drill(
        PROXY,
        "proxy-drained-connections",
        "The proxy is reloaded, and its old process cuts what the API's pool still keeps.",
        faults::proxy_drained_connections::inject,
    )
    .on_a_stand_in()
    .mended_by(&["recycle-api-pool"]),
    drill(
        POOLER,
        "pooler-pool-exhausted",
        "Every server connection of the pooler is in use, and clients wait.",
        faults::pooler_pool_exhausted::inject,
    )
    .mended_by(&["cancel-query"]),
    drill(
        POOLER,
        "pooler-client-limit",
        "The pooler has as many clients as max_client_conn allows.",
        faults::pooler_client_limit::inject,
    ),
    drill(
        POOLER,
        "pooler-paused",
        "Somebody said PAUSE at the pooler's console, and nobody said RESUME.",
        faults::pooler_paused::inject,
    )
    .mended_by(&["resume-pooler"]),
    drill(
        POOLER,
        "pooler-hung",
        "The pooler is stopped; the kernel still accepts its connections.",
        faults::pooler_hung::inject,
    )
    .mended_by(&["restart-pooler"]),
    drill(
        POOLER,
        "pooler-upstream-failing",
        "The pooler looks for its server where nobody listens; around it the server answers.",
        faults::pooler_upstream_failing::inject,
    ),
    drill(
        POOLER,
        "pooler-database-disabled",
        "Somebody said DISABLE at the pooler's console, and nobody said ENABLE.",
        faults::pooler_database_disabled::inject,
    )
    .mended_by(&["enable-pooler-database"]),
    Drill {
        configure: sets_search_path,
        ..drill(
            POOLER,
            "pooler-rejects-parameter",
            "The URL sets search_path at login, and the pooler takes no such parameter.",
            faults::pooler_rejects_parameter::inject,
        )
    },
    drill(
        POOLER,
        "pooler-breaks-prepared-statements",
        "The API prepared a statement on a server connection that the pooler then gave to somebody else.",
        faults::pooler_breaks_prepared_statements::inject,
    )
    .on_a_stand_in(),
    Drill {
        configure: knows_its_server,
        ..drill(
            API,
            "wrong-server",
            "Another cluster with the same role, password and database answers in the server's place.",
            faults::wrong_server::inject,
        )
    },
];

/// The service's server is known from an earlier walk.
fn knows_its_server(lab: &Lab, service: &mut Service) -> Result<(), LabError> {
    let system_identifier = lab.postgres().value("select system_identifier from pg_control_system()")?;
    service.expected = Some(Expected { system_identifier, known: Known::Pinned });
    Ok(())
}

/// The service's URL has `options=-c search_path=…`.
fn sets_search_path(_: &Lab, service: &mut Service) -> Result<(), LabError> {
    let options = || Some(faults::pooler_rejects_parameter::OPTIONS.to_owned());
    service.target.options = options();
    if let Some(direct) = &mut service.direct {
        direct.options = options();
    }
    Ok(())
}

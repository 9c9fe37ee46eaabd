//! THE table of routes: what the server serves and what `openapi.json` says are both read from it. Not in here: what each
//! answers (`answers`, `orders`).

/// What it takes to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing.
    Open,
    /// A token, where others than this host reach the server.
    Read,
    /// The token, and that one is set.
    Act,
}

/// Which answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    Health,
    Ready,
    Metrics,
    OpenApi,
    Services,
    Service,
    Report,
    Looks,
    PauseService,
    ResumeService,
    Incidents,
    Incident,
    Approve,
    PauseAll,
    ResumeAll,
    Reload,
}

/// A parameter of the query.
#[derive(Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    /// `string`, `integer`, or words with `|` between them.
    pub(super) takes: &'static str,
    pub(super) about: &'static str,
}

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) id: Id,
    /// The path; a part in braces stands for any one.
    pub(super) path: &'static str,
    pub(super) access: Access,
    /// What it does, in one line.
    pub(super) about: &'static str,
    pub(super) query: &'static [Param],
    /// The schema of the body that a POST takes. None is a GET.
    pub(super) takes: Option<&'static str>,
    /// The schema of a good answer. None is the page of metrics.
    pub(super) gives: Option<&'static str>,
    /// The status of a good answer.
    pub(super) status: u16,
    /// What else it may answer, besides what every route may.
    pub(super) or: &'static [u16],
}

const GET: Route = Route {
    id: Id::Health,
    path: "",
    access: Access::Read,
    about: "",
    query: &[],
    takes: None,
    gives: None,
    status: 200,
    or: &[],
};
const POST: Route = Route { access: Access::Act, gives: Some("Done"), ..GET };

const LIMIT: Param =
    Param { name: "limit", takes: "integer", about: "At most so many, 1 to 1000. Default 100." };

/// The routes.
pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/health",
        access: Access::Open,
        about: "Whether pgmedic itself is alive: its loop went round within the last ten seconds.",
        gives: Some("Health"),
        or: &[503],
        ..GET
    },
    Route {
        id: Id::Ready,
        path: "/ready",
        access: Access::Open,
        about: "Whether every service was looked at once.",
        gives: Some("Ready"),
        or: &[503],
        ..GET
    },
    Route {
        id: Id::Metrics,
        path: "/metrics",
        about: "Metrics for Prometheus; see metrics.md.",
        or: &[503],
        ..GET
    },
    Route {
        id: Id::OpenApi,
        path: "/api/v1/openapi.json",
        about: "This document.",
        gives: Some("OpenApi"),
        ..GET
    },
    Route {
        id: Id::Services,
        path: "/api/v1/services",
        about: "Every service in a line.",
        query: &[Param {
            name: "status",
            takes: "ok|warning|critical|unknown",
            about: "Only those of this verdict.",
        }],
        gives: Some("Services"),
        ..GET
    },
    Route {
        id: Id::Service,
        path: "/api/v1/services/{name}",
        about: "How one service stands: rooms, findings, looks, volumes with their forecast.",
        gives: Some("Service"),
        or: &[404],
        ..GET
    },
    Route {
        id: Id::Report,
        path: "/api/v1/services/{name}/report",
        about: "The last report, pgmedic.report/1.",
        query: &[Param {
            name: "kind",
            takes: "look|walk",
            about: "walk: of the last walk by the door. Default: whichever was last.",
        }],
        gives: Some("Report"),
        or: &[404],
        ..GET
    },
    Route {
        id: Id::Looks,
        path: "/api/v1/services/{name}/looks",
        about: "Looks and walks that history keeps, the latest first.",
        query: &[
            Param {
                name: "since",
                takes: "string",
                about: "Only those since, RFC 3339 in UTC. Default: an hour ago.",
            },
            LIMIT,
        ],
        gives: Some("Looks"),
        or: &[404, 503],
        ..GET
    },
    Route {
        id: Id::PauseService,
        path: "/api/v1/services/{name}/pause",
        about: "Nothing is done by itself for the service from now on.",
        takes: Some("Pause"),
        or: &[404, 409, 503],
        ..POST
    },
    Route {
        id: Id::ResumeService,
        path: "/api/v1/services/{name}/resume",
        about: "Ends the service's pause.",
        takes: Some("By"),
        or: &[404, 409, 503],
        ..POST
    },
    Route {
        id: Id::Incidents,
        path: "/api/v1/incidents",
        about: "Incidents, the latest opened first, each with null for its report.",
        query: &[
            Param { name: "state", takes: "open|closed", about: "Only those that last, or that are over." },
            Param { name: "service", takes: "string", about: "Only those that have or had this service." },
            LIMIT,
        ],
        gives: Some("Incidents"),
        or: &[503],
        ..GET
    },
    Route {
        id: Id::Incident,
        path: "/api/v1/incidents/{id}",
        about: "One incident, with the report that opened it.",
        gives: Some("Incident"),
        or: &[404, 503],
        ..GET
    },
    Route {
        id: Id::Approve,
        path: "/api/v1/incidents/{id}/approve",
        about: "A person's yes to one of the incident's remedies. It is begun; how it ends stands in the incident's actions.",
        takes: Some("Approve"),
        status: 202,
        or: &[404, 409, 422, 503],
        ..POST
    },
    Route {
        id: Id::PauseAll,
        path: "/api/v1/pause",
        about: "Nothing is done by itself for any service from now on.",
        takes: Some("Pause"),
        or: &[409, 503],
        ..POST
    },
    Route {
        id: Id::ResumeAll,
        path: "/api/v1/resume",
        about: "Ends the pause of all. Services that are paused by name stay so.",
        takes: Some("By"),
        or: &[409, 503],
        ..POST
    },
    Route {
        id: Id::Reload,
        path: "/api/v1/reload",
        about: "Reads the configuration anew; a bad one is refused and the old one stays.",
        takes: Some("By"),
        or: &[422, 503],
        ..POST
    },
];

impl Route {
    /// What a request by this method is called.
    pub(super) const fn methods(&self) -> &'static str {
        if self.takes.is_some() { "POST" } else { "GET, HEAD" }
    }

    /// The part that stands for the one in braces, as it came; empty where there is none. None where the path is another.
    pub(super) fn fits<'p>(&self, path: &'p str) -> Option<&'p str> {
        let (Some((before, rest)), true) = (self.path.split_once('{'), path.len() < 2048) else {
            return (self.path == path).then_some("");
        };
        let after = rest.split_once('}').map_or("", |(_, after)| after);
        let part = path.strip_prefix(before)?.strip_suffix(after)?;
        (!part.is_empty() && !part.contains('/')).then_some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_one_route() {
        fn find(path: &str) -> Option<(Id, &str)> {
            let found: Vec<_> = ROUTES.iter().filter_map(|r| Some((r.id, r.fits(path)?))).collect();
            assert!(found.len() <= 1, "{path}: {found:?}");
            found.first().copied()
        }
        assert_eq!(find("/health"), Some((Id::Health, "")));
        assert_eq!(find("/api/v1/services/a%2Fb/report"), Some((Id::Report, "a%2Fb")));
        assert_eq!(find("/api/v1/services/report"), Some((Id::Service, "report")));
        for path in [
            "",
            "/",
            "/health/",
            "/api/v1/services/",
            "/api/v1/services//report",
            "/api/v1/services/a/b",
            "//metrics",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn whatever_takes_a_body_acts_and_nothing_else_does() {
        for route in ROUTES {
            assert_eq!(route.takes.is_some(), route.access == Access::Act, "{}", route.path);
        }
    }
}

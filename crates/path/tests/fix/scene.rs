//! A real server with sessions on it, who is there by pid and backend_start, and an action on them.

use crate::real::Server;
use pgmedic_lab::sessions::{Login, Sessions};
use pgmedic_model::{Action, SessionClass, SessionRef};
use pgmedic_path::apply::{Came, apply};
use pgmedic_path::{Evidence, Service};
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// A session, for good: pid and backend_start.
pub(crate) type Who = (i32, String);

/// A server, and pgmedic's superuser way in to it.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) service: Service,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let server = Server::plain();
        let service = Service { direct: None, ..server.service("rescue") };
        Self { server, service }
    }

    /// A login of this application and role.
    pub(crate) fn login(&self, application: &str, role: &str) -> Login {
        Login::of_api(self.server.lab().postgres()).named(application).by(role)
    }

    /// Sessions at rest.
    pub(crate) fn idle(&self, login: &Login, count: usize) -> Sessions {
        let sessions = Sessions::open(self.server.lab().postgres(), login, count).unwrap();
        sessions.run("select 1").unwrap();
        sessions
    }

    pub(crate) fn walk(&self) -> Evidence {
        let evidence = self.server.walk(&self.service, TIMEOUT);
        assert!(evidence.facts().is_some(), "{:?}", evidence.front.query);
        evidence
    }

    /// The sessions under a condition, as a walk would name them.
    pub(crate) fn named(&self, condition: &str) -> Vec<SessionRef> {
        let sql = format!(
            "select pid, backend_start, application_name, usename, state, state_change, \
             extract(epoch from clock_timestamp() - state_change) * 1000 from pg_stat_activity \
             where datname is not null and application_name <> 'lab' and ({condition}) order by state_change"
        );
        let rows = self.server.lab().postgres().sql(&sql).unwrap();
        let one = |row: &Vec<Option<String>>| {
            let text = |at: usize| row[at].clone().unwrap_or_default();
            SessionRef {
                pid: text(0).parse().unwrap(),
                backend_start: text(1),
                application_name: text(2),
                usename: text(3),
                state: text(4),
                state_change: text(5),
                state_ms: text(6).parse().unwrap(),
            }
        };
        rows.iter().map(one).collect()
    }

    /// Everybody who is there under a condition.
    pub(crate) fn there(&self, condition: &str) -> BTreeSet<Who> {
        self.named(condition).into_iter().map(|s| (s.pid, s.backend_start)).collect()
    }

    /// Ends these, as sessions of a class.
    pub(crate) fn end(&self, e: &Evidence, sessions: &[SessionRef], class: SessionClass) -> Came {
        self.apply(e, &Action::Terminate { sessions: sessions.to_vec(), class, down_to: None })
    }

    pub(crate) fn apply(&self, e: &Evidence, action: &Action) -> Came {
        self.server.run(apply(&self.service, e, action))
    }
}

//! The words of pgmedic: rooms, facts, findings, reports, targets, SQLSTATEs and errnos.
//!
//! Everything here is a value. There is no I/O, no async and no clock in this crate: an API that links the pool
//! compiles it, and a recorded incident is nothing but these values in JSON.

pub mod action;
pub mod audit;
pub mod budget;
pub mod driver_words;
pub mod errno;
pub mod finding;
pub mod fix;
pub mod haproxy_words;
pub mod mask;
pub mod nearest;
pub mod policy;
pub mod pooler_words;
pub mod report;
pub mod room;
pub mod secret;
pub mod server_error;
pub mod sqlstate;
pub mod target;
pub mod time;

pub use action::{Action, Deed, LimitOf, SessionClass, SessionRef};
pub use audit::{AuditFinding, AuditReport, By, Change, Forecast, Nearness, Needs, Object, ObjectKind, Risk};
pub use budget::{Budget, BudgetPlan, Term};
pub use errno::Errno;
pub use finding::{Alternative, Confidence, Fact, Finding, RemedyKind, RemedyPlan, Role, Severity, Source};
pub use fix::{FixReport, FixStep, Permit, PlanStep, SessionOutcome, StepOutcome};
pub use policy::{Policy, Protect};
pub use report::{Report, RoomReport, Status};
pub use room::{Room, RoomStatus};
pub use secret::{MaskedSql, Secret};
pub use server_error::ServerError;
pub use sqlstate::SqlState;
pub use target::{Host, SslMode, Target, TargetError};
pub use time::{Ms, Timestamp};

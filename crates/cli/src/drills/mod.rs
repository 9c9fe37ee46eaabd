//! Drills: a real part broken, the finding that this must evoke, and the part whole again. A drill is data; its name
//! is the cause's id. `table` has them all, `course` runs one, `pair` two at once, `steady` none: a healthy service.

mod apart;
mod child;
pub(crate) mod course;
mod hands;
pub(crate) mod made;
pub(crate) mod mending;
pub(crate) mod pair;
mod service;
pub(crate) mod steady;
pub(crate) mod table;
pub(crate) mod verdict;

use pgmedic_lab::api::Kind;
use pgmedic_lab::{Guard, Lab, LabError, Parts};
use pgmedic_model::{Role, Room};
use pgmedic_path::Service;
use pgmedic_path::walk::Purpose;

/// Configures a lab's service beyond what its parts say.
pub(crate) type Configure = fn(&Lab, &mut Service) -> Result<(), LabError>;

/// A drill.
pub(crate) struct Drill {
    /// Its name: the id of the cause that it must evoke.
    pub(crate) name: &'static str,
    /// What it breaks, in one sentence.
    pub(crate) does: &'static str,
    /// What the lab has besides its Postgres.
    pub(crate) parts: Parts,
    /// Programs that the fault needs besides those of the parts.
    pub(crate) programs: &'static [&'static str],
    /// Why only root can do it, where that is so.
    pub(crate) root: Option<&'static str>,
    /// How the service is configured beyond what its parts say.
    pub(crate) configure: Configure,
    /// Breaks it.
    pub(crate) inject: fn(&Lab) -> Result<Guard, LabError>,
    /// As what the cause must be found.
    pub(crate) found: Found,
    /// The remedies by which `--fix` must make the service well again, in this order. Empty where only a person can, and
    /// nothing may be touched.
    pub(crate) mends: &'static [&'static str],
    /// A command under which the check of the broken service runs as a process of its own, where the fault is one of
    /// the side that checks: `prlimit --nofile=12 --`. Empty where it runs in this process.
    pub(crate) under: &'static [&'static str],
}

/// As what a drill's cause must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// As the one root.
    Root,
    /// As contributing to the one root, which is this cause.
    ContributingTo(&'static str),
    /// As a symptom of the one root, which is this cause.
    SymptomOf(&'static str),
    /// As one of two roots; the other is this cause.
    Beside(&'static str),
    /// As the one latent finding, of a walk with a preflight, while nothing is broken.
    Latent,
}

impl Drill {
    /// The same, which these remedies mend.
    pub(crate) const fn mended_by(self, mends: &'static [&'static str]) -> Self {
        Self { mends, ..self }
    }

    /// The same with a stand-in for the API: it breaks what `renderflow` does well.
    pub(crate) const fn on_a_stand_in(self) -> Self {
        Self { parts: Parts { api: Some(Kind::StandIn), ..self.parts }, ..self }
    }

    /// The room in which its own cause is.
    pub(crate) fn room(&self) -> Room {
        let own = pgmedic_path::rooms::causes().find(|cause| cause.id == self.name);
        own.map_or(Room::Server, |cause| cause.room)
    }

    /// The id of the one root that must be found.
    pub(crate) fn root_cause(&self) -> &'static str {
        match self.found {
            Found::Root | Found::Latent | Found::Beside(_) => self.name,
            Found::ContributingTo(root) | Found::SymptomOf(root) => root,
        }
    }

    /// Every root that it may evoke.
    pub(crate) fn own_roots(&self) -> Vec<&'static str> {
        match self.found {
            Found::Beside(other) => vec![self.name, other],
            _ => vec![self.name, self.root_cause()],
        }
    }

    /// What its walks are for: a drill of what breaks nothing yet looks ahead as well.
    pub(crate) fn purpose(&self) -> Purpose {
        if self.found == Found::Latent { Purpose::Preflight } else { Purpose::Check }
    }

    /// The role in which its own cause must be found.
    pub(crate) const fn role(&self) -> Role {
        match self.found {
            Found::Root | Found::Latent | Found::Beside(_) => Role::Root,
            Found::ContributingTo(_) => Role::Contributing,
            Found::SymptomOf(_) => Role::Symptom,
        }
    }

    /// What it needs that is not here: `needs root: …`, `needs haproxy: apt-get install haproxy`.
    pub(crate) fn unmet(&self) -> Vec<LabError> {
        let mut unmet = self.parts.missing();
        unmet.extend(self.programs.iter().filter_map(|p| pgmedic_lab::programs::find(p).err()));
        if let Some(why) = self.root.filter(|_| !pgmedic_lab::process::is_root()) {
            unmet.insert(0, LabError::NeedsRoot(why));
        }
        unmet
    }

    /// What it needs, for a person: `haproxy, root`.
    pub(crate) fn needs(&self) -> String {
        let parts = self.parts.programs();
        let programs = parts.iter().chain(self.programs).copied();
        programs.chain(self.root.map(|_| "root")).collect::<Vec<_>>().join(", ")
    }
}

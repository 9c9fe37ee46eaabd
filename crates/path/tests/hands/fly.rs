//! Fly, by the double that real processes and volumes stand behind: the contract.

use crate::contract::{AMPLE, Case, Double, holds, run, within};
use pgmedic_lab::api::Kind;
use pgmedic_lab::fly as lab_fly;
use pgmedic_lab::{Lab, Parts};
use pgmedic_model::Secret;
use pgmedic_path::hands::fly::FlyHands;
use pgmedic_path::platform::fly::{Fly, FlyPlaces};
use pgmedic_path::platform::told::{Instance, InstanceState};
use pgmedic_path::platform::{Part, Platform};
use std::sync::Arc;

/// A lab behind Fly's double, dropped after it.
pub(crate) struct Behind {
    pub(crate) double: lab_fly::Fly,
    pub(crate) lab: Lab,
}

impl Behind {
    pub(crate) fn start(parts: Parts, generation: lab_fly::Generation) -> Self {
        let lab = Lab::build(parts).unwrap_or_else(|error| panic!("{error}"));
        Self { double: lab_fly::Fly::start(&lab, generation).unwrap(), lab }
    }

    pub(crate) fn window(&self, token: Option<&str>) -> Arc<Fly> {
        let places = FlyPlaces {
            machines: Some(self.double.url()),
            web: Some(self.double.url()),
            api: Some(lab_fly::API_APP.to_owned()),
            db: Some(lab_fly::DB_APP.to_owned()),
        };
        Arc::new(Fly::new(places, token.map(Secret::new).as_ref()).unwrap())
    }

    pub(crate) fn hands(&self, token: Option<&str>) -> Arc<FlyHands> {
        Arc::new(FlyHands::new(self.window(token)))
    }

    /// A part's machine, as Fly tells of it.
    pub(crate) fn machine(&self, part: Part) -> Instance {
        let window = self.window(Some(lab_fly::TOKEN));
        run(window.instances(part, within(AMPLE))).unwrap().remove(0)
    }
}

pub(crate) const PARTS: Parts =
    Parts { proxy: Some(8), pooler: None, dns: false, api: Some(Kind::StandIn), tls: false, volume_mb: None };

fn double(case: Case) -> Double {
    let parts = Parts { volume_mb: Some(200), ..PARTS };
    let behind = Arc::new(Behind::start(parts, lab_fly::Generation::Flex));
    let token = if case == Case::Forbidden { lab_fly::TOKEN } else { lab_fly::ACTING_TOKEN };
    behind.double.misbehave(match case {
        Case::Willing | Case::Forbidden => None,
        Case::ActsAndHangs => Some(lab_fly::Misbehaviour::ActsAndHangs),
        Case::ActsAndFails => Some(lab_fly::Misbehaviour::ActsAndSays(500)),
    });
    let (a, b, c, d) = (Arc::clone(&behind), Arc::clone(&behind), Arc::clone(&behind), Arc::clone(&behind));
    Double {
        hands: behind.hands(Some(token)),
        asked: Box::new(move || a.double.requests().len()),
        changes: Box::new(move || b.double.changes()),
        life: Box::new(move |part| match part {
            Part::Api => format!("{:?}", c.machine(part).started_at),
            Part::Db => format!("{:?}", c.lab.postgres().pid().ok()),
        }),
        runs: Box::new(move |part| match part {
            Part::Api => d.lab.api().unwrap().is_ready().is_ok(),
            Part::Db => d.machine(part).state == InstanceState::Running && d.lab.postgres().is_alive(),
        }),
        _alive: Box::new(behind),
    }
}

#[test]
fn needs_root_the_contract_by_flys_double() {
    holds(double);
}

//! Orders for hands: one for each target of an action, asked for anew when the action is begun, given one at a time. Not in
//! here: waiting for readiness between two (`fix`).

use super::{BRIEF, Came, LONG};
use crate::hands::{Order, Target, Undone};
use crate::platform::Part;
use crate::service::Service;
use crate::veil::veiled_words;
use pgmedic_model::{Action, Deed, StepOutcome};
use tokio::time::Instant;

/// The orders that an action comes to now. None for an action that needs no hands.
///
/// # Errors
/// Where nobody has hands, or they do not tell whom there is.
pub async fn orders(service: &Service, action: &Action) -> Result<Option<Vec<Order>>, String> {
    let Some(deed) = action.deed() else { return Ok(None) };
    let hands = service.hands.as_ref().filter(|hands| hands.offers().contains(&deed));
    let hands = hands.ok_or("nobody here can do it: [service.platform] says who could")?;
    let targets = hands
        .targets(deed, Instant::now() + BRIEF * 2)
        .await
        .map_err(|why| veiled_words(why.to_string(), service))?;
    let targets = match action {
        Action::ExtendVolume { volume, of_data, .. } => of_volume(targets, volume, *of_data),
        _ => targets,
    };
    if targets.is_empty() {
        return Err(format!("{} knows of nothing to do it to", hands.kind()));
    }
    Ok(Some(targets.into_iter().map(|target| one(action, deed, target)).collect()))
}

/// The volume that was meant, by id. Hands that know one alone, under a name of their own, mean the data directory's: what
/// was measured of another volume is no size for that one.
fn of_volume(targets: Vec<Target>, volume: &str, of_data: bool) -> Vec<Target> {
    match targets.iter().find(|t| t.id == volume) {
        Some(found) => vec![found.clone()],
        None if of_data && targets.len() == 1 => targets,
        None => Vec::new(),
    }
}

fn one(action: &Action, deed: Deed, target: Target) -> Order {
    match (deed, action) {
        (Deed::ExtendVolume, Action::ExtendVolume { to_gb, .. }) => Order::Extend(target, *to_gb),
        (Deed::RestartProxy, _) => Order::RestartProxy(target),
        (Deed::StartDb, _) => Order::StartDb(target),
        (Deed::RestartApi, _) => Order::Restart(Part::Api, target),
        (Deed::RestartDb | Deed::ExtendVolume, _) => Order::Restart(Part::Db, target),
    }
}

/// Gives one order and says what came of it.
pub(super) async fn give(service: &Service, order: &Order) -> Came {
    let Some(hands) = &service.hands else {
        return Came::to(StepOutcome::Refused, "nobody here has hands");
    };
    let name = &order.target().name;
    match hands.act(order, Instant::now() + LONG).await {
        Ok(done) => Came {
            request_ids: done.request_ids,
            needs_restart: done.needs_restart,
            ..Came::to(StepOutcome::Applied, format!("{name}: {}", done.said))
        },
        Err(Undone::NotOffered(why)) => Came::to(StepOutcome::Refused, format!("{name}: {why}")),
        Err(Undone::Refused { why, request_ids }) => {
            Came { request_ids, ..Came::to(StepOutcome::Refused, format!("{name}: {why}")) }
        }
        Err(Undone::Unknown { why, request_ids }) => {
            Came { request_ids, ..Came::to(StepOutcome::Failed, format!("{name}: {why}")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_volume_that_a_command_knows_is_the_datas() {
        let one = || vec![Target { id: "extend_volume".into(), ..Target::default() }];
        assert_eq!(of_volume(one(), "/data", true).len(), 1);
        assert!(of_volume(one(), "/wal", false).is_empty(), "its size was not measured");
        assert_eq!(of_volume(one(), "extend_volume", false).len(), 1);
    }
}

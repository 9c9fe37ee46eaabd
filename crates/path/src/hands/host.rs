//! Commands of this host: what `restart_api`, `restart_proxy`, `restart_db`, `start_db` and `extend_volume` of
//! `[service.platform]` name, each an argument list that no shell reads.
//!
//! A command that has not ended at the deadline is not killed: `systemctl restart` would bear it, a script of one's own may
//! not. It goes on, its end is unknown, and that is said. Not in here: looking at this host (`platform/host`).

use super::running::{Ran, run};
use super::{Doing, Done, Hands, Listing, Order, Target, Undone, not_smaller};
use crate::platform::Untold;
use pgmedic_model::Deed;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tokio::process::Command;
use tokio::time::Instant;

/// Stands for the new size in the arguments of `extend_volume`.
const SIZE: &str = "{size_gb}";

/// The configuration's key for a deed.
#[must_use]
pub const fn key(deed: Deed) -> &'static str {
    match deed {
        Deed::RestartApi => "restart_api",
        Deed::RestartProxy => "restart_proxy",
        Deed::StartDb => "start_db",
        Deed::RestartDb => "restart_db",
        Deed::ExtendVolume => "extend_volume",
    }
}

/// An argument list: a program and what it is given.
#[derive(Clone, PartialEq, Eq)]
struct List {
    deed: Deed,
    program: String,
    arguments: Vec<String>,
}

impl List {
    /// What people call it: the program's own name.
    fn name(&self) -> String {
        let name = Path::new(&self.program).file_name().unwrap_or_default();
        pgmedic_model::mask::excerpt(&name.to_string_lossy(), 64)
    }

    fn target(&self) -> Target {
        Target { id: key(self.deed).to_owned(), name: self.name(), size_gb: None }
    }
}

impl fmt::Debug for List {
    /// Without the arguments, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} and {} arguments", key(self.deed), self.name(), self.arguments.len())
    }
}

/// The commands of a service.
#[derive(Clone, Debug, Default)]
pub struct Commands(Vec<List>);

impl Commands {
    /// These argument lists, each for its deed.
    ///
    /// # Errors
    /// Where a list names no program, or that of [`Deed::ExtendVolume`] has no place for the size, or a deed has two.
    pub fn new(lists: impl IntoIterator<Item = (Deed, Vec<String>)>) -> Result<Self, String> {
        let mut all: Vec<List> = Vec::new();
        for (deed, list) in lists {
            check(deed, &list)?;
            if all.iter().any(|other| other.deed == deed) {
                return Err(format!("{} is there twice", key(deed)));
            }
            let mut list = list.into_iter();
            let program = list.next().unwrap_or_default();
            all.push(List { deed, program, arguments: list.collect() });
        }
        Ok(Self(all))
    }

    /// True where nothing is named.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These for what they offer, and somebody else for the rest.
    #[must_use]
    pub fn before(self, rest: Arc<dyn Hands>) -> Arc<dyn Hands> {
        if self.is_empty() { rest } else { Arc::new(Before { commands: self, rest }) }
    }

    fn list(&self, deed: Deed) -> Option<&List> {
        self.0.iter().find(|list| list.deed == deed)
    }

    async fn done(&self, order: &Order, until: Instant) -> Result<Done, Undone> {
        let deed = order.deed();
        let Some(list) = self.list(deed) else { return Err(Undone::NotOffered(missing(deed).to_owned())) };
        let target = order.target();
        if target.id != key(deed) {
            return Err(Undone::refused(format!("no command is named {:?}; nothing was run", target.id)));
        }
        let size = match order {
            Order::Extend(target, size_gb) => not_smaller(target, *size_gb)?.to_string(),
            _ => SIZE.to_owned(),
        };
        if Instant::now() >= until {
            return Err(Undone::refused(format!("{}: no time was left; nothing was run", key(deed))));
        }
        let mut command = Command::new(&list.program);
        command.args(list.arguments.iter().map(|argument| argument.replace(SIZE, &size)));
        ended(list, run(command, until).await)
    }
}

/// Whether a list can be one for its deed.
///
/// # Errors
/// What it lacks, without its words.
pub fn check(deed: Deed, list: &[String]) -> Result<(), String> {
    let key = key(deed);
    match list.split_first() {
        None => Err(format!("{key} names no program")),
        Some((program, _)) if program.is_empty() => Err(format!("{key} names no program")),
        Some((_, arguments))
            if deed == Deed::ExtendVolume && !arguments.iter().any(|one| one.contains(SIZE)) =>
        {
            Err(format!("{key} has no {SIZE} among its arguments: the size to extend to, in GB"))
        }
        Some(_) => Ok(()),
    }
}

/// What a command's end means.
fn ended(list: &List, ran: std::io::Result<Ran>) -> Result<Done, Undone> {
    let (key, name) = (key(list.deed), list.name());
    let with = |words: String| if words.is_empty() { words } else { format!(": {words}") };
    match ran {
        Ok(Ran::Ended(status, words)) if status.success() => {
            Ok(Done { said: format!("{name} ended well{}", with(words)), ..Done::default() })
        }
        Ok(Ran::Ended(status, words)) => Err(Undone::unknown(format!(
            "{key}: {name} ended with {status}{}; what it had done by then only it knows",
            with(words)
        ))),
        Ok(Ran::GoesOn) => Err(Undone::unknown(format!(
            "{key}: {name} had not ended in time; it was not killed and goes on by itself"
        ))),
        Err(error) => Err(Undone::refused(format!(
            "{key}: {name} was not started: {error}; nothing has changed. It is run without a shell: is the program on PATH?"
        ))),
    }
}

const fn missing(deed: Deed) -> &'static str {
    match deed {
        Deed::RestartApi => "no command restarts the API: `restart_api` in [service.platform]",
        Deed::RestartProxy => "no command restarts the proxy: `restart_proxy` in [service.platform]",
        Deed::StartDb => "no command starts the database: `start_db` in [service.platform]",
        Deed::RestartDb => "no command restarts the database: `restart_db` in [service.platform]",
        Deed::ExtendVolume => "no command extends the volume: `extend_volume` in [service.platform]",
    }
}

impl Hands for Commands {
    fn kind(&self) -> &'static str {
        "host"
    }

    fn offers(&self) -> Vec<Deed> {
        self.0.iter().map(|list| list.deed).collect()
    }

    fn targets(&self, deed: Deed, _until: Instant) -> Listing<'_> {
        let targets = self.list(deed).map(|list| vec![list.target()]);
        Box::pin(async move { targets.ok_or(Untold::NotOffered(missing(deed))) })
    }

    fn act<'a>(&'a self, order: &'a Order, until: Instant) -> Doing<'a> {
        Box::pin(self.done(order, until))
    }
}

/// Commands first, somebody else for what no command is named for.
#[derive(Debug)]
struct Before {
    commands: Commands,
    rest: Arc<dyn Hands>,
}

impl Before {
    fn for_deed(&self, deed: Deed) -> &dyn Hands {
        match self.commands.list(deed) {
            Some(_) => &self.commands,
            None => self.rest.as_ref(),
        }
    }
}

impl Hands for Before {
    fn kind(&self) -> &'static str {
        self.rest.kind()
    }

    fn offers(&self) -> Vec<Deed> {
        let mut all = self.commands.offers();
        all.extend(self.rest.offers());
        all.sort_unstable();
        all.dedup();
        all
    }

    fn targets(&self, deed: Deed, until: Instant) -> Listing<'_> {
        self.for_deed(deed).targets(deed, until)
    }

    fn act<'a>(&'a self, order: &'a Order, until: Instant) -> Doing<'a> {
        self.for_deed(order.deed()).act(order, until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn a_list_without_a_program_or_a_place_for_the_size_is_refused() {
        for (deed, words, said) in [
            (Deed::RestartApi, &[][..], "restart_api names no program"),
            (Deed::StartDb, &[""], "start_db names no program"),
            (Deed::ExtendVolume, &["lvextend", "-L", "10G"], "extend_volume has no {size_gb}"),
            (Deed::ExtendVolume, &["{size_gb}"], "extend_volume has no {size_gb}"),
        ] {
            let why = Commands::new([(deed, list(words))]).unwrap_err();
            assert!(why.contains(said), "{why}");
        }
        assert!(Commands::new([(Deed::ExtendVolume, list(&["lvextend", "-L", "{size_gb}G"]))]).is_ok());
        let twice = [(Deed::StartDb, list(&["a"])), (Deed::StartDb, list(&["b"]))];
        assert!(Commands::new(twice).is_err());
    }

    #[test]
    fn arguments_are_in_no_debug_output() {
        let commands = Commands::new([(Deed::RestartApi, list(&["/usr/bin/curl", "hunter2"]))]).unwrap();
        assert_eq!(format!("{commands:?}"), "Commands([restart_api: curl and 1 arguments])");
    }

    #[tokio::test]
    async fn commands_go_before_the_platforms_own_way_and_leave_it_the_rest() {
        let rest = Commands::new([(Deed::RestartApi, list(&["two"])), (Deed::RestartDb, list(&["three"]))]);
        let first = Commands::new([(Deed::RestartApi, list(&["one"]))]).unwrap();
        let both = first.before(Arc::new(rest.unwrap()));
        assert_eq!(both.offers(), [Deed::RestartApi, Deed::RestartDb]);
        let until = Instant::now();
        assert_eq!(both.targets(Deed::RestartApi, until).await.unwrap()[0].name, "one");
        assert_eq!(both.targets(Deed::RestartDb, until).await.unwrap()[0].name, "three");
        assert!(both.targets(Deed::StartDb, until).await.is_err());
    }
}

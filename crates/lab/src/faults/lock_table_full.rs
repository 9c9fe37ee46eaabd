//! One transaction has made tables until the server had no room for another lock.

use crate::postgres::Stop;
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Makes tables by the fifty and then singly, until the table of locks is full, and keeps what was locked. A step that
/// fails is taken back alone (PL/pgSQL's EXCEPTION is a subtransaction).
const MAKE: &str = "do $$ declare step int; made int := 0; begin
  foreach step in array array[50, 1] loop
    loop
      begin
        for n in 1..step loop execute format('create table part_%s ()', made + n); end loop;
        made := made + step;
      exception when out_of_memory then exit;
      end;
    end loop;
  end loop;
end $$";

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    // The smallest that there is: some thousand locks fill it.
    postgres.stop(Stop::Fast)?;
    postgres.write("fault.conf", "max_locks_per_transaction = 10\n")?;
    postgres.up()?;
    lab.restart_api();
    let guard_of = Arc::clone(&postgres);
    let guard = Guard::undone_by(move || guard_of.remove("fault.conf"));
    let migration = Sessions::open(&postgres, &Login::of_api(&postgres).named("tenant-setup"), 1)?;
    migration.run("begin")?;
    migration.run(MAKE)?;
    lab.restart_api();
    Ok(guard.and_holding(migration))
}

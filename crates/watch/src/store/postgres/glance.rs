//! The shared store as it is read by somebody who watches nothing: on a connection of its own that may not write, bounded in
//! time like a watcher's, and the schema is left as it is.

use super::{Link, TIME, Trouble, link, run, schema};
use crate::store::op::{Answer, Op};
use pgmedic_model::Target;

/// The name by which the server knows it.
const NAME: &str = "pgmedic-incidents";
/// It may not write, whatever its role may.
const READ_ONLY: &str = "set default_transaction_read_only = on";

/// The store, to be read.
#[derive(Debug)]
pub(in crate::store) struct Glance {
    target: Box<Target>,
    link: Option<Link>,
}

impl Glance {
    /// Nothing is connected to yet.
    pub(in crate::store) const fn new(target: Box<Target>) -> Self {
        Self { target, link: None }
    }

    /// Where it is, without secrets.
    pub(in crate::store) fn place(&self) -> String {
        self.target.display()
    }

    /// Answers what only reads, within [`TIME`], its connection included.
    pub(in crate::store) async fn ask(&mut self, op: Op) -> Result<Answer, String> {
        match tokio::time::timeout(TIME, self.once(op)).await {
            Ok(done) => done.map_err(|trouble| trouble.to_string()),
            Err(_) => Err(format!("no answer within {} s", TIME.as_secs())),
        }
    }

    async fn once(&mut self, op: Op) -> Result<Answer, Trouble> {
        let link = match self.link.take() {
            Some(link) => link,
            None => {
                let link = link(&self.target, NAME).await?;
                link.client.batch_execute(READ_ONLY).await?;
                link
            }
        };
        schema::is_known(&link.client, op.since()).await?;
        let answer = run::look_up(&link.client, op).await?;
        self.link = Some(link);
        Ok(answer)
    }
}

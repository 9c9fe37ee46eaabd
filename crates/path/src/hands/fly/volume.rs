//! A volume's extension: `PUT …/volumes/{id}/extend` (fly-go, `flaps_volumes.go`). It is asked for once, with a size that is
//! held against the volume's own of this moment; nothing makes it smaller again. Volumes have no leases.

use super::errand::Errand;
use super::of_volume;
use crate::hands::answer::{End, object};
use crate::hands::{Done, Target, Undone, not_smaller};
use crate::platform::Platform;
use crate::platform::fly::ask::Asking;
use hyper::Method;

impl Errand<'_> {
    /// Grows the volume to so many GB.
    pub(super) async fn extend(mut self, target: &Target, size_gb: u64) -> Result<Done, Undone> {
        not_smaller(target, size_gb)?;
        let end = self.end();
        let refused = |why: String| Undone::refused(format!("{why}; nothing was asked of it"));
        let listed = self.fly.volumes(end).await;
        let listed = listed.map_err(|why| refused(format!("volume {}: {why}", self.named())))?;
        let found = listed.into_iter().find(|volume| volume.id == self.id);
        let Some(found) = found else {
            return Err(refused(format!("{} has no volume {}", self.app, self.id)));
        };
        not_smaller(&of_volume(found), size_gb)?;
        let path = format!("/v1/apps/{}/volumes/{}/extend", self.app, self.id);
        let body = serde_json::json!({ "size_gb": size_gb }).to_string();
        let asking = Asking { method: Method::PUT, path: &path, nonce: None, body: &body };
        let answer = self.ask("extend", &asking, end).await;
        let told = answer.and_then(|answer| {
            object(&answer)
                .and_then(|told| {
                    let size = told.pointer("/volume/size_gb")?.as_u64()?;
                    Some((size, told.get("needs_restart")?.as_bool()?))
                })
                .ok_or_else(|| End::Unknown(format!("status {} with what is no volume", answer.status)))
        });
        let what = format!("extension of volume {} to {size_gb} GB", self.named());
        match told {
            Ok((size, needs_restart)) if size >= size_gb => {
                let restart = if needs_restart { ", of use after a restart of its machine" } else { "" };
                let said = format!("volume {} has {size} GB{restart}", self.named());
                Ok(Done { said, request_ids: self.take_ids(), needs_restart })
            }
            Ok((size, _)) => {
                let why = format!("Fly took it and says {size} GB");
                Err(End::Unknown(why).undone(&what, self.take_ids()))
            }
            Err(end) => Err(end.undone(&what, self.take_ids())),
        }
    }
}

//! `[watch]`: checked here, so that a file with a mistake in it is refused by every verb.

use super::document::Section;
use super::error::{ConfigError, Show};
use super::resolve;

const KEYS: [&str; 4] = ["interval", "listen", "store", "alerts"];
const ALERTS: [(&str, ()); 4] = [("alertmanager", ()), ("webhook", ()), ("slack", ()), ("pagerduty", ())];

pub(super) fn check(top: &Section<'_, '_>) -> Result<(), ConfigError> {
    let Some(section) = top.table("watch", "[watch]", &KEYS)? else { return Ok(()) };
    section.duration("interval")?;
    section.read("listen", |text| {
        text.parse::<std::net::SocketAddr>().map_err(|_| "not address:port, as in 127.0.0.1:9187".to_owned())
    })?;
    section.string("store")?;
    for alert in section.tables("alerts", "an alert", &["kind", "url", "key"])? {
        if alert.word("kind", &ALERTS)?.is_none() {
            let problem = "an alert has no kind: alertmanager, webhook, slack or pagerduty";
            return Err(alert.document.error(alert.span.clone(), problem, Show::KeysOnly));
        }
        if let Some(url) = alert.string("url")?
            && !resolve::is_reference(&url.value)
        {
            resolve::http_url(&url.value).map_err(|problem| {
                alert.document.error(url.span.clone(), format!("url: {problem}"), Show::KeysOnly)
            })?;
        }
        alert.string("key")?;
    }
    Ok(())
}

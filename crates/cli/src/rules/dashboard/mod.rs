//! The Grafana dashboard: a row for what is the matter now, one for each of the ten rooms in the order of the path, and one
//! for pgmedic itself. Grafana's classic model, schema version 39, which Grafana 10 and 11 read.

mod panel;
mod pool;
mod rows;

use super::Wanted;
use panel::{HEIGHT, datasource};
use serde_json::{Value, json};

/// A dashboard's grid is so wide.
const WIDTH: u32 = 24;

/// The document.
pub(super) fn document(wanted: &Wanted) -> String {
    let dashboard = json!({
        "id": null,
        "uid": "pgmedic",
        "title": "Postgres connections (pgmedic)",
        "description": "The path that a connection takes from the API to the disk. Written by `pgmedic rules grafana`.",
        "tags": ["pgmedic", "postgres"],
        "timezone": "browser",
        "editable": true,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "liveNow": false,
        "schemaVersion": 39,
        "version": 0,
        "refresh": "15s",
        "time": { "from": "now-1h", "to": "now" },
        "timepicker": {},
        "links": [{
            "title": "What each cause means", "type": "link", "url": wanted.page("README"), "targetBlank": true,
            "icon": "doc", "tooltip": "", "tags": [], "asDropdown": false, "includeVars": false, "keepTime": false,
        }],
        "annotations": { "list": [] },
        "templating": { "list": variables(wanted) },
        "panels": panels(rows::rows(wanted)),
    });
    format!("{dashboard:#}\n")
}

/// The data source, and the service.
fn variables(wanted: &Wanted) -> Value {
    let mut service = json!({
        "name": "service", "label": "Service", "hide": 0, "skipUrlSync": false,
        "multi": true, "includeAll": true, "current": { "selected": true, "text": ["All"], "value": ["$__all"] }, "options": [],
    });
    if wanted.services.is_empty() {
        let query = if wanted.source.has_watch() {
            "label_values(pgmedic_service_up, service)".to_owned()
        } else {
            format!("label_values(pg_pool_max, {})", wanted.api_label)
        };
        service["type"] = json!("query");
        service["datasource"] = datasource();
        service["definition"] = json!(query);
        service["query"] = json!({ "query": query, "refId": "services" });
        service["refresh"] = json!(2);
        service["regex"] = json!("");
        service["sort"] = json!(1);
    } else {
        let names: Vec<&str> = wanted.services.iter().map(|service| service.name.as_str()).collect();
        service["type"] = json!("custom");
        service["query"] = json!(names.join(","));
        service["allValue"] = json!(names.join("|"));
    }
    json!([
        {
            "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0,
            "multi": false, "includeAll": false, "refresh": 1, "regex": "", "skipUrlSync": false, "options": [],
            "current": { "selected": false, "text": "default", "value": "default" },
        },
        service,
    ])
}

/// Rows one below the other, panels from left to right.
fn panels(rows: Vec<rows::Row>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    let (mut id, mut y) = (0, 0);
    let mut next = || {
        id += 1;
        id
    };
    for (title, panels) in rows {
        out.push(json!({
            "id": next(), "type": "row", "title": title, "collapsed": false, "panels": [],
            "gridPos": { "x": 0, "y": y, "w": WIDTH, "h": 1 },
        }));
        y += 1;
        let mut x = 0;
        for panel in &panels {
            if x + panel.width > WIDTH {
                x = 0;
                y += HEIGHT;
            }
            out.push(panel.json(next(), x, y));
            x += panel.width;
        }
        y += HEIGHT;
    }
    out
}

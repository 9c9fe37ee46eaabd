//! A panel, and its JSON: Grafana's classic dashboard model, the fields that Grafana 10 and 11 read.

use serde_json::{Value, json};

/// Every panel asks the data source that the variable `datasource` names.
pub(super) fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// How a panel shows its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Lines over time.
    Lines,
    /// Areas that add up.
    Stacked,
    /// The last value, large.
    Now,
    /// Coloured bands over time.
    States,
    /// The last values as a table.
    Table,
}

/// One query.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) expr: String,
    /// How each of its series is called: `{{label}}` is filled in.
    pub(super) legend: String,
}

/// A number's colour from a value on.
pub(super) type Step = (Option<f64>, &'static str);

/// One panel.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: &'static str,
    /// What it tells, and what to do about it.
    pub(super) about: &'static str,
    pub(super) kind: Kind,
    /// Grafana's name of the unit: `s`, `bytes`, `percentunit`, `short`.
    pub(super) unit: &'static str,
    /// Of 24.
    pub(super) width: u32,
    pub(super) queries: Vec<Query>,
    /// Colours, the first without a value.
    pub(super) steps: &'static [Step],
    /// Words for numbers.
    pub(super) words: &'static [(&'static str, &'static str, &'static str)],
}

/// Rows high.
pub(super) const HEIGHT: u32 = 7;

impl Panel {
    pub(super) fn new(
        kind: Kind,
        title: &'static str,
        unit: &'static str,
        width: u32,
        about: &'static str,
    ) -> Self {
        Self { title, about, kind, unit, width, queries: Vec::new(), steps: &[(None, "green")], words: &[] }
    }

    pub(super) fn query(mut self, expr: impl Into<String>, legend: impl Into<String>) -> Self {
        self.queries.push(Query { expr: expr.into(), legend: legend.into() });
        self
    }

    pub(super) const fn steps(mut self, steps: &'static [Step]) -> Self {
        self.steps = steps;
        self
    }

    /// Words for numbers: value, word, colour.
    pub(super) const fn words(
        mut self,
        words: &'static [(&'static str, &'static str, &'static str)],
    ) -> Self {
        self.words = words;
        self
    }

    /// The panel in its place.
    pub(super) fn json(&self, id: u32, x: u32, y: u32) -> Value {
        let instant = matches!(self.kind, Kind::Now | Kind::Table);
        let targets: Vec<Value> = self
            .queries
            .iter()
            .zip('A'..='Z')
            .map(|(query, letter)| {
                json!({
                    "refId": letter.to_string(), "datasource": datasource(), "editorMode": "code",
                    "expr": query.expr, "legendFormat": query.legend, "instant": instant, "range": !instant,
                    "format": if self.kind == Kind::Table { "table" } else { "time_series" },
                })
            })
            .collect();
        let mut panel = json!({
            "id": id, "type": self.grafana_type(), "title": self.title, "description": self.about,
            "gridPos": { "x": x, "y": y, "w": self.width, "h": HEIGHT },
            "datasource": datasource(), "targets": targets,
            "fieldConfig": { "defaults": self.defaults(), "overrides": [] },
            "options": self.options(),
        });
        if self.kind == Kind::Table {
            panel["transformations"] = json!([
                { "id": "organize", "options": { "excludeByName": { "Time": true, "Value": true, "__name__": true, "instance": true, "job": true }, "indexByName": {}, "renameByName": {} } },
            ]);
        }
        panel
    }

    const fn grafana_type(&self) -> &'static str {
        match self.kind {
            Kind::Lines | Kind::Stacked => "timeseries",
            Kind::Now => "stat",
            Kind::States => "state-timeline",
            Kind::Table => "table",
        }
    }

    fn defaults(&self) -> Value {
        let steps: Vec<Value> =
            self.steps.iter().map(|(from, colour)| json!({ "color": colour, "value": from })).collect();
        let mut defaults = json!({
            "unit": self.unit,
            "thresholds": { "mode": "absolute", "steps": steps },
            "color": { "mode": if matches!(self.kind, Kind::Lines | Kind::Stacked) { "palette-classic" } else { "thresholds" } },
            "mappings": [],
        });
        if !self.words.is_empty() {
            let options: serde_json::Map<String, Value> = self
                .words
                .iter()
                .enumerate()
                .map(|(index, (value, word, colour))| {
                    ((*value).to_owned(), json!({ "text": word, "color": colour, "index": index }))
                })
                .collect();
            defaults["mappings"] = json!([{ "type": "value", "options": options }]);
        }
        defaults["custom"] = match self.kind {
            Kind::Lines => json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": false,
                "thresholdsStyle": { "mode": if self.steps.len() > 1 { "line" } else { "off" } },
            }),
            Kind::Stacked => json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": 40, "showPoints": "never", "spanNulls": false,
                "stacking": { "mode": "normal", "group": "A" },
            }),
            Kind::States => json!({ "fillOpacity": 80, "lineWidth": 0 }),
            Kind::Now | Kind::Table => return defaults,
        };
        if matches!(self.kind, Kind::Lines | Kind::Stacked) {
            defaults["min"] = json!(0);
        }
        defaults
    }

    fn options(&self) -> Value {
        match self.kind {
            Kind::Lines | Kind::Stacked => json!({
                "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
            Kind::Now => json!({
                "reduceOptions": { "values": false, "calcs": ["lastNotNull"], "fields": "" },
                "orientation": "auto", "textMode": "value_and_name", "colorMode": "background", "graphMode": "none",
                "justifyMode": "auto", "wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
            }),
            Kind::States => json!({
                "mergeValues": true, "showValue": "never", "alignValue": "left", "rowHeight": 0.9,
                "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
                "tooltip": { "mode": "single", "sort": "none" },
            }),
            Kind::Table => json!({ "showHeader": true, "cellHeight": "sm", "frameIndex": 0 }),
        }
    }
}

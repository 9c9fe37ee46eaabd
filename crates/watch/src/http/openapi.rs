//! The OpenAPI 3.1 document, made from the table of routes, the schemas beside this file and the report's own schema.

use super::routes::{Access, Param, ROUTES, Route};
use serde_json::{Map, Value, json};

/// Schemas of the API's documents, by name.
const SCHEMAS: &str = include_str!("schemas.json");
/// Schemas that stand in `docs/` for themselves.
const DOCS: [(&str, &str); 3] = [
    ("Report", include_str!("../../../../docs/report.schema.json")),
    ("Incident", include_str!("../../../../docs/incident.schema.json")),
    ("Error", include_str!("../../../../docs/error.schema.json")),
];

/// What any route may answer, besides its own.
const ANY: [u16; 9] = [400, 401, 403, 404, 405, 406, 421, 429, 431];
/// What any route that takes a body may.
const ANY_BODY: [u16; 3] = [408, 413, 415];

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let method = if route.takes.is_some() { "post" } else { "get" };
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[method] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "pgmedic watch",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0" },
            "description": "What `pgmedic watch` serves. Without a token in [watch] nothing that acts is reachable (403 says how \
                            to set one). Where it listens on more than loopback, reading needs a token too, except /health and \
                            /ready. Pages of other sites are refused whatever they ask: there is no CORS here, and no cookie. \
                            On loopback the Host must be a loopback name, or external_url's. Members are added to documents, \
                            never renamed or removed."
        },
        "servers": [{ "url": "http://127.0.0.1:9187" }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = route.query.iter().map(parameter).collect();
    if let Some((_, rest)) = route.path.split_once('{') {
        let name = rest.split('}').next().unwrap_or_default();
        parameters
            .push(json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    }
    let mut operation = json!({
        "operationId": format!("{:?}", route.id),
        "summary": route.about,
        "parameters": parameters,
        "responses": responses(route),
        "security": match route.access {
            Access::Open => json!([]),
            Access::Read => json!([{}, { "token": [] }]),
            Access::Act => json!([{ "token": [] }]),
        },
    });
    if let Some(name) = route.takes {
        let schema = reference(name);
        operation["requestBody"] = json!({
            "required": name == "Approve",
            "content": { "application/json": { "schema": schema } },
        });
    }
    operation
}

fn parameter(param: &Param) -> Value {
    let schema = match param.takes {
        "string" => json!({ "type": "string" }),
        "integer" => json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }),
        words => json!({ "enum": words.split('|').collect::<Vec<_>>() }),
    };
    json!({ "name": param.name, "in": "query", "description": param.about, "schema": schema })
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    let errors = ANY.iter().chain(route.or).chain(if route.takes.is_some() { &ANY_BODY[..] } else { &[] });
    for status in errors {
        let about = match route.gives {
            Some(name @ ("Health" | "Ready")) if *status == 503 => name,
            _ => "Error",
        };
        responses.insert(status.to_string(), answer("Not so; `next` says what to do.", about));
    }
    let good = match route.gives {
        Some(name) => answer("Done.", name),
        None => json!({
            "description": "The page.",
            "content": {
                "text/plain": { "schema": { "type": "string" } },
                "application/openmetrics-text": { "schema": { "type": "string" } },
            },
        }),
    };
    responses.insert(route.status.to_string(), good);
    responses.into()
}

fn answer(about: &str, schema: &str) -> Value {
    json!({ "description": about, "content": { "application/json": { "schema": reference(schema) } } })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Every schema by name; the definitions within one become schemas of their own, `Report.finding`, for most tools read no
/// reference into another document.
fn schemas() -> Map<String, Value> {
    let mut all: Map<String, Value> = serde_json::from_str(SCHEMAS).unwrap_or_default();
    for (name, text) in DOCS {
        let mut schema: Value = serde_json::from_str(text).unwrap_or_default();
        point_to(&mut schema, name);
        if let Some(members) = schema.as_object_mut() {
            members.remove("$schema");
            members.remove("$id");
            if let Some(Value::Object(parts)) = members.remove("$defs") {
                all.extend(parts.into_iter().map(|(part, schema)| (format!("{name}.{part}"), schema)));
            }
        }
        all.insert(name.to_owned(), schema);
    }
    all
}

fn point_to(value: &mut Value, name: &str) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(text) if key == "$ref" => {
                        let (name, rest) = match text.strip_prefix("report.schema.json") {
                            Some(rest) => ("Report", rest),
                            None => (name, text.as_str()),
                        };
                        let part =
                            rest.strip_prefix("#/$defs/").map_or(String::new(), |part| format!(".{part}"));
                        *text = format!("#/components/schemas/{name}{part}");
                    }
                    member => point_to(member, name),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|member| point_to(member, name)),
        _ => {}
    }
}

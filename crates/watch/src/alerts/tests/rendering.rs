//! What each receiver is sent: shapes, limits, escapes.

use super::*;
use crate::alerts::letter::{Labels, Letter};
use crate::alerts::render::{Setting, message};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgmedic_model::{RemedyKind, RemedyPlan, StepOutcome};
use ring::hmac;

fn letter(change: Change, incident: Incident) -> Letter {
    let event = Letter::event(change, &incident);
    Letter { event, change, incident, labels: Labels::new(), outgrown: None }
}

fn rendered(kind: AlertKind, letter: &Letter, key: Option<&Secret>) -> Message {
    let setting =
        Setting { now: OPENED, firing_until: OPENED, external_url: Some("https://pgmedic.internal/"), key };
    message(kind, &[letter], &setting).unwrap()
}

fn body(kind: AlertKind, change: Change, incident: Incident) -> Value {
    serde_json::from_str(&rendered(kind, &letter(change, incident), None).body).unwrap()
}

/// One with texts that are long and hostile.
fn hostile() -> Incident {
    let mut incident = sample::incident();
    let nasty = "<!channel> & <https://evil|click> ``` \u{1f4a5}".repeat(400);
    incident.summary.clone_from(&nasty);
    incident.evidence = vec![incident.evidence[0].clone(); 20];
    incident.evidence.iter_mut().for_each(|fact| fact.fact.clone_from(&nasty));
    incident.remedies = vec![RemedyPlan::by_hand("x", RemedyKind::Advice, nasty.clone(), nasty.clone())];
    incident.actions = vec![sample::act(Some(StepOutcome::Applied)); 50];
    incident.actions.iter_mut().for_each(|act| act.detail.clone_from(&nasty));
    incident.held = Some(nasty.clone());
    incident.cause = "a".repeat(300);
    incident.services = (0..2000).map(|n| sample::affected(&format!("service-{n:04}-<&>"), &nasty)).collect();
    incident
}

#[test]
fn an_alertmanager_is_told_the_evidence_the_remedy_and_where_to_read_on() {
    let alert = &body(AlertKind::Alertmanager, Change::Opened, sample::incident())[0];
    let annotations = &alert["annotations"];
    assert_eq!(
        annotations["summary"],
        "renderflow: 97 of 97 slots are taken, 81 of them by idle sessions of worker"
    );
    assert_eq!(
        annotations["description"],
        "97 sessions of 97 slots (pg_stat_activity)\n81 sessions of worker are idle (pg_stat_activity)"
    );
    assert_eq!(annotations["remedy"], "pgmedic fix renderflow --only terminate-idle-sessions");
    assert_eq!(annotations["services"], "renderflow");
    assert_eq!(annotations["incident"], "20261126T031209-renderflow");
    let runbook = "https://github.com/pgmedic/pgmedic/blob/main/docs/causes/slots-exhausted.md";
    assert_eq!(annotations["runbook_url"], runbook);
    let link = "https://pgmedic.internal/api/v1/incidents/20261126T031209-renderflow";
    assert_eq!(alert["generatorURL"], link);
}

#[test]
fn an_alert_never_ends_before_it_started() {
    let mut incident = sample::closed(sample::incident());
    incident.closed_at = Some(pgmedic_model::Timestamp(OPENED.0 - 5000));
    let alert = &body(AlertKind::Alertmanager, Change::Closed, incident)[0];
    assert_eq!(alert["endsAt"], alert["startsAt"]);
}

#[test]
fn a_webhook_is_signed_as_standard_webhooks_has_it() {
    // The specification's own example of a key.
    let coded = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let raw = STANDARD.decode(coded).unwrap();
    let letter = letter(Change::Opened, sample::incident());
    let message = rendered(AlertKind::Webhook, &letter, Some(&Secret::new(format!("whsec_{coded}"))));
    let header = |name: &str| message.headers.iter().find(|(n, _)| *n == name).unwrap().1.clone();
    assert_eq!(header("webhook-id"), "20261126T031209-renderflow.opened.1795662729000");
    assert_eq!(header("webhook-timestamp"), "1795662729");
    let signature = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), message.body);
    let verified = |key: &[u8], text: &str| {
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes(), &signature)
    };
    assert!(verified(&raw, &signed).is_ok());
    assert!(verified(&raw, &format!("{signed} ")).is_err(), "a changed body is noticed");
    assert!(verified(b"another", &signed).is_err());
}

#[test]
fn a_signature_is_the_one_that_the_specifications_libraries_make() {
    // The worked example that the specification's libraries share.
    let key = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}");
    let signature = crate::alerts::webhook::signature(&key, id, at, body);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn a_webhook_without_a_key_is_not_signed() {
    let message = rendered(AlertKind::Webhook, &letter(Change::Opened, sample::incident()), None);
    assert!(message.headers.iter().all(|(name, _)| *name != "webhook-signature"));
    let back: Incident = serde_json::from_str(&message.body).unwrap();
    assert_eq!(back, sample::incident(), "the document is the incident");
}

/// The texts of a Slack message.
fn texts(message: &Value) -> Vec<String> {
    let of = |block: &Value| {
        let elements = block["elements"].as_array().cloned().unwrap_or_default();
        let all = elements.into_iter().chain([block["text"].clone()]);
        all.filter_map(|text| text["text"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let blocks = message["blocks"].as_array().unwrap().iter().flat_map(of);
    blocks.chain([message["text"].as_str().unwrap().to_owned()]).collect()
}

#[test]
fn slack_is_told_in_short_and_takes_nothing_for_markup() {
    let message = body(AlertKind::Slack, Change::Opened, sample::incident());
    let first = ":red_circle: *renderflow: 97 of 97 slots are taken, 81 of them by idle sessions of worker*";
    assert_eq!(texts(&message)[0], first);
    assert!(texts(&message)[2].ends_with("```pgmedic fix renderflow --only terminate-idle-sessions```"));
    for change in [Change::Opened, Change::Updated, Change::Closed] {
        let message = body(AlertKind::Slack, change, hostile());
        assert!(message["blocks"].as_array().unwrap().len() <= 50);
        for text in texts(&message) {
            assert!(text.chars().count() <= 3000, "{change:?}: {} characters", text.chars().count());
            assert!(!text.contains("<!"), "{text}");
            assert!(!text.contains("<https://evil"), "{text}");
            assert!(text.matches("```").count() <= 2, "{text}");
        }
    }
}

#[test]
fn slack_is_told_that_it_is_over_and_what_was_done() {
    let mut incident = sample::closed(sample::incident());
    incident.actions.push(sample::act(Some(StepOutcome::Applied)));
    let texts = texts(&body(AlertKind::Slack, Change::Closed, incident));
    assert!(
        texts[0].starts_with(":large_green_circle: *renderflow: well again after 1 min: "),
        "{}",
        texts[0]
    );
    let done = "• terminate-idle-sessions on 81 sessions of worker by policy, done: 81 of 81 ended";
    assert_eq!(texts[1], done);
    assert_eq!(texts.len(), 4, "no remedy for what is over: {texts:?}");
}

#[test]
fn pagerduty_is_triggered_and_resolved_under_one_key() {
    let key = Secret::new("0123456789abcdef0123456789abcdef");
    let open = rendered(AlertKind::PagerDuty, &letter(Change::Opened, sample::incident()), Some(&key));
    let event: Value = serde_json::from_str(&open.body).unwrap();
    assert_eq!(event["event_action"], "trigger");
    assert_eq!(event["routing_key"], key.reveal());
    assert_eq!(event["dedup_key"], "20261126T031209-renderflow");
    assert_eq!(event["payload"]["severity"], "critical");
    assert_eq!(event["payload"]["source"], "renderflow");
    assert_eq!(event["payload"]["component"], "admission");
    assert_eq!(event["payload"]["class"], "slots-exhausted");
    assert_eq!(event["payload"]["timestamp"], "2026-11-26T03:12:09.000Z");
    assert_eq!(event["links"].as_array().unwrap().len(), 2);
    let closed = letter(Change::Closed, sample::closed(sample::incident()));
    let event: Value =
        serde_json::from_str(&rendered(AlertKind::PagerDuty, &closed, Some(&key)).body).unwrap();
    assert_eq!(event["event_action"], "resolve");
    assert_eq!(event["dedup_key"], "20261126T031209-renderflow");
}

#[test]
fn pagerdutys_limits_are_kept() {
    let mut incident = hostile();
    incident.id = format!("20261126T031209-{}", "s".repeat(300));
    let event = body(AlertKind::PagerDuty, Change::Opened, incident.clone());
    assert!(event["payload"]["summary"].as_str().unwrap().chars().count() <= 1024);
    let dedup = event["dedup_key"].as_str().unwrap().to_owned();
    assert!(dedup.len() <= 255);
    assert_eq!(body(AlertKind::PagerDuty, Change::Closed, incident.clone())["dedup_key"], dedup.as_str());
    incident.id.push('2');
    assert_ne!(body(AlertKind::PagerDuty, Change::Closed, incident)["dedup_key"], dedup.as_str());
    assert!(event.to_string().len() < 512_000, "{} bytes", event.to_string().len());
}

#[test]
fn an_incident_of_many_services_names_as_many_as_a_line_holds() {
    let mut incident = sample::incident();
    incident.services = (0..100).map(|n| sample::affected(&format!("s{n:02}"), "x")).collect();
    let alert = &body(AlertKind::Alertmanager, Change::Opened, incident)[0];
    let services = alert["annotations"]["services"].as_str().unwrap();
    assert!(services.starts_with("s00, s01, ") && services.ends_with("s19 and 80 more"), "{services}");
    let summary = alert["annotations"]["summary"].as_str().unwrap();
    assert!(summary.starts_with("renderflow and 99 more: "), "{summary}");
}

/// Holds a document against `docs/incident.schema.json`; gives what is wrong with it.
fn complaints(document: &Value) -> Vec<String> {
    let read = |name: &str| -> Value {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let report = read("report.schema.json");
    let id = report["$id"].as_str().unwrap().to_owned();
    let registry = jsonschema::Registry::new().add(id, report).unwrap().prepare().unwrap();
    let schema = read("incident.schema.json");
    let validator = jsonschema::options().with_registry(&registry).build(&schema).unwrap();
    validator.iter_errors(document).map(|e| format!("{e} at {}", e.instance_path())).collect()
}

#[test]
fn the_document_that_a_webhook_gets_obeys_its_schema() {
    let mut acted = sample::closed(sample::incident());
    let outcomes = [StepOutcome::Applied, StepOutcome::Refused, StepOutcome::Failed, StepOutcome::NotNeeded];
    acted.actions = outcomes.into_iter().map(Some).chain([None]).map(sample::act).collect();
    acted.held = Some("paused".to_owned());
    acted.proof = Some("30 looks in a row were well".to_owned());
    acted.back_at = Some(OPENED);
    for (change, incident) in
        [(Change::Opened, sample::incident()), (Change::Opened, hostile()), (Change::Closed, acted)]
    {
        let document = body(AlertKind::Webhook, change, incident);
        assert_eq!(complaints(&document), [""; 0], "{document:#}");
    }
}

#[test]
fn the_schema_notices_what_is_missing_or_misnamed() {
    let whole = body(AlertKind::Webhook, Change::Opened, sample::incident());
    for (member, value) in [
        ("closed_at", Value::Null),
        ("severity", "dire".into()),
        ("room", "kitchen".into()),
        ("cause", "Not A Cause".into()),
        ("opened_at", "yesterday".into()),
    ] {
        let mut broken = whole.clone();
        match value {
            Value::Null => drop(broken.as_object_mut().unwrap().remove(member)),
            value => broken[member] = value,
        }
        assert_ne!(complaints(&broken), [""; 0], "{member}");
    }
}

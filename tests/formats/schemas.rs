//! The published schemas, ready to be held against what is written.

use boon::{Compiler, SchemaIndex, Schemas};
use faultline::format::{Format, Message, Mode};
use serde_json::{Map, Value, json};

const SOURCES: [&str; 5] = [
    include_str!("../../schemas/faultline.alert.v1.schema.json"),
    include_str!("../../schemas/pagerduty.event.schema.json"),
    include_str!("../../schemas/slack.message.schema.json"),
    include_str!("../../schemas/alertmanager.alerts.schema.json"),
    include_str!("../../schemas/cloudevents.alert.schema.json"),
];

const ALERT: &str = "urn:faultline:schema:alert:v1";
const PAGERDUTY: &str = "urn:faultline:schema:pagerduty-event";
const SLACK: &str = "urn:faultline:schema:slack-message";
const ALERTMANAGER: &str = "urn:faultline:schema:alertmanager-alerts";
const CLOUDEVENTS: &str = "urn:faultline:schema:cloudevents-alert";
const HEADERS: &str = "urn:faultline:schema:cloudevents-alert#/$defs/headers";

pub struct Published {
    schemas: Schemas,
    indices: Vec<(&'static str, SchemaIndex)>,
}

impl Published {
    pub fn new() -> Published {
        let mut compiler = Compiler::new();
        // Off by default since the draft of 2019.
        compiler.enable_format_assertions();
        for source in SOURCES {
            let schema: Value = serde_json::from_str(source).expect("the schema is JSON");
            let id = schema["$id"].as_str().expect("the schema has an id").to_owned();
            compiler.add_resource(&id, schema).expect("the schema is a resource");
        }
        let mut schemas = Schemas::new();
        let mut compile = |id| (id, compiler.compile(id, &mut schemas).expect("the schema is a schema"));
        let indices = [ALERT, PAGERDUTY, SLACK, ALERTMANAGER, CLOUDEVENTS, HEADERS].map(&mut compile).to_vec();
        Published { schemas, indices }
    }

    /// What is wrong with a message, if anything.
    pub fn complaint(&self, format: Format, message: &Message) -> Option<String> {
        let value: Value = serde_json::from_slice(&message.value).expect("messages are JSON");
        let of_headers = match format {
            Format::CloudEvents(Mode::Binary) => self.held_against(HEADERS, &headers(message)),
            _ if message.headers.is_empty() => None,
            _ => Some("headers that nobody knows".to_owned()),
        };
        of_headers.or_else(|| self.of_value(format, &value))
    }

    pub fn of_value(&self, format: Format, value: &Value) -> Option<String> {
        let id = match format {
            Format::Faultline | Format::CloudEvents(Mode::Binary) => ALERT,
            Format::CloudEvents(Mode::Structured) => CLOUDEVENTS,
            Format::PagerDuty => PAGERDUTY,
            Format::Slack => SLACK,
            Format::Alertmanager => ALERTMANAGER,
        };
        self.held_against(id, value)
    }

    pub fn of_headers(&self, headers: &Value) -> Option<String> {
        self.held_against(HEADERS, headers)
    }

    fn held_against(&self, id: &str, value: &Value) -> Option<String> {
        let (_, index) = self.indices.iter().find(|(known, _)| *known == id).expect("the schema was compiled");
        self.schemas.validate(value, *index).err().map(|error| format!("{error:#}"))
    }
}

/// As one object, with the content type.
pub fn headers(message: &Message) -> Value {
    let mut headers: Map<String, Value> =
        message.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    headers.insert("content-type".to_owned(), json!(message.content_type));
    headers.into()
}

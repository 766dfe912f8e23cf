//! Topics: which ones there are, how far they reach, and creating those that faultline owns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::oauth::Tokens;
use super::{Connection, Error, Link, explain};
use crate::record::Partition;

/// A topic that faultline creates when it is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSpec {
    pub name: String,
    pub partitions: i32,
    /// -1: the broker's default.
    pub replication: i32,
    /// Topic-level settings as Kafka names them: `cleanup.policy`, `retention.ms`, …
    pub settings: BTreeMap<String, String>,
}

/// Every topic that can be seen, with its number of partitions.
pub type Topics = BTreeMap<String, i32>;

/// A client for metadata only: it joins no group and reads no record.
pub struct Cluster {
    client: BaseConsumer<LinkContext>,
    connection: Connection,
    link: Arc<Link>,
}

const CREATE_TIMEOUT: Duration = Duration::from_secs(15);
const SERVE_TIME: Duration = Duration::from_millis(10);

impl Cluster {
    /// Starts the client; connecting happens in the background.
    ///
    /// # Errors
    /// When librdkafka refuses the configuration.
    pub fn new(connection: &Connection, link: Arc<Link>) -> Result<Self, Error> {
        let client = connection
            .plain()
            .create_with_context(LinkContext::new(connection, &link))
            .map_err(|e| Error::from_kafka("kafka settings", &e))?;
        Ok(Cluster { client, connection: connection.clone(), link })
    }

    /// Asks for all topics. `Ok(None)`: no broker answered within `timeout`; the link knows why.
    ///
    /// # Errors
    /// What waiting does not mend.
    pub fn topics(&self, timeout: Duration) -> Result<Option<Topics>, Error> {
        // Without its token, for which it asks by a callback, no client gets an answer.
        self.serve_callbacks();
        let answer = self.client.fetch_metadata(None, timeout);
        self.serve_callbacks();
        self.link.check()?;
        let Ok(metadata) = answer else { return Ok(None) };
        self.link.mark_up();
        let exists =
            |topic: &&rdkafka::metadata::MetadataTopic| topic.error().is_none() && !topic.partitions().is_empty();
        let count = |partitions: &[_]| i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        Ok(Some(
            metadata.topics().iter().filter(exists).map(|t| (t.name().to_owned(), count(t.partitions()))).collect(),
        ))
    }

    /// The offset behind the newest record of every partition of `topics`.
    ///
    /// # Errors
    /// When a partition's leader does not answer within `timeout`.
    pub fn ends(&self, topics: &Topics, timeout: Duration) -> Result<BTreeMap<Partition, i64>, Error> {
        self.serve_callbacks();
        let mut ends = BTreeMap::new();
        for (name, &partitions) in topics {
            let topic: Arc<str> = Arc::from(name.as_str());
            for partition in 0..partitions {
                let (_, high) = self
                    .client
                    .fetch_watermarks(name, partition, timeout)
                    .map_err(|e| Error::from_kafka(format_args!("asking for the end of {name}[{partition}]"), &e))?;
                ends.insert(Partition { topic: Arc::clone(&topic), partition }, high);
            }
        }
        Ok(ends)
    }

    /// Creates those of `wanted` that `existing` lacks. That another instance was quicker is fine.
    /// Brokers without the API for it are fine too as long as nothing is missing.
    ///
    /// # Errors
    /// Names the topic that could not be created.
    pub fn create_missing(&self, wanted: &[TopicSpec], existing: &Topics) -> Result<Vec<String>, Error> {
        let missing: Vec<&TopicSpec> = wanted.iter().filter(|spec| !existing.contains_key(&spec.name)).collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |e: &KafkaError| Error::from_kafka(format_args!("creating topic `{}`", missing[0].name), e);
        let context = LinkContext::new(&self.connection, &self.link);
        let admin: AdminClient<LinkContext> =
            self.connection.plain().create_with_context(context).map_err(|e| failed(&e))?;
        self.connection.tokens().hand_to(admin.inner())?;
        let options = AdminOptions::new().operation_timeout(Some(CREATE_TIMEOUT)).request_timeout(Some(CREATE_TIMEOUT));
        let topics: Vec<NewTopic<'_>> = missing.iter().map(|spec| new_topic(spec)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|e| Error::new(format!("cannot start a runtime to create topics: {e}")))?;
        let results = runtime.block_on(admin.create_topics(&topics, &options)).map_err(|e| failed(&e))?;
        results.into_iter().map(created).collect()
    }

    /// Errors and logs wait in a queue until somebody polls.
    fn serve_callbacks(&self) {
        // Without any time rdkafka serves a single one, and what went wrong waits behind log lines.
        while self.client.poll(SERVE_TIME).is_some() {}
    }
}

fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    let topic = NewTopic::new(&spec.name, spec.partitions, TopicReplication::Fixed(spec.replication));
    spec.settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
}

fn created(result: Result<String, (String, RDKafkaErrorCode)>) -> Result<String, Error> {
    match result {
        Ok(name) | Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(name),
        Err((name, code)) => {
            Err(Error::new(format!("cannot create topic `{name}`: {}; create it by hand, or allow it", explain(code))))
        }
    }
}

/// For clients that only need to say how the brokers are.
pub(super) struct LinkContext {
    link: Arc<Link>,
    tokens: Tokens,
}

impl LinkContext {
    pub(super) fn new(connection: &Connection, link: &Arc<Link>) -> Self {
        LinkContext { link: Arc::clone(link), tokens: connection.tokens() }
    }
}

impl ClientContext for LinkContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.tokens.next()
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.link.on_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.link.on_error(&error, reason);
    }
}

impl ConsumerContext for LinkContext {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_another_instance_created_is_fine() {
        let raced = Err(("alerts".to_owned(), RDKafkaErrorCode::TopicAlreadyExists));
        assert_eq!(created(raced), Ok("alerts".to_owned()));
        let denied = created(Err(("alerts".to_owned(), RDKafkaErrorCode::ClusterAuthorizationFailed)));
        assert!(denied.unwrap_err().to_string().starts_with("cannot create topic `alerts`: the broker denies"));
    }
}

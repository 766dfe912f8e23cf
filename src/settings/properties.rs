//! librdkafka properties: which of them faultline sets itself, and which hold secrets.

/// Properties that the service owns, and what to set instead or why not.
const OWNED: [(&str, &str); 20] = [
    ("bootstrap.servers", "set kafka.brokers instead"),
    ("metadata.broker.list", "set kafka.brokers instead"),
    ("group.id", "set kafka.group_id instead"),
    ("group.protocol", "faultline handles rebalances of the classic protocol"),
    ("partition.assignment.strategy", "both stages need cooperative rebalancing"),
    ("enable.auto.commit", "offsets are committed only after what they caused is acknowledged"),
    ("auto.commit.interval.ms", "offsets are committed only after what they caused is acknowledged"),
    ("enable.auto.offset.store", "offsets are committed only after what they caused is acknowledged"),
    ("consume.callback.max.messages", "what is fetched and not yet read would have no bound"),
    ("enable.partition.eof", "faultline needs to know where a partition ends"),
    ("isolation.level", "faultline reads what is committed"),
    ("enable.idempotence", "without it a retry could reorder or repeat reports"),
    ("acks", "nothing is committed before all replicas have it"),
    ("request.required.acks", "nothing is committed before all replicas have it"),
    ("transactional.id", "it is derived from kafka.group_id and the partition"),
    ("transaction.timeout.ms", "faultline sets it to fit its commits"),
    ("partitioner", "reports of one cluster must meet in one partition"),
    ("fetch.queue.backoff.ms", "the default of 1 s starves small queues; faultline sets 10 ms"),
    ("queued.max.messages.kbytes", "set limits.fetch_queue_bytes instead"),
    ("queue.buffering.max.kbytes", "set limits.producer_queue_bytes instead"),
];

/// Why a property must not be set in `kafka.properties`, if so.
pub fn refusal(name: &str, value: &str) -> Option<String> {
    if let Some((_, reason)) = OWNED.iter().find(|(owned, _)| *owned == name) {
        return Some(format!("`{name}` is faultline's own: {reason}"));
    }
    let value = value.to_ascii_lowercase();
    let encrypted = name == "security.protocol" && matches!(value.as_str(), "ssl" | "sasl_ssl");
    // librdkafka builds these two on OpenSSL.
    let mechanism =
        matches!(name, "sasl.mechanism" | "sasl.mechanisms") && (value.starts_with("scram") || value == "oauthbearer");
    let missing = (encrypted || mechanism) && !cfg!(feature = "tls");
    missing.then(|| "this build has no TLS: build with `--features tls`, or take the container image".to_owned())
}

/// Whether a property's value must never be shown.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // Paths and plain settings that only sound like secrets, and help when a connection fails.
    let harmless = name.ends_with(".location") || name.ends_with(".url") || name.ends_with(".method");
    let telling = ["password", "secret", "token", "pem", "key", "jaas", "sasl.oauthbearer.config"];
    !harmless && telling.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_faultline_owns_is_refused_with_the_reason() {
        assert_eq!(refusal("group.id", "x").unwrap(), "`group.id` is faultline's own: set kafka.group_id instead");
        for allowed in ["client.id", "auto.offset.reset", "socket.timeout.ms", "sasl.username"] {
            assert_eq!(refusal(allowed, "x"), None, "{allowed}");
        }
    }

    #[test]
    fn tls_is_refused_where_it_is_not_built_in() {
        for (name, value) in
            [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.mechanisms", "OAUTHBEARER")]
        {
            assert_eq!(refusal(name, value).is_some(), !cfg!(feature = "tls"), "{name}");
        }
        assert_eq!(refusal("security.protocol", "sasl_plaintext"), None);
    }

    #[test]
    fn secrets_are_known_by_name() {
        let secret = [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.certificate.pem",
            "sasl.oauthbearer.client.secret",
        ];
        for name in secret {
            assert!(is_secret(name), "{name}");
        }
        for name in ["sasl.username", "ssl.key.location", "security.protocol", "sasl.oauthbearer.token.endpoint.url"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}

//! librdkafka properties: which of them faultline sets itself, which need what this build lacks, and which hold secrets.

use std::collections::BTreeMap;

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

/// SASL mechanisms, and whether librdkafka builds them on OpenSSL. It compares them letter by letter.
const MECHANISMS: [(&str, bool); 4] =
    [("PLAIN", false), ("SCRAM-SHA-256", true), ("SCRAM-SHA-512", true), ("OAUTHBEARER", true)];

const NO_TLS: &str = "this build has no TLS: build with `--features tls`, or take the container image";

/// The two names of one property; librdkafka's own first.
const MECHANISM: [&str; 2] = ["sasl.mechanisms", "sasl.mechanism"];

/// Why a property must not be set in `kafka.properties`, if so.
pub fn refusal(name: &str, value: &str) -> Option<String> {
    if let Some(reason) = owned(name) {
        return Some(reason);
    }
    match name {
        "security.protocol" => {
            let encrypted = matches!(value.to_ascii_lowercase().as_str(), "ssl" | "sasl_ssl");
            (encrypted && !cfg!(feature = "tls")).then(|| NO_TLS.to_owned())
        }
        "sasl.mechanism" | "sasl.mechanisms" => mechanism_refusal(value),
        "enable.sasl.oauthbearer.unsecure.jwt" => Some(
            "tokens without a signature are not made: write one into the file of kafka.oauth_token_file".to_owned(),
        ),
        "sasl.oauthbearer.method" if value.eq_ignore_ascii_case("oidc") => {
            let instead = "have the token written into a file, and set kafka.oauth_token_file";
            Some(format!("fetching tokens (OIDC) is not built in: {instead}"))
        }
        _ => None,
    }
}

/// Why a property must not be set in `kafka.properties_files`, if so: what is checked at the start is not to be hidden.
pub fn file_refusal(name: &str) -> Option<String> {
    let checked = name == "security.protocol" || name.starts_with("sasl.mechanism") || refusal(name, "oidc").is_some();
    owned(name).or_else(|| checked.then(|| format!("`{name}` is no secret: set it under kafka.properties")))
}

fn owned(name: &str) -> Option<String> {
    let (_, reason) = OWNED.iter().find(|(owned, _)| *owned == name)?;
    Some(format!("`{name}` is faultline's own: {reason}"))
}

fn mechanism_refusal(value: &str) -> Option<String> {
    match MECHANISMS.iter().find(|(name, _)| *name == value) {
        Some((_, needs_tls)) => (*needs_tls && !cfg!(feature = "tls")).then(|| NO_TLS.to_owned()),
        None if value == "GSSAPI" => Some("Kerberos (GSSAPI) is not built in".to_owned()),
        None => Some(format!("expected one of {}, found `{value}`", mechanisms())),
    }
}

fn mechanisms() -> String {
    MECHANISMS.map(|(name, _)| name).join(", ")
}

/// What does not go together in how to log in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// A client would not start, or never get in.
    Error(String),
    /// Something is set in vain.
    Warning(String),
}

/// Looks at all properties together. `has_token`: whether `kafka.oauth_token_file` is set.
pub fn misfit(properties: &BTreeMap<String, String>, has_token: bool) -> Option<Misfit> {
    let protocol = properties.get("security.protocol").map(|value| value.to_ascii_lowercase());
    let protocol = protocol.as_deref().unwrap_or("plaintext");
    let mechanism = MECHANISM.iter().find_map(|name| properties.get(*name));
    let logs_in = protocol.starts_with("sasl_");
    let takes_token = mechanism.is_some_and(|mechanism| mechanism == "OAUTHBEARER");
    match mechanism {
        None if logs_in => Some(Misfit::Error(format!("`{protocol}` needs sasl.mechanism: one of {}", mechanisms()))),
        Some(_) if !logs_in => {
            let message = format!("sasl.mechanism is set in vain: security.protocol is `{protocol}`, not sasl_…");
            Some(Misfit::Warning(message))
        }
        Some(_) if takes_token && !has_token => {
            Some(Misfit::Error("OAUTHBEARER needs a token: set kafka.oauth_token_file".to_owned()))
        }
        _ => None,
    }
}

/// Endings of what only sounds like a secret, and helps when a connection fails.
const HARMLESS: [&str; 14] = [
    ".location",
    ".url",
    ".method",
    ".mechanism",
    ".mechanisms",
    ".username",
    ".client.id",
    ".scope",
    ".kerberos.service.name",
    ".cipher.suites",
    ".curves.list",
    ".sigalgs.list",
    ".endpoint.identification.algorithm",
    ".ca.certificate.stores",
];

/// Whether a property's value must never be shown. All of TLS and SASL is, but for what is known to be harmless, so
/// that a mistyped name shows nothing either.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let harmless = HARMLESS.iter().any(|ending| name.ends_with(ending));
    let telling = ["pass", "pwd", "secret", "token", "credential", "pem", "key", "jaas"];
    let close = name.starts_with("sasl.") || name.starts_with("ssl.");
    !harmless && (close || telling.iter().any(|word| name.contains(word)))
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
            let refusal = refusal(name, value);
            assert_eq!(refusal.as_deref(), (!cfg!(feature = "tls")).then_some(NO_TLS), "{name}");
        }
        for (name, value) in [("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "PLAIN")] {
            assert_eq!(refusal(name, value), None, "{name}");
        }
    }

    #[test]
    fn mechanisms_that_no_build_has_are_refused() {
        assert_eq!(refusal("sasl.mechanism", "GSSAPI").unwrap(), "Kerberos (GSSAPI) is not built in");
        assert!(refusal("sasl.mechanism", "plain").unwrap().ends_with("OAUTHBEARER, found `plain`"));
        assert!(refusal("sasl.oauthbearer.method", "OIDC").unwrap().contains("kafka.oauth_token_file"));
        assert!(refusal("enable.sasl.oauthbearer.unsecure.jwt", "true").is_some());
    }

    #[test]
    fn a_file_holds_secrets_only() {
        for name in ["sasl.password", "sasl.username", "ssl.key.pem", "ssl.key.password"] {
            assert_eq!(file_refusal(name), None, "{name}");
        }
        for name in ["group.id", "security.protocol", "sasl.mechanisms", "sasl.oauthbearer.method"] {
            assert!(file_refusal(name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        let misfit = |pairs: &[(&str, &str)], has_token| {
            misfit(&pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(), has_token)
        };
        let error = |found| matches!(found, Some(Misfit::Error(_)));
        let warning = |found| matches!(found, Some(Misfit::Warning(_)));
        let protocol = ("security.protocol", "SASL_SSL");
        assert_eq!(misfit(&[], false), None);
        assert_eq!(misfit(&[("security.protocol", "ssl")], false), None);
        assert_eq!(misfit(&[protocol, ("sasl.mechanism", "PLAIN")], false), None);
        assert_eq!(misfit(&[protocol, ("sasl.mechanisms", "OAUTHBEARER")], true), None);
        assert!(error(misfit(&[protocol], false)), "librdkafka's default is Kerberos");
        assert!(error(misfit(&[protocol, ("sasl.mechanism", "OAUTHBEARER")], false)));
        assert!(warning(misfit(&[("sasl.mechanism", "PLAIN")], false)));
    }

    #[test]
    fn secrets_are_known_by_name() {
        let secret = [
            "sasl.password",
            "sasl.pasword",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.certificate.pem",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
            "SASL.JAAS.CONFIG",
            "password",
        ];
        for name in secret {
            assert!(is_secret(name), "{name}");
        }
        let shown = [
            "sasl.username",
            "sasl.mechanism",
            "ssl.key.location",
            "ssl.endpoint.identification.algorithm",
            "security.protocol",
            "sasl.oauthbearer.token.endpoint.url",
            "enable.ssl.certificate.verification",
            "session.timeout.ms",
        ];
        for name in shown {
            assert!(!is_secret(name), "{name}");
        }
    }
}

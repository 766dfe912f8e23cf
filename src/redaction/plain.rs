//! What stands where a secret might, by a name that may mean one, and says itself that it is none.

use std::sync::LazyLock;

use regex::Regex;

/// Longer ones are not looked at. Bytes.
const MAX_BYTES: usize = 256;

/// So much of what stands before is looked at. Bytes.
const NEAR_BYTES: usize = 80;

/// Written right before `token` and the like: those are public.
const PUBLIC: [&str; 6] = ["publickey", "cancellation", "idempotency", "idempotency_", "fencing ", "continuation"];

/// A UUID, an Amazon resource name, a type with its namespaces or by its name, an error code such as AADSTS700016.
static PLAIN: LazyLock<Regex> = LazyLock::new(|| {
    const UUID: &str = r"(?i-u:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})";
    const TYPE: &str =
        r"(?-u:[A-Z][A-Za-z]+(?:\.[A-Z][A-Za-z]+)+|[A-Z][A-Za-z]*(?:Credential|Token|Secret|Exception|Error))";
    // Cannot fail: it does not depend on any input.
    Regex::new(&format!("^(?:{UUID}|arn:[^ ]+|{TYPE}|(?-u:[A-Z]{{3,}}[0-9]{{3,}}))$")).expect("the pattern is one")
});

/// Whether what stands before the name makes it a public one.
pub fn is_public(before: &str) -> bool {
    let near = &before[before.floor_char_boundary(before.len().saturating_sub(NEAR_BYTES))..];
    let near = near.to_ascii_lowercase();
    // The resource names of secrets have `secret:` in them.
    let is_in_arn =
        near.ends_with(':') && near.rsplit(char::is_whitespace).next().is_some_and(|word| word.contains("arn:"));
    is_in_arn || PUBLIC.iter().any(|word| near.ends_with(word))
}

/// Whether a value by a weak name is plainly something else.
pub fn is_plain(value: &str) -> bool {
    value.len() <= MAX_BYTES && PLAIN.is_match(value)
}

#[cfg(test)]
mod tests {
    use crate::redaction::Redactor;

    #[test]
    fn what_operators_need_stays() {
        for text in [
            "credential: DefaultAzureCredential failed to retrieve a token: AADSTS700016",
            "Could not load 'System.Memory, Culture=neutral, PublicKeyToken=30ad4fe6b2a6aeed' or one of its dependencies",
            "cancellationToken=System.Threading.CancellationToken",
            "secret: arn:aws:secretsmanager:eu-west-1:1:secret:prod/db-AbCdEf",
            "access key id=550e8400-e29b-41d4-a716-446655440000",
            "fencing token=1795356195000",
            "idempotency_token=550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert_eq!(Redactor::standard().redact(text), text);
        }
    }

    #[test]
    fn a_password_is_one_whatever_it_looks_like() {
        for text in ["password=AADSTS700016", "password=550e8400-e29b-41d4-a716-446655440000", "token=Xk29sLq08ZpW7rTy"]
        {
            assert!(Redactor::standard().redact(text).contains("[redacted"), "{text}");
        }
    }
}

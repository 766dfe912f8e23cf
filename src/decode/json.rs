//! Reading JSON whose shape nobody guarantees: a missing field, a null and a wrong type are all the same absence.

use std::borrow::Cow;

use serde_json_borrow::Value;

use crate::time::Timestamp;

/// Stands for keys that cannot be borrowed.
const ESCAPED_KEY: &str = "(escaped)";

/// A JSON object whose values can be moved out. Of duplicate keys the first counts: Fluent Bit writes its own
/// `@timestamp` before one that the application wrote.
#[derive(Clone, Default)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Object<'a> {
    pub(super) fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Object(object) => Some(Object(object.into_vec())),
            _ => None,
        }
    }

    pub(super) fn from_pairs(pairs: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        Object(pairs)
    }

    pub(super) fn push(&mut self, key: Cow<'a, str>, value: Value<'a>) {
        self.0.push((key, value));
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The value of a key unless it is null.
    pub(super) fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    pub(super) fn get_text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    pub(super) fn has_object(&self, key: &str) -> bool {
        self.get(key).is_some_and(Value::is_object)
    }

    fn slot(&mut self, key: &str) -> Option<&mut Value<'a>> {
        self.0.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Moves a value out; the key is absent from then on.
    pub(super) fn take(&mut self, key: &str) -> Option<Value<'a>> {
        self.slot(key).map(std::mem::take).filter(|value| !value.is_null())
    }

    /// Moves a string out; an empty one counts as absent.
    pub(super) fn take_text(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.slot(key).and_then(|value| text(std::mem::take(value)))
    }

    /// The first of several keys that holds a string.
    pub(super) fn take_first_text(&mut self, keys: &[&str]) -> Option<Cow<'a, str>> {
        keys.iter().find_map(|key| self.take_text(key))
    }

    pub(super) fn take_object(&mut self, key: &str) -> Option<Object<'a>> {
        self.take(key).and_then(Object::from_value)
    }

    pub(super) fn take_array(&mut self, key: &str) -> Option<Vec<Value<'a>>> {
        match self.take(key) {
            Some(Value::Array(values)) => Some(values),
            _ => None,
        }
    }

    /// The first of several keys that holds a time.
    pub(super) fn first_time(&self, keys: &[&str]) -> Option<Timestamp> {
        keys.iter().find_map(|key| self.get(key).and_then(time))
    }

    /// Back to a value. The value type borrows its keys, so a key that was written with escapes loses its name.
    pub(super) fn into_value(self) -> Value<'a> {
        let pairs = self.0.into_iter().map(|(key, value)| match key {
            Cow::Borrowed(key) => (key, value),
            Cow::Owned(_) => (ESCAPED_KEY, value),
        });
        Value::Object(pairs.collect::<Vec<_>>().into())
    }

    pub(super) fn into_pairs(self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> {
        self.0.into_iter()
    }
}

/// A string that says something.
pub(super) fn text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::Str(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// An unsigned number, also where a producer wrote it as a string (protobuf's JSON does for 64 bits).
pub(super) fn unsigned(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::Str(text) => text.parse().ok(),
        _ => None,
    }
}

/// A time in any of the notations of shippers: RFC 3339, the same with a blank and without a zone (then UTC), or a
/// number since the epoch. The epoch and all before it (Go's zero time) mean "not known".
pub(super) fn time(value: &Value<'_>) -> Option<Timestamp> {
    let time = match value {
        Value::Number(number) => epoch(number.as_f64()?)?,
        Value::Str(text) => text_time(text)?,
        _ => return None,
    };
    (time.as_millis() > 0).then_some(time)
}

/// Fluent Bit writes seconds by default, other stages milli-, micro- or nanoseconds: their magnitudes do not overlap
/// for the years 1973 to 5138.
fn epoch(number: f64) -> Option<Timestamp> {
    let seconds = match number {
        n if n < 1e11 => n,
        n if n < 1e14 => n / 1e3,
        n if n < 1e17 => n / 1e6,
        n => n / 1e9,
    };
    Timestamp::from_unix_seconds(seconds)
}

fn text_time(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() < 19 || !bytes[0].is_ascii_digit() || bytes[4] != b'-' {
        return None;
    }
    Timestamp::parse_rfc3339(text).or_else(|| {
        // `java_sql_timestamp` of Fluent Bit and Go's `Time.String()`, "2006-01-02 15:04:05 +0000 UTC".
        let zoned = match text.strip_suffix(" +0000 UTC") {
            Some(bare) => format!("{bare}Z"),
            None => format!("{text}Z"),
        };
        Timestamp::parse_rfc3339(&zoned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Value<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_first_of_duplicate_keys_counts() {
        let mut object = Object::from_value(parse(r#"{"t":"own","t":"application"}"#)).unwrap();
        assert_eq!(object.take_text("t").as_deref(), Some("own"));
        assert_eq!(object.take_text("t"), None);
    }

    #[test]
    fn nulls_empty_strings_and_wrong_types_are_absent() {
        let mut object = Object::from_value(parse(r#"{"null":null,"empty":"","number":7}"#)).unwrap();
        for key in ["null", "empty", "number", "missing"] {
            assert_eq!(object.take_text(key), None, "{key}");
        }
        assert!(!object.has("null"));
    }

    #[test]
    fn reads_every_notation_of_time() {
        let cases = [
            ("1572026149.25", 1_572_026_149_250),
            ("1572026149", 1_572_026_149_000),
            ("1572026149250", 1_572_026_149_250),
            ("1572026149250000", 1_572_026_149_250),
            ("1572026149250000000", 1_572_026_149_250),
            (r#""2019-10-25T17:55:49.250000Z""#, 1_572_026_149_250),
            (r#""2019-10-25T17:55:49.250000000Z""#, 1_572_026_149_250),
            (r#""2019-10-26T01:55:49.25+08:00""#, 1_572_026_149_250),
            (r#""2019-10-25 17:55:49.250000""#, 1_572_026_149_250),
            (r#""2019-10-25 17:55:49 +0000 UTC""#, 1_572_026_149_000),
        ];
        for (text, millis) in cases {
            assert_eq!(time(&parse(text)), Some(Timestamp::from_millis(millis)), "{text}");
        }
        for text in ["{}", "[]", "true", "0", "-5", "1e300", r#""""#, r#""now""#, r#""0001-01-01T00:00:00Z""#] {
            assert_eq!(time(&parse(text)), None, "{text}");
        }
    }
}

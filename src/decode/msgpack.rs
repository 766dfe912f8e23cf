//! Fluent Bit's Kafka output with `format msgpack`: the map that `format json` writes, in MessagePack; also
//! `[time, map]` and `[[time, metadata], map]`, Fluentd's and Fluent Bit's way of writing an event.

use std::borrow::Cow;

use rmpv::ValueRef;
use rmpv::decode::read_value_ref_with_max_depth;
use serde_json_borrow::Value;

use super::found::Found;
use super::json::Object;
use super::{Producer, Reads, Reason, Rejected, decode_object};

pub(super) static PRODUCER: Producer = Producer { name: "msgpack", reads: Reads::Bytes { recognises, decode } };

/// How deep values may hold values; the JSON parser's bound.
const MAX_DEPTH: usize = 128;

/// A map or a pair to its last byte, and no UTF-8: none of the first bytes but those of maps of 16 and 32 bits can
/// begin a text.
fn recognises(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0x80..=0x8f | 0x92 | 0xdc..=0xdf))
        && std::str::from_utf8(bytes).is_err()
        && read(bytes).is_some()
}

fn decode<'a>(bytes: &'a [u8], found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    match read(bytes) {
        Some(object) => decode_object(object, None, found),
        None => Err(Rejected::new(Reason::UnknownShape, "not MessagePack of a map, or of a time and a map")),
    }
}

fn read(bytes: &[u8]) -> Option<Object<'_>> {
    let mut rest = bytes;
    let value = read_value_ref_with_max_depth(&mut rest, MAX_DEPTH).ok()?;
    if !rest.is_empty() {
        return None;
    }
    match value {
        ValueRef::Map(pairs) => Some(object(pairs)),
        ValueRef::Array(values) => timed(values),
        _ => None,
    }
}

fn timed(values: Vec<ValueRef<'_>>) -> Option<Object<'_>> {
    let [time, ValueRef::Map(pairs)] = <[ValueRef<'_>; 2]>::try_from(values).ok()? else { return None };
    let time = match time {
        ValueRef::Array(head) => head.into_iter().next()?,
        time => time,
    };
    let time = plain(time);
    if !time.is_number() {
        return None;
    }
    // The shipper's time goes before what the record says, as in its JSON.
    let mut timed = Object::from_pairs(vec![(Cow::Borrowed("@timestamp"), time)]);
    for (key, value) in object(pairs).into_pairs() {
        timed.push(key, value);
    }
    Some(timed)
}

fn object<'a>(pairs: Vec<(ValueRef<'a>, ValueRef<'a>)>) -> Object<'a> {
    let named = |(key, value)| match plain(key) {
        Value::Str(key) => Some((key, plain(value))),
        _ => None,
    };
    Object::from_pairs(pairs.into_iter().filter_map(named).collect())
}

/// As JSON; what JSON cannot say is null.
fn plain(value: ValueRef<'_>) -> Value<'_> {
    match value {
        ValueRef::Nil => Value::Null,
        ValueRef::Boolean(yes) => Value::Bool(yes),
        ValueRef::Integer(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::Null,
        },
        ValueRef::F32(number) => finite(f64::from(number)),
        ValueRef::F64(number) => finite(number),
        ValueRef::String(text) if text.is_err() => Value::from(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        ValueRef::String(text) => text.into_str().map_or(Value::Null, Value::from),
        ValueRef::Binary(bytes) => Value::Str(String::from_utf8_lossy(bytes)),
        ValueRef::Array(values) => Value::Array(values.into_iter().map(plain).collect()),
        ValueRef::Map(pairs) => object(pairs).into_value(),
        ValueRef::Ext(0, bytes) => event_time(bytes),
        ValueRef::Ext(..) => Value::Null,
    }
}

fn finite(number: f64) -> Value<'static> {
    if number.is_finite() { Value::from(number) } else { Value::Null }
}

/// Fluentd's `EventTime`: seconds and nanoseconds, 32 bits each, the highest byte first.
fn event_time(bytes: &[u8]) -> Value<'static> {
    let part = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    match (bytes.len(), part(0), part(4)) {
        (8, Some(seconds), Some(nanos)) => finite(f64::from(seconds) + f64::from(nanos) / 1e9),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use rmpv::Value as Packed;
    use rmpv::encode::write_value;

    use super::*;
    use crate::decode::Format;
    use crate::decode::tests::{events_of, logs_of, origin};

    fn text(text: &str) -> Packed {
        Packed::from(text)
    }

    fn map(pairs: Vec<(&str, Packed)>) -> Packed {
        Packed::Map(pairs.into_iter().map(|(key, value)| (text(key), value)).collect())
    }

    fn bytes(value: &Packed) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_value(&mut bytes, value).unwrap();
        bytes
    }

    fn record() -> Vec<(&'static str, Packed)> {
        let names = vec![("host", text("n1")), ("namespace_name", text("shop")), ("pod_name", text("cd-0"))];
        vec![("log", text("hello \u{e9}\n")), ("stream", text("stdout")), ("kubernetes", map(names))]
    }

    #[test]
    fn reads_the_map_of_the_kafka_output() {
        let mut pairs = vec![("@timestamp", Packed::F64(1_795_357_863.25))];
        pairs.extend(record());
        let value = bytes(&map(pairs));
        let log = &logs_of(&value, Format::Msgpack)[0];
        assert_eq!((log.message.as_ref(), log.time.unwrap().as_millis()), ("hello \u{e9}", 1_795_357_863_250));
        assert_eq!(origin(log), [Some("n1"), Some("shop"), Some("cd-0"), None]);
    }

    #[test]
    fn reads_pairs_of_a_time_and_a_map() {
        let mut event_time = 1_795_357_863u32.to_be_bytes().to_vec();
        event_time.extend(250_000_000u32.to_be_bytes());
        let event_time = Packed::Ext(0, event_time);
        let times = [
            event_time.clone(),
            Packed::Array(vec![event_time, map(vec![])]),
            Packed::F64(1_795_357_863.25),
            Packed::from(1_795_357_863_250u64),
        ];
        for time in times {
            let value = bytes(&Packed::Array(vec![time, map(record())]));
            let log = &logs_of(&value, Format::Msgpack)[0];
            assert_eq!((log.message.as_ref(), log.time.unwrap().as_millis()), ("hello \u{e9}", 1_795_357_863_250));
        }
    }

    #[test]
    fn reads_events() {
        let involved = map(vec![("kind", text("Pod")), ("name", text("cd-0"))]);
        let event = vec![("involvedObject", involved), ("reason", text("BackOff")), ("count", Packed::from(3))];
        let value = bytes(&map(event));
        assert_eq!(events_of(&value, Format::Msgpack)[0].count, Some(3));
    }

    #[test]
    fn what_json_cannot_say_is_absent() {
        let odd = Packed::Array(vec![Packed::F64(f64::NAN), Packed::Ext(5, vec![1]), Packed::from(-1), Packed::Nil]);
        let value = bytes(&map(vec![("log", odd), ("@timestamp", Packed::Ext(0, vec![1]))]));
        let log = &logs_of(&value, Format::Msgpack)[0];
        assert_eq!((log.message.as_ref(), log.time), ("[null,null,-1,null]", None));
        let lossy = bytes(&map(vec![("log", Packed::Binary(b"caf\xe9".to_vec()))]));
        assert_eq!(logs_of(&lossy, Format::Msgpack)[0].message, "caf\u{fffd}");
    }

    #[test]
    fn text_and_other_bytes_are_never_taken_for_it() {
        let good = bytes(&map(record()));
        assert!(recognises(&good));
        assert!(!recognises(&good[..good.len() - 1]) && !recognises(&[&good[..], b"x"].concat()));
        // Map markers that are the first bytes of Hebrew and Thaana letters.
        for text in ["\u{7a0}\u{7a1}", "\u{7ff} text", "{\"log\":\"a\"}", "text"] {
            assert!(!recognises(text.as_bytes()), "{text}");
        }
        assert!(!recognises(b"\x92\x01\x02") && !recognises(b"\xdd\xff\xff\xff\xff") && !recognises(b"\x80x"));
    }
}

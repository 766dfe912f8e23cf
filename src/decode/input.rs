//! How the records of one input are to be read.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json_borrow::Value;

use super::Format;
use super::json::{Object, text, time};
use super::message;
use crate::record::{Entry, Expect};
use crate::time::Timestamp;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Input {
    pub expect: Expect,
    pub format: Format,
    /// Where a site that renamed everything has its fields.
    pub fields: Fields,
    /// The cluster of records that name none, in a field or a header.
    pub cluster: Option<Arc<str>>,
    /// The Kafka header that names the cluster of records that do not.
    pub cluster_header: Option<Arc<str>>,
}

impl Input {
    pub fn new(format: Format, expect: Expect) -> Self {
        Input { format, expect, ..Input::default() }
    }
}

/// Where fields are, in records that are JSON objects (or such in MessagePack). What a pointer leads to goes before
/// what the format's producer is known to write; where it leads nowhere, that is used.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fields {
    pub message: Option<Pointer>,
    pub node: Option<Pointer>,
    pub namespace: Option<Pointer>,
    pub pod: Option<Pointer>,
    pub container: Option<Pointer>,
    pub image: Option<Pointer>,
    pub time: Option<Pointer>,
    pub cluster: Option<Pointer>,
}

/// A field's name in the configuration, and how to get at it.
type Named = (&'static str, fn(&mut Fields) -> &mut Option<Pointer>);

impl Fields {
    /// Every field by its name in the configuration.
    pub const ALL: [Named; 8] = [
        ("message", |fields| &mut fields.message),
        ("node", |fields| &mut fields.node),
        ("namespace", |fields| &mut fields.namespace),
        ("pod", |fields| &mut fields.pod),
        ("container", |fields| &mut fields.container),
        ("image", |fields| &mut fields.image),
        ("time", |fields| &mut fields.time),
        ("cluster", |fields| &mut fields.cluster),
    ];

    pub fn is_empty(&self) -> bool {
        *self == Fields::default()
    }

    pub(super) fn read<'a>(&self, object: &Object<'a>) -> Pointed<'a> {
        let find = |pointer: &Option<Pointer>| pointer.as_ref().and_then(|pointer| pointer.find(object));
        let name = |pointer: &Option<Pointer>| find(pointer).cloned().and_then(plain);
        Pointed {
            message: find(&self.message).cloned().map(message::from_value),
            node: name(&self.node),
            namespace: name(&self.namespace),
            pod: name(&self.pod),
            container: name(&self.container),
            image: name(&self.image),
            time: find(&self.time).and_then(time),
            cluster: name(&self.cluster),
        }
    }
}

fn plain(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::Number(_) => Some(Cow::Owned(value.to_string())),
        other => text(other),
    }
}

/// What the pointers of [`Fields`] led to in one record.
#[derive(Default)]
pub(super) struct Pointed<'a> {
    pub(super) message: Option<Cow<'a, str>>,
    node: Option<Cow<'a, str>>,
    namespace: Option<Cow<'a, str>>,
    pod: Option<Cow<'a, str>>,
    container: Option<Cow<'a, str>>,
    image: Option<Cow<'a, str>>,
    time: Option<Timestamp>,
    cluster: Option<Cow<'a, str>>,
}

impl<'a> Pointed<'a> {
    /// Corrects an entry. Of events node, time and cluster: the rest is about their reporter, not their object.
    pub(super) fn apply(&self, entry: &mut Entry<'a>) {
        fn set<T: Clone>(field: &mut Option<T>, value: &Option<T>) {
            if value.is_some() {
                field.clone_from(value);
            }
        }
        match entry {
            Entry::Log(log) => {
                set(&mut log.source.node, &self.node);
                set(&mut log.source.namespace, &self.namespace);
                set(&mut log.source.pod, &self.pod);
                set(&mut log.source.container, &self.container);
                set(&mut log.source.image, &self.image);
                set(&mut log.time, &self.time);
                set(&mut log.cluster, &self.cluster);
            }
            Entry::Event(event) => {
                set(&mut event.node, &self.node);
                set(&mut event.time, &self.time);
                set(&mut event.cluster, &self.cluster);
            }
        }
    }
}

/// A JSON pointer (RFC 6901) that leads from an object to one of its fields, `/kubernetes/pod~1name`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// `None`: it does not begin with `/`, leads nowhere, or has a `~` without 0 or 1.
    pub fn parse(text: &str) -> Option<Pointer> {
        let keys: Option<Vec<String>> = text.strip_prefix('/')?.split('/').map(unescape).collect();
        keys.filter(|keys| keys.iter().all(|key| !key.is_empty())).map(Pointer)
    }

    fn find<'o, 'a>(&self, object: &'o Object<'a>) -> Option<&'o Value<'a>> {
        let (first, rest) = self.0.split_first()?;
        let step = |value: &'o Value<'a>, key: &String| match value {
            Value::Object(object) => object.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            Value::Array(values) => values.get(key.parse::<usize>().ok()?),
            _ => None,
        };
        rest.iter().try_fold(object.get(first)?, step).filter(|value| !value.is_null())
    }
}

fn unescape(key: &str) -> Option<String> {
    let plain = key.replace("~1", "").replace("~0", "");
    (!plain.contains('~')).then(|| key.replace("~1", "/").replace("~0", "~"))
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|key| write!(f, "/{}", key.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Reason, Rejected, decode};
    use crate::record::Record;

    fn fields(pointers: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, pointer) in pointers {
            let (_, get) = Fields::ALL.iter().find(|(known, _)| known == name).unwrap();
            *get(&mut fields) = Some(Pointer::parse(pointer).unwrap());
        }
        fields
    }

    fn read<'a>(value: &'a str, input: &Input) -> Result<Vec<Entry<'a>>, Rejected> {
        let record = Record { offset: 0, timestamp: None, value: Some(value.as_bytes()) };
        let mut entries = Vec::new();
        decode(&record, input, &mut entries).map(|()| entries)
    }

    #[test]
    fn pointers_read_and_show_alike() {
        for text in ["/a", "/a/b", "/a~1b/c~0d", "/kubernetes/labels/app.kubernetes.io~1name", "/a/0"] {
            assert_eq!(Pointer::parse(text).map(|pointer| pointer.to_string()).as_deref(), Some(text));
        }
        for text in ["", "/", "a", "a/b", "/a//b", "/a~2", "/a~"] {
            assert_eq!(Pointer::parse(text), None, "{text}");
        }
    }

    #[test]
    fn renamed_fields_are_found() {
        let everything = [
            ("message", "/evt/text"),
            ("node", "/where/vm"),
            ("namespace", "/where/ns"),
            ("pod", "/where/names/0"),
            ("container", "/where/c"),
            ("image", "/where/i"),
            ("time", "/when"),
            ("cluster", "/where/dc"),
        ];
        let input = Input { fields: fields(&everything), ..Input::new(Format::Auto, Expect::Logs) };
        let value = r#"{"evt":{"text":"hello\n"},"when":1795357863.25,"where":{"vm":"n1","ns":"shop","names":["cd-0"],
            "c":"cd","i":"img:1","dc":7}}"#;
        let [Entry::Log(log)] = &read(value, &input).unwrap()[..] else { panic!("one log entry") };
        assert_eq!((log.message.as_ref(), log.time), ("hello", Some(Timestamp::from_millis(1_795_357_863_250))));
        assert_eq!(crate::decode::tests::origin(log), [Some("n1"), Some("shop"), Some("cd-0"), Some("cd")]);
        assert_eq!((log.source.image.as_deref(), log.cluster.as_deref()), (Some("img:1"), Some("7")));
        assert_eq!(read(value, &Input::default()).unwrap_err().reason, Reason::NoMessage);
    }

    #[test]
    fn what_pointers_do_not_find_is_read_as_ever() {
        let renamed = fields(&[("message", "/nowhere"), ("node", "/vm"), ("pod", "/kubernetes"), ("time", "/log")]);
        let input = Input { fields: renamed, ..Input::new(Format::FluentBit, Expect::Logs) };
        let value = r#"{"@timestamp":1.5e9,"log":"a","vm":"n2","kubernetes":{"host":"n1","pod_name":"cd-0"}}"#;
        let [Entry::Log(log)] = &read(value, &input).unwrap()[..] else { panic!("one log entry") };
        assert_eq!(crate::decode::tests::origin(log), [Some("n2"), None, Some("cd-0"), None]);
        assert_eq!((log.message.as_ref(), log.time), ("a", Some(Timestamp::from_millis(1_500_000_000_000))));
    }

    #[test]
    fn events_keep_their_object() {
        let renamed = fields(&[("node", "/vm"), ("pod", "/p"), ("cluster", "/dc")]);
        let input = Input { fields: renamed, ..Input::new(Format::Auto, Expect::Events) };
        let value = r#"{"involvedObject":{"kind":"Pod","name":"cd-0"},"reason":"BackOff","vm":"n2","p":"x","dc":"c1"}"#;
        let [Entry::Event(event)] = &read(value, &input).unwrap()[..] else { panic!("one event") };
        assert_eq!((event.node.as_deref(), event.cluster.as_deref()), (Some("n2"), Some("c1")));
        assert_eq!(event.object.name, "cd-0");
    }

    /// The message may hold an event, as anywhere.
    #[test]
    fn a_pointed_message_may_be_an_event() {
        let input = Input { fields: fields(&[("message", "/body")]), ..Input::new(Format::Auto, Expect::Events) };
        let value = r#"{"body":"{\"involvedObject\":{\"kind\":\"Pod\"},\"reason\":\"BackOff\"}"}"#;
        assert!(matches!(&read(value, &input).unwrap()[..], [Entry::Event(_)]));
    }
}

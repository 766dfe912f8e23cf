//! The strings and numbers of a JSON object that have keys, and where they stand. Reads a record once, when it is
//! learnt from; what it says of bytes that are no JSON means nothing.

use std::ops::Range;

/// A string or number under a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scalar {
    /// From the key's opening quote to where the value begins, its own opening quote included.
    pub(super) before: Range<usize>,
    /// The value, without quotes.
    pub(super) value: Range<usize>,
    pub(super) is_text: bool,
    /// 1 for those of the outermost object.
    pub(super) depth: usize,
}

/// More than any record of a log line has.
const MAX_SCALARS: usize = 512;

/// All scalars of the object, in their order. `None`: there are too many, or brackets and quotes do not fit.
pub(super) fn scalars(bytes: &[u8]) -> Option<Vec<Scalar>> {
    let mut found = Vec::new();
    let mut open = Vec::new();
    let mut key: Option<Range<usize>> = None;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => {
                open.push(byte);
                key = None;
                at += 1;
            }
            b'}' | b']' => {
                open.pop()?;
                key = None;
                at += 1;
            }
            b'"' => {
                let end = end_of_string(bytes, at + 1)?;
                match key.take() {
                    Some(key) => found.push(Scalar {
                        before: key.start..at + 1,
                        value: at + 1..end,
                        is_text: true,
                        depth: open.len(),
                    }),
                    None if open.last() == Some(&b'{') => key = Some(at..end + 1),
                    None => {}
                }
                at = end + 1;
            }
            b'-' | b'0'..=b'9' => {
                let end = at + bytes[at..].iter().take_while(|byte| is_of_number(**byte)).count();
                if let Some(key) = key.take() {
                    found.push(Scalar { before: key.start..at, value: at..end, is_text: false, depth: open.len() });
                }
                at = end;
            }
            b',' => {
                key = None;
                at += 1;
            }
            // Blanks, colons, and the letters of true, false and null.
            _ => at += 1,
        }
        if found.len() > MAX_SCALARS {
            return None;
        }
    }
    open.is_empty().then_some(found)
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_has_a_key() {
        let text = r#"{"a":1.5e3,"b" : "x\"y","c":{"d":[1,"z",{"e":-2}],"f":""},"g":null,"h":"true"}"#;
        let found: Vec<_> = scalars(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|it| (&text[it.before], &text[it.value], it.is_text, it.depth))
            .collect();
        let expected = [
            ("\"a\":", "1.5e3", false, 1),
            ("\"b\" : \"", "x\\\"y", true, 1),
            ("\"e\":", "-2", false, 4),
            ("\"f\":\"", "", true, 2),
            ("\"h\":\"", "true", true, 1),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_object_has_none() {
        for text in ["{\"a", "}", "{\"a\":\"b\\", "[{]"] {
            assert_eq!(scalars(text.as_bytes()), None, "{text}");
        }
        let many = format!("{{{}\"a\":1}}", "\"b\":2,".repeat(MAX_SCALARS));
        assert_eq!(scalars(many.as_bytes()), None);
    }
}

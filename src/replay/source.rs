//! Files of a replay as partitions: one record a line, plain or compressed, bare or in `kcat -J` envelopes.
//!
//! Memory is bounded by the length of one line, whatever the file holds.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use flate2::bufread::MultiGzDecoder;
use memchr::{memchr, memmem};
use serde_json_borrow::Value;

use crate::record::Record;
use crate::time::Timestamp;

/// Longer lines are cut off and reported as too large, unless the caller says otherwise. Bytes.
pub const DEFAULT_MAX_LINE_BYTES: usize = 10 << 20;

/// What envelopes begin with.
static TOPIC: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\"topic\""));

/// Read from a file at once.
const BUFFER_BYTES: usize = 256 << 10;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A file, or standard input, read line by line.
pub struct Source {
    reader: Box<dyn BufRead + Send>,
    max_line_bytes: usize,
    lines: i64,
    /// Room for the next line.
    spare: Vec<u8>,
    /// Told by the first line that is not blank.
    layout: Option<Layout>,
    progress: Progress,
}

/// How records lie in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    OnePerLine,
    /// Indented JSON, as `kubectl -o json` writes it: a record ends where its first bracket is closed.
    Indented,
}

/// One record of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Counts the source's lines from 0, blank ones too: the record's position unless its envelope has another.
    pub number: i64,
    pub content: Content,
    /// Where the record came from, if it was in an envelope.
    pub envelope: Option<Envelope>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    Value(Vec<u8>),
    /// A null payload in an envelope.
    Tombstone,
    /// The line is longer than the bound; its bytes are gone. How many there were.
    TooLarge(u64),
}

/// What `kcat -J` knows of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: Option<Timestamp>,
}

impl Line {
    /// The line as a record of Kafka; `None` for one that was too large.
    pub fn record(&self) -> Option<Record<'_>> {
        let value = match &self.content {
            Content::Value(bytes) => Some(bytes.as_slice()),
            Content::Tombstone => None,
            Content::TooLarge(_) => return None,
        };
        // Not the envelope's offset: one file may hold several partitions, and is one here.
        let offset = self.number;
        let timestamp = self.envelope.as_ref().and_then(|envelope| envelope.timestamp);
        Some(Record { offset, timestamp, value })
    }
}

/// How much of a file has been read; a clone may be looked at from elsewhere while the source is read.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Progress {
    /// Bytes of the file itself, compressed where it is.
    pub fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The file's size; standard input and pipes have none.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total
    }
}

impl Source {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// The file cannot be opened or its first bytes cannot be read.
    pub fn open(path: &Path, max_line_bytes: usize) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::new(io::stdin(), None, max_line_bytes);
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
        }
        Self::new(file, metadata.is_file().then_some(metadata.len()), max_line_bytes)
    }

    /// Reads from anything; the compression is told by the first bytes, not by a name.
    ///
    /// # Errors
    /// The first bytes cannot be read.
    pub fn new(input: impl Read + Send + 'static, total: Option<u64>, max_line_bytes: usize) -> io::Result<Self> {
        let progress = Progress { read: Arc::default(), total };
        let counted = Counted { input, read: Arc::clone(&progress.read) };
        let (magic, input) = peek(BufReader::new(counted))?;
        let reader: Box<dyn BufRead + Send> = if magic.starts_with(GZIP_MAGIC) {
            Box::new(BufReader::new(MultiGzDecoder::new(input)))
        } else if magic.starts_with(ZSTD_MAGIC) {
            Box::new(BufReader::new(zstd::Decoder::with_buffer(input)?))
        } else {
            Box::new(input)
        };
        Ok(Source { reader, max_line_bytes, lines: 0, spare: Vec::new(), layout: None, progress })
    }

    /// Takes back a line that is done with, for the room that it has.
    pub fn recycle(&mut self, line: Line) {
        if let Content::Value(bytes) = line.content {
            self.spare = bytes;
        }
    }

    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The next record: a line that is not blank, or an indented JSON value; `None` at the end.
    ///
    /// # Errors
    /// Reading or decompressing fails; what was read before stays valid.
    // Not an `Iterator`: after an error nothing more is to be expected.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let number = self.lines;
            let Some(content) = self.read_line()? else { return Ok(None) };
            let Content::Value(bytes) = content else { return Ok(Some(Line { number, content, envelope: None })) };
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let opens = matches!(bytes.trim_ascii_end(), b"{" | b"[");
            let layout = *self.layout.get_or_insert(if opens { Layout::Indented } else { Layout::OnePerLine });
            let content =
                if opens && layout == Layout::Indented { self.read_indented(bytes)? } else { Content::Value(bytes) };
            return Ok(Some(match content {
                Content::Value(bytes) => unwrap_envelope(bytes, number),
                content => Line { number, content, envelope: None },
            }));
        }
    }

    /// The rest of an indented value up to its closing bracket, the only one that is not indented.
    fn read_indented(&mut self, mut value: Vec<u8>) -> io::Result<Content> {
        let mut length = value.len() as u64;
        while let Some(content) = self.read_line()? {
            let line = match content {
                Content::Value(line) => line,
                Content::TooLarge(more) => {
                    length += more;
                    continue;
                }
                Content::Tombstone => continue,
            };
            length += 1 + line.len() as u64;
            if length <= self.max_line_bytes as u64 {
                value.push(b'\n');
                value.extend_from_slice(&line);
            } else {
                value = Vec::new();
            }
            if matches!(line.trim_ascii_end(), b"}" | b"]") {
                break;
            }
        }
        Ok(if length > self.max_line_bytes as u64 { Content::TooLarge(length) } else { Content::Value(value) })
    }

    /// One line without its end. Of one that is too long only its length is kept.
    fn read_line(&mut self) -> io::Result<Option<Content>> {
        let mut line = std::mem::take(&mut self.spare);
        line.clear();
        let mut length: u64 = 0;
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                if length == 0 {
                    return Ok(None);
                }
                break;
            }
            let newline = memchr(b'\n', chunk);
            let text = &chunk[..newline.unwrap_or(chunk.len())];
            length += text.len() as u64;
            if length <= self.max_line_bytes as u64 {
                line.extend_from_slice(text);
            } else {
                line = Vec::new();
            }
            let used = text.len() + usize::from(newline.is_some());
            self.reader.consume(used);
            if newline.is_some() {
                break;
            }
        }
        self.lines += 1;
        if length > self.max_line_bytes as u64 {
            return Ok(Some(Content::TooLarge(length)));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(Content::Value(line)))
    }
}

/// Looks at the first bytes. They are read off and put back, for a pipe may hand over fewer at a time than it takes.
fn peek<R: Read + Send + 'static>(mut input: BufReader<R>) -> io::Result<(Vec<u8>, BufReader<impl Read + Send>)> {
    let mut magic = Vec::with_capacity(ZSTD_MAGIC.len());
    input.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic)?;
    Ok((magic.clone(), BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(magic).chain(input))))
}

/// Counts the bytes that pass.
struct Counted<R> {
    input: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

fn unwrap_envelope(bytes: Vec<u8>, number: i64) -> Line {
    match parse_envelope(&bytes) {
        Some((envelope, content)) => Line { number, content, envelope: Some(envelope) },
        None => Line { number, content: Content::Value(bytes), envelope: None },
    }
}

/// `{"topic":"t","partition":0,"offset":1,"tstype":"create","ts":1795357863000,"broker":1,"key":null,"payload":"…"}`.
fn parse_envelope(bytes: &[u8]) -> Option<(Envelope, Content)> {
    // Envelopes begin with their topic; most other records need not be parsed twice.
    let head = &bytes[..bytes.len().min(64)];
    if bytes.first() != Some(&b'{') || TOPIC.find(head).is_none() {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let value: Value<'_> = serde_json::from_str(text).ok()?;
    let object = value.as_object()?;
    let topic = object.get("topic")?.as_str()?;
    let partition = i32::try_from(object.get("partition")?.as_i64()?).ok()?;
    let offset = object.get("offset")?.as_i64()?;
    // kcat writes -1 for a record without a time.
    let timestamp = object.get("ts").and_then(Value::as_i64).filter(|&ts| ts > 0).map(Timestamp::from_millis);
    let content = match object.get("payload")? {
        Value::Str(payload) => Content::Value(payload.as_bytes().to_vec()),
        Value::Null => Content::Tombstone,
        // `-s value=…` makes it a JSON value of its own.
        other => Content::Value(other.to_string().into_bytes()),
    };
    Some((Envelope { topic: topic.into(), partition, offset, timestamp }, content))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn source(bytes: &[u8], max_line_bytes: usize) -> Source {
        Source::new(io::Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), max_line_bytes).unwrap()
    }

    fn lines(mut source: Source) -> Vec<Line> {
        std::iter::from_fn(|| source.next().unwrap()).collect()
    }

    fn value(number: i64, text: &str) -> Line {
        Line { number, content: Content::Value(text.as_bytes().to_vec()), envelope: None }
    }

    #[test]
    fn reads_lines_and_keeps_their_numbers() {
        let found = lines(source(b"a\r\n\n  \nb\nc", 100));
        assert_eq!(found, [value(0, "a"), value(3, "b"), value(4, "c")]);
        assert_eq!(lines(source(b"", 100)), []);
        assert_eq!(found[1].record().unwrap().offset, 3);
    }

    #[test]
    fn compression_is_told_by_the_first_bytes() {
        let text = b"one\ntwo\n";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(&text[..], 1).unwrap();
        // Rotated files are concatenated: both formats allow it.
        for packed in [gzip.repeat(2), zstd.repeat(2)] {
            let source = source(&packed, 100);
            let progress = source.progress();
            assert_eq!(lines(source).len(), 4);
            assert_eq!(Some(progress.read_bytes()), progress.total_bytes());
        }
    }

    #[test]
    fn opens_files_by_path() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"one\ntwo\n").unwrap();
        let source = Source::open(file.path(), 100).unwrap();
        assert_eq!(source.progress().total_bytes(), Some(8));
        assert_eq!(lines(source).len(), 2);
        let folder = tempfile::tempdir().unwrap();
        assert!(Source::open(folder.path(), 100).is_err());
        assert!(Source::open(&folder.path().join("missing"), 100).is_err());
    }

    #[test]
    fn a_truncated_file_is_an_error_after_its_whole_lines() {
        let packed = zstd::encode_all(&b"one\n".repeat(100_000)[..], 1).unwrap();
        let mut source = source(&packed[..packed.len() / 2], 100);
        let error = loop {
            match source.next() {
                Ok(line) => assert!(line.is_some(), "the end is not reached"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn long_lines_are_cut_off_and_the_stream_goes_on() {
        let long = "x".repeat(100_000);
        let text = format!("a\n{long}\n{}\nb\n{long}", "y".repeat(50));
        let found = lines(source(text.as_bytes(), 50));
        let too_large = |number| Line { number, content: Content::TooLarge(100_000), envelope: None };
        assert_eq!(found, [value(0, "a"), too_large(1), value(2, &"y".repeat(50)), value(3, "b"), too_large(4)]);
        assert!(found[1].record().is_none());
    }

    #[test]
    fn an_indented_file_holds_values_of_many_lines() {
        let text = "\n{\n  \"items\": [\n    {}\n  ]\n}\n{\r\n  \"b\": 1\r\n}\n[\n]\nplain\n";
        let found = lines(source(text.as_bytes(), 100));
        let expected = [
            value(1, "{\n  \"items\": [\n    {}\n  ]\n}"),
            value(6, "{\n  \"b\": 1\n}"),
            value(9, "[\n]"),
            value(11, "plain"),
        ];
        assert_eq!(found, expected);
        let found = lines(source(text.as_bytes(), 20));
        assert_eq!(found[0].content, Content::TooLarge(27));
        assert_eq!(found[1..], expected[1..]);
        // A bracket on a line of its own means nothing in a file that began with lines.
        assert_eq!(lines(source(b"a\n{\nb\n", 100)).len(), 3);
    }

    #[test]
    fn unwraps_kcats_envelopes() {
        let text = concat!(
            r#"{"topic":"logs","partition":3,"offset":42,"tstype":"create","ts":1795357863250,"broker":1,"#,
            r#""key":null,"payload":"{\"log\":\"say \\\"hi\\\"\"}"}"#,
            "\n",
            r#"{"topic":"logs","partition":3,"offset":43,"tstype":"unknown","ts":-1,"key":"k","payload":null}"#,
            "\n",
            r#"{"topic":"logs","msg":"an application's own record"}"#,
        );
        let found = lines(source(text.as_bytes(), 1_000));
        let envelope = |offset, timestamp| Some(Envelope { topic: "logs".into(), partition: 3, offset, timestamp });
        assert_eq!(found[0].envelope, envelope(42, Some(Timestamp::from_millis(1_795_357_863_250))));
        assert_eq!(found[0].content, Content::Value(br#"{"log":"say \"hi\""}"#.to_vec()));
        assert_eq!(found[0].record().unwrap().offset, 0, "a file is one partition, whatever was in it");
        assert_eq!(found[1], Line { number: 1, content: Content::Tombstone, envelope: envelope(43, None) });
        assert_eq!(found[1].record().unwrap().value, None);
        assert_eq!(found[2].envelope, None);
    }
}

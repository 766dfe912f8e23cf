//! `faultline replay`: the same engine over files, without a broker.
//!
//! Each file is a partition. The file whose event time is furthest behind is read on, about a second of event time or
//! a chunk of lines at a time, so that the files advance together as partitions of a topic would; where one ends, the
//! others go on without it. Nothing depends on a clock: the same files give the same alerts, byte for byte.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tracing::warn;

use crate::correlator::Outcome;
use crate::decode::{self, Reason};
use crate::engine::Engine;
use crate::format::{Format, Writer};
use crate::notifier::{self, Notifier, Policy};
use crate::record::Partition;
use crate::scanner::Slot;
use crate::time::Timestamp;

mod explain;
mod progress;
pub mod source;
mod summary;

use progress::Progress;
use source::{Content, Line, Source};
pub use summary::Summary;

/// How far one file may run ahead of the others before its lines are handed on.
const CHUNK_EVENT_TIME: Duration = Duration::from_secs(1);
const CHUNK_LINES: usize = 10_000;
/// There are no reminders in a replay.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Rejected lines that are told one by one; the summary counts them all.
const TOLD_REJECTIONS: u64 = 10;

#[derive(Debug, Error)]
pub enum Error {
    #[error("cannot read {path}: {error}")]
    Read { path: String, error: io::Error },
    #[error("cannot write alerts: {0}")]
    Write(#[from] io::Error),
}

/// One of the files.
struct Input {
    name: String,
    source: Source,
    slot: Slot,
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    pub max_line_bytes: usize,
    /// How alerts are written.
    pub format: Format,
}

impl Options {
    pub fn new(max_line_bytes: usize) -> Self {
        Options { max_line_bytes, format: Format::Faultline }
    }
}

/// Runs the files through the engine; alerts go to `out`, a line each.
///
/// # Errors
/// A file that cannot be read, or `out` that cannot be written to. Bad records are no errors: they are counted.
pub fn run(files: &[PathBuf], engine: Engine, out: &mut dyn Write, options: Options) -> Result<Summary, Error> {
    run_explained(files, engine, out, &mut io::sink(), options)
}

/// The same; why each alert says what it says goes to `explanations` as text, if the engine was asked to explain.
///
/// # Errors
/// Those of [`run`]; that `explanations` cannot be written to is none.
pub fn run_explained(
    files: &[PathBuf],
    mut engine: Engine,
    out: &mut dyn Write,
    explanations: &mut dyn Write,
    options: Options,
) -> Result<Summary, Error> {
    let mut inputs = open(files, &mut engine, options.max_line_bytes)?;
    let mut told = Told::in_format(options.format);
    let bar = Progress::start(inputs.iter().map(|input| input.source.progress()).collect());
    let mut summary = Summary::of(inputs.len());
    while let Some(input) = furthest_behind(&mut inputs, &engine) {
        read_chunk(input, &mut engine, &mut summary)?;
        let mut flushed = engine.flush();
        let mut explained = std::mem::take(&mut flushed.explanations).into_iter();
        let outcome = Outcome { alerts: summary.add_flush(flushed), ..Outcome::default() };
        told.write(&outcome, out)?;
        for (alert, explained) in outcome.alerts.iter().zip(&mut explained) {
            let mut text = Vec::new();
            explain::write(&mut text, alert, &explained)?;
            // Where stderr is gone there is nobody to tell.
            let _ = bar.pause(|| explanations.write_all(&text));
        }
        bar.update();
    }
    out.flush()?;
    bar.finish();
    Ok(summary)
}

/// What was written so far, for the formats to which it matters.
struct Told {
    notifier: Notifier,
    policy: Policy,
}

impl Told {
    fn in_format(format: Format) -> Self {
        let output = notifier::Output {
            name: "stdout".into(),
            topic: "stdout".into(),
            writer: Writer { format, routing_key: None },
        };
        Told {
            notifier: Notifier::default(),
            policy: Policy { outputs: vec![output], forget_after: FORGET_AFTER, ..Policy::default() },
        }
    }

    fn write(&mut self, outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
        for notice in self.notifier.take(outcome, &self.policy).notices {
            out.write_all(&notice.message.value)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}

fn open(files: &[PathBuf], engine: &mut Engine, max_line_bytes: usize) -> Result<Vec<Input>, Error> {
    let mut inputs = Vec::new();
    for (index, path) in files.iter().enumerate() {
        let name = path.display().to_string();
        let source = Source::open(path, max_line_bytes).map_err(|error| Error::Read { path: name.clone(), error })?;
        // The same file named twice is two partitions.
        let partition = Partition { topic: name.as_str().into(), partition: index as i32 };
        let slot = engine.assign(partition, decode::Input::default());
        inputs.push(Input { name, source, slot, ended: false });
    }
    Ok(inputs)
}

/// Of equals the first, so that the order is always the same.
fn furthest_behind<'i>(inputs: &'i mut [Input], engine: &Engine) -> Option<&'i mut Input> {
    inputs.iter_mut().filter(|input| !input.ended).min_by_key(|input| engine.newest(input.slot))
}

/// Reads on until the file's event time has moved by a chunk, or the scanner has enough, or the file ends.
fn read_chunk(input: &mut Input, engine: &mut Engine, summary: &mut Summary) -> Result<(), Error> {
    let mut began: Option<Timestamp> = engine.newest(input.slot);
    for _ in 0..CHUNK_LINES {
        let line = input.source.next().map_err(|error| Error::Read { path: input.name.clone(), error })?;
        let Some(line) = line else {
            input.ended = true;
            engine.end(input.slot);
            return Ok(());
        };
        take(input, &line, engine, summary);
        input.source.recycle(line);
        let newest = engine.newest(input.slot);
        began = began.or(newest);
        let moved = newest.zip(began).is_some_and(|(newest, began)| newest.since(began) >= CHUNK_EVENT_TIME);
        if moved || engine.is_full() {
            break;
        }
    }
    Ok(())
}

fn take(input: &Input, line: &Line, engine: &mut Engine, summary: &mut Summary) {
    summary.records += 1;
    let Some(record) = line.record() else {
        let Content::TooLarge(bytes) = line.content else { return };
        summary.bytes += bytes;
        return reject(input, line, Reason::TooLarge, &format!("a line of {bytes} bytes"), summary);
    };
    summary.bytes += record.value.map_or(0, |value| value.len() as u64);
    if let Err(rejected) = engine.scan(input.slot, &record) {
        reject(input, line, rejected.reason, &rejected.detail, summary);
    }
}

fn reject(input: &Input, line: &Line, reason: Reason, detail: &str, summary: &mut Summary) {
    if summary.reject(reason) <= TOLD_REJECTIONS {
        warn!("{}:{}: rejected, {reason}: {detail}", input.name, line.number + 1);
    }
}

#[cfg(test)]
mod tests;

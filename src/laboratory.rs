//! `faultline simulate`: a simulated case as files, one a partition, and the truth beside them.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::scenario::Stream;
use crate::simulator::{SimulatedPartition, Simulation};

const TRUTH: &str = "truth.json";

#[derive(Debug, Error)]
pub enum Error {
    #[error("{directory} holds {file}, which no simulation wrote: name an empty or a new directory")]
    NotOurs { directory: String, file: String },
    #[error("cannot read {path}: {error}")]
    Read { path: String, error: io::Error },
    #[error("cannot write {path}: {error}")]
    Write { path: String, error: io::Error },
}

/// What was written.
#[derive(Debug)]
pub struct Summary {
    files: usize,
    records: usize,
    pods: usize,
    nodes: usize,
    directory: PathBuf,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { files, records, pods, nodes, directory } = self;
        let directory = directory.display();
        write!(
            f,
            "{records} records of {pods} pods on {nodes} nodes in {files} files; the truth is in {directory}/{TRUTH}"
        )
    }
}

/// Makes the directory, and clears it of what an earlier simulation left there, so that it holds one case.
///
/// # Errors
/// Anything else is in it, or the file system says no.
pub fn prepare(directory: &Path) -> Result<(), Error> {
    let write = |path: &Path, error| Error::Write { path: path.display().to_string(), error };
    fs::create_dir_all(directory).map_err(|error| write(directory, error))?;
    let read = |error| Error::Read { path: directory.display().to_string(), error };
    let mut ours = Vec::new();
    for entry in fs::read_dir(directory).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_ours(&name) {
            return Err(Error::NotOurs { directory: directory.display().to_string(), file: name });
        }
        ours.push(entry.path());
    }
    ours.iter().try_for_each(|path| fs::remove_file(path).map_err(|error| write(path, error)))
}

fn is_ours(name: &str) -> bool {
    let number = |name: &str| {
        let rest = name.strip_prefix("logs-").or_else(|| name.strip_prefix("events-"))?;
        rest.strip_suffix(".ndjson")?.parse::<u32>().ok()
    };
    name == TRUTH || number(name).is_some()
}

/// Writes the partitions, then the truth: where it is there, so are they.
///
/// # Errors
/// A file that cannot be written.
pub fn write(simulation: &Simulation, directory: &Path) -> Result<Summary, Error> {
    for partition in &simulation.partitions {
        let path = directory.join(name(partition));
        write_file(&path, |out| partition.records.iter().try_for_each(|record| writeln!(out, "{}", record.value)))?;
    }
    write_file(&directory.join(TRUTH), |out| {
        serde_json::to_writer_pretty(&mut *out, &simulation.truth).map_err(io::Error::from)?;
        writeln!(out)
    })?;
    Ok(Summary {
        files: simulation.partitions.len(),
        records: simulation.partitions.iter().map(|partition| partition.records.len()).sum(),
        pods: simulation.truth.pods,
        nodes: simulation.truth.nodes,
        directory: directory.to_owned(),
    })
}

fn name(partition: &SimulatedPartition) -> String {
    let stream = match partition.stream {
        Stream::Logs => "logs",
        Stream::Events => "events",
    };
    format!("{stream}-{}.ndjson", partition.number)
}

fn write_file(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    let write = || {
        let mut out = BufWriter::new(File::create(path)?);
        fill(&mut out)?;
        out.flush()
    };
    write().map_err(|error| Error::Write { path: path.display().to_string(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{Kind, Setup, simulate};

    fn files(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut files: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        files.sort();
        files
    }

    #[test]
    fn a_case_replaces_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("new/case");
        prepare(&out).unwrap();
        fs::write(out.join("logs-99.ndjson"), "{}\n").unwrap();
        prepare(&out).unwrap();
        let simulation = simulate(&Setup { kind: Kind::Node, seed: 1, nodes: Some(4) });
        write(&simulation, &out).unwrap();
        let files = files(&out);
        assert_eq!(files.len(), simulation.partitions.len() + 1, "{files:?}");
        assert!(files.contains(&"logs-0.ndjson".to_owned()) && files.contains(&TRUTH.to_owned()), "{files:?}");
        let lines = fs::read_to_string(out.join("logs-0.ndjson")).unwrap().lines().count();
        assert_eq!(lines, simulation.partitions[0].records.len());
        let truth: serde_json::Value = serde_json::from_slice(&fs::read(out.join(TRUTH)).unwrap()).unwrap();
        assert_eq!(truth["kind"], "node");
        assert!(truth["faults"][0]["suspect"]["node"].is_string(), "{truth}");
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        for other in ["logs-a.ndjson", "notes.txt"] {
            fs::write(directory.path().join(other), "mine").unwrap();
            let error = prepare(directory.path()).unwrap_err();
            assert!(error.to_string().contains(other), "{error}");
            fs::remove_file(directory.path().join(other)).unwrap();
        }
    }
}

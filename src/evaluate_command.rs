//! `faultline evaluate`: runs cases on all cores, and writes down what came out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use thiserror::Error;

use crate::evaluation::{Bench, Case, Results, has_marks, replace_marked};
use crate::simulator::Setup;

#[derive(Debug, Error)]
pub enum Error {
    #[error("cannot read {path}: {error}")]
    Read { path: String, error: io::Error },
    #[error("cannot write {path}: {error}")]
    Write { path: String, error: io::Error },
    #[error("{path} does not say where the results go: it has no `<!-- results: … -->` and `<!-- end of results -->`")]
    NoMarks { path: String },
}

/// Examines the cases on `jobs` threads; the answers come in the order of the setups.
pub fn run(bench: &Bench, setups: &[Setup], jobs: usize) -> Vec<Case> {
    let bar = progress_bar(setups.len());
    let next = AtomicUsize::new(0);
    let mut cases: Vec<(usize, Case)> = Vec::with_capacity(setups.len());
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..jobs.clamp(1, setups.len().max(1)) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some((at, setup)) = take(setups, next) {
                    if sender.send((at, bench.examine(setup))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for case in receiver {
            bar.inc(1);
            cases.push(case);
        }
    });
    bar.finish_and_clear();
    cases.sort_by_key(|(at, _)| *at);
    cases.into_iter().map(|(_, case)| case).collect()
}

fn take<'s>(setups: &'s [Setup], next: &AtomicUsize) -> Option<(usize, &'s Setup)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    setups.get(at).map(|setup| (at, setup))
}

fn progress_bar(length: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} runs {eta}") {
        bar.set_style(style);
    }
    bar
}

/// A Markdown file that results are put into.
pub struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    /// To be called before the long work, so that it is not in vain.
    ///
    /// # Errors
    /// A file that cannot be read, or that has no marks for the results.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let told = || path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| Error::Read { path: told(), error })?;
        let document = Document { path: path.to_owned(), text };
        if has_marks(&document.text) { Ok(document) } else { Err(Error::NoMarks { path: told() }) }
    }

    /// Puts the results between the marks, and the plots into a folder beside the file that is named as it is.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn write(&self, results: &Results) -> Result<(), Error> {
        let folder = self.path.with_extension("");
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        write_plots(&folder, results)?;
        match replace_marked(&self.text, &results.to_markdown(&name)) {
            Some(text) => write(&self.path, &text),
            None => Err(Error::NoMarks { path: self.path.display().to_string() }),
        }
    }
}

/// Writes the plots into the folder, which is made where it is missing.
///
/// # Errors
/// What cannot be written.
pub fn write_plots(folder: &Path, results: &Results) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|error| Error::Write { path: folder.display().to_string(), error })?;
    results.plots().iter().try_for_each(|plot| write(&folder.join(plot.name), &plot.svg))
}

/// Writes every case and the sums as JSON.
///
/// # Errors
/// When it cannot be written.
pub fn write_json(path: &Path, results: &Results) -> Result<(), Error> {
    let json =
        results.to_json().map_err(|error| Error::Write { path: path.display().to_string(), error: error.into() })?;
    write(path, &json)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|error| Error::Write { path: path.display().to_string(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        Results { cases: Vec::new(), command: "faultline evaluate".into(), seeds: "Seeds.".into(), threshold: 5 }
    }

    #[test]
    fn a_document_gets_tables_and_plots_and_keeps_its_prose() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("how-right.md");
        fs::write(&path, "# Prose\n").unwrap();
        assert!(matches!(Document::open(&path), Err(Error::NoMarks { .. })));
        assert!(matches!(Document::open(directory.path()), Err(Error::Read { .. })));
        let marks =
            "# Prose\n<!-- results: written by `faultline evaluate --document` -->\n<!-- end of results -->\nend\n";
        fs::write(&path, marks).unwrap();
        Document::open(&path).unwrap().write(&results()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# Prose\n") && text.ends_with("\nend\n"), "{text}");
        assert!(text.contains("(how-right/outcomes.svg)") && text.contains("| faultline |"), "{text}");
        let svg = fs::read_to_string(directory.path().join("how-right/times.svg")).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
    }
}

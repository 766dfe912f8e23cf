//! The file of silences that is in use, and may change.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::document::Diagnostics;
use crate::notifier::Silences;
use crate::watched::{Fingerprint, Watched};

const MAX_BYTES: u64 = 4 << 20;

#[derive(Clone, Debug)]
pub struct SilencesFile {
    path: PathBuf,
    /// The names of outputs that it may use.
    outputs: Vec<Arc<str>>,
    watched: Watched,
}

/// Why there are no silences.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("cannot read silences from {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("invalid silences{}", .0.indented())]
    Invalid(Diagnostics),
}

impl SilencesFile {
    /// Reads the silences in `path`, for others to be read when it changes. `outputs` are the names that they may use.
    ///
    /// # Errors
    /// A file that cannot be read, or everything that is wrong with what it says.
    pub fn open(path: &Path, outputs: Vec<Arc<str>>) -> Result<(Silences, SilencesFile), LoadError> {
        let text = read(path);
        let watched = Watched::new(fingerprint(&text));
        let file = SilencesFile { path: path.to_owned(), outputs, watched };
        Ok((file.parse(&text?)?, file))
    }

    /// The silences, or what is wrong with them, if they are others than at the last attempt. When to look again is as
    /// with rules, see [`Watched::is_due`].
    pub fn look(&mut self, asked_for: bool) -> Option<Result<Silences, LoadError>> {
        let text = read(&self.path);
        self.watched.is_due(fingerprint(&text), asked_for).then(|| self.parse(&text?))
    }

    pub fn is_settled(&self) -> bool {
        self.watched.is_settled()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn parse(&self, text: &str) -> Result<Silences, LoadError> {
        Silences::parse(&self.path.display().to_string(), text, &self.outputs).map_err(LoadError::Invalid)
    }
}

fn read(path: &Path) -> Result<String, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_BYTES {
        return Err(unreadable(io::Error::other(format!("it is larger than {MAX_BYTES} bytes"))));
    }
    fs::read_to_string(path).map_err(unreadable)
}

fn fingerprint(text: &Result<String, LoadError>) -> Fingerprint {
    let mut hasher = DefaultHasher::new();
    text.as_ref().map_err(ToString::to_string).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: &str = "silences: [{matchers: [node=n1], until: 2027-01-01T00:00:00Z}]\n";

    #[test]
    fn a_change_is_seen_and_a_failure_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silences.yaml");
        let open = || SilencesFile::open(&path, vec!["alerts".into()]);
        assert!(open().unwrap_err().to_string().starts_with("cannot read silences from "));
        fs::write(&path, "").unwrap();
        let (silences, mut file) = open().unwrap();
        assert_eq!((silences.len(), file.look(false).is_none()), (0, true));
        fs::write(&path, SILENCE).unwrap();
        assert!(file.look(false).is_none() && !file.is_settled(), "it may still be written to");
        assert_eq!(file.look(false).unwrap().unwrap().len(), 1);
        fs::write(&path, "silences: [{}]").unwrap();
        assert!(file.look(false).is_none());
        let error = file.look(false).unwrap().unwrap_err().to_string();
        assert!(error.contains("silences.yaml:1: silences[0]: key `until` is missing"), "{error}");
        assert!(file.look(false).is_none(), "told");
        assert!(file.look(true).unwrap().is_err(), "who asks is answered");
    }
}

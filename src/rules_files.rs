//! Rules from a directory, once ([`load`]) or whenever it changes ([`RuleFiles`]).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::document::Diagnostics;
use crate::ruleset::RuleSet;

mod watch;

pub use watch::RuleFiles;

/// Directories inside of directories; ends the circles that links can make.
const MAX_DEPTH: usize = 16;
const MAX_FILES: usize = 1_000;
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Why there is no rule set.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("cannot read rules from {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("no rules in {}: it holds no .yaml or .yml file", .0.display())]
    NoFiles(PathBuf),
    #[error("{0}")]
    Invalid(Diagnostics),
}

/// Reads every `.yaml` and `.yml` file under `directory`, in the order of their names. A single file will do too.
/// Names that begin with a dot are left out: a mounted ConfigMap keeps a second copy of its files behind such names.
///
/// # Errors
/// Files that cannot be read, none at all, or everything that is wrong with the rules in them.
pub fn load(directory: &Path) -> Result<RuleSet, LoadError> {
    parse(&read(directory)?)
}

/// Name and text.
type File = (String, String);

fn read(directory: &Path) -> Result<Vec<File>, LoadError> {
    let mut files = Vec::new();
    gather(directory, 0, &mut files)?;
    if files.is_empty() {
        return Err(LoadError::NoFiles(directory.to_owned()));
    }
    Ok(files)
}

fn parse(files: &[File]) -> Result<RuleSet, LoadError> {
    RuleSet::parse(files).map_err(LoadError::Invalid)
}

fn gather(path: &Path, depth: usize, files: &mut Vec<File>) -> Result<(), LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        if depth >= MAX_DEPTH {
            return Err(unreadable(io::Error::other(format!("more than {MAX_DEPTH} directories deep"))));
        }
        return entries(path).map_err(unreadable)?.iter().try_for_each(|entry| gather(entry, depth + 1, files));
    }
    // What is asked for by name is read, whatever its name.
    if depth > 0 && !is_rule_file(path) {
        return Ok(());
    }
    if metadata.len() > MAX_FILE_BYTES || files.len() >= MAX_FILES {
        let limit = format!("over the limit of {MAX_FILES} files with {MAX_FILE_BYTES} bytes each");
        return Err(unreadable(io::Error::other(limit)));
    }
    files.push((path.display().to_string(), fs::read_to_string(path).map_err(unreadable)?));
    Ok(())
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.retain(|path| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")));
    entries.sort();
    Ok(entries)
}

fn is_rule_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub const RULE: &str = "- {id: ID, title: T, severity: info, match: {log: {all: [oops]}}}\n";

    pub fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn reads_nested_files_in_the_order_of_their_names() {
        let [a, b, c] = ["a", "b", "c"].map(|id| RULE.replace("ID", id));
        let hidden = [("..data/a.yaml", "not: read"), (".git/x.yaml", "["), ("notes.txt", "["), ("codes.tsv", "[")];
        let files = [("b/deep/b.yml", b.as_str()), ("a.yaml", &a), ("c.yaml", &c)];
        let directory = directory(&[&hidden[..], &files].concat());
        let rules = load(directory.path()).unwrap();
        let ids: Vec<_> = rules.rules().iter().map(|rule| &*rule.id).collect();
        assert_eq!(ids, ["a", "b", "c"]);
        assert_eq!(load(&directory.path().join("a.yaml")).unwrap().rules().len(), 1);
    }

    #[test]
    fn names_what_it_cannot_use() {
        let message = |files: &[(&str, &str)], name: &str| {
            let directory = directory(files);
            let error = load(&directory.path().join(name)).unwrap_err().to_string();
            error.replace(&directory.path().display().to_string(), "DIR")
        };
        assert_eq!(message(&[("a.txt", "")], ""), "no rules in DIR/: it holds no .yaml or .yml file");
        assert!(message(&[], "nowhere").starts_with("cannot read rules from DIR/nowhere: "));
        assert_eq!(
            message(&[("a.yaml", "- {}\n")], "").lines().next().unwrap().split(": ").next(),
            Some("DIR/a.yaml:1")
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_end() {
        let directory = directory(&[("a.yaml", "")]);
        std::os::unix::fs::symlink(directory.path(), directory.path().join("again")).unwrap();
        assert!(load(directory.path()).unwrap_err().to_string().contains("directories deep"));
    }
}

//! Rule files that are in use and may change.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::{File, LoadError, parse, read};
use crate::ruleset::RuleSet;
use crate::watched::{Fingerprint, Watched};

/// A directory of rules, or a single file, and what it was last known to hold.
///
/// Rules are small, so reading them all costs little more than asking for their times.
#[derive(Debug)]
pub struct RuleFiles {
    path: PathBuf,
    watched: Watched,
}

impl RuleFiles {
    /// Loads the rules like [`super::load`], for others to be loaded when they change.
    ///
    /// # Errors
    /// As for [`super::load`].
    pub fn open(path: &Path) -> Result<(RuleSet, RuleFiles), LoadError> {
        let files = read(path);
        let found = fingerprint(&files);
        let rules = parse(&files?)?;
        Ok((rules, RuleFiles { path: path.to_owned(), watched: Watched::new(found) }))
    }

    /// The rules, or what is wrong with them, if they are others than at the last attempt and the same as at the last
    /// look: what is still being written, or half replaced, is left alone. Rules that are asked for come at once,
    /// changed or not.
    pub fn look(&mut self, asked_for: bool) -> Option<Result<RuleSet, LoadError>> {
        let files = read(&self.path);
        self.watched.is_due(fingerprint(&files), asked_for).then(|| parse(&files?))
    }

    /// Whether nothing is known that was not tried; if not, another look will be worth it soon.
    pub fn is_settled(&self) -> bool {
        self.watched.is_settled()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn fingerprint(files: &Result<Vec<File>, LoadError>) -> Fingerprint {
    let mut hasher = DefaultHasher::new();
    files.as_ref().map_err(ToString::to_string).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{RULE, directory};
    use super::*;
    use std::fs;

    #[test]
    fn names_and_contents_count_and_nothing_else() {
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let print = |files: &[File]| fingerprint(&Ok(files.to_vec()));
        let one = print(&[file("a", "bc")]);
        assert_eq!(one, print(&[file("a", "bc")]));
        assert_ne!(one, print(&[file("ab", "c")]));
        assert_ne!(one, print(&[file("a", "bd")]));
        assert_ne!(one, print(&[file("a", "bc"), file("d", "")]));
        assert_ne!(one, fingerprint(&Err(LoadError::NoFiles("a".into()))));
    }

    /// The rules' ids, or what is wrong, after the looks that a change needs; `None`: nothing is news.
    fn looks(files: &mut RuleFiles) -> Option<Result<Vec<String>, String>> {
        let found = files.look(false).or_else(|| files.look(false))?;
        let ids = |rules: RuleSet| rules.rules().iter().map(|rule| rule.id.to_string()).collect();
        Some(found.map(ids).map_err(|error| error.to_string()))
    }

    #[cfg(unix)]
    #[test]
    fn a_config_map_that_is_swapped_is_loaded_and_a_failure_is_told_once() {
        let (a, b) = (RULE.replace("ID", "a"), RULE.replace("ID", "b"));
        let mounted = directory(&[("..1/r.yaml", &a), ("..2/r.yaml", &b), ("..3/r.yaml", "- {id: c}\n")]);
        let at = |name: &str| mounted.path().join(name);
        let swap = |to: &str| {
            std::os::unix::fs::symlink(to, at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
        };
        swap("..1");
        std::os::unix::fs::symlink("..data/r.yaml", at("r.yaml")).unwrap();
        let (rules, mut files) = RuleFiles::open(mounted.path()).unwrap();
        assert_eq!(rules.rules().len(), 1);
        assert_eq!(looks(&mut files), None);

        swap("..2");
        assert_eq!(looks(&mut files), Some(Ok(vec!["b".to_owned()])));
        assert_eq!(looks(&mut files), None);

        swap("..3");
        let error = looks(&mut files).unwrap().unwrap_err();
        assert!(error.lines().count() > 1 && error.contains("r.yaml:1: rule c: "), "all of it: {error}");
        assert_eq!(looks(&mut files), None, "told");
        fs::remove_file(at("r.yaml")).unwrap();
        assert!(looks(&mut files).unwrap().unwrap_err().starts_with("no rules in "));
        assert_eq!(looks(&mut files), None, "told");

        assert!(files.look(true).unwrap().is_err(), "who asks is answered");
    }
}

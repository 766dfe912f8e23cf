//! The rules that come with the program, compiled in: `faultline demo` works from any directory, and so does a service
//! whose rules are not configured.

use std::path::{Path, PathBuf};

use crate::settings::Settings;

/// The files under `rules/`, in the order of their names: name and text.
pub const RULES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// Where the rules in force come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RuleSource {
    Directory(PathBuf),
    /// [`RULES`].
    Bundled,
}

impl RuleSource {
    /// The configured directory; where the default one is not there, the rules compiled in. A directory that was
    /// asked for by name must be there: its absence is reported by whoever reads it.
    pub fn of(settings: &Settings) -> Self {
        Self::choose(&settings.rules, Path::exists)
    }

    fn choose(configured: &Path, exists: impl Fn(&Path) -> bool) -> Self {
        if configured == Settings::default().rules && !exists(configured) {
            return RuleSource::Bundled;
        }
        RuleSource::Directory(configured.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::RuleSet;

    #[test]
    fn only_an_absent_default_directory_is_replaced() {
        let directory = |name: &str| RuleSource::Directory(name.into());
        assert_eq!(RuleSource::choose(Path::new("rules"), |_| true), directory("rules"));
        assert_eq!(RuleSource::choose(Path::new("rules"), |_| false), RuleSource::Bundled);
        assert_eq!(RuleSource::choose(Path::new("my-rules"), |_| false), directory("my-rules"));
    }

    #[test]
    fn every_bundled_file_is_one_of_the_directory() {
        for (name, text) in RULES {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), *text, "{name}");
        }
    }

    #[test]
    fn the_bundled_rules_are_valid() {
        let rules = RuleSet::parse(RULES).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(rules.get("windows-entrypoint-failed").is_some());
        assert_eq!(rules.warnings().count(), 0);
    }
}

//! A directory of rules as Kubernetes mounts a ConfigMap: each file a link into `..data`, itself a link that is replaced
//! when the ConfigMap changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

pub struct ConfigMap {
    directory: TempDir,
    version: u32,
}

impl ConfigMap {
    pub fn new(rules: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        symlink("..data/rules.yaml", directory.path().join("rules.yaml")).expect("a link");
        let mut map = ConfigMap { directory, version: 0 };
        map.replace(rules);
        map
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn replace(&mut self, rules: &str) {
        self.version += 1;
        let name = format!("..version_{}", self.version);
        let (version, link) = (self.path().join(&name), self.path().join("..data_tmp"));
        fs::create_dir(&version).expect("a directory");
        fs::write(version.join("rules.yaml"), rules).expect("a file");
        symlink(&name, &link).expect("a link");
        fs::rename(&link, self.path().join("..data")).expect("the link is replaced");
    }
}

/// A rule for each of these words, with the word as id.
pub fn rules(words: &[&str]) -> String {
    let rule =
        |word: &&str| format!("- {{id: {word}, title: T, severity: error, match: {{log: {{all: [{word}]}}}}}}\n");
    words.iter().map(rule).collect()
}

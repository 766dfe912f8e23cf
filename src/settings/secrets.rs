//! Values of librdkafka properties that stand in files of their own, as secrets are mounted.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::Kafka;

/// Room for a chain of certificates.
const MOST_BYTES: u64 = 1 << 20;

/// A file that holds a secret, and is of no use. Never quotes what it holds.
#[derive(Debug, thiserror::Error)]
#[error("{key}: cannot read `{}`: {error}", file.display())]
pub struct SecretError {
    key: String,
    file: PathBuf,
    error: io::Error,
}

impl Kafka {
    /// Puts what the files hold now to the properties; none of it is shown.
    ///
    /// # Errors
    /// A file that cannot be read, is empty, is not UTF-8 or is larger than 1 MiB.
    pub fn read_secrets(&mut self) -> Result<(), SecretError> {
        for (name, file) in &self.properties_files {
            let value = secret(&format!("kafka.properties_files.{name}"), file)?;
            self.properties.insert(name.clone(), value);
        }
        Ok(())
    }
}

/// What the file of `key` holds.
///
/// # Errors
/// A file that cannot be read, is empty, is not UTF-8 or is larger than 1 MiB.
pub fn secret(key: &str, file: &Path) -> Result<String, SecretError> {
    read(file).map_err(|error| SecretError { key: key.to_owned(), file: file.to_owned(), error })
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    // Editors and `echo` end a file with a line break that is no part of a password.
    let value = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if value.is_empty() {
        return Err(io::Error::other("it is empty"));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka(file: &Path) -> Kafka {
        Kafka { properties_files: [("sasl.password".to_owned(), file.to_owned())].into(), ..Kafka::default() }
    }

    #[test]
    fn one_line_break_at_the_end_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        for (text, value) in
            [("hunter2", "hunter2"), (" hunter \n", " hunter "), ("hunter\n\n", "hunter\n"), ("hunter\r\n", "hunter")]
        {
            std::fs::write(&file, text).unwrap();
            let mut kafka = kafka(&file);
            kafka.read_secrets().unwrap();
            assert_eq!(kafka.properties["sasl.password"], value, "{text:?}");
            assert!(!format!("{kafka:?}").contains("hunter"), "{kafka:?}");
        }
    }

    #[test]
    fn a_file_of_no_use_is_named_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let error = |file: &Path| kafka(file).read_secrets().unwrap_err().to_string();
        assert!(error(&file).starts_with("kafka.properties_files.sasl.password: cannot read `"), "{}", error(&file));
        std::fs::write(&file, "\n").unwrap();
        assert!(error(&file).ends_with("it is empty"), "{}", error(&file));
        std::fs::write(&file, b"hunter2\xff").unwrap();
        assert!(!error(&file).contains("hunter"), "{}", error(&file));
    }
}

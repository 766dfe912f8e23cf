//! What is wrong with a document, and where.

use std::cell::RefCell;
use std::fmt;

use super::Origin;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    Error,
    /// Usable as it is, but probably not what was meant.
    Warning,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    pub level: Level,
    pub origin: Origin,
    /// The keys that lead to the value, `inputs[0].topics`; empty for the document itself.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Diagnostic {
    pub fn error(origin: Origin, path: impl Into<String>, message: impl Into<String>) -> Self {
        Diagnostic { level: Level::Error, origin, path: path.into(), message: message.into() }
    }

    pub fn warning(origin: Origin, path: impl Into<String>, message: impl Into<String>) -> Self {
        Diagnostic { level: Level::Warning, ..Diagnostic::error(origin, path, message) }
    }
}

impl fmt::Display for Diagnostic {
    /// `file:line: path: message`, with `warning:` before the path where it is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if self.level == Level::Warning {
            f.write_str("warning: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that was found in one or more documents.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.level == Level::Error)
    }

    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().filter(|diagnostic| diagnostic.level == Level::Warning)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Gathers diagnostics while documents are read; shared by all readers of a document, hence the cell.
#[derive(Debug, Default)]
pub struct Collector(RefCell<Vec<Diagnostic>>);

impl Collector {
    pub fn push(&self, diagnostic: Diagnostic) {
        self.0.borrow_mut().push(diagnostic);
    }

    /// Whether an error was reported; warnings do not count.
    pub fn has_errors(&self) -> bool {
        self.0.borrow().iter().any(|diagnostic| diagnostic.level == Level::Error)
    }

    /// All of them, in the order of files and lines.
    pub fn finish(self) -> Diagnostics {
        let mut all = self.0.into_inner();
        all.sort_by(|a, b| a.origin.cmp(&b.origin));
        Diagnostics(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_one_line_each_in_the_order_of_the_file() {
        let at = |line| Origin { source: "a.yaml".into(), line: Some(line) };
        let collector = Collector::default();
        collector.push(Diagnostic::warning(at(12), "windows.size", "short"));
        assert!(!collector.has_errors());
        collector.push(Diagnostic::error(at(3), "", "broken"));
        assert!(collector.has_errors());
        let all = collector.finish();
        assert_eq!(all.to_string(), "a.yaml:3: broken\na.yaml:12: warning: windows.size: short");
        assert_eq!((all.has_errors(), all.warnings().count()), (true, 1));
    }
}

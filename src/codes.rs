//! Numeric failure codes and what they mean.

/// A table of codes that a rule may decode a capture with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CodeTable {
    Win32,
    Hresult,
    Ntstatus,
    ExitCode,
}

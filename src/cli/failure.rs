//! How a command fails: an exit code, and a message for a tired person.

use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    /// `None`: all has been said.
    error: Option<anyhow::Error>,
}

impl Failure {
    /// Exit code 1: it failed while running.
    pub fn running(error: impl Into<anyhow::Error>) -> Self {
        Failure { code: 1, error: Some(error.into()) }
    }

    /// Exit code 2: usage, configuration or rules are wrong.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Failure { code: 2, error: Some(error.into()) }
    }

    /// The command has told what is wrong; `code` is its exit code.
    pub fn told(code: u8) -> Self {
        Failure { code, error: None }
    }

    /// Writes `faultline: …` to stderr: the error and what caused it, in one line each and without a backtrace.
    pub fn report(&self) -> ExitCode {
        if let Some(error) = &self.error {
            if is_broken_pipe(error) {
                return ExitCode::SUCCESS;
            }
            // Where stderr is gone there is nobody to tell.
            let _ = writeln!(io::stderr(), "faultline: {error:#}");
        }
        ExitCode::from(self.code)
    }
}

/// The reader of our stdout has seen enough (`| head`): not our failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_errors = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    io_errors.into_iter().any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A panic is a defect of ours: one line that can be reported, whatever RUST_BACKTRACE says.
pub fn report_panics_briefly() {
    panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
        let _ = writeln!(io::stderr(), "faultline: internal error{place}: {message}");
    }));
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_broken_pipe_anywhere_below_is_success() {
        let broken = Err::<(), _>(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing alerts").unwrap_err();
        assert_eq!(Failure::running(broken).report(), ExitCode::SUCCESS);
        let other = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Failure::running(other).report(), ExitCode::from(1));
    }
}

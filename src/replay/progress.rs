//! A progress bar on stderr, where that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::source;

pub(super) struct Progress {
    files: Vec<source::Progress>,
    bar: ProgressBar,
}

impl Progress {
    pub fn start(files: Vec<source::Progress>) -> Self {
        // Standard input has no size: the bar then only counts.
        let total: Option<u64> = files.iter().map(source::Progress::total_bytes).sum();
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = match total {
            Some(_) => "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{spinner} {bytes} {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { files, bar }
    }

    pub fn update(&self) {
        self.bar.set_position(self.files.iter().map(source::Progress::read_bytes).sum());
    }

    /// Takes the bar away while something else is written to stderr.
    pub fn pause<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

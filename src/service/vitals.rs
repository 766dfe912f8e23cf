//! Signs of life of the stages, for `/healthz` and `/readyz`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One stage's.
#[derive(Debug)]
pub struct Vitals {
    name: &'static str,
    epoch: Instant,
    running: AtomicBool,
    /// Milliseconds after `epoch`.
    last_beat: AtomicU64,
    waits_for: Mutex<Option<String>>,
}

impl Vitals {
    pub fn new(name: &'static str) -> Self {
        let waits_for = Mutex::new(Some("it has not joined its consumer group yet".to_owned()));
        Vitals { name, epoch: Instant::now(), running: false.into(), last_beat: 0.into(), waits_for }
    }

    /// The stage begins; before and after it nobody expects a beat.
    pub fn begin(&self) {
        self.beat();
        self.running.store(true, Ordering::Release);
    }

    pub fn end(&self) {
        self.running.store(false, Ordering::Release);
    }

    pub fn beat(&self) {
        let ms = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_beat.store(ms, Ordering::Relaxed);
    }

    /// `None`: for nothing, it works.
    pub fn waits_for(&self, what: Option<String>) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// # Errors
    /// One line when the stage has not come round for longer than `stuck_after`.
    pub fn healthy(&self, stuck_after: Duration) -> Result<(), String> {
        let silence =
            self.epoch.elapsed().saturating_sub(Duration::from_millis(self.last_beat.load(Ordering::Relaxed)));
        if self.running.load(Ordering::Acquire) && silence > stuck_after {
            return Err(format!("the {} stage has been stuck for {} s", self.name, silence.as_secs()));
        }
        Ok(())
    }

    /// # Errors
    /// One line: what the stage waits for.
    pub fn ready(&self) -> Result<(), String> {
        if !self.running.load(Ordering::Acquire) {
            return Err(format!("the {} stage is not running", self.name));
        }
        match &*self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(what) => Err(format!("the {} stage waits: {what}", self.name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_waited_for_and_who_is_stuck() {
        let vitals = Vitals::new("scan");
        assert_eq!(vitals.ready(), Err("the scan stage is not running".to_owned()));
        vitals.begin();
        assert!(vitals.ready().unwrap_err().contains("joined"));
        vitals.waits_for(None);
        assert_eq!(vitals.ready(), Ok(()));
        assert_eq!(vitals.healthy(Duration::from_secs(60)), Ok(()));
        while vitals.epoch.elapsed() < Duration::from_millis(3) {
            std::hint::spin_loop();
        }
        vitals.last_beat.store(0, Ordering::Relaxed);
        assert!(vitals.healthy(Duration::ZERO).unwrap_err().contains("stuck"));
    }
}

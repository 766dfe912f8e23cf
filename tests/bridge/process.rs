//! `faultline bridge` as a process of its own.

use std::process::{Child, Command, Stdio};

/// The program itself, killed on drop.
pub struct Process(pub Child);

impl Process {
    pub fn start(to: &str, brokers: &str, more: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faultline"));
        command
            .args(["--color", "never", "bridge", "--to", to, "--group", "bridge"])
            .current_dir(std::env::temp_dir())
            .env("FAULTLINE_BRIDGE__BACKOFF_MIN", "10ms")
            .env("FAULTLINE_BRIDGE__BACKOFF_MAX", "20ms")
            .env("FAULTLINE_KAFKA__BROKERS", brokers)
            .env("FAULTLINE_KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "3000")
            .env("FAULTLINE_KAFKA__PROPERTIES__HEARTBEAT_INTERVAL_MS", "500")
            .env("FAULTLINE_HTTP__LISTEN", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Process(more(&mut command).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! `faultline run` as a process that can be killed, stopped and asked to end, and the supervisor that starts it anew.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use crate::support::founding;

/// What all processes of a round have in common.
pub struct Deployment {
    folder: tempfile::TempDir,
}

/// Whether the correlate stage uses transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    AtLeastOnce,
    ExactlyOnce,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::AtLeastOnce => "at least once",
            Mode::ExactlyOnce => "exactly once",
        }
    }
}

/// Kafka's least session is 6 s; the broker of these tests takes any, and rounds are short. What is told happened long
/// ago, and every instance must come to the same.
const CONFIG: &str = r"
kafka:
  brokers: BROKERS
  exactly_once: EXACTLY_ONCE
  properties: {session.timeout.ms: '1200', heartbeat.interval.ms: '200', reconnect.backoff.max.ms: '300'}
inputs:
  - {topics: [container-logs], kind: logs, format: auto, cluster_header: cluster}
  - {topics: [kube-events], kind: events, format: auto, cluster_header: cluster}
internal_topics: {snapshot_interval: 1s, snapshot_reports: 200}
limits: {snapshot_chunk_bytes: 4KiB}
alerts: {max_age: off}
rules: FOLDER/rules
http: {listen: off}
scan: {flush_interval: 100ms, idle_after: 20s}
";

impl Deployment {
    pub fn new(brokers: &str, mode: Mode) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("rules")).expect("a folder");
        fs::write(folder.path().join("rules/rules.yaml"), founding::RULE).expect("a file");
        let config = CONFIG
            .replace("BROKERS", brokers)
            .replace("EXACTLY_ONCE", if mode == Mode::ExactlyOnce { "true" } else { "false" })
            .replace("FOLDER", &folder.path().display().to_string());
        fs::write(folder.path().join("config"), config).expect("a file");
        Deployment { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What every process said, one after the other.
    pub fn logs(&self) -> Vec<(String, String)> {
        let mut names: Vec<PathBuf> = fs::read_dir(self.folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        names.sort();
        let read = |path: PathBuf| (path.file_name().expect("a name").to_string_lossy().into_owned(), text(&path));
        names.into_iter().map(read).collect()
    }
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// One process.
pub struct Process {
    child: Child,
}

impl Process {
    /// `name` is that of its log.
    pub fn start(deployment: &Deployment, name: &str, arguments: &[&str]) -> Self {
        let log = File::options().create(true).append(true).open(deployment.file(&format!("{name}.log")));
        let child = Command::new(env!("CARGO_BIN_EXE_faultline"))
            .args(["run", "-c"])
            .arg(deployment.file("config"))
            .args(arguments)
            .env_clear()
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("it starts");
        Process { child }
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("kill").success(), "kill {name} {id}");
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// The most memory that it had, KiB; nothing once it has ended.
    pub fn peak_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many processes ended how.
#[derive(Clone, Copy, Default, Debug)]
pub struct Exits {
    pub well: usize,
    /// With code 1: what waiting does not mend, for the supervisor to start anew.
    pub failed: usize,
    pub killed: usize,
}

/// A place for an instance, which is started anew when it ends while it is wanted.
pub struct Slot {
    name: String,
    pub wanted: bool,
    pub process: Option<Process>,
    pub stopped_until: Option<Instant>,
    /// It was asked to end; asked again it would not finish what it has begun.
    ending: bool,
    starts: usize,
}

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

impl Slot {
    /// Whether a blow can hit it.
    pub fn is_up(&self) -> bool {
        self.process.is_some() && self.stopped_until.is_none() && !self.ending
    }

    pub fn new(number: usize) -> Self {
        Slot {
            name: format!("slot-{number}"),
            wanted: false,
            process: None,
            stopped_until: None,
            ending: false,
            starts: 0,
        }
    }

    /// Lets go on who was stopped for long enough, buries the dead and starts anew. `Err`: how a process ended that must not end so.
    pub fn supervise(&mut self, deployment: &Deployment, exits: &mut Exits, peak_kib: &mut u64) -> Result<(), String> {
        if self.stopped_until.is_some_and(|until| until <= Instant::now()) {
            self.stopped_until = None;
            self.signal("-CONT");
        }
        if let Some(process) = &mut self.process {
            *peak_kib = process.peak_kib().unwrap_or(0).max(*peak_kib);
            if let Some(status) = process.ended() {
                let ending = self.ending;
                (self.process, self.stopped_until, self.ending) = (None, None, false);
                match (status.code(), status.signal()) {
                    (Some(0), _) => exits.well += 1,
                    (Some(1), _) => exits.failed += 1,
                    (_, Some(SIGKILL)) => exits.killed += 1,
                    // It had only just begun.
                    (_, Some(SIGTERM)) if ending => exits.well += 1,
                    _ => return Err(format!("{} of start {} ended with {status}", self.name, self.starts)),
                }
            }
        }
        if self.wanted && self.process.is_none() {
            self.starts += 1;
            self.process = Some(Process::start(deployment, &format!("{}-{:02}", self.name, self.starts), &[]));
        }
        Ok(())
    }

    pub fn signal(&mut self, name: &str) {
        if let Some(process) = &self.process {
            process.signal(name);
        }
    }

    pub fn end(&mut self) {
        if !std::mem::replace(&mut self.ending, true) {
            self.signal("-TERM");
        }
    }
}

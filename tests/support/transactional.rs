//! The broker process of `tests/transactional-broker`: its transactions isolate, and faults can be ordered.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A broker process, which ends with its standard input. Its data is in memory.
pub struct TransactionalBroker {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub address: String,
}

impl TransactionalBroker {
    /// `None`, with a message, where no broker binary was given.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same behind a proxy, whose address clients are told.
    pub fn start_behind(proxy: SocketAddr) -> Option<Self> {
        Self::start_with(&["--advertise", &proxy.to_string()])
    }

    /// The same with further arguments; the broker's `src/main.rs` has them.
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let Some(binary) = std::env::var_os("FAULTLINE_TEST_TXN_BROKER") else {
            eprintln!("skipped: FAULTLINE_TEST_TXN_BROKER names no broker with transactions (see .ci/run)");
            return None;
        };
        let mut child = Command::new(&binary)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", binary.display()));
        let orders = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut broker = TransactionalBroker { child, orders, answers, address: String::new() };
        broker.address = broker.answer();
        assert!(!broker.address.is_empty(), "the broker did not start");
        Some(broker)
    }

    /// Nobody can connect for this long, and all connections are cut. What was written stays.
    pub fn restart(&mut self, away: Duration) {
        self.order(&format!("outage {}", away.as_millis()));
    }

    /// Orders a fault; the broker's `src/faults.rs` has the commands.
    pub fn order(&mut self, command: &str) {
        writeln!(self.orders, "{command}").expect("the broker runs");
        let answer = self.answer();
        assert_eq!(answer, "ok", "{command}");
    }

    /// How many transactions are open that wrote to this topic.
    pub fn open_transactions(&mut self, topic: &str) -> usize {
        writeln!(self.orders, "open {topic}").expect("the broker runs");
        self.answer().parse().expect("a number")
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the broker answers");
        line.trim_end().to_owned()
    }
}

impl Drop for TransactionalBroker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

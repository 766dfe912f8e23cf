//! A broker for tests: one node, everything in memory, transactions that isolate, and faults to order.
//!
//! Its first line says where it listens. Then each line on its standard input orders a fault, which is answered with a
//! line; when the input ends, so does it.

mod end_transaction;
mod faults;
mod gate;
mod group_requests;
mod groups;
mod transactions;
mod wire;

use std::ffi::OsStr;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use krafka::testing::FakeBroker;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc::UnboundedSender;

use faults::Fault;
use gate::Gate;

const USAGE: &str = "transactional-broker --listen ADDRESS:PORT [--advertise ADDRESS:PORT]   (port 0: any)";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let address = |text: &OsStr| text.to_str().and_then(|text| text.parse::<SocketAddr>().ok());
    let addresses = match &arguments[..] {
        [listen, at] if listen == "--listen" => address(at).map(|at| (at, None)),
        [listen, at, advertise, to] if listen == "--listen" && advertise == "--advertise" => {
            address(at).zip(address(to)).map(|(at, to)| (at, Some(to)))
        }
        _ => None,
    };
    let Some((listen, advertise)) = addresses else {
        eprintln!("{USAGE}\non standard input: {}", faults::COMMANDS);
        return ExitCode::from(2);
    };
    match run(listen, advertise).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(listen: SocketAddr, advertise: Option<SocketAddr>) -> std::io::Result<()> {
    let (gate, faults) = Gate::open(listen, advertise).await?;
    say(&gate.address().to_string())?;
    let broker = gate.broker();
    tokio::try_join!(gate.serve(), obey(faults, broker))?;
    Ok(())
}

async fn obey(faults: UnboundedSender<Fault>, broker: Arc<FakeBroker>) -> std::io::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match Fault::parse(&line) {
            Some(fault) => {
                let _ = faults.send(fault);
                say("ok")?;
            }
            None => match line.trim().split_once(' ').unwrap_or((line.trim(), "")) {
                ("open", topic) => {
                    let topic = Some(topic).filter(|topic| !topic.is_empty());
                    say(&transactions::open(&broker, topic).to_string())?;
                }
                _ => say(faults::COMMANDS)?,
            },
        }
    }
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

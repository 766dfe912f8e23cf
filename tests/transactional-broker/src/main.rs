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

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc::UnboundedSender;

use faults::Fault;
use gate::Gate;

const USAGE: &str = "transactional-broker --listen ADDRESS:PORT   (port 0: any)";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let address: Option<SocketAddr> = match &arguments[..] {
        [flag, address] if flag == "--listen" => address.to_str().and_then(|address| address.parse().ok()),
        _ => None,
    };
    let Some(address) = address else {
        eprintln!("{USAGE}\non standard input: {}", faults::COMMANDS);
        return ExitCode::from(2);
    };
    match run(address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(address: SocketAddr) -> std::io::Result<()> {
    let (gate, faults) = Gate::open(address).await?;
    say(&gate.address().to_string())?;
    tokio::try_join!(gate.serve(), obey(faults))?;
    Ok(())
}

async fn obey(faults: UnboundedSender<Fault>) -> std::io::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match Fault::parse(&line) {
            Some(fault) => {
                let _ = faults.send(fault);
                say("ok")?;
            }
            None => say(faults::COMMANDS)?,
        }
    }
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

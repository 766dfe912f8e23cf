//! A broker for tests: one node, everything in memory, transactions that isolate, and faults to order.
//!
//! Its first line says where it listens. Then each line on its standard input orders a fault, which is answered with a
//! line; when the input ends, so does it.

mod certificate;
mod end_transaction;
mod faults;
mod gate;
mod group_requests;
mod groups;
mod login;
mod scram;
mod transactions;
mod wire;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use krafka::testing::FakeBroker;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc::UnboundedSender;

use faults::Fault;
use gate::{Door, Gate};
use login::Users;

const USAGE: &str = "\
transactional-broker --listen ADDRESS:PORT [--advertise ADDRESS:PORT] [--tls NAME --authority FILE] [--user NAME:PASSWORD] [--token TOKEN]
  --listen     port 0: any
  --advertise  where clients are told to connect
  --tls        the name that the certificate is for; that of its authority is written to FILE
  --user       who has to log in, with PLAIN or SCRAM
  --token      what has to be shown, with OAUTHBEARER";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Option<Vec<String>> =
        std::env::args_os().skip(1).map(|argument| argument.into_string().ok()).collect();
    let Some(options) = arguments.and_then(|arguments| Options::parse(&arguments)) else {
        eprintln!("{USAGE}\non standard input: {}", faults::COMMANDS);
        return ExitCode::from(2);
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    listen: SocketAddr,
    advertise: Option<SocketAddr>,
    /// Its name, and where its authority's certificate goes.
    tls: Option<(String, PathBuf)>,
    users: Users,
}

impl Options {
    fn parse(arguments: &[String]) -> Option<Self> {
        let (pairs, []) = arguments.as_chunks::<2>() else { return None };
        let (mut listen, mut advertise, mut users) = (None, None, Users::default());
        let (mut name, mut authority) = (None, None);
        for [flag, value] in pairs {
            match flag.as_str() {
                "--listen" => listen = Some(value.parse().ok()?),
                "--advertise" => advertise = Some(value.parse().ok()?),
                "--tls" => name = Some(value.clone()),
                "--authority" => authority = Some(PathBuf::from(value)),
                "--user" => users.user = Some(value.split_once(':').map(|(name, word)| (name.into(), word.into()))?),
                "--token" => users.token = Some(value.clone()),
                _ => return None,
            }
        }
        (name.is_some() == authority.is_some()).then_some(())?;
        Some(Options { listen: listen?, advertise, tls: name.zip(authority), users })
    }
}

async fn run(options: Options) -> std::io::Result<()> {
    let tls = options.tls.map(|(name, authority)| certificate::acceptor(&name, &authority)).transpose()?;
    let (gate, faults) = Gate::open(options.listen, options.advertise, Door { tls, users: options.users }).await?;
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

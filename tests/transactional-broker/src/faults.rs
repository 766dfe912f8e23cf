//! What can be ordered to go wrong, one line each.

use std::time::Duration;

use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control, FakeBroker};

/// The commands, for people.
pub const COMMANDS: &str = "outage MS | cut | drop API TIMES | lose API TIMES | delay API TIMES MS | \
                            error API TIMES CODE | unfinished TOPIC TIMES | clear | open [TOPIC]";

const APIS: [(&str, ApiKey); 13] = [
    ("produce", ApiKey::Produce),
    ("fetch", ApiKey::Fetch),
    ("list-offsets", ApiKey::ListOffsets),
    ("metadata", ApiKey::Metadata),
    ("offset-commit", ApiKey::OffsetCommit),
    ("offset-fetch", ApiKey::OffsetFetch),
    ("find-coordinator", ApiKey::FindCoordinator),
    ("init-producer-id", ApiKey::InitProducerId),
    ("add-partitions-to-txn", ApiKey::AddPartitionsToTxn),
    ("add-offsets-to-txn", ApiKey::AddOffsetsToTxn),
    ("txn-offset-commit", ApiKey::TxnOffsetCommit),
    ("end-txn", ApiKey::EndTxn),
    ("create-topics", ApiKey::CreateTopics),
];

pub enum Fault {
    /// Nobody can connect for this long, and all connections are cut. What was written stays.
    Outage(Duration),
    /// All connections are cut.
    Cut,
    Requests(Requests),
    /// The next so many requests to end a transaction that wrote to this topic are not heard.
    Unfinished(String, u32),
    /// Nothing more goes wrong with requests.
    Clear,
}

/// What happens to the next requests of a kind.
pub struct Requests {
    api: ApiKey,
    times: u32,
    control: Control,
}

impl Requests {
    pub fn order(&self, broker: &FakeBroker) {
        let control = self.control.clone();
        broker.on_times(self.api, self.times, move |_| control.clone());
    }
}

impl Fault {
    /// Reads a command. Nothing for one that there is not.
    pub fn parse(line: &str) -> Option<Fault> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let millis = |word: &str| word.parse().ok().map(Duration::from_millis);
        let requests = |api: &str, times: &str, control| {
            let (_, api) = *APIS.iter().find(|(name, _)| *name == api)?;
            Some(Fault::Requests(Requests { api, times: times.parse().ok()?, control }))
        };
        match words[..] {
            ["outage", time] => Some(Fault::Outage(millis(time)?)),
            ["cut"] => Some(Fault::Cut),
            ["clear"] => Some(Fault::Clear),
            ["unfinished", topic, times] => Some(Fault::Unfinished(topic.to_owned(), times.parse().ok()?)),
            ["drop", api, times] => requests(api, times, Control::Disconnect),
            ["lose", api, times] => requests(api, times, Control::ApplyThen(Box::new(Control::Disconnect))),
            ["delay", api, times, time] => requests(api, times, Control::Delay(millis(time)?)),
            ["error", api, times, code] => {
                requests(api, times, Control::Error(ErrorCode::from_i16(code.parse().ok()?)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        assert!(matches!(Fault::parse("outage 200\n"), Some(Fault::Outage(time)) if time.as_millis() == 200));
        assert!(matches!(Fault::parse("cut"), Some(Fault::Cut)));
        for (name, _) in APIS {
            for line in ["drop API 1", "lose API 2", "delay API 3 50", "error API 4 7"] {
                assert!(Fault::parse(&line.replace("API", name)).is_some(), "{line} {name}");
            }
        }
        for wrong in ["", "drop", "drop nothing 1", "drop produce many", "error produce 1"] {
            assert!(Fault::parse(wrong).is_none(), "{wrong}");
        }
    }
}

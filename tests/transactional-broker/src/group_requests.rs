//! The requests of consumer groups, in the versions that librdkafka speaks: JoinGroup 5, SyncGroup 3, Heartbeat 3 and
//! LeaveGroup 1.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use krafka::testing::{FakeBroker, GroupMember};
use tokio::sync::Notify;

use crate::groups::{Groups, Join, MEMBER_ID_REQUIRED, Refused};
use crate::wire::{Header, Reader, Writer};

const JOIN_GROUP: (i16, i16) = (11, 5);
const HEARTBEAT: (i16, i16) = (12, 3);
const LEAVE_GROUP: (i16, i16) = (13, 1);
const SYNC_GROUP: (i16, i16) = (14, 3);

/// Every member of a new generation may have to be told, and time that passes may end a round.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub struct Coordinator {
    groups: Mutex<Groups>,
    changed: Notify,
    broker: Arc<FakeBroker>,
}

impl Coordinator {
    pub fn new(broker: Arc<FakeBroker>) -> Self {
        Coordinator { groups: Mutex::default(), changed: Notify::new(), broker }
    }

    /// Whether requests of this kind are answered here.
    pub fn answers(api: i16) -> bool {
        [JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP].iter().any(|(known, _)| *known == api)
    }

    /// The response, after the others that it has to wait for.
    pub async fn answer(&self, header: &Header, body: &mut Reader<'_>) -> io::Result<Vec<u8>> {
        let mut response = Writer::response(header.correlation);
        match (header.api, header.version) {
            JOIN_GROUP => self.join(&header.client, body, &mut response).await?,
            SYNC_GROUP => self.sync(body, &mut response).await?,
            HEARTBEAT => {
                let (group, generation, member) = (body.text()?, body.i32()?, body.text()?);
                let result = self.change(|groups| groups.heartbeat(&group, generation, &member, Instant::now()));
                response.i32(0);
                response.i16(result.err().unwrap_or(0));
            }
            LEAVE_GROUP => {
                let (group, member) = (body.text()?, body.text()?);
                let result = self.change(|groups| groups.leave(&group, &member, Instant::now()));
                response.i32(0);
                response.i16(result.err().unwrap_or(0));
            }
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
        Ok(response.0)
    }

    async fn join(&self, client: &str, body: &mut Reader<'_>, response: &mut Writer) -> io::Result<()> {
        let (group, session, rebalance) = (body.text()?, millis(body.i32()?), millis(body.i32()?));
        let (member, _instance, _type) = (body.text()?, body.nullable_text()?, body.text()?);
        let protocols = body.array(|body| Ok((body.text()?, body.bytes()?)))?;
        let join = Join { group, member: member.clone(), session, rebalance, protocols };
        let result = match self.change(|groups| groups.join(join, client, Instant::now())) {
            Ok(ticket) => self.wait(|groups| groups.joined(&ticket)).await.map_err(|code| (code, member)),
            Err(Refused::NameYourself(name)) => Err((MEMBER_ID_REQUIRED, name)),
            Err(Refused::Because(code)) => Err((code, member)),
        };
        response.i32(0);
        match result {
            Ok(joined) => {
                response.i16(0);
                response.i32(joined.generation);
                response.text(&joined.protocol);
                response.text(&joined.leader);
                response.text(&joined.member);
                response.count(joined.members.len());
                for (name, metadata) in &joined.members {
                    response.text(name);
                    response.nullable_text(None);
                    response.bytes(metadata);
                }
            }
            Err((code, member)) => {
                response.i16(code);
                response.i32(-1);
                response.text("");
                response.text("");
                response.text(&member);
                response.count(0);
            }
        }
        Ok(())
    }

    async fn sync(&self, body: &mut Reader<'_>, response: &mut Writer) -> io::Result<()> {
        let (group, generation, member) = (body.text()?, body.i32()?, body.text()?);
        let _instance = body.nullable_text()?;
        let assignments = body.array(|body| Ok((body.text()?, body.bytes()?)))?;
        let ticket = self.change(|groups| groups.sync(group, generation, member, assignments, Instant::now()));
        let result = match ticket {
            Ok(ticket) => self.wait(|groups| groups.synced(&ticket)).await,
            Err(code) => Err(code),
        };
        response.i32(0);
        response.i16(result.as_ref().err().copied().unwrap_or(0));
        response.bytes(&result.unwrap_or_default());
        Ok(())
    }

    /// Asks until there is an answer, whenever something has changed.
    async fn wait<T>(&self, mut ask: impl FnMut(&mut Groups) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(answer) = ask(&mut self.lock()) {
                return answer;
            }
            let _ = tokio::time::timeout(LOOK_AGAIN, changed).await;
        }
    }

    /// Changes the groups and tells whoever waits, and the broker, which refuses offsets of those who are not members.
    fn change<T>(&self, change: impl FnOnce(&mut Groups) -> T) -> T {
        let mut groups = self.lock();
        let result = change(&mut groups);
        self.broker.with_state(|state| {
            for (name, group) in groups.iter() {
                let known = state.groups.entry(name.clone()).or_default();
                known.generation_id = group.generation;
                known.members = group.members.keys().map(|name| member(name)).collect();
            }
        });
        self.changed.notify_waiters();
        result
    }

    /// Ends sessions and rounds whose time is over.
    pub fn pass_time(&self) {
        let changed = self.lock().pass_time(Instant::now());
        if changed {
            self.change(|_| {});
        }
    }

    /// All sessions begin anew.
    pub fn forgive(&self) {
        self.change(|groups| groups.forgive(Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}

fn member(name: &str) -> GroupMember {
    GroupMember {
        member_id: name.to_owned(),
        group_instance_id: None,
        metadata: bytes::Bytes::new(),
        client_id: String::new(),
        client_host: String::new(),
    }
}

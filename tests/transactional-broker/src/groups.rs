//! The coordinator of consumer groups: who is a member of which generation. Time is an argument, and nobody waits here:
//! who must wait gets a ticket and asks again after something has changed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// Kafka's error codes.
pub const ILLEGAL_GENERATION: i16 = 22;
pub const UNKNOWN_MEMBER: i16 = 25;
pub const REBALANCE_IN_PROGRESS: i16 = 27;
pub const MEMBER_ID_REQUIRED: i16 = 79;

/// All groups, by name.
#[derive(Default)]
pub struct Groups {
    groups: BTreeMap<String, Group>,
    members_named: u64,
    tickets: u64,
}

#[derive(Default)]
pub struct Group {
    pub generation: i32,
    pub protocol: String,
    pub leader: String,
    pub members: BTreeMap<String, Member>,
    phase: Phase,
    /// Ids that were handed out and have not come back yet.
    promised: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Phase {
    #[default]
    Empty,
    Joining {
        until: Instant,
    },
    /// The leader has not said yet who gets what.
    Syncing,
    Stable,
}

pub struct Member {
    session: Duration,
    rebalance: Duration,
    protocols: Vec<(String, Bytes)>,
    seen: Instant,
    /// In the round of joining that is under way.
    joined: bool,
    /// It waits for an answer, so its session cannot end.
    waits: bool,
    /// The newest request that waits.
    ticket: u64,
    answer: Option<Joined>,
    assignment: Bytes,
}

impl Member {
    fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, data)| data.clone()).unwrap_or_default()
    }
}

/// What a member says when it joins.
#[derive(Clone)]
pub struct Join {
    pub group: String,
    pub member: String,
    pub session: Duration,
    pub rebalance: Duration,
    pub protocols: Vec<(String, Bytes)>,
}

/// A request that waits for others.
pub struct Ticket {
    group: String,
    member: String,
    number: u64,
    generation: i32,
}

pub enum Refused {
    /// It is to join again under this id.
    NameYourself(String),
    Because(i16),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    pub generation: i32,
    pub protocol: String,
    pub leader: String,
    pub member: String,
    /// All members with what they said, for the leader only.
    pub members: Vec<(String, Bytes)>,
}

impl Groups {
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Group)> {
        self.groups.iter()
    }

    pub fn join(&mut self, join: Join, client: &str, now: Instant) -> Result<Ticket, Refused> {
        let group = self.groups.entry(join.group.clone()).or_default();
        if join.member.is_empty() {
            self.members_named += 1;
            let name = format!("{client}-{}", self.members_named);
            group.promised.push(name.clone());
            return Err(Refused::NameYourself(name));
        }
        let promised = group.promised.iter().position(|name| *name == join.member);
        if promised.is_none() && !group.members.contains_key(&join.member) {
            return Err(Refused::Because(UNKNOWN_MEMBER));
        }
        promised.map(|at| group.promised.remove(at));
        self.tickets += 1;
        let ticket = Ticket {
            group: join.group,
            member: join.member.clone(),
            number: self.tickets,
            generation: group.generation,
        };
        let known = group.members.get(&join.member).is_some_and(|member| member.protocols == join.protocols);
        let member = Member {
            session: join.session,
            rebalance: join.rebalance,
            protocols: join.protocols,
            seen: now,
            joined: true,
            waits: true,
            ticket: self.tickets,
            answer: None,
            assignment: Bytes::new(),
        };
        group.admit(join.member, member, known, now);
        Ok(ticket)
    }

    /// What a joining member is told, as soon as all have joined.
    pub fn joined(&mut self, ticket: &Ticket) -> Option<Result<Joined, i16>> {
        let Some(member) = self.waiting(ticket) else { return Some(Err(UNKNOWN_MEMBER)) };
        member.answer.take().map(Ok)
    }

    pub fn sync(
        &mut self,
        group: String,
        generation: i32,
        member: String,
        assignments: Vec<(String, Bytes)>,
        now: Instant,
    ) -> Result<Ticket, i16> {
        self.check(&group, generation, &member, now)?;
        self.tickets += 1;
        let number = self.tickets;
        let state = self.groups.get_mut(&group).ok_or(UNKNOWN_MEMBER)?;
        match state.phase {
            Phase::Joining { .. } | Phase::Empty => return Err(REBALANCE_IN_PROGRESS),
            Phase::Syncing if state.leader == member => state.distribute(assignments, now),
            Phase::Syncing | Phase::Stable => {}
        }
        let waits = state.phase == Phase::Syncing;
        let entry = state.members.get_mut(&member).ok_or(UNKNOWN_MEMBER)?;
        (entry.ticket, entry.waits) = (number, waits);
        Ok(Ticket { group, member, number, generation })
    }

    /// What a member is to do, as soon as the leader has said so.
    pub fn synced(&mut self, ticket: &Ticket) -> Option<Result<Bytes, i16>> {
        if self.waiting(ticket).is_none() {
            return Some(Err(UNKNOWN_MEMBER));
        }
        let group = &self.groups[&ticket.group];
        match group.phase {
            _ if group.generation != ticket.generation => Some(Err(REBALANCE_IN_PROGRESS)),
            Phase::Joining { .. } | Phase::Empty => Some(Err(REBALANCE_IN_PROGRESS)),
            Phase::Syncing => None,
            Phase::Stable => Some(Ok(group.members[&ticket.member].assignment.clone())),
        }
    }

    /// The member of a ticket, if it has not asked anew since.
    fn waiting(&mut self, ticket: &Ticket) -> Option<&mut Member> {
        let member = self.groups.get_mut(&ticket.group)?.members.get_mut(&ticket.member)?;
        Some(member).filter(|member| member.ticket == ticket.number)
    }

    pub fn heartbeat(&mut self, group: &str, generation: i32, member: &str, now: Instant) -> Result<(), i16> {
        self.check(group, generation, member, now)?;
        match self.groups[group].phase {
            Phase::Joining { .. } => Err(REBALANCE_IN_PROGRESS),
            _ => Ok(()),
        }
    }

    /// Whether this is a member of the current generation. It has been heard of.
    fn check(&mut self, group: &str, generation: i32, member: &str, now: Instant) -> Result<(), i16> {
        let state = self.groups.get_mut(group).ok_or(UNKNOWN_MEMBER)?;
        let member = state.members.get_mut(member).ok_or(UNKNOWN_MEMBER)?;
        member.seen = now;
        if generation == state.generation { Ok(()) } else { Err(ILLEGAL_GENERATION) }
    }

    pub fn leave(&mut self, group: &str, member: &str, now: Instant) -> Result<(), i16> {
        let state = self.groups.get_mut(group).ok_or(UNKNOWN_MEMBER)?;
        state.members.remove(member).ok_or(UNKNOWN_MEMBER)?;
        state.shrunk(now);
        Ok(())
    }

    /// Puts out who was not heard of for a session, and ends rounds of joining that take too long. Says whether
    /// anything changed.
    pub fn pass_time(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for group in self.groups.values_mut() {
            let before = group.members.len();
            group.members.retain(|_, member| member.waits || now < member.seen + member.session);
            if group.members.len() < before {
                group.shrunk(now);
                changed = true;
            }
            if matches!(group.phase, Phase::Joining { until } if now >= until) {
                group.complete(now);
                changed = true;
            }
        }
        changed
    }

    /// All sessions begin anew, as when a coordinator has started and read its groups.
    pub fn forgive(&mut self, now: Instant) {
        self.groups.values_mut().flat_map(|group| group.members.values_mut()).for_each(|member| member.seen = now);
    }
}

impl Group {
    fn admit(&mut self, name: String, member: Member, known: bool, now: Instant) {
        let again = known && name != self.leader && matches!(self.phase, Phase::Syncing | Phase::Stable);
        if again {
            // It did not hear the answer; nothing has changed for the others.
            let answer = self.answer_for(&name);
            if let Some(old) = self.members.get_mut(&name) {
                (old.answer, old.ticket, old.seen, old.waits) = (Some(answer), member.ticket, now, false);
            }
            return;
        }
        if !matches!(self.phase, Phase::Joining { .. }) {
            self.begin(now);
        }
        self.members.insert(name, member);
        self.complete_if_all_joined(now);
    }

    fn begin(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            (member.joined, member.waits, member.answer, member.seen) = (false, false, None, now);
        }
        let longest = self.members.values().map(|member| member.rebalance).max().unwrap_or(Duration::from_secs(60));
        self.phase = Phase::Joining { until: now + longest };
    }

    /// Some member has gone.
    fn shrunk(&mut self, now: Instant) {
        if !self.members.is_empty() && matches!(self.phase, Phase::Syncing | Phase::Stable) {
            self.begin(now);
        }
        self.complete_if_all_joined(now);
    }

    fn complete_if_all_joined(&mut self, now: Instant) {
        if self.members.values().all(|member| member.joined) {
            self.complete(now);
        }
    }

    /// Begins the next generation with those who joined.
    fn complete(&mut self, now: Instant) {
        self.members.retain(|_, member| member.joined);
        self.generation += 1;
        let Some(first) = self.members.keys().next().cloned() else {
            (self.phase, self.leader) = (Phase::Empty, String::new());
            return;
        };
        if !self.members.contains_key(&self.leader) {
            self.leader = first;
        }
        let speaks = |member: &Member, name: &String| member.protocols.iter().any(|(other, _)| other == name);
        let mut offered = self.members[&self.leader].protocols.iter().map(|(name, _)| name);
        self.protocol =
            offered.find(|name| self.members.values().all(|member| speaks(member, name))).cloned().unwrap_or_default();
        self.phase = Phase::Syncing;
        let answers: Vec<Joined> = self.members.keys().map(|name| self.answer_for(name)).collect();
        for (member, answer) in self.members.values_mut().zip(answers) {
            (member.answer, member.waits, member.seen) = (Some(answer), false, now);
            member.assignment = Bytes::new();
        }
    }

    fn answer_for(&self, name: &str) -> Joined {
        let members = if name == self.leader {
            self.members.iter().map(|(name, member)| (name.clone(), member.metadata(&self.protocol))).collect()
        } else {
            Vec::new()
        };
        Joined {
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member: name.to_owned(),
            members,
        }
    }

    fn distribute(&mut self, assignments: Vec<(String, Bytes)>, now: Instant) {
        for (name, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&name) {
                member.assignment = assignment;
            }
        }
        self.members.values_mut().for_each(|member| (member.waits, member.seen) = (false, now));
        self.phase = Phase::Stable;
    }
}

#[cfg(test)]
mod tests;

use super::*;

const SESSION: Duration = Duration::from_secs(6);

/// The member's id and the ticket of its join.
fn join(groups: &mut Groups, client: &str, now: Instant) -> (String, Ticket) {
    let mut request = Join {
        group: "g".into(),
        member: String::new(),
        session: SESSION,
        rebalance: SESSION * 10,
        protocols: vec![("cooperative-sticky".into(), Bytes::from(client.to_owned()))],
    };
    let Err(Refused::NameYourself(name)) = groups.join(request.clone(), client, now) else { panic!("it has a name") };
    request.member.clone_from(&name);
    let Ok(ticket) = groups.join(request, client, now) else { panic!("it cannot join") };
    (name, ticket)
}

fn rejoin(groups: &mut Groups, member: &str, says: &str, now: Instant) -> Result<Ticket, Refused> {
    let request = Join {
        group: "g".into(),
        member: member.into(),
        session: SESSION,
        rebalance: SESSION * 10,
        protocols: vec![("cooperative-sticky".into(), Bytes::from(says.to_owned()))],
    };
    groups.join(request, "", now)
}

fn sync(
    groups: &mut Groups,
    generation: i32,
    member: &str,
    says: &[(&str, &str)],
    now: Instant,
) -> Result<Ticket, i16> {
    let says = says.iter().map(|(name, what)| ((*name).to_owned(), Bytes::from((*what).to_owned()))).collect();
    groups.sync("g".into(), generation, member.into(), says, now)
}

/// Two members, the first of them the leader, in generation 2.
fn pair(groups: &mut Groups, now: Instant) -> (String, String) {
    let (first, ticket) = join(groups, "first", now);
    assert_eq!(groups.joined(&ticket).unwrap().unwrap().generation, 1);
    let (second, waits) = join(groups, "second", now);
    assert_eq!(groups.joined(&waits), None, "the first has not come again");
    assert_eq!(groups.heartbeat("g", 1, &first, now), Err(REBALANCE_IN_PROGRESS));
    let Ok(ticket) = rejoin(groups, &first, "first", now) else { panic!("a member may join again") };
    let leads = groups.joined(&ticket).unwrap().unwrap();
    assert_eq!((leads.generation, &leads.leader, leads.members.len()), (2, &first, 2));
    let follows = groups.joined(&waits).unwrap().unwrap();
    assert_eq!((follows.generation, &follows.leader, follows.members.len()), (2, &first, 0));

    let waits = sync(groups, 2, &second, &[], now).unwrap_or_else(|code| panic!("{code}"));
    assert_eq!(groups.synced(&waits), None, "the leader has not spoken");
    let ticket = sync(groups, 2, &first, &[(&first, "a"), (&second, "b")], now).unwrap_or_else(|code| panic!("{code}"));
    assert_eq!(groups.synced(&ticket), Some(Ok("a".into())));
    assert_eq!(groups.synced(&waits), Some(Ok("b".into())));
    (first, second)
}

#[test]
fn two_members_share() {
    let now = Instant::now();
    let mut groups = Groups::default();
    let (first, second) = pair(&mut groups, now);
    assert_eq!(groups.heartbeat("g", 2, &first, now), Ok(()));
    assert_eq!(groups.heartbeat("g", 1, &second, now), Err(ILLEGAL_GENERATION));
    assert_eq!(groups.heartbeat("g", 2, "nobody", now), Err(UNKNOWN_MEMBER));
}

#[test]
fn who_is_silent_or_leaves_is_put_out() {
    let now = Instant::now();
    let mut groups = Groups::default();
    let (first, second) = pair(&mut groups, now);
    assert!(!groups.pass_time(now + SESSION / 2));
    assert_eq!(groups.heartbeat("g", 2, &second, now + SESSION / 2), Ok(()));
    assert!(groups.pass_time(now + SESSION));
    assert_eq!(groups.heartbeat("g", 2, &first, now + SESSION), Err(UNKNOWN_MEMBER));
    assert_eq!(groups.heartbeat("g", 2, &second, now + SESSION), Err(REBALANCE_IN_PROGRESS));
    assert_eq!(groups.leave("g", &second, now), Ok(()));
    assert_eq!(groups.iter().next().unwrap().1.generation, 3, "nobody of the generation before may commit");
}

#[test]
fn a_join_that_was_not_heard_is_answered_again_and_one_that_says_more_begins_a_round() {
    let now = Instant::now();
    let mut groups = Groups::default();
    let (first, second) = pair(&mut groups, now);
    let Ok(ticket) = rejoin(&mut groups, &second, "second", now) else { panic!("a member may join again") };
    assert_eq!(groups.joined(&ticket).unwrap().unwrap().generation, 2);
    assert_eq!(groups.heartbeat("g", 2, &first, now), Ok(()));
    let Ok(ticket) = rejoin(&mut groups, &second, "second, more", now) else { panic!("a member may join again") };
    assert_eq!(groups.joined(&ticket), None);
    assert_eq!(groups.heartbeat("g", 2, &first, now), Err(REBALANCE_IN_PROGRESS));
    groups.pass_time(now + SESSION);
    assert_eq!(groups.joined(&ticket).unwrap().unwrap().leader, second, "the leader was silent");
}

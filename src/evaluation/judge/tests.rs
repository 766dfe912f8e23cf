use std::sync::Arc;

use super::*;
use crate::simulator::{Background, Failure, Kind, Span};

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

fn node(name: &str) -> Suspect {
    Suspect::Node(name.into())
}

fn pod(name: &str) -> Suspect {
    Suspect::Pod(name.into())
}

/// An hour in which nothing happens.
fn peace() -> Truth {
    Truth {
        kind: Kind::Healthy,
        seed: 1,
        nodes: 4,
        pods: 40,
        from: at(0),
        to: at(3600),
        faults: Vec::new(),
        background: Vec::new(),
        silence: None,
    }
}

/// Two pods fail on node `x`, at 300 and 310.
fn fault() -> Fault {
    let failure = |pod: &str, first| Failure {
        pod: format!("n/{pod}"),
        workload: format!("n/w-{pod}"),
        node: "x".into(),
        first: at(first),
    };
    Fault {
        suspect: node("x"),
        also_right: Vec::new(),
        grew_from: Vec::new(),
        decidable_from: Some(at(310)),
        failing: vec![failure("a", 300), failure("b", 310)],
        began: at(290),
        recovered: None,
    }
}

fn broken() -> Truth {
    Truth { faults: vec![fault()], ..peace() }
}

fn recovered_at(second: i64) -> Truth {
    Truth { faults: vec![Fault { recovered: Some(at(second)), ..fault() }], ..peace() }
}

fn confirmed(second: i64, suspect: &Suspect) -> Told {
    Told::plainly(at(second), suspect, Status::Firing)
}

fn suspected(second: i64, suspect: &Suspect) -> Told {
    Told { verdict: Verdict::Suspected, ..confirmed(second, suspect) }
}

fn resolved(second: i64, suspect: &Suspect) -> Told {
    Told::plainly(at(second), suspect, Status::Resolved)
}

fn superseded(second: i64, suspect: &Suspect, by: &Suspect) -> Told {
    Told { superseded_by: Some(confirmed(0, by).key), ..resolved(second, suspect) }
}

fn resolution(truth: &Truth, told: &[Told]) -> Resolution {
    judge(truth, told).faults[0].resolution
}

#[test]
fn a_right_confirmed_verdict() {
    let judgement = judge(&broken(), &[suspected(312, &node("x")), confirmed(318, &node("x"))]);
    let fault = &judgement.faults[0];
    assert_eq!((judgement.class, fault.found, fault.to_verdict_ms), (Class::Right, Found::Confirmed, Some(8_000)));
    assert_eq!((&fault.messages[..], judgement.right_confirmed), (&[2][..], 1));
    assert!(judgement.is_perfect());
}

#[test]
fn a_slow_verdict_or_a_talkative_incident_can_be_better() {
    let told = |second| [confirmed(second, &node("x"))];
    assert!(judge(&broken(), &told(330)).is_perfect());
    let slow = judge(&broken(), &told(331));
    assert_eq!((slow.class, slow.faults[0].slow_ms(), slow.is_perfect()), (Class::Right, Some(21_000), false));
    let talks = |times: i64| -> Vec<Told> { (0..times).map(|at| confirmed(320 + at, &node("x"))).collect() };
    assert!(judge(&broken(), &talks(3)).is_perfect());
    let talkative = judge(&broken(), &talks(4));
    assert_eq!((talkative.faults[0].talkative(), talkative.is_perfect()), (Some(4), false));
}

#[test]
fn another_name_for_the_cause_is_as_right() {
    let truth = Truth { faults: vec![Fault { also_right: vec![Suspect::Cluster], ..fault() }], ..peace() };
    let judgement = judge(&truth, &[confirmed(305, &Suspect::Cluster), suspected(320, &node("x"))]);
    assert_eq!((judgement.class, judgement.faults[0].to_verdict_ms), (Class::Right, Some(-5_000)));
    assert_eq!((judgement.right_confirmed, judgement.faults[0].messages.len()), (1, 2));
}

#[test]
fn only_suspected_is_an_abstention_and_nothing_a_miss() {
    let judgement = judge(&broken(), &[suspected(312, &node("x"))]);
    assert_eq!((judgement.class, judgement.faults[0].found), (Class::Abstained, Found::Suspected));
    let judgement = judge(&broken(), &[]);
    assert_eq!((judgement.class, judgement.faults[0].found), (Class::Missed, Found::Missed));
}

#[test]
fn what_cannot_be_decided_may_be_left_open() {
    let truth = Truth { faults: vec![Fault { decidable_from: None, ..fault() }], ..peace() };
    for told in [vec![], vec![suspected(312, &node("x"))], vec![confirmed(312, &node("x"))]] {
        assert_eq!(judge(&truth, &told).class, Class::Right);
    }
    assert_eq!(judge(&truth, &[confirmed(312, &node("y"))]).class, Class::Wrong);
}

#[test]
fn a_confirmed_verdict_about_another_is_wrong() {
    let judgement = judge(&broken(), &[confirmed(315, &node("x")), confirmed(320, &node("y"))]);
    assert_eq!((judgement.class, judgement.faults[0].found), (Class::Wrong, Found::Confirmed));
    assert_eq!((judgement.strays(StrayKind::Wrong).count(), judgement.wrong_nodes()), (1, 1));
    let judgement = judge(&broken(), &[confirmed(315, &node("x")), confirmed(320, &Suspect::Workload("n/w".into()))]);
    assert_eq!((judgement.class, judgement.wrong_nodes()), (Class::Wrong, 0));
    // Also where the wrong one was only suspected at last, or resolved.
    let told = [confirmed(315, &node("x")), confirmed(320, &node("y")), resolved(400, &node("y"))];
    assert_eq!(judge(&broken(), &told).class, Class::Wrong);
}

#[test]
fn a_wrong_suspicion_is_extra() {
    let judgement = judge(&broken(), &[confirmed(315, &node("x")), suspected(320, &node("y"))]);
    assert_eq!((judgement.class, judgement.strays(StrayKind::Extra).count()), (Class::Right, 1));
    assert!(!judgement.is_perfect());
    // In peace it is all there is to judge.
    assert_eq!(judge(&peace(), &[suspected(320, &node("y"))]).class, Class::Abstained);
    assert_eq!(judge(&peace(), &[confirmed(320, &node("y"))]).class, Class::Wrong);
    assert_eq!(judge(&peace(), &[]).class, Class::Right);
}

#[test]
fn a_wrong_verdict_that_soon_gives_way_to_the_right_one_is_transient() {
    let told =
        |gone| [confirmed(312, &node("y")), superseded(gone, &node("y"), &node("x")), confirmed(gone, &node("x"))];
    let judgement = judge(&broken(), &told(372));
    assert_eq!((judgement.class, judgement.strays(StrayKind::Transient).count()), (Class::Right, 1));
    assert_eq!(judgement.wrong_nodes(), 1, "it was told all the same");
    assert_eq!(judge(&broken(), &told(373)).class, Class::Wrong);
    let for_a_wrong_one = [confirmed(312, &node("y")), superseded(315, &node("y"), &node("z"))];
    assert_eq!(judge(&broken(), &for_a_wrong_one).class, Class::Wrong);
}

#[test]
fn pods_with_troubles_of_their_own_may_be_told_but_nothing_wider() {
    let background = Background {
        pod: "n/loop".into(),
        workload: "n/w".into(),
        image: "i".into(),
        node: "y".into(),
        why: "crash-looper",
    };
    let truth = Truth { background: vec![background], ..peace() };
    let judgement = judge(&truth, &[confirmed(400, &pod("n/loop"))]);
    assert_eq!((judgement.class, judgement.background), (Class::Right, 1));
    for wider in [Suspect::Workload("n/w".into()), Suspect::Image("i".into()), node("y")] {
        assert_eq!(judge(&truth, &[confirmed(400, &wider)]).class, Class::Wrong, "{wider:?}");
    }
    assert_eq!(judge(&truth, &[confirmed(400, &pod("n/other"))]).class, Class::Wrong);
}

#[test]
fn the_pods_of_a_fault_are_narrow_and_close_with_it() {
    let covered = [confirmed(301, &pod("n/a")), superseded(315, &pod("n/a"), &node("x")), confirmed(315, &node("x"))];
    let judgement = judge(&broken(), &covered);
    assert_eq!((judgement.class, judgement.narrow, judgement.is_perfect()), (Class::Right, 1, true));
    let judgement = judge(&broken(), &[confirmed(301, &pod("n/a")), confirmed(315, &node("x"))]);
    assert_eq!(judgement.complaints, [Complaint::PodLeftOpen { pod: "n/a".into() }]);
    // Where the fault is not found they are all there is.
    let judgement = judge(&broken(), &[confirmed(301, &pod("n/a"))]);
    assert_eq!((judgement.class, judgement.complaints.len()), (Class::Missed, 0));
}

#[test]
fn a_growing_fault_may_be_told_while_it_is_small_but_not_only_then() {
    let pool = Suspect::NodePool("apps".into());
    let grown = Fault { suspect: pool.clone(), grew_from: vec![node("x")], ..fault() };
    // Two more on the next node: from the second of them on it can be known.
    let beyond = |pod: &str, first| Failure {
        pod: pod.into(),
        node: "y".into(),
        first: at(first),
        ..fault().failing[0].clone()
    };
    let failing = [&fault().failing[..], &[beyond("n/c", 380), beyond("n/d", 391)]].concat();
    let truth = Truth { faults: vec![Fault { failing, decidable_from: Some(at(391)), ..grown }], ..peace() };
    let small = confirmed(312, &node("x"));
    let outgrown = [small.clone(), superseded(400, &node("x"), &pool), confirmed(400, &pool)];
    let judgement = judge(&truth, &outgrown);
    assert_eq!((judgement.class, judgement.early, judgement.wrong_nodes()), (Class::Right, 1, 0));
    assert_eq!(judgement.faults[0].to_verdict_ms, Some(9_000));
    assert!(judgement.is_perfect());
    let incident = small.key.to_string();
    let beside = judge(&truth, &[small.clone(), confirmed(400, &pool)]);
    assert_eq!((beside.class, beside.complaints), (Class::Right, vec![Complaint::NotOutgrown { incident }]));
    assert_eq!(judge(&truth, &[small]).class, Class::Missed);
}

#[test]
fn two_faults_are_judged_one_by_one() {
    let mut other = Fault { suspect: Suspect::Workload("n/w".into()), ..fault() };
    other.failing.clear();
    let truth = Truth { faults: vec![fault(), other], ..peace() };
    let judgement = judge(&truth, &[confirmed(315, &node("x"))]);
    let found: Vec<Found> = judgement.faults.iter().map(|fault| fault.found).collect();
    assert_eq!((judgement.class, &found[..]), (Class::Missed, &[Found::Confirmed, Found::Missed][..]));
    let judgement = judge(&truth, &[confirmed(315, &node("x")), confirmed(316, &Suspect::Workload("n/w".into()))]);
    assert_eq!((judgement.class, judgement.faults[1].to_verdict_ms), (Class::Right, None));
}

#[test]
fn an_end_is_told_in_time_or_not() {
    let told = |end| [confirmed(315, &node("x")), resolved(end, &node("x"))];
    let truth = recovered_at(1000);
    assert_eq!(resolution(&truth, &told(1360)), Resolution::InTime(360_000));
    assert_eq!(resolution(&truth, &told(940)), Resolution::InTime(-60_000));
    assert_eq!(resolution(&truth, &told(1361)), Resolution::Late(361_000));
    assert_eq!(resolution(&truth, &told(939)), Resolution::Early(-61_000));
    assert_eq!(resolution(&truth, &[confirmed(315, &node("x"))]), Resolution::Never);
    assert_eq!(resolution(&recovered_at(3241), &[confirmed(315, &node("x"))]), Resolution::NotDue);
    assert_eq!(resolution(&truth, &[]), Resolution::NotDue, "nobody spoke of it");
    // To give way to somebody else is no end.
    let gave_way = [confirmed(315, &node("x")), superseded(1100, &node("x"), &node("y"))];
    assert_eq!(resolution(&truth, &gave_way), Resolution::Never);
}

#[test]
fn nothing_ends_while_the_fault_lasts_or_nobody_is_heard() {
    let told = [confirmed(315, &node("x")), resolved(700, &node("x"))];
    assert_eq!(judge(&broken(), &told).complaints, [Complaint::ResolvedWhileBroken { at: at(700) }]);
    let silent = Truth { silence: Some(Span { from: at(600), to: at(800) }), ..recovered_at(900) };
    assert_eq!(judge(&silent, &told).complaints, [Complaint::ResolvedInSilence { at: at(700) }]);
    let heard_again = [confirmed(315, &node("x")), resolved(950, &node("x"))];
    assert_eq!(judge(&silent, &heard_again).complaints, []);
}

#[test]
fn complains_of_an_unsteady_incident() {
    let x: Arc<str> = confirmed(0, &node("x")).key;
    let incident = || x.to_string();
    let flapping = [confirmed(315, &node("x")), resolved(400, &node("x")), confirmed(420, &node("x"))];
    let complaints = judge(&recovered_at(3500), &flapping).complaints;
    assert_eq!(complaints, [Complaint::Flapped { incident: incident() }]);
    let doubtful = [confirmed(315, &node("x")), suspected(330, &node("x"))];
    assert_eq!(judge(&broken(), &doubtful).complaints, [Complaint::FellBack { incident: incident() }]);
    let given_up = [confirmed(315, &node("x")), superseded(330, &node("x"), &node("y")), confirmed(330, &node("y"))];
    let to = confirmed(0, &node("y")).key.to_string();
    assert_eq!(judge(&broken(), &given_up).complaints, [Complaint::GaveWay { incident: incident(), to }]);
}

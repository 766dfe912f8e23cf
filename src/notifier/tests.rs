use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::alert::{Evidence, FailingPod, Scope, Status, Suspect, Verdict, Window};
use crate::format::Format;
use crate::signature::Severity;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// As `Suspect`'s words have it: `node n1`, `pod shop/a`.
pub(super) fn alert(suspect: Suspect, seconds: i64) -> Alert {
    let pod = |pod: &str| FailingPod {
        namespace: "shop".into(),
        pod: pod.into(),
        workload: "shop/web".into(),
        node: Some("n1".into()),
        signatures: Vec::new(),
    };
    let dedup_key = format!("c/{}/{}", suspect.scope().as_str(), suspect.name());
    Alert {
        schema: crate::alert::SCHEMA.to_owned(),
        id: format!("{dedup_key}#{seconds}"),
        dedup_key,
        status: Status::Firing,
        severity: Severity::Error,
        cluster: "c".into(),
        scope: suspect.scope(),
        suspect,
        verdict: Verdict::Confirmed,
        probability: 0.99,
        summary: "it fails".to_owned(),
        starts_at: at(0),
        updated_at: at(seconds),
        ends_at: None,
        window: Window { from: at(0), to: at(seconds) },
        signals: Vec::new(),
        evidence: Evidence { failing_pods: 2, ..Evidence::default() },
        candidates: Vec::new(),
        failing: vec![pod("a"), pod("b")],
        action: None,
        runbook: None,
        superseded_by: None,
        flapping: false,
        notes: Vec::new(),
    }
}

fn node(seconds: i64) -> Alert {
    alert(Suspect::Node("n1".into()), seconds)
}

fn pod(seconds: i64) -> Alert {
    Alert { severity: Severity::Warning, ..alert(Suspect::Pod("shop/a".into()), seconds) }
}

fn ended(alert: Alert) -> Alert {
    Alert { status: Status::Resolved, ends_at: Some(alert.updated_at), ..alert }
}

fn news(alerts: &[Alert]) -> Outcome {
    Outcome { alerts: alerts.to_vec(), ..Outcome::default() }
}

fn reminder(alert: Alert) -> Outcome {
    Outcome { reminders: vec![alert], ..Outcome::default() }
}

fn output(name: &str, format: Format) -> Output {
    Output { name: name.into(), topic: name.into(), writer: Writer { format, routing_key: None } }
}

fn route(matchers: &[&str], outputs: &[&str], goes_on: bool) -> Route {
    Route {
        matchers: matchers.iter().map(|text| Matcher::parse(text).unwrap()).collect(),
        outputs: outputs.iter().map(|name| (*name).into()).collect(),
        goes_on,
    }
}

fn policy(routes: Vec<Route>, silences: &str) -> Policy {
    let outputs = vec![output("all", Format::Faultline), output("pages", Format::Faultline)];
    let names: Vec<Arc<str>> = outputs.iter().map(|output| Arc::clone(&output.name)).collect();
    let silences = Silences::parse("s.yaml", silences, &names).unwrap_or_else(|errors| panic!("{errors}"));
    Policy { outputs, routes: routes.into(), silences: Arc::new(silences), forget_after: Duration::from_secs(240) }
}

/// Output and id of what was told.
fn told(notifier: &mut Notifier, policy: &Policy, outcome: &Outcome) -> Vec<String> {
    let notices = notifier.take(outcome, policy).notices;
    notices.iter().map(|notice| format!("{} {}", policy.outputs[notice.output].name, notice.message.id)).collect()
}

#[test]
fn without_routes_everything_goes_to_all() {
    let (mut notifier, policy) = (Notifier::default(), policy(Vec::new(), ""));
    assert_eq!(told(&mut notifier, &policy, &news(&[node(5)])), ["all c/node/n1#5", "pages c/node/n1#5"]);
    assert_eq!(told(&mut notifier, &policy, &reminder(node(65))), [""; 0], "nobody wants reminders");
    assert_eq!(told(&mut notifier, &policy, &news(&[ended(node(90))])), ["all c/node/n1#90", "pages c/node/n1#90"]);
    assert!(notifier.is_empty());
    assert_eq!(told(&mut notifier, &policy, &news(&[ended(node(95))])), [""; 0], "nobody knows of it");
}

#[test]
fn the_first_route_that_fits_decides_unless_it_goes_on() {
    let routes = vec![
        route(&["severity=critical"], &["pages"], true),
        route(&["scope=~\"node|node_pool\"", "severity!=info"], &["pages"], false),
        route(&["namespace=shop"], &["all"], false),
        route(&["cluster=c"], &[], false),
    ];
    let policy = policy(routes, "");
    let outputs = |alert: Alert| {
        let notices = Notifier::default().take(&news(&[alert]), &policy);
        let names: Vec<&str> = notices.notices.iter().map(|n| &*policy.outputs[n.output].name).collect();
        (names.join(" "), notices.unrouted)
    };
    assert_eq!(outputs(node(5)), ("pages".to_owned(), 0));
    assert_eq!(outputs(pod(5)), ("all".to_owned(), 0));
    assert_eq!(outputs(Alert { severity: Severity::Critical, ..pod(5) }), ("all pages".to_owned(), 0));
    assert_eq!(outputs(Alert { failing: Vec::new(), ..alert(Suspect::Cluster, 5) }), (String::new(), 1));
    let elsewhere = Alert { cluster: "d".into(), failing: Vec::new(), ..alert(Suspect::Cluster, 5) };
    assert_eq!(outputs(elsewhere), ("all pages".to_owned(), 0), "what no route fits is not lost");
}

#[test]
fn who_was_told_of_the_beginning_is_told_of_the_end_wherever_routes_lead_by_then() {
    let policy = policy(vec![route(&["severity=warning"], &["all"], false), route(&[], &["pages"], false)], "");
    let mut notifier = Notifier::default();
    assert_eq!(told(&mut notifier, &policy, &news(&[pod(5)])), ["all c/pod/shop/a#5"]);
    let worse = |seconds| Alert { severity: Severity::Error, ..pod(seconds) };
    assert_eq!(told(&mut notifier, &policy, &news(&[worse(10)])), ["all c/pod/shop/a#10", "pages c/pod/shop/a#10"]);
    assert_eq!(
        told(&mut notifier, &policy, &news(&[ended(worse(15))])),
        ["all c/pod/shop/a#15", "pages c/pod/shop/a#15"]
    );
}

#[test]
fn what_is_silenced_is_told_when_it_goes_on_after_the_silence() {
    let silences = "silences: [{matchers: [node=n1], until: 1970-01-01T00:01:40Z, outputs: [pages]}]";
    let policy = policy(Vec::new(), silences);
    let mut notifier = Notifier::default();
    let first = notifier.take(&news(&[node(5)]), &policy);
    assert_eq!((first.notices.len(), first.notices[0].output, first.silenced), (1, 0, 1));
    assert_eq!(told(&mut notifier, &policy, &reminder(node(65))), [""; 0]);
    assert_eq!(told(&mut notifier, &policy, &reminder(node(125))), ["pages c/node/n1#125"]);
    assert_eq!(told(&mut notifier, &policy, &reminder(node(185))), [""; 0], "told");

    // A silence that begins later holds back news, not the end.
    let late = policy_with(&policy, "silences: [{matchers: [], until: 2030-01-01T00:00:00Z}]");
    assert_eq!(told(&mut notifier, &late, &news(&[node(200)])), [""; 0]);
    assert_eq!(told(&mut notifier, &late, &news(&[ended(node(300))])), ["all c/node/n1#300", "pages c/node/n1#300"]);
    // Of what began and ended in silence nobody hears.
    assert_eq!(told(&mut notifier, &late, &news(&[node(400)])), [""; 0]);
    assert_eq!(told(&mut notifier, &late, &news(&[ended(node(500))])), [""; 0]);
}

fn policy_with(policy: &Policy, silences: &str) -> Policy {
    let names: Vec<Arc<str>> = policy.outputs.iter().map(|output| Arc::clone(&output.name)).collect();
    Policy { silences: Arc::new(Silences::parse("s", silences, &names).unwrap()), ..policy.clone() }
}

#[test]
fn a_wider_incident_goes_on_under_the_name_that_receivers_know() {
    let outputs =
        vec![output("pd", Format::PagerDuty), output("am", Format::Alertmanager), output("own", Format::Faultline)];
    let policy = Policy { outputs, ..policy(Vec::new(), "") };
    let mut notifier = Notifier::default();
    let narrow = |seconds| Alert { severity: Severity::Error, ..pod(seconds) };
    notifier.take(&news(&[narrow(5)]), &policy);
    let superseded = Alert { superseded_by: Some("c/node/n1".to_owned()), ..ended(narrow(10)) };
    let notices = notifier.take(&news(&[superseded, node(10)]), &policy).notices;
    let ids = |name: &str| -> Vec<&str> {
        let of = notices.iter().filter(|notice| &*policy.outputs[notice.output].name == name);
        of.map(|notice| notice.message.id.as_str()).collect()
    };
    assert_eq!(ids("pd"), ["c/node/n1#10"], "one incident, which is updated");
    assert_eq!(ids("own"), ["c/pod/shop/a#10", "c/node/n1#10"]);
    assert_eq!(ids("am"), ["c/pod/shop/a#10", "c/node/n1#10"]);
    assert_eq!(told(&mut notifier, &policy, &reminder(node(70))), ["am c/node/n1#70"]);
    let end = notifier.take(&news(&[ended(node(100))]), &policy).notices;
    assert_eq!(end.len(), 3);
    assert!(notifier.is_empty());
}

#[test]
fn a_wider_incident_that_is_silenced_ends_nothing_and_is_told_later() {
    let outputs = vec![output("pd", Format::PagerDuty)];
    let policy = Policy { outputs, ..policy(Vec::new(), "") };
    let policy = policy_with(&policy, "silences: [{matchers: [scope=node], until: 1970-01-01T00:01:00Z}]");
    let mut notifier = Notifier::default();
    assert_eq!(told(&mut notifier, &policy, &news(&[pod(5)])).len(), 1);
    let superseded = Alert { superseded_by: Some("c/node/n1".to_owned()), ..ended(pod(10)) };
    assert_eq!(told(&mut notifier, &policy, &news(&[superseded, node(10)])), [""; 0]);
    let later = told(&mut notifier, &policy, &reminder(node(70)));
    assert_eq!(later.last().map(String::as_str), Some("pd c/node/n1#70"));
    assert_eq!(told(&mut notifier, &policy, &reminder(node(130))), [""; 0]);
}

fn only(format: Format) -> Policy {
    Policy { outputs: vec![output("o", format)], ..policy(Vec::new(), "") }
}

fn workload(seconds: i64) -> Alert {
    alert(Suspect::Workload("shop/web".into()), seconds)
}

/// What PagerDuty is asked to do, and under which key.
fn events(notices: &[Notice]) -> Vec<(String, String)> {
    let event = |notice: &Notice| {
        let value: serde_json::Value = serde_json::from_slice(&notice.message.value).unwrap();
        let text = |key: &str| value[key].as_str().unwrap().to_owned();
        (text("event_action"), text("dedup_key"))
    };
    notices.iter().map(event).collect()
}

#[test]
fn no_two_open_incidents_go_by_one_name() {
    let policy = only(Format::PagerDuty);
    let mut notifier = Notifier::default();
    notifier.take(&news(&[workload(5)]), &policy);
    let superseded = Alert { superseded_by: Some("c/node/n1".to_owned()), ..ended(workload(10)) };
    notifier.take(&news(&[superseded, node(10)]), &policy);
    // The node's goes on under the workload's name; now the workload breaks by itself.
    let again = events(&notifier.take(&news(&[workload(600)]), &policy).notices);
    assert_eq!(again, [("trigger".to_owned(), "c/workload/shop/web#600000".to_owned())]);
    let update = events(&notifier.take(&news(&[workload(700)]), &policy).notices);
    assert_eq!(update, again);
    let end = events(&notifier.take(&news(&[ended(workload(900))]), &policy).notices);
    assert_eq!(end, [("resolve".to_owned(), again[0].1.clone())]);
    let end = events(&notifier.take(&news(&[ended(node(950))]), &policy).notices);
    assert_eq!(end, [("resolve".to_owned(), "c/workload/shop/web".to_owned())]);
}

#[test]
fn news_that_a_silence_held_back_is_told_after_it() {
    let policy = only(Format::PagerDuty);
    let silenced = policy_with(&policy, "silences: [{matchers: [node=n1], until: 1970-01-01T00:01:40Z}]");
    let mut notifier = Notifier::default();
    let warning = |seconds| Alert { severity: Severity::Warning, verdict: Verdict::Suspected, ..node(seconds) };
    assert_eq!(notifier.take(&news(&[warning(5)]), &policy).notices.len(), 1);
    let held = notifier.take(&news(&[node(90)]), &silenced);
    assert_eq!((held.notices.len(), held.silenced), (0, 1));
    let after = events(&notifier.take(&reminder(node(150)), &silenced).notices);
    assert_eq!(after.last().unwrap(), &("trigger".to_owned(), "c/node/n1#high".to_owned()));
    assert_eq!(told(&mut notifier, &silenced, &reminder(node(210))), [""; 0], "told");
}

#[test]
fn a_silence_neither_ends_an_alert_in_alertmanager_nor_counts_reminders() {
    let policy = only(Format::Alertmanager);
    let mut notifier = Notifier::default();
    notifier.take(&news(&[node(5)]), &policy);
    let silenced = policy_with(&policy, "silences: [{matchers: [node=n1], until: 2030-01-01T00:00:00Z}]");
    let goes_on = notifier.take(&reminder(node(65)), &silenced);
    assert_eq!((goes_on.notices.len(), goes_on.silenced), (1, 0));
    let other = |seconds| alert(Suspect::Node("n2".into()), seconds);
    let silenced = policy_with(&policy, "silences: [{matchers: [scope=node], until: 2030-01-01T00:00:00Z}]");
    let counts: u64 = std::iter::once(news(&[other(70)]))
        .chain((2..50).map(|minute| reminder(other(minute * 60))))
        .map(|outcome| notifier.take(&outcome, &silenced).silenced)
        .sum();
    assert_eq!(counts, 1);
}

/// Somebody answers a page with a silence, and the instance that takes over knows only the reports.
#[test]
fn what_is_rebuilt_under_a_newer_silence_is_told_the_end() {
    let policy = only(Format::PagerDuty);
    let silenced = policy_with(&policy, "silences: [{matchers: [node=n1], until: 1970-01-01T00:10:00Z}]");
    let mut notifier = Notifier::default();
    notifier.rebuild(&news(&[node(5)]), &silenced);
    let mut still_open = notifier.clone();
    let end = events(&notifier.take(&news(&[ended(node(90))]), &silenced).notices);
    assert_eq!(end, [("resolve".to_owned(), "c/node/n1".to_owned())]);
    // Perhaps it had been silent from the beginning: then nobody knows of it yet.
    assert_eq!(told(&mut still_open, &silenced, &reminder(node(65))), [""; 0]);
    assert_eq!(told(&mut still_open, &silenced, &reminder(node(660))), ["o c/node/n1#660"]);
}

#[test]
fn an_output_that_is_renamed_is_told_of_the_end() {
    let before = only(Format::PagerDuty);
    let mut after = before.clone();
    after.outputs[0].name = "pages".into();
    let mut notifier = Notifier::default();
    notifier.take(&news(&[node(5)]), &before);
    assert_eq!(notifier.take(&news(&[ended(node(900))]), &after).notices.len(), 1);
}

#[test]
fn a_silence_of_the_suspect_holds_however_many_pods_fail() {
    let evidence = Evidence { failing_pods: 150, ..Evidence::default() };
    let many = Alert { evidence, ..workload(5) };
    for matcher in ["workload=shop/web", "namespace=shop"] {
        let text = format!("silences: [{{matchers: ['{matcher}'], until: 2030-01-01T00:00:00Z}}]");
        let silences = Silences::parse("s", &text, &["o".into()]).unwrap();
        assert!(silences.hold_back(&many, "o", at(10)), "{matcher}");
        let wider = Alert { suspect: Suspect::Cluster, ..many.clone() };
        assert!(!silences.hold_back(&wider, "o", at(10)), "{matcher}");
    }
}

/// What happens to incidents over time: key, and what.
#[derive(Clone, Copy, Debug)]
enum Event {
    News(u8),
    Reminder(u8),
    End(u8),
    Widen(u8, u8),
}

fn event() -> impl Strategy<Value = Event> {
    let key = 0..4u8;
    prop_oneof![
        3 => key.clone().prop_map(Event::News),
        3 => key.clone().prop_map(Event::Reminder),
        2 => key.clone().prop_map(Event::End),
        1 => (key.clone(), key).prop_map(|(narrow, wide)| Event::Widen(narrow, wide)),
    ]
}

fn incident(key: u8, seconds: i64) -> Alert {
    let severity = if seconds % 3 == 0 { Severity::Warning } else { Severity::Critical };
    Alert { severity, ..alert(Suspect::Node(format!("n{key}").into()), seconds) }
}

/// Firing messages and ends that each output saw, by the name that it knows the incident by, in order.
type Seen = BTreeMap<(usize, String), Vec<Status>>;

fn note(seen: &mut Seen, notices: Notices) {
    for Notice { output, message, .. } in notices.notices {
        let value: serde_json::Value = serde_json::from_slice(&message.value).unwrap();
        let status = match value["event_action"].as_str().or(value["status"].as_str()) {
            Some("trigger" | "firing") => Status::Firing,
            _ => Status::Resolved,
        };
        seen.entry((output, value["dedup_key"].as_str().unwrap().to_owned())).or_default().push(status);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is silenced when: every end has a beginning, and every beginning its one end.
    #[test]
    fn who_hears_of_a_beginning_hears_of_its_end_once(
        events in prop::collection::vec(event(), 1..60),
        silenced in prop::collection::vec((0..600i64, 1..200i64, 0..4u8), 0..4),
    ) {
        let silence = |&(from, length, key): &(i64, i64, u8)| {
            format!("  - {{matchers: [node=n{key}], from: {}, until: {}}}\n", at(from), at(from + length))
        };
        let text: String = silenced.iter().map(silence).collect();
        let routes = vec![route(&["node=~\"n[01]\""], &["pages"], true), route(&[], &["all"], false)];
        let mut policy = policy(routes, &format!("silences:\n{}", if text.is_empty() { "  []\n" } else { &text }));
        policy.outputs[1].writer.format = Format::PagerDuty;
        let (mut notifier, mut seen, mut open) = (Notifier::default(), Seen::new(), BTreeSet::new());
        let mut now = 0;
        for event in events {
            now += 10;
            // As the correlator has it: no reminder and no end without a beginning.
            let outcome = match event {
                Event::News(key) => { open.insert(key); news(&[incident(key, now)]) }
                Event::Reminder(key) if open.contains(&key) => reminder(incident(key, now)),
                Event::End(key) if open.remove(&key) => news(&[ended(incident(key, now))]),
                Event::Widen(narrow, wide) if narrow != wide && open.contains(&narrow) && open.insert(wide) => {
                    open.remove(&narrow);
                    let heir = incident(wide, now);
                    let narrow = ended(incident(narrow, now));
                    news(&[Alert { superseded_by: Some(heir.dedup_key.clone()), ..narrow }, heir])
                }
                _ => continue,
            };
            note(&mut seen, notifier.take(&outcome, &policy));
        }
        for key in open {
            note(&mut seen, notifier.take(&news(&[ended(incident(key, now + 10))]), &policy));
        }
        prop_assert!(notifier.is_empty());
        for (who, statuses) in seen {
            let mut is_open = false;
            for status in statuses {
                prop_assert!(is_open || status == Status::Firing, "{who:?}: an end without a beginning");
                is_open = status == Status::Firing;
            }
            prop_assert!(!is_open, "{who:?}: never told of the end");
        }
    }
}

#[test]
fn scope_words_are_those_of_alerts() {
    let scopes = [Scope::Pod, Scope::Node, Scope::Workload, Scope::Image, Scope::NodePool, Scope::Cluster];
    assert!(scopes.iter().all(|scope| Matcher::parse(&format!("scope={}", scope.as_str())).is_ok()));
}

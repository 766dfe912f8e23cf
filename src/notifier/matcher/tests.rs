use super::*;
use crate::alert::{Alert, Suspect};
use crate::notifier::tests::alert;

fn holds(text: &str, alert: &Alert, quantifier: Quantifier) -> bool {
    Matcher::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).matches(alert, quantifier)
}

#[test]
fn conditions_hold_of_any_value_or_of_all() {
    let mut alert = alert(Suspect::Node("n1".into()), 5);
    alert.failing[1].namespace = "web".into();
    let cases = [
        ("namespace=shop", true, false),
        ("namespace=~shop|web", true, true),
        (r#"namespace=~"shop|web.*""#, true, true),
        ("namespace!=shop", true, false),
        ("namespace!=other", true, true),
        ("namespace!~\"sh.*\"", true, false),
        ("namespace=~sho", false, false),
        ("node = \"n1\"", true, true),
        ("pod=shop/a", true, false),
        ("workload=shop/web", true, true),
        ("image=\"\"", true, true),
        ("image=~.+", false, false),
        ("severity=error", true, true),
        ("verdict=confirmed", true, true),
        ("cluster!=c", false, false),
    ];
    for (text, any, all) in cases {
        let held = (holds(text, &alert, Quantifier::Any), holds(text, &alert, Quantifier::All));
        assert_eq!(held, (any, all), "{text}");
    }
}

/// A silence must not swallow what an alert has no room to name.
#[test]
fn of_pods_that_are_not_named_nothing_holds_for_all() {
    let mut alert = alert(Suspect::Node("n1".into()), 5);
    alert.evidence.failing_pods = 3;
    for text in ["namespace=shop", "namespace!=web", "workload=~.*"] {
        assert!(holds(text, &alert, Quantifier::Any) && !holds(text, &alert, Quantifier::All), "{text}");
    }
    assert!(holds("scope=node", &alert, Quantifier::All) && holds("node=n1", &alert, Quantifier::All));
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    let cases = [
        ("node", "expected a matcher such as severity=\"critical\" or namespace=~\"shop|web.*\", found `node`"),
        ("node!n1", "expected a matcher such as severity=\"critical\" or namespace=~\"shop|web.*\", found `node!n1`"),
        (
            "node=\"n1",
            "expected a matcher such as severity=\"critical\" or namespace=~\"shop|web.*\", found `node=\"n1`",
        ),
        ("nodes=n1", "unknown label `nodes`; did you mean `node`?"),
        ("rule=~(", "`(` is no valid regex"),
        ("severity=critcal", "severity is never `critcal`; did you mean `critical`?"),
    ];
    for (text, expected) in cases {
        assert_eq!(Matcher::parse(text).unwrap_err(), expected);
    }
    let image = Alert { suspect: Suspect::Image("registry.io/shop:1".into()), ..alert(Suspect::Cluster, 5) };
    for text in [r#"image=~"registry\\.io/.*""#, r#"image=~"registry\.io/.*""#] {
        assert!(holds(text, &image, Quantifier::All), "{text}");
    }
    assert_eq!(Matcher::parse(r#"rule=~"a\d\"b""#).unwrap().to_string(), r#"rule=~"a\d\"b""#);
}

use super::*;
use crate::alert::Suspect;
use crate::notifier::tests::alert;

fn parse(text: &str) -> Result<Silences, String> {
    Silences::parse("s.yaml", text, &["alerts".into(), "pages".into()]).map_err(|errors| errors.to_string())
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn is_held(silences: &Silences, output: &str, now: &str) -> bool {
    silences.hold_back(&alert(Suspect::Node("n1".into()), 5), output, time(now))
}

#[test]
fn a_silence_lasts_from_its_beginning_until_its_end() {
    let text = "
silences:
  - comment: the node is being replaced
    created_by: ann
    matchers: ['node=\"n1\"', 'severity!=critical']
    from: 2026-11-23T08:00:00Z
    until: 2026-11-23T10:00:00+01:00
    outputs: [pages]
";
    let silences = parse(text).unwrap();
    assert_eq!(silences.len(), 1);
    let cases = [
        ("pages", "2026-11-23T07:59:59Z", false),
        ("pages", "2026-11-23T08:00:00Z", true),
        ("pages", "2026-11-23T08:59:59Z", true),
        ("pages", "2026-11-23T09:00:00Z", false),
        ("alerts", "2026-11-23T08:30:00Z", false),
    ];
    for (output, now, held) in cases {
        assert_eq!(is_held(&silences, output, now), held, "{output} {now}");
    }
}

#[test]
fn a_mute_window_comes_again_in_local_time_and_may_end_on_the_next_day() {
    let windows =
        parse("mute_windows: [{matchers: [], days: [fri], between: 22:00-06:00, time_zone: Europe/Berlin}]").unwrap();
    // 2026-11-27 is a Friday; Berlin is an hour ahead then, and two in July.
    let cases = [
        ("2026-11-27T20:59:59Z", false),
        ("2026-11-27T21:00:00Z", true),
        ("2026-11-28T04:59:59Z", true),
        ("2026-11-28T05:00:00Z", false),
        ("2026-11-28T22:00:00Z", false),
        ("2026-07-03T20:00:00Z", true),
    ];
    for (now, held) in cases {
        assert_eq!(is_held(&windows, "alerts", now), held, "{now}");
    }
    let whole = parse("mute_windows: [{matchers: [], days: [sat], between: 00:00-24:00}]").unwrap();
    assert!(is_held(&whole, "alerts", "2026-11-28T00:00:00Z") && is_held(&whole, "alerts", "2026-11-28T23:59:59Z"));
    assert!(!is_held(&whole, "alerts", "2026-11-29T00:00:00Z"));
    let daily = parse("mute_windows: [{matchers: [], between: 12:00-13:00}]").unwrap();
    assert!(is_held(&daily, "alerts", "2026-11-23T12:30:00Z") && !is_held(&daily, "alerts", "2026-11-23T13:00:00Z"));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let text = "
silences:
  - matchers: [nod=n1]
    until: tomorrow
  - matchers: []
    from: 2026-11-23T08:00:00Z
    until: 2026-11-23T08:00:00Z
    outputs: [page]
mute_windows:
  - {days: [friday], between: 22-6, time_zone: Mars/Base}
silence: []
";
    let expected = "\
s.yaml:3: silences[0].matchers[0]: unknown label `nod`; did you mean `node`?
s.yaml:4: silences[0].until: expected a time such as 2026-11-23T08:00:00Z or 2026-11-23T08:00:00+01:00, found `tomorrow`
s.yaml:5: silences[1]: `until` must be later than `from`
s.yaml:8: silences[1].outputs[0]: no output is called `page`; did you mean `pages`?
s.yaml:10: mute_windows[0]: key `matchers` is missing
s.yaml:10: mute_windows[0].days[0]: expected one of mon, tue, wed, thu, fri, sat, sun, found `friday`
s.yaml:10: mute_windows[0].time_zone: expected a time zone of the IANA database such as Europe/Berlin, found `Mars/Base`
s.yaml:10: mute_windows[0].between: expected two times of day such as 22:00-06:00, found `22-6`
s.yaml:11: unknown key `silence`; did you mean `silences`?";
    let mut found: Vec<String> = parse(text).unwrap_err().lines().map(str::to_owned).collect();
    let mut expected: Vec<String> = expected.lines().map(str::to_owned).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

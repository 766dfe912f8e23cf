//! Runs the examples that rules carry, and tells of them in lines or as JUnit XML.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use quick_xml::Writer;

use super::{DONE, FAILED, conditions, counted, load_or_complain, shown_example};
use crate::ruleset::RuleSet;
use crate::scanner::naive::{example_entry, matches_naive};
use crate::signature::{Example, Rule};

/// One example of a rule and what is wrong with it.
struct Outcome {
    /// `match` or `no_match`, and the example.
    name: String,
    failure: Option<String>,
}

/// A rule's examples, in their order.
struct RuleOutcomes {
    id: String,
    place: String,
    outcomes: Vec<Outcome>,
}

/// Runs the examples that the rules carry, each rule by itself; a line for each rule on `out`, and the total: [`DONE`],
/// [`FAILED`] with each example that went wrong, or [`BAD_RULES`](super::BAD_RULES).
pub fn test(directory: &Path, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    test_to(directory, None, out, err)
}

/// What [`test()`] does, and the same as JUnit XML in the file `junit`: a test suite for each rule, a case for each example.
/// [`FAILED`] where it cannot be written.
pub fn test_to(directory: &Path, junit: Option<&Path>, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let rules = match load_or_complain(directory, err)? {
        Ok(rules) => rules,
        Err(code) => return Ok(code),
    };
    let tested = run(&rules);
    for rule in tested.iter().filter(|rule| !rule.outcomes.iter().any(|outcome| outcome.name.starts_with("match"))) {
        writeln!(err, "{}warning: rule {} has no `tests.match` to be tried on", rule.place, rule.id)?;
    }
    let code = write_lines(&tested, out)?;
    let Some(file) = junit else { return Ok(code) };
    match junit_xml(&tested).and_then(|xml| fs::write(file, xml)) {
        Ok(()) => Ok(code),
        Err(error) => {
            writeln!(err, "cannot write {}: {error}", file.display())?;
            Ok(FAILED)
        }
    }
}

fn run(rules: &RuleSet) -> Vec<RuleOutcomes> {
    let of_rule = |(index, rule): (usize, &Rule)| RuleOutcomes {
        id: rule.id.to_string(),
        place: rules.origin(index).map(|origin| format!("{origin}: ")).unwrap_or_default(),
        outcomes: expectations(rule).map(|(example, should_match)| outcome(rule, example, should_match)).collect(),
    };
    rules.rules().iter().enumerate().map(of_rule).collect()
}

fn outcome(rule: &Rule, example: &Example, should_match: bool) -> Outcome {
    let expected = if should_match { "match" } else { "no_match" };
    let name = format!("{expected}: {}", shown_example(example));
    Outcome { name, failure: failure(rule, example, should_match) }
}

fn expectations(rule: &Rule) -> impl Iterator<Item = (&Example, bool)> {
    let matching = rule.examples.matching.iter().map(|example| (example, true));
    matching.chain(rule.examples.not_matching.iter().map(|example| (example, false)))
}

fn failure(rule: &Rule, example: &Example, should_match: bool) -> Option<String> {
    let entry = example_entry(rule, example);
    if matches_naive(rule, &entry) == should_match {
        return None;
    }
    if !should_match {
        return Some(format!("must not match, but does: {}", shown_example(example)));
    }
    let missing = conditions(rule, &entry).into_iter().filter(|condition| !condition.holds);
    let missing = missing.map(|condition| condition.text).collect::<Vec<_>>().join(", ");
    let why = if missing.is_empty() { "it has nothing for such an entry" } else { &missing };
    Some(format!("must match, but does not ({why}): {}", shown_example(example)))
}

impl RuleOutcomes {
    fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.failure.is_some()).count()
    }
}

fn write_lines(tested: &[RuleOutcomes], out: &mut dyn Write) -> io::Result<u8> {
    for rule in tested {
        let examples = counted(rule.outcomes.len(), "example");
        match rule.failed() {
            0 => writeln!(out, "ok      {}: {examples}", rule.id)?,
            failed => writeln!(out, "FAILED  {}: {failed} of {examples}", rule.id)?,
        }
        for failure in rule.outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()) {
            writeln!(out, "{}rule {}: {failure}", rule.place, rule.id)?;
        }
    }
    let (examples, failures) = totals(tested);
    let counts = format!("{} of {}", counted(examples, "example"), counted(tested.len(), "rule"));
    if failures > 0 {
        writeln!(out, "{counts}: {failures} failed")?;
        return Ok(FAILED);
    }
    writeln!(out, "{counts}: all as expected")?;
    Ok(DONE)
}

fn totals(tested: &[RuleOutcomes]) -> (usize, usize) {
    let examples = tested.iter().map(|rule| rule.outcomes.len()).sum();
    (examples, tested.iter().map(RuleOutcomes::failed).sum())
}

/// JUnit's XML has no one schema; these are the parts that all its readers know.
fn junit_xml(tested: &[RuleOutcomes]) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.get_mut().extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (examples, failures) = totals(tested);
    let (examples, failures) = (examples.to_string(), failures.to_string());
    let suites = writer.create_element("testsuites");
    let suites = suites.with_attributes([("name", "rules"), ("tests", examples.as_str()), ("failures", &failures)]);
    suites.write_inner_content(|writer| tested.iter().try_for_each(|rule| write_suite(writer, rule)))?;
    writer.get_mut().push(b'\n');
    Ok(writer.into_inner())
}

fn write_suite(writer: &mut Writer<Vec<u8>>, rule: &RuleOutcomes) -> io::Result<()> {
    let (tests, failures) = (rule.outcomes.len().to_string(), rule.failed().to_string());
    let suite = writer.create_element("testsuite");
    let suite = suite.with_attributes([("name", rule.id.as_str()), ("tests", &tests), ("failures", &failures)]);
    suite
        .write_inner_content(|writer| rule.outcomes.iter().try_for_each(|outcome| write_case(writer, rule, outcome)))?;
    Ok(())
}

fn write_case(writer: &mut Writer<Vec<u8>>, rule: &RuleOutcomes, outcome: &Outcome) -> io::Result<()> {
    let name = xml_text(&outcome.name);
    let case = writer.create_element("testcase").with_attributes([("classname", rule.id.as_str()), ("name", &name)]);
    let Some(failure) = &outcome.failure else { return case.write_empty().map(|_| ()) };
    let message = xml_text(&format!("{}{failure}", rule.place));
    case.write_inner_content(|writer| {
        writer.create_element("failure").with_attribute(("message", message.as_str())).write_empty().map(|_| ())
    })?;
    Ok(())
}

/// XML has no place for these two, however they are escaped; control characters are escaped already.
fn xml_text(text: &str) -> String {
    text.replace(['\u{FFFE}', '\u{FFFF}'], "\u{FFFD}")
}

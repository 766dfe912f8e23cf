//! What a person sees of the demo.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::cast::Cast;
use crate::alert::{Alert, Scope, Status, Verdict};
use crate::scenario::{Scenario, ScenarioRecord, Stream};
use crate::time::Timestamp;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Writes to stdout; colours are taken out where that is no terminal.
pub(super) struct Show {
    out: anstream::AutoStream<io::Stdout>,
    begin: Timestamp,
    rollout_told: bool,
    failures_told: usize,
    alerted: bool,
}

impl Show {
    pub fn new(begin: Timestamp) -> Self {
        Show { out: anstream::stdout(), begin, rollout_told: false, failures_told: 0, alerted: false }
    }

    pub fn opening(&mut self, broker: &str, cast: &Cast) -> io::Result<()> {
        writeln!(self.out, "{BOLD}faultline demo{BOLD:#}: the founding case, live on an embedded broker at {broker}")?;
        writeln!(
            self.out,
            "{DIM}A rollout on AKS: {} pods on {} nodes. One Windows node cannot start processes, and counts as healthy.{DIM:#}\n",
            cast.pods(),
            cast.nodes.len()
        )
    }

    pub fn history(&mut self, records: &[ScenarioRecord]) -> io::Result<()> {
        let logs = records.iter().filter(|record| record.stream == Stream::Logs).count();
        let events = records.len() - logs;
        self.line(self.begin, &format!("5 minutes of history: {logs} log records, {events} events; all is well"))
    }

    /// Tells of what has happened in the scenario by now, each thing once.
    pub fn moments(&mut self, scenario: &Scenario, now: Timestamp) -> io::Result<()> {
        if !self.rollout_told && now >= scenario.turning_point {
            self.rollout_told = true;
            self.line(now, "a rollout begins: sitecore/cd and sitecore/xdbcollection get new pods")?;
        }
        while let Some(pod) = scenario.truth.failing.get(self.failures_told).filter(|pod| pod.first_failure <= now) {
            self.failures_told += 1;
            let text = format!("{BAD}✗{BAD:#} {}/{} on {} fails to start", pod.namespace, pod.pod, pod.node);
            self.line(now, &text)?;
        }
        Ok(())
    }

    pub fn alert(&mut self, alert: &Alert, scenario: &Scenario, now: Timestamp) -> io::Result<()> {
        let status = match (alert.status, self.alerted) {
            (Status::Resolved, _) => "resolved",
            (Status::Firing, false) => "ALERT",
            (Status::Firing, true) => "alert again",
        };
        let mut text = format!("{BAD}▶ {status}{BAD:#} {BOLD}{}{BOLD:#}", alert.summary);
        if let Some(second) = scenario.truth.second_failure()
            && !self.alerted
        {
            let seconds = now.since(second).as_secs_f64();
            text.push_str(&format!("\n         {seconds:.1} s after the second failing pod"));
        }
        self.alerted = true;
        self.line(now, &text)
    }

    /// Nodes × pods with the failing ones marked, and the alert in plain words.
    pub fn finale(&mut self, cast: &Cast, scenario: &Scenario, alerts: &[Alert]) -> io::Result<()> {
        let failing = scenario.truth.failing.iter();
        self.matrix(cast, &failing.map(|pod| format!("{}/{}", pod.namespace, pod.pod)).collect())?;
        match alerts.last() {
            Some(alert) => self.verdict(alert),
            None => writeln!(self.out, "\n{BAD}No alert came.{BAD:#}"),
        }
    }

    fn matrix(&mut self, cast: &Cast, failing: &BTreeSet<String>) -> io::Result<()> {
        writeln!(
            self.out,
            "\n{DIM}node                            pool   pods ({DIM:#}{GOOD}●{GOOD:#}{DIM} runs, {DIM:#}{BAD}✗{BAD:#}{DIM} fails){DIM:#}"
        )?;
        for (node, pods) in &cast.nodes {
            let alive = || pods.iter().filter(|pod| !cast.stopped.contains(*pod));
            let name_style = if alive().any(|pod| failing.contains(pod)) { BAD } else { Style::new() };
            write!(self.out, "{name_style}{node:<31}{name_style:#} {:<6} ", Cast::pool(node))?;
            for (workload, marks) in by_workload(alive(), failing) {
                write!(self.out, "{DIM}{workload}{DIM:#} ")?;
                for fails in marks {
                    let (style, mark) = if fails { (BAD, '✗') } else { (GOOD, '●') };
                    write!(self.out, "{style}{mark}{style:#}")?;
                }
                write!(self.out, "  ")?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }

    fn verdict(&mut self, alert: &Alert) -> io::Result<()> {
        let sure = match alert.verdict {
            Verdict::Confirmed => "confirmed",
            Verdict::Suspected => "suspected",
        };
        let out = &mut self.out;
        writeln!(
            out,
            "\n{BOLD}Where the fault is:{BOLD:#} {BAD}{} {}{BAD:#}, {sure}, probability {:.3}",
            words(alert.scope),
            alert.suspect.name(),
            alert.probability
        )?;
        for signal in &alert.signals {
            let codes: Vec<String> = signal.meaning.iter().map(|(code, name)| format!("{code} = {name}")).collect();
            let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
            writeln!(out, "  {:>3} × {}{codes} in {} pods", signal.matches, signal.signature, signal.pods)?;
        }
        for other in alert.candidates.iter().filter(|candidate| candidate.suspect != alert.suspect).take(2) {
            let suspect = format!("{} {}", words(other.scope), other.suspect.name());
            writeln!(out, "  {DIM}less likely: {} ({:.3}){DIM:#}", suspect.trim_end(), other.probability)?;
        }
        for note in &alert.notes {
            writeln!(out, "  {DIM}note: {note}{DIM:#}")?;
        }
        if let Some(action) = &alert.action {
            writeln!(out, "{BOLD}What to do:{BOLD:#}")?;
            for line in action.lines() {
                writeln!(out, "  {line}")?;
            }
        }
        Ok(())
    }

    fn line(&mut self, at: Timestamp, text: &str) -> io::Result<()> {
        let seconds = at.since(self.begin).as_secs_f64();
        writeln!(self.out, "{DIM}{seconds:6.1} s{DIM:#} {text}")?;
        self.out.flush()
    }
}

fn words(scope: Scope) -> &'static str {
    match scope {
        Scope::NodePool => "node pool",
        scope => scope.as_str(),
    }
}

/// Whether each pod fails, by workload.
fn by_workload<'p>(pods: impl Iterator<Item = &'p String>, failing: &BTreeSet<String>) -> BTreeMap<String, Vec<bool>> {
    let mut marks: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for pod in pods {
        let (namespace, name) = pod.split_once('/').unwrap_or(("", pod));
        let workload = crate::names::workload(None, namespace, name, None);
        let workload = workload.rsplit('/').next().unwrap_or_default().to_owned();
        marks.entry(workload).or_default().push(failing.contains(pod));
    }
    marks
}

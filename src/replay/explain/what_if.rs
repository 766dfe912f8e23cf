//! What would change a verdict, in words.

use std::io::{self, Write};

use super::words::{counted, probability};
use super::{BOLD, DIM};
use crate::alert::{Alert, Scope, Suspect, Verdict};
use crate::correlator::{Comparison, Explained, VerdictSetting};
use crate::localizer::{Change, MOST_RUNNING, Ranked, WhatIf};

pub fn write(out: &mut dyn Write, alert: &Alert, explained: &Explained, comparison: &Comparison) -> io::Result<()> {
    writeln!(out, "\n{BOLD}What would change it{BOLD:#} {DIM}(each computed by itself){DIM:#}")?;
    if let Some(span) = explained.setting.watched_less_than {
        writeln!(out, "  once the cluster is watched for {} s: verdicts may be confirmed", span.as_secs())?;
    }
    for answer in &comparison.what_if {
        let consequence = consequence(alert, answer, &explained.setting);
        writeln!(out, "  {}: {consequence}", change_words(&answer.change, &alert.suspect))?;
    }
    Ok(())
}

fn change_words(change: &Change, suspect: &Suspect) -> String {
    match change {
        Change::OthersFailOnNode { node, pods: 1 } => format!("a pod of a further workload on {node} fails alike"),
        Change::OthersFailOnNode { node, pods } => format!("{pods} pods of further workloads on {node} fail alike"),
        Change::SiblingsFail { workload, pods: 1, running: 1 } => {
            format!("the other pod of {workload}, on another node, fails alike")
        }
        Change::SiblingsFail { workload, pods: 1, running: 0 } => {
            format!("a pod of {workload} on another node fails alike")
        }
        Change::SiblingsFail { workload, pods: 1, running } => {
            format!("one of the {running} pods of {workload} that run well, on another node, fails alike")
        }
        Change::SiblingsFail { workload, pods, running } if pods < running => {
            format!("{pods} of the {running} pods of {workload} that run well, on other nodes, fail alike")
        }
        Change::SiblingsFail { workload, pods, running } if pods == running => {
            format!("all {pods} pods of {workload} that run well, on other nodes, fail alike")
        }
        Change::SiblingsFail { workload, pods, .. } => {
            format!("{pods} pods of {workload} on other nodes fail alike")
        }
        Change::StrayFails => "a pod of another workload on another node fails alike".to_owned(),
        Change::MoreRunWell { pods: MOST_RUNNING } => {
            format!("even {MOST_RUNNING} more pods {} well", run_inside(suspect, MOST_RUNNING))
        }
        Change::MoreRunWell { pods } => format!("{} {} well", counted(*pods, "more pod"), run_inside(suspect, *pods)),
        Change::NodeAccusesItself { node } => format!("{node} accuses itself (NodeNotReady, a kernel error)"),
        Change::NodeIsSilent { node } => format!("{node} had not accused itself"),
        Change::WithoutWorkload { workload, pods } => {
            format!("without {workload} ({}), as another story", counted(*pods, "failing pod"))
        }
        Change::WithoutNode { node, pods } => {
            format!("without {node} ({}), as another story", counted(*pods, "failing pod"))
        }
        Change::BeganTogether => "if they were known to have begun within a minute of each other".to_owned(),
        Change::FailAgain => "if they were new failures and seen to fail again".to_owned(),
    }
}

fn run_inside(suspect: &Suspect, pods: u64) -> String {
    let verb = if pods == 1 { "runs" } else { "run" };
    let inside = match suspect {
        Suspect::Pod(_) | Suspect::Cluster => "in the cluster".to_owned(),
        Suspect::Node(name) => format!("on {name}"),
        Suspect::Workload(name) => format!("of {name}"),
        Suspect::Image(name) => format!("of image {name}"),
        Suspect::NodePool(name) => format!("in node pool {name}"),
    };
    format!("{inside} {verb}")
}

fn consequence(alert: &Alert, answer: &WhatIf, setting: &VerdictSetting) -> String {
    let then = &answer.then;
    let sure = standing(then, setting);
    let mut words = if then.suspect == alert.suspect {
        let was = alert.verdict == Verdict::Confirmed;
        let still = if was == is_confirmed(then, setting) { "still " } else { "" };
        match (probability(alert.probability), probability(then.probability)) {
            (before, after) if before == after => format!("{before} as before, {still}{sure}"),
            (before, after) => format!("{before} → {after}, {still}{sure}"),
        }
    } else if then.suspect.scope() == Scope::Pod {
        format!("nothing in common any more ({})", probability(then.probability))
    } else {
        format!("{} instead, {} {sure}", then.suspect.in_words(), probability(then.probability))
    };
    if let Some(beside) = &answer.beside {
        let (suspect, shown) = (beside.suspect.in_words(), probability(beside.probability));
        words.push_str(&format!("; beside it {suspect}, {shown} {}", standing(beside, setting)));
    }
    words
}

fn is_confirmed(ranked: &Ranked, setting: &VerdictSetting) -> bool {
    ranked.guarded && ranked.probability >= setting.min_probability
}

fn standing(ranked: &Ranked, setting: &VerdictSetting) -> &'static str {
    match is_confirmed(ranked, setting) {
        true => "confirmed",
        false if ranked.probability >= setting.min_probability => "suspected, as a guard stands against it",
        false => "suspected",
    }
}

//! Why an alert says what it says, as text for a person at three in the morning.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;
use comfy_table::{CellAlignment, Table, presets};

use crate::alert::{Alert, Scope, Status, Suspect, Verdict};
use crate::correlator::{Comparison, Explained, LeftOut, Manner, Reason, Speaker, State, Witness, Witnesses};
use crate::localizer::{Account, Doubt, Hypothesis, Refused};

mod what_if;
mod words;

use words::{clock, counted, factor, joined, list, probability, weight};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Rows of the table of hypotheses, and of the pods; what is beyond is counted.
const MOST_HYPOTHESES: usize = 10;
const MOST_REFUSED: usize = 3;
const MOST_SPEAKERS: usize = 12;
const MOST_WORKLOADS: usize = 6;
const MOST_SIBLINGS: usize = 6;
const MOST_NODES: usize = 3;
const MOST_LEFT_OUT: usize = 6;

/// Writes the explanation of an alert, with colours; they are for the writer to take out.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut dyn Write, alert: &Alert, explained: &Explained) -> io::Result<()> {
    headline(out, alert)?;
    match (&explained.comparison, alert.status) {
        (_, Status::Resolved) => {
            for note in &alert.notes {
                writeln!(out, "{note}")?;
            }
        }
        (Some(comparison), _) => {
            writeln!(out, "{}", verdict_words(alert, explained, &comparison.account))?;
            hypotheses(out, comparison)?;
        }
        (None, _) => writeln!(
            out,
            "No failing pod speaks for or against it: the node's own signals do ({}).",
            joined(alert.signals.iter().map(|signal| signal.signature.to_string()))
        )?,
    }
    speakers(out, explained, alert.status)?;
    if let Some(comparison) = &explained.comparison {
        witnesses(out, &alert.suspect, explained, &comparison.witnesses)?;
        left_out(out, &comparison.left_out)?;
        what_if::write(out, alert, explained, comparison)?;
    }
    writeln!(out)
}

fn headline(out: &mut dyn Write, alert: &Alert) -> io::Result<()> {
    let status = match alert.status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
    };
    let (verdict, suspect) = (verdict(alert.verdict), alert.suspect.in_words());
    let shown = probability(alert.probability);
    writeln!(out, "{BOLD}{}  {status}  {suspect}, {verdict}, probability {shown}{BOLD:#}", alert.updated_at)?;
    writeln!(out, "{DIM}{}{DIM:#}", alert.dedup_key)?;
    writeln!(out, "{}", alert.summary)
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Confirmed => "confirmed",
        Verdict::Suspected => "suspected",
    }
}

/// Why it is confirmed, or what stands against that.
fn verdict_words(alert: &Alert, explained: &Explained, account: &Account) -> String {
    let setting = &explained.setting;
    let least = setting.min_probability;
    if alert.verdict == Verdict::Confirmed {
        return format!("Confirmed: {} is at least {least}, and no guard stands against it.", alert.probability);
    }
    let mut doubts = Vec::new();
    if alert.probability < least {
        doubts.push(format!("{} is below {least}", alert.probability));
    }
    let best = account.hypotheses.iter().find(|hypothesis| hypothesis.suspect == alert.suspect);
    if let Some(doubt) = best.and_then(|best| best.guard.err()) {
        doubts.push(doubt_words(doubt));
    }
    if let Some(span) = setting.watched_less_than {
        doubts.push(format!("the cluster was watched for less than {} s", span.as_secs()));
    }
    let colon = if doubts.is_empty() { "" } else { ": " };
    format!("Suspected, not confirmed{colon}{}.", doubts.join("; "))
}

fn doubt_words(doubt: Doubt) -> String {
    match doubt {
        Doubt::FewWorkloads { workloads } => format!("only {workloads} workloads fail"),
        Doubt::MereCrashes => "programs that crashed only once".to_owned(),
        Doubt::Old => "few, and failing for long already".to_owned(),
        Doubt::OnePod => "one failing pod only".to_owned(),
        Doubt::OneWorkload => "one workload only".to_owned(),
        Doubt::OneNode => "on one node only".to_owned(),
        Doubt::FewOfMany { failing, exposed } => format!("only {failing} of {exposed} that run were struck"),
        Doubt::NarrowlyStruck { nodes, of } => format!("struck in {nodes} of {}", counted(of as u64, "node")),
        Doubt::NobodyKnownWell => "nobody is known to run well".to_owned(),
    }
}

fn hypotheses(out: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    let account = &comparison.account;
    let compared = match comparison.manner {
        Manner::Starting => "they failed to start: compared with pods that started since, and siblings elsewhere",
        Manner::Running => "they were struck while they ran: compared with all that run",
        Manner::Unknown => "they failed when the watch began: compared with all that run",
    };
    writeln!(out, "\n{BOLD}Hypotheses{BOLD:#} {DIM}({compared}){DIM:#}")?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "SUSPECT",
        "FAIL INSIDE",
        "FAIL ELSEWHERE",
        "PRIOR",
        "LIKELIHOOD",
        "COINCIDENCE",
        "PROBABILITY",
        "GUARD",
    ]);
    for column in 1..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let first = account.hypotheses.first().map_or(0.0, |first| first.ln_likelihood);
    for hypothesis in account.hypotheses.iter().take(MOST_HYPOTHESES) {
        table.add_row(row(hypothesis, first));
    }
    indented(out, &table)?;
    let rest = account.hypotheses.get(MOST_HYPOTHESES..).unwrap_or_default();
    if !rest.is_empty() {
        let sum = rest.iter().map(|hypothesis| hypothesis.probability).sum();
        writeln!(out, "  {} more, together {}", rest.len(), probability(sum))?;
    }
    footnotes(out, account)
}

fn row(hypothesis: &Hypothesis, first: f64) -> [String; 8] {
    let evidence = hypothesis.evidence;
    let alone = hypothesis.suspect.scope() == Scope::Pod;
    let (suspect, inside, elsewhere) = if alone {
        let (failing, exposed) = (evidence.failing_elsewhere + 1, evidence.exposed_elsewhere + 1);
        ("nothing in common".to_owned(), String::new(), format!("{failing} of {exposed}"))
    } else {
        (
            hypothesis.suspect.in_words(),
            format!("{} of {}", evidence.failing_pods, evidence.exposed_pods),
            format!("{} of {}", evidence.failing_elsewhere, evidence.exposed_elsewhere),
        )
    };
    let guard = match hypothesis.guard {
        Ok(()) => "ok".to_owned(),
        Err(doubt) => doubt_words(doubt),
    };
    [
        suspect,
        inside,
        elsewhere,
        weight(hypothesis.prior),
        factor(hypothesis.ln_likelihood - first),
        factor(hypothesis.ln_coincidence),
        probability(hypothesis.probability),
        guard,
    ]
}

fn footnotes(out: &mut dyn Write, account: &Account) -> io::Result<()> {
    let mut notes = vec!["probability ∝ prior × likelihood (compared with the first row) × coincidence".to_owned()];
    for accused in account.hypotheses.iter().filter(|hypothesis| hypothesis.accuses_itself).take(3) {
        notes.push(format!("{} accuses itself, which raises its prior", accused.suspect.in_words()));
    }
    if account.machine_like < 1.0 {
        notes.push(format!(
            "the signature is a program's own crash, which says little of machines: priors of nodes and pools {}",
            factor(account.machine_like.ln())
        ));
    }
    for hypothesis in account.hypotheses.iter().filter(|hypothesis| !hypothesis.same_pods.is_empty()).take(3) {
        let wider = joined(hypothesis.same_pods.iter().map(Suspect::in_words));
        notes.push(format!("{} holds the same pods as {wider}, and speaks for it", hypothesis.suspect.in_words()));
    }
    if account.coincidence < 1.0 {
        notes.push(format!(
            "coincidence: each cause beyond the first, that they fail alike at the same time, {}",
            factor(account.coincidence.ln())
        ));
    }
    // An image that one workload runs is that workload.
    let is_telling = |refused: &&Refused| !matches!(refused.suspect, Suspect::Image(_)) || refused.workloads > 1;
    let refused: Vec<&Refused> = account.refused.iter().filter(is_telling).collect();
    if !refused.is_empty() {
        let words = refused.iter().take(MOST_REFUSED).map(|refused| refused_words(refused));
        notes.push(format!("not considered: {}", list(words, refused.len(), "; ")));
    }
    if !account.set_aside.is_empty() {
        notes.push(format!(
            "set aside, as another fault at the same time: the failing pods of {}",
            joined(account.set_aside.iter().map(Suspect::in_words))
        ));
    }
    if account.trust < 0.9995 {
        notes.push(format!(
            "the alert's probability is that of the table × {}: the failures can also be read as another set of faults",
            probability(account.trust)
        ));
    }
    for note in notes {
        writeln!(out, "  {DIM}{note}{DIM:#}")?;
    }
    Ok(())
}

fn refused_words(refused: &Refused) -> String {
    let suspect = refused.suspect.in_words();
    match refused.all_nodes {
        Some(all) if refused.nodes < 2 || refused.nodes * 2 < all => {
            format!("{suspect} (struck in {} of {})", refused.nodes, counted(all as u64, "node"))
        }
        _ => {
            let (workloads, nodes) =
                (counted(refused.workloads as u64, "workload"), counted(refused.nodes as u64, "node"));
            format!("{suspect} (only {workloads} on {nodes})")
        }
    }
}

fn speakers(out: &mut dyn Write, explained: &Explained, status: Status) -> io::Result<()> {
    let all = explained.speakers.len() + explained.more_speakers;
    if all == 0 {
        return Ok(());
    }
    let title = if status == Status::Firing { "Pods that speak for it" } else { "Its pods" };
    writeln!(out, "\n{BOLD}{title}{BOLD:#} {DIM}({all}){DIM:#}")?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["POD", "NODE", "FAILS SINCE", "MATCHES", "SIGNATURES", ""]);
    for speaker in explained.speakers.iter().take(MOST_SPEAKERS) {
        table.add_row(speaker_row(speaker, status));
    }
    indented(out, &table)?;
    if all > MOST_SPEAKERS {
        writeln!(out, "  {} more", all - MOST_SPEAKERS)?;
    }
    Ok(())
}

fn speaker_row(speaker: &Speaker, status: Status) -> [String; 6] {
    let state = match speaker.state {
        State::Fails if status == Status::Resolved => "was failing",
        State::Fails if !speaker.counted => "joined later",
        State::Fails => "",
        State::RunsAgain => "runs again",
        State::Gone => "is gone",
    };
    [
        speaker.pod.to_string(),
        speaker.node.as_deref().unwrap_or("?").to_owned(),
        clock(speaker.first),
        speaker.matches.to_string(),
        joined(speaker.signatures.iter().map(ToString::to_string)),
        state.to_owned(),
    ]
}

fn witnesses(out: &mut dyn Write, suspect: &Suspect, explained: &Explained, all: &Witnesses) -> io::Result<()> {
    let total: u64 = all.alike.iter().map(|witness| witness.count).sum::<u64>() + all.others;
    writeln!(out, "\n{BOLD}Comparable pods that run well{BOLD:#} {DIM}({total}){DIM:#}")?;
    let is_inside = |witness: &&Witness| matches!(suspect, Suspect::Node(node) if witness.node.as_ref() == Some(node));
    let is_sibling = |witness: &&Witness| explained.speakers.iter().any(|pod| pod.workload == witness.workload);
    let (inside, outside): (Vec<_>, Vec<_>) = all.alike.iter().partition(is_inside);
    let (siblings, others): (Vec<_>, Vec<_>) = outside.into_iter().partition(is_sibling);
    match suspect {
        Suspect::Node(node) => {
            writeln!(out, "  on {node}, against it: {}", by_workload(&inside))?;
            writeln!(out, "  siblings elsewhere, for it: {}", counted_or_none(&siblings))?;
        }
        Suspect::Workload(workload) => {
            writeln!(out, "  of {workload}, against it: {}", counted_or_none(&siblings))?;
        }
        _ => writeln!(out, "  siblings of the failing pods: {}", counted_or_none(&siblings))?,
    }
    by_node(out, &siblings)?;
    if !matches!(suspect, Suspect::Node(_)) {
        writeln!(out, "  others on the nodes of failing pods: {}", by_workload(&others))?;
    }
    let rest = all.others + if matches!(suspect, Suspect::Node(_)) { count(&others) } else { 0 };
    if rest > 0 { writeln!(out, "  of other workloads on other nodes: {rest}") } else { Ok(()) }
}

fn count(witnesses: &[&Witness]) -> u64 {
    witnesses.iter().map(|witness| witness.count).sum()
}

fn counted_or_none(witnesses: &[&Witness]) -> String {
    if witnesses.is_empty() { "none".to_owned() } else { count(witnesses).to_string() }
}

/// By workload, those with most pods first.
fn grouped<'w>(witnesses: &[&'w Witness]) -> Vec<(&'w str, Vec<&'w Witness>)> {
    let mut groups: BTreeMap<&str, Vec<&Witness>> = BTreeMap::new();
    for witness in witnesses {
        groups.entry(&witness.workload).or_default().push(witness);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(count(group)));
    groups
}

/// `6: 5 of shop/api, 1 of shop/web`.
fn by_workload(witnesses: &[&Witness]) -> String {
    let groups = grouped(witnesses);
    let words = groups.iter().take(MOST_WORKLOADS).map(|(workload, group)| format!("{} of {workload}", count(group)));
    match groups.len() {
        0 => "none".to_owned(),
        all => format!("{}: {}", count(witnesses), list(words, all, ", ")),
    }
}

/// A line for each workload: where its pods run, by name where that is few.
fn by_node(out: &mut dyn Write, witnesses: &[&Witness]) -> io::Result<()> {
    let groups = grouped(witnesses);
    for (workload, group) in groups.iter().take(MOST_SIBLINGS) {
        let place = |witness: &&Witness| {
            let node = witness.node.as_deref().unwrap_or("an unknown node");
            match &witness.names[..] {
                [name] if witness.count == 1 => format!("{name} on {node}"),
                _ => format!("{} on {node}", witness.count),
            }
        };
        let places = match group.len() {
            1..=MOST_NODES => joined(group.iter().map(place)),
            nodes => format!("on {nodes} nodes"),
        };
        writeln!(out, "    {} of {workload}: {places}", count(group))?;
    }
    let more = groups.get(MOST_SIBLINGS..).unwrap_or_default();
    if !more.is_empty() {
        let pods = more.iter().map(|(_, group)| count(group)).sum();
        let workloads = counted(more.len() as u64, "more workload");
        writeln!(out, "    {} of {workloads}", counted(pods, "pod"))?;
    }
    Ok(())
}

fn left_out(out: &mut dyn Write, left_out: &LeftOut) -> io::Result<()> {
    let LeftOut { pods, more, recovered } = left_out;
    let all = pods.len() + more;
    if all + recovered == 0 {
        return Ok(());
    }
    writeln!(out, "\n{BOLD}Left out{BOLD:#} {DIM}({}){DIM:#}", all + recovered)?;
    for (pod, node, reason) in pods.iter().take(MOST_LEFT_OUT) {
        let reason = match reason {
            Reason::Chronic => "had failed for long when it was first heard of".to_owned(),
            Reason::Undated => "nobody knows whether it began at the same time".to_owned(),
            Reason::OtherSignature => "fails in another way".to_owned(),
            Reason::OtherOnset(away) => format!("began at another time, {} min away", away.as_secs() / 60),
        };
        writeln!(out, "  {pod} on {}: {reason}", node.as_deref().unwrap_or("an unknown node"))?;
    }
    if all > MOST_LEFT_OUT {
        writeln!(out, "  {} more that fail", all - MOST_LEFT_OUT)?;
    }
    if *recovered > 0 {
        writeln!(out, "  {} that failed a while ago: neither for nor against", counted(*recovered as u64, "pod"))?;
    }
    Ok(())
}

fn indented(out: &mut dyn Write, table: &Table) -> io::Result<()> {
    for line in table.lines() {
        writeln!(out, "  {}", line.trim())?;
    }
    Ok(())
}

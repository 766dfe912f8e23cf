//! Tables, for a terminal and for Markdown.

use comfy_table::{CellAlignment, Table, presets};

use super::tally::{Tally, quantile, share};
use super::{Approach, Class};
use crate::simulator::Kind;

/// A header and rows of text.
pub(super) struct Grid {
    header: Vec<String>,
    /// So many columns at the left hold words; the others hold numbers.
    words: usize,
    rows: Vec<Vec<String>>,
}

const NONE: &str = "–";

impl Grid {
    fn new(header: &[&str]) -> Self {
        Grid { header: header.iter().map(|&name| name.to_owned()).collect(), words: 1, rows: Vec::new() }
    }

    /// Columns that line up, numbers to the right.
    pub fn to_text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(self.header.iter().map(|name| name.to_uppercase()));
        table.add_rows(&self.rows);
        for column in table.column_iter_mut().skip(self.words) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    pub fn to_markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let alignment = |column| if column < self.words { "---" } else { "---:" }.to_owned();
        let alignment: Vec<String> = (0..self.header.len()).map(alignment).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        let header: Vec<String> = self.header.iter().map(|name| name.replace('\n', "<br>")).collect();
        line(&header) + &line(&alignment) + &rows
    }
}

/// How faultline did with each kind.
pub(super) fn by_kind(rows: &[(String, Tally)]) -> Grid {
    let mut grid = Grid::new(&[
        "kind",
        "runs",
        "right",
        "abstained",
        "missed",
        "wrong",
        "wrong node",
        "transient",
        "extra",
        "precision",
        "recall",
        "s from 2nd pod",
        "s from evidence",
        "alerts",
        "resolved",
        "undecidable",
    ]);
    for (kind, tally) in rows {
        grid.rows.push(vec![
            kind.clone(),
            tally.runs.to_string(),
            percent(share(tally.right, tally.runs)),
            count(tally.abstained),
            count(tally.missed),
            count(tally.wrong),
            count(tally.wrong_nodes),
            count(tally.transient),
            count(tally.extra),
            ratio(tally.precision()),
            ratio(tally.recall()),
            seconds(&tally.to_verdict_ms),
            seconds(&tally.after_evidence_ms),
            messages(tally),
            of(tally.resolved_in_time, tally.resolution_due),
            of(tally.undecidable_confirmed, tally.undecidable),
        ]);
    }
    grid
}

/// How the approaches did altogether.
pub(super) fn by_approach(rows: &[(Approach, Tally)]) -> Grid {
    let mut grid = Grid::new(&[
        "approach",
        "right",
        "wrong",
        "precision",
        "recall",
        "wrong nodes",
        "s from 2nd pod",
        "alerts",
        "resolved",
        "false alarms/day",
        "with suspicions",
    ]);
    for (approach, tally) in rows {
        grid.rows.push(vec![
            approach.name().to_owned(),
            percent(share(tally.right, tally.runs)),
            percent(share(tally.wrong, tally.runs)),
            ratio(tally.precision()),
            ratio(tally.recall()),
            count(tally.wrong_nodes),
            seconds(&tally.to_verdict_ms),
            messages(tally),
            of(tally.resolved_in_time, tally.resolution_due),
            rate(tally.false_alarms_per_day()),
            rate(tally.any_false_alarms_per_day()),
        ]);
    }
    grid
}

/// Right and wrong runs of each kind for every approach, and their recall.
pub(super) fn side_by_side(rows: &[(String, Vec<Tally>)]) -> Grid {
    let short = |approach: Approach| match approach {
        Approach::Faultline => "faultline",
        Approach::NodeThreshold => "threshold",
        Approach::CommonFactor => "common factor",
    };
    let mut header = vec!["kind".to_owned()];
    for approach in Approach::ALL.map(short) {
        header.extend(["right", "wrong", "precision", "recall", "s, p50"].map(|what| format!("{approach}\n{what}")));
    }
    let mut grid = Grid { header, words: 1, rows: Vec::new() };
    for (kind, tallies) in rows {
        let cells = tallies.iter().flat_map(|tally| {
            [
                percent(share(tally.right, tally.runs)),
                percent(share(tally.wrong, tally.runs)),
                ratio(tally.precision()),
                ratio(tally.recall()),
                quantile(&tally.to_verdict_ms, 0.5).map_or(NONE.to_owned(), in_seconds),
            ]
        });
        grid.rows.push(std::iter::once(kind.clone()).chain(cells).collect());
    }
    grid
}

/// What the kinds are.
pub(super) fn kinds(kinds: &[Kind]) -> Grid {
    let mut grid = Grid { words: 2, ..Grid::new(&["kind", "what happens"]) };
    grid.rows.extend(kinds.iter().map(|kind| vec![kind.name().to_owned(), kind.about().to_owned()]));
    grid
}

impl Class {
    pub fn name(self) -> &'static str {
        match self {
            Class::Right => "right",
            Class::Abstained => "abstained",
            Class::Missed => "missed",
            Class::Wrong => "wrong",
        }
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or(NONE.to_owned(), |share| format!("{} %", three_digits(share * 100.0)))
}

/// Never rounded up to 1: that would hide an error.
fn ratio(share: Option<f64>) -> String {
    share.map_or(NONE.to_owned(), |share| format!("{:.3}", (share * 1000.0).floor() / 1000.0))
}

/// As short as `100`, never rounded up to it.
fn three_digits(value: f64) -> String {
    let floored = (value * 10.0).floor() / 10.0;
    if floored >= 100.0 || floored == 0.0 { format!("{floored:.0}") } else { format!("{floored:.1}") }
}

fn rate(value: Option<f64>) -> String {
    value.map_or(NONE.to_owned(), |value| format!("{value:.2}"))
}

/// Zeros are what one hopes for: a dot lets the others stand out.
fn count(count: usize) -> String {
    if count == 0 { "·".to_owned() } else { count.to_string() }
}

fn of(part: usize, whole: usize) -> String {
    if whole == 0 { NONE.to_owned() } else { format!("{part}/{whole}") }
}

/// Median and 99th percentile.
fn seconds(ascending: &[i64]) -> String {
    let at = |fraction| quantile(ascending, fraction);
    match (at(0.5), at(0.99)) {
        (Some(half), Some(most)) => format!("{} / {}", in_seconds(half), in_seconds(most)),
        _ => NONE.to_owned(),
    }
}

fn in_seconds(ms: i64) -> String {
    format!("{:.1}", ms as f64 / 1000.0)
}

/// Mean and maximum of the messages per incident.
fn messages(tally: &Tally) -> String {
    match (tally.messages_mean(), tally.messages.last()) {
        (Some(mean), Some(most)) => format!("{mean:.1} / {most}"),
        _ => NONE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_never_rounded_up_to_perfect() {
        assert_eq!(percent(share(999_999, 1_000_000)), "99.9 %");
        assert_eq!(ratio(share(999_999, 1_000_000)), "0.999");
        assert_eq!((percent(share(5, 5)), ratio(share(5, 5))), ("100 %".to_owned(), "1.000".to_owned()));
        assert_eq!((percent(share(0, 5)), percent(share(0, 0))), ("0 %".to_owned(), NONE.to_owned()));
    }

    #[test]
    fn one_grid_for_terminal_and_markdown() {
        let tally = Tally { runs: 10, right: 9, missed: 1, to_verdict_ms: vec![4_000, 5_500], ..Tally::default() };
        let grid = by_kind(&[("node".to_owned(), tally)]);
        let text = grid.to_text();
        assert!(text.starts_with("KIND") || text.starts_with(" KIND"), "{text}");
        assert!(text.contains("90.0 %") && text.contains("4.0 / 5.5"), "{text}");
        let markdown = grid.to_markdown();
        let lines: Vec<&str> = markdown.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("| --- | ---: |") && lines[2].starts_with("| node | 10 | 90.0 % | · | 1 |"));
        let columns = |line: &str| line.matches('|').count();
        assert!(lines.iter().all(|line| columns(line) == columns(lines[0])));
    }
}

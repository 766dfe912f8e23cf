//! A bar for each kind and approach: how many of its runs were right, abstained, missed, wrong.

use super::svg::{Anchor, FAINT, INK, Svg};
use crate::evaluation::{Approach, Class, Tally};

/// Colours that those who cannot tell red from green can tell apart.
const CLASSES: [(Class, &str); 4] =
    [(Class::Right, "#2a9d6f"), (Class::Abstained, "#f0c808"), (Class::Missed, "#a9b4c0"), (Class::Wrong, "#c8321f")];

const LABELS: f64 = 190.0;
const PANEL: f64 = 210.0;
const GAP: f64 = 22.0;
const TOP: f64 = 104.0;
const ROW: f64 = 20.0;
const BAR: f64 = 13.0;

/// One row per kind, with the tallies of all approaches.
pub(in crate::evaluation) fn outcomes(rows: &[(String, Vec<Tally>)]) -> String {
    let width = LABELS + 3.0 * (PANEL + GAP) + 10.0;
    let bottom = TOP + ROW * rows.len() as f64;
    let mut svg = Svg::new(width, bottom + 48.0, "Outcome of the runs by kind and approach");
    svg.title("What became of the runs");
    legend(&mut svg);
    for (row, (kind, _)) in rows.iter().enumerate() {
        let style = if row + 1 == rows.len() { format!(r#"fill="{INK}" font-weight="bold""#) } else { fill(INK) };
        svg.words(LABELS - 10.0, baseline(row), Anchor::End, &style, kind);
    }
    for (at, approach) in Approach::ALL.iter().enumerate() {
        let left = LABELS + at as f64 * (PANEL + GAP);
        svg.words(left, TOP - 12.0, Anchor::Start, &format!(r#"fill="{INK}" font-weight="bold""#), approach.name());
        axis(&mut svg, left, bottom);
        for (row, (kind, tallies)) in rows.iter().enumerate() {
            bar(&mut svg, left, row, kind, &tallies[at]);
        }
    }
    let middle = LABELS + (3.0 * PANEL + 2.0 * GAP) / 2.0;
    svg.words(middle, bottom + 38.0, Anchor::Middle, &fill(FAINT), "share of the kind's runs");
    svg.finish()
}

fn legend(svg: &mut Svg) {
    let mut x = 20.0;
    for (class, colour) in CLASSES {
        let about = match class {
            Class::Right => "right: every fault, nothing else",
            Class::Abstained => "abstained: only suspected",
            Class::Missed => "missed: no word",
            Class::Wrong => "wrong: accused what is well",
        };
        svg.rect(x, 44.0, 12.0, 12.0, colour, class.name());
        svg.words(x + 18.0, 54.0, Anchor::Start, &fill(INK), about);
        // About what the words take in the usual fonts.
        x += 40.0 + 6.6 * about.len() as f64;
    }
}

fn axis(svg: &mut Svg, left: f64, bottom: f64) {
    for (share, label) in [(0.0, "0"), (0.5, "50 %"), (1.0, "100 %")] {
        let x = left + PANEL * share;
        svg.grid_line((x, TOP - 4.0), (x, bottom + 4.0));
        let anchor = if share == 1.0 { Anchor::End } else { Anchor::Middle };
        svg.words(x, bottom + 19.0, anchor, &fill(FAINT), label);
    }
}

fn bar(svg: &mut Svg, left: f64, row: usize, kind: &str, tally: &Tally) {
    let mut x = left;
    for (class, colour) in CLASSES {
        let runs = match class {
            Class::Right => tally.right,
            Class::Abstained => tally.abstained,
            Class::Missed => tally.missed,
            Class::Wrong => tally.wrong,
        };
        if runs > 0 {
            let width = PANEL * runs as f64 / tally.runs as f64;
            let tip = format!("{kind}: {runs} of {} runs {}", tally.runs, class.name());
            svg.rect(x, TOP + ROW * row as f64 + (ROW - BAR) / 2.0, width, BAR, colour, &tip);
            x += width;
        }
    }
}

fn baseline(row: usize) -> f64 {
    TOP + ROW * row as f64 + ROW / 2.0 + 4.0
}

fn fill(colour: &str) -> String {
    format!(r#"fill="{colour}""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_share_of_the_bar() {
        let tally = Tally { runs: 4, right: 3, wrong: 1, ..Tally::default() };
        let svg = outcomes(&[("a<b".to_owned(), vec![tally.clone(), Tally::default(), tally])]);
        assert_eq!(svg.matches("a&lt;b: 3 of 4 runs right").count(), 2);
        assert_eq!(svg.matches(r#"width="157.5""#).count(), 2, "three quarters of 210");
        assert!(!svg.contains("NaN") && !svg.contains("missed</title></rect>\n<rect x=\"190"));
    }
}

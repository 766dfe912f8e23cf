//! What an evaluation found, in every form that it is looked at in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::tables::{self, Grid};
use super::tally::Tally;
use super::{Approach, Case, plots};
use crate::simulator::Kind;

mod failures;

/// The cases, in the order of their kinds and seeds.
#[derive(Clone, Debug)]
pub struct Results {
    pub cases: Vec<Case>,
    /// The command that leads to just these results.
    pub command: String,
    /// What the seeds were taken from, in words.
    pub seeds: String,
    /// Matches from which the threshold per node alerts.
    pub threshold: usize,
}

/// A picture: name of its file, and SVG.
pub struct Plot {
    pub name: &'static str,
    pub title: &'static str,
    pub svg: String,
}

impl Results {
    /// For a terminal.
    pub fn to_text(&self) -> String {
        format!(
            "{}\n{}\n{}\n{}",
            self.by_kind().to_text(),
            self.side_by_side().to_text(),
            self.by_approach().to_text(),
            self.watched()
        )
    }

    /// For a document; `folder` is where the plots are, seen from it.
    pub fn to_markdown(&self, folder: &str) -> String {
        let mut text = format!("`{}`\n\n{} {}", self.command, self.seeds, self.watched());
        let mut part = |title: &str, body: &str| text.push_str(&format!("\n### {title}\n\n{body}"));
        part("All kinds together", &self.by_approach().to_markdown());
        let plots = self.plots();
        let pictures = plots.iter().map(|plot| format!("![{}]({folder}/{})\n", plot.title, plot.name));
        part("In pictures", &pictures.collect::<Vec<_>>().join("\n"));
        part("faultline by kind", &self.by_kind().to_markdown());
        part("Beside the baselines", &self.side_by_side().to_markdown());
        part("The kinds", &tables::kinds(&self.kinds()).to_markdown());
        text
    }

    /// Every case, and the sums.
    ///
    /// # Errors
    /// None that could happen: everything in it has a form in JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Document<'r> {
            command: &'r str,
            tallies: BTreeMap<&'static str, BTreeMap<&'static str, Tally>>,
            cases: &'r [Case],
        }
        let by_kind =
            |approach| self.kinds().iter().map(|&kind| (kind.name(), self.tally(approach, Some(kind)))).collect();
        let tallies = Approach::ALL.iter().map(|&approach| (approach.name(), by_kind(approach))).collect();
        serde_json::to_string(&Document { command: &self.command, tallies, cases: &self.cases })
    }

    /// What was not perfect, case by case, and how to look at it.
    pub fn failures(&self) -> String {
        self.cases.iter().filter_map(failures::describe).collect()
    }

    pub fn plots(&self) -> Vec<Plot> {
        let approaches = Approach::ALL.map(|approach| (approach, self.tally(approach, None)));
        let plot = |name, title, svg| Plot { name, title, svg };
        vec![
            plot("outcomes.svg", "Outcome of the runs by kind and approach", plots::outcomes(&self.rows())),
            plot("times.svg", "Time from the deciding failure to the verdict", plots::times(self)),
            plot("alarms.svg", "False alarms in a simulated day by approach", plots::alarms(&approaches)),
        ]
    }

    pub fn tally(&self, approach: Approach, kind: Option<Kind>) -> Tally {
        let cases = self.cases.iter().filter(|case| kind.is_none_or(|kind| case.setup.kind == kind));
        Tally::of(cases.map(|case| (&case.truth, case.judgement(approach))))
    }

    fn kinds(&self) -> Vec<Kind> {
        let present: BTreeSet<Kind> = self.cases.iter().map(|case| case.setup.kind).collect();
        Kind::ALL.iter().copied().filter(|kind| present.contains(kind)).collect()
    }

    /// A row of every kind and one of all.
    fn rows(&self) -> Vec<(String, Vec<Tally>)> {
        let kinds = self.kinds().into_iter().map(|kind| (kind.name().to_owned(), Some(kind)));
        kinds
            .chain([("all".to_owned(), None)])
            .map(|(name, kind)| (name, Approach::ALL.iter().map(|&approach| self.tally(approach, kind)).collect()))
            .collect()
    }

    fn by_kind(&self) -> Grid {
        let ours =
            |(name, mut tallies): (String, Vec<Tally>)| (name, tallies.swap_remove(Approach::Faultline as usize));
        tables::by_kind(&self.rows().into_iter().map(ours).collect::<Vec<_>>())
    }

    fn side_by_side(&self) -> Grid {
        tables::side_by_side(&self.rows())
    }

    fn by_approach(&self) -> Grid {
        tables::by_approach(&Approach::ALL.map(|approach| (approach, self.tally(approach, None))))
    }

    /// How much was looked at.
    fn watched(&self) -> String {
        let all = self.tally(Approach::Faultline, None);
        let pods: usize = self.cases.iter().map(|case| case.truth.pods).sum();
        format!(
            "{} runs, {:.1} days of event time, {pods} pods; threshold per node: {} matches in 5 minutes.\n",
            all.runs,
            all.days(),
            self.threshold
        )
    }
}

const BEGIN: &str = "<!-- results: written by `faultline evaluate --document` -->";
const END: &str = "<!-- end of results -->";

/// Whether a document says where results go.
pub fn has_marks(document: &str) -> bool {
    replace_marked(document, "").is_some()
}

/// The document with `results` in the place of what is between its marks; `None` where it has none.
pub fn replace_marked(document: &str, results: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{results}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let document = format!("# T\n{BEGIN}\nold\n{END}\nrest\n");
        assert_eq!(replace_marked(&document, "new\n").unwrap(), format!("# T\n{BEGIN}\nnew\n{END}\nrest\n"));
        assert_eq!(replace_marked(&replace_marked(&document, "a\n").unwrap(), "old\n").unwrap(), document);
        assert!(has_marks(&document) && !has_marks("no marks"));
        assert_eq!(replace_marked(&format!("{END}{BEGIN}"), "new"), None);
    }
}

//! How often each approach cries wolf.

use super::svg::{Anchor, FAINT, INK, Svg};
use crate::evaluation::{Approach, Tally};

const LEFT: f64 = 190.0;
const TOP: f64 = 66.0;
const WIDTH: f64 = 420.0;
const ROW: f64 = 34.0;
const BAR: f64 = 20.0;
const CONFIRMED: &str = "#c8321f";

/// Wrong confirmed incidents in a day of event time.
pub(in crate::evaluation) fn alarms(rows: &[(Approach, Tally)]) -> String {
    let rates: Vec<(&str, f64)> =
        rows.iter().map(|(approach, tally)| (approach.name(), tally.false_alarms_per_day().unwrap_or(0.0))).collect();
    let most = rates.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
    let bottom = TOP + ROW * rates.len() as f64;
    let mut svg = Svg::new(LEFT + WIDTH + 90.0, bottom + 20.0, "False alarms in a day");
    svg.title("False alarms in a simulated day");
    let faint = format!(r#"fill="{FAINT}""#);
    svg.words(20.0, 48.0, Anchor::Start, &faint, "confirmed incidents about what is well, in a day of event time");
    svg.grid_line((LEFT, TOP - 4.0), (LEFT, bottom + 4.0));
    for (row, (name, rate)) in rates.iter().enumerate() {
        let (y, width) = (TOP + ROW * row as f64 + (ROW - BAR) / 2.0, WIDTH * rate / most);
        let ink = format!(r#"fill="{INK}""#);
        svg.words(LEFT - 10.0, y + 14.0, Anchor::End, &ink, name);
        svg.rect(LEFT, y, width, BAR, CONFIRMED, name);
        svg.words(LEFT + width + 8.0, y + 14.0, Anchor::Start, &ink, &format!("{rate:.1}"));
    }
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bars_are_in_proportion() {
        let day = |confirmed_wrong| Tally { confirmed_wrong, watched_ms: 86_400_000, ..Tally::default() };
        let svg = alarms(&[
            (Approach::Faultline, day(0)),
            (Approach::NodeThreshold, day(8)),
            (Approach::CommonFactor, day(4)),
        ]);
        for width in ["0.0", "420.0", "210.0"] {
            assert!(svg.contains(&format!(r#"width="{width}" height="20.0""#)), "{width}\n{svg}");
        }
    }
}

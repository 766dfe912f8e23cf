//! How soon the verdict comes: for each scope of fault the share that is confirmed by then.

use super::svg::{Anchor, FAINT, INK, Svg};
use crate::alert::Scope;
use crate::evaluation::{Approach, Results};

const SCOPES: [(Scope, &str, &str); 6] = [
    (Scope::Node, "node", "#1f6feb"),
    (Scope::Workload, "workload", "#d4761a"),
    (Scope::Image, "image", "#2a9d6f"),
    (Scope::NodePool, "node pool", "#8250df"),
    (Scope::Cluster, "cluster", "#c8321f"),
    (Scope::Pod, "pod", "#57606a"),
];

const LEFT: f64 = 70.0;
const TOP: f64 = 64.0;
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
/// Seconds that the axis shows.
const LONGEST: f64 = 120.0;

/// The faults of one scope, confirmed or not, and when those that were.
struct Curve {
    name: &'static str,
    colour: &'static str,
    faults: usize,
    seconds: Vec<f64>,
}

/// Cumulative distribution of the time from the failure that makes a fault decidable to the confirmed verdict.
pub(in crate::evaluation) fn times(results: &Results) -> String {
    draw(&SCOPES.iter().filter_map(|scope| curve(results, *scope)).collect::<Vec<_>>())
}

fn curve(results: &Results, (scope, name, colour): (Scope, &'static str, &'static str)) -> Option<Curve> {
    let (mut faults, mut seconds) = (0, Vec::new());
    for case in &results.cases {
        let judged = &case.judgement(Approach::Faultline).faults;
        for judged in judged.iter().filter(|judged| judged.scope == scope && judged.decidable) {
            faults += 1;
            seconds.extend(judged.after_evidence_ms.map(|ms| ms as f64 / 1000.0));
        }
    }
    seconds.sort_by(f64::total_cmp);
    (faults > 0).then_some(Curve { name, colour, faults, seconds })
}

fn draw(curves: &[Curve]) -> String {
    let mut svg = Svg::new(LEFT + WIDTH + 190.0, TOP + HEIGHT + 64.0, "Time to the confirmed verdict");
    svg.title("How soon the right verdict is confirmed");
    axes(&mut svg);
    for (at, curve) in curves.iter().enumerate() {
        svg.path(&steps(curve), curve.colour);
        let y = TOP + 18.0 + 22.0 * at as f64;
        svg.rect(LEFT + WIDTH + 20.0, y - 9.0, 14.0, 4.0, curve.colour, curve.name);
        let label = format!("{} ({} of {})", curve.name, curve.seconds.len(), curve.faults);
        svg.words(LEFT + WIDTH + 42.0, y - 2.0, Anchor::Start, &format!(r#"fill="{INK}""#), &label);
    }
    svg.finish()
}

fn axes(svg: &mut Svg) {
    let faint = format!(r#"fill="{FAINT}""#);
    for percent in [0, 25, 50, 75, 100] {
        let y = y(f64::from(percent) / 100.0);
        svg.grid_line((LEFT, y), (LEFT + WIDTH, y));
        svg.words(LEFT - 8.0, y + 4.0, Anchor::End, &faint, &format!("{percent} %"));
    }
    for second in (0..=LONGEST as i32).step_by(20) {
        let x = x(f64::from(second));
        svg.grid_line((x, TOP), (x, TOP + HEIGHT));
        let label = if f64::from(second) == LONGEST { format!("≥ {second}") } else { second.to_string() };
        svg.words(x, TOP + HEIGHT + 18.0, Anchor::Middle, &faint, &label);
    }
    let words = "event time from the failure that makes the fault decidable to the confirmed verdict, s";
    svg.words(LEFT + WIDTH / 2.0, TOP + HEIGHT + 44.0, Anchor::Middle, &faint, words);
    svg.words(20.0, TOP - 14.0, Anchor::Start, &faint, "share of the decidable faults");
}

/// A step up at every verdict; what was never confirmed leaves the line below the top.
fn steps(curve: &Curve) -> Vec<(f64, f64)> {
    let mut points = vec![(x(0.0), y(0.0))];
    for (index, &second) in curve.seconds.iter().enumerate() {
        let share = |confirmed: usize| confirmed as f64 / curve.faults as f64;
        points.push((x(second), y(share(index))));
        points.push((x(second), y(share(index + 1))));
    }
    let (_, last) = points[points.len() - 1];
    points.push((LEFT + WIDTH, last));
    points
}

/// Verdicts that came before are drawn at zero, later ones than the axis shows at its end.
fn x(second: f64) -> f64 {
    LEFT + WIDTH * second.clamp(0.0, LONGEST) / LONGEST
}

fn y(share: f64) -> f64 {
    TOP + HEIGHT * (1.0 - share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_rises_to_what_was_found() {
        let curve = Curve { name: "node", colour: "#000000", faults: 4, seconds: vec![-3.0, 60.0, 500.0] };
        let points = steps(&curve);
        assert_eq!(points.last(), Some(&(LEFT + WIDTH, y(0.75))));
        assert!(points.contains(&(LEFT, y(0.25))), "before the second failure");
        assert!(points.contains(&(LEFT + WIDTH / 2.0, y(0.5))));
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 >= pair[1].1));
        assert!(draw(&[curve]).contains("node (3 of 4)"));
    }
}

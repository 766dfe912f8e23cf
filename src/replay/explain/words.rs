//! Numbers and names in an explanation.

use crate::time::Timestamp;

/// Three digits, and what is smaller as a power of ten.
pub fn probability(value: f64) -> String {
    match value {
        _ if value >= 0.0005 => format!("{:.3}", value.min(0.999)),
        _ if value < 1e-99 => "0".to_owned(),
        _ => format!("{value:.0e}"),
    }
}

/// Two digits that count.
pub fn weight(value: f64) -> String {
    match value {
        _ if value >= 0.1 => format!("{value:.2}"),
        _ if value >= 0.01 => format!("{value:.3}"),
        _ if value >= 0.001 => format!("{value:.4}"),
        _ => format!("{value:.1e}"),
    }
}

/// A factor from its logarithm: `×1`, `×12`, `÷340`, `÷2e6`.
pub fn factor(ln: f64) -> String {
    let (sign, size) = if ln < 0.0 { ('÷', (-ln).exp()) } else { ('×', ln.exp()) };
    match size {
        _ if size < 1.05 => "×1".to_owned(),
        _ if size < 9.95 => format!("{sign}{size:.1}"),
        _ if size < 99_999.5 => format!("{sign}{size:.0}"),
        _ if size.is_finite() => format!("{sign}{size:.0e}"),
        // Beyond what a number holds.
        _ => format!("{sign}e{:.0}", ln.abs() / std::f64::consts::LN_10),
    }
}

pub fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

pub fn joined(words: impl IntoIterator<Item = String>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// The first few of `all`, and how many more there are.
pub fn list(words: impl IntoIterator<Item = String>, all: usize, separator: &str) -> String {
    let mut words: Vec<String> = words.into_iter().collect();
    if all > words.len() {
        words.push(format!("{} more", all - words.len()));
    }
    words.join(separator)
}

/// The time of day, UTC.
pub fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(11..19).map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let probabilities = [(1.0, "0.999"), (0.9984, "0.998"), (0.0005, "0.001"), (0.000_034, "3e-5"), (0.0, "0")];
        for (value, shown) in probabilities {
            assert_eq!(probability(value), shown);
        }
        for (value, shown) in [(0.7, "0.70"), (0.025, "0.025"), (0.0025, "0.0025"), (0.000_12, "1.2e-4")] {
            assert_eq!(weight(value), shown);
        }
        let factors = [(0.0, "×1"), (0.02, "×1"), (12f64.ln(), "×12"), (-2.5f64.ln(), "÷2.5"), (-2e6f64.ln(), "÷2e6")];
        for (ln, shown) in factors {
            assert_eq!(factor(ln), shown);
        }
        assert_eq!(factor(-1000.0), "÷e434");
        assert_eq!(clock(Timestamp::parse_rfc3339("2026-03-01T08:05:20.123Z").unwrap()), "08:05:20");
        assert_eq!(list(["a".to_owned()], 3, ", "), "a, 2 more");
    }
}

//! Every bound is visible: each key of `limits` has a metric, or a reason why not, and a row in docs/limits.md.

use std::fs;
use std::path::Path;

use faultline::metrics::LIMITS;

/// Limits for which a count of hits would say nothing.
const WITHOUT: &[(&str, &str)] = &[
    ("record_bytes", "counted with the dead letters, by reason"),
    ("sample_bytes", "how much an alert shows of a message; most long lines are longer"),
    ("max_ahead", "has a metric of its own"),
    ("pod_ttl", "pods come and go"),
    ("fetch_queue_bytes", "librdkafka's; it is full whenever a backlog is read"),
    ("producer_queue_bytes", "librdkafka's; the limits in flight are met before"),
    ("snapshot_chunk_bytes", "snapshots are cut into such pieces; nothing is lost"),
];

/// Bounds of the state that follow from others.
const DERIVED: &[&str] = &["event_counts", "flaps", "onsets"];

/// Key and default of each limit, as the configuration has them.
fn limits() -> Vec<(String, String)> {
    let config = fs::read_to_string("config/faultline.yaml").unwrap();
    let section = config.lines().skip_while(|line| *line != "limits:").skip(1);
    let lines = section.take_while(|line| line.starts_with("  ")).map(str::trim).filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").unwrap()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn every_limit_has_a_metric_or_a_reason_why_not() {
    let limits = limits();
    assert!(limits.len() > 20, "{limits:?}");
    let without: Vec<&str> = WITHOUT.iter().map(|(key, _)| *key).collect();
    for (key, _) in &limits {
        let ways = [LIMITS.contains(&&**key), without.contains(&&**key)];
        assert_eq!(ways.iter().filter(|way| **way).count(), 1, "{key}: in LIMITS or in WITHOUT");
    }
    for name in LIMITS.iter().chain(&without).filter(|name| !DERIVED.contains(name)) {
        assert!(limits.iter().any(|(key, _)| key == name), "{name} is no limit");
    }
}

#[test]
fn every_metric_is_counted_somewhere() {
    let mut sources = String::new();
    gather(Path::new("src/service"), &mut sources);
    for name in LIMITS {
        assert!(sources.contains(&format!("\"{name}\"")), "nothing counts {name}");
    }
}

fn gather(directory: &Path, sources: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => gather(&path, sources),
            false => *sources += &fs::read_to_string(path).unwrap(),
        }
    }
}

#[test]
fn the_table_tells_every_limit_with_its_default_and_metric() {
    let document = fs::read_to_string("docs/limits.md").unwrap();
    let rows: Vec<Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim_matches([' ', '|', '`'])).collect())
        .collect();
    for (key, default) in limits() {
        let row = rows.iter().find(|row| row[0] == key).unwrap_or_else(|| panic!("{key} has no row"));
        assert_eq!(plain(row[1]), plain(&default), "{key}");
        assert!(!LIMITS.contains(&&*key) || row[3] == key, "{key}: {}", row[3]);
    }
    for name in LIMITS {
        assert!(rows.iter().any(|row| row.last() == Some(name)), "{name} has no row");
    }
}

/// A bridge's limits are keys of another section, with a metric of their own.
#[test]
fn every_limit_of_a_bridge_is_a_key_and_has_a_row() {
    let config = fs::read_to_string("config/faultline.yaml").unwrap();
    let section = config.lines().skip_while(|line| *line != "bridge:").skip(1);
    let keys: Vec<&str> = section.take_while(|line| !line.starts_with(char::is_alphabetic)).map(str::trim).collect();
    let document = fs::read_to_string("docs/limits.md").unwrap();
    let mut sources = String::new();
    gather(Path::new("src/courier"), &mut sources);
    gather(Path::new("src/bridge"), &mut sources);
    sources += &fs::read_to_string("src/courier.rs").unwrap();
    for name in faultline::bridge::LIMITS {
        let key = keys.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        let default = key.unwrap_or_else(|| panic!("{name} is no key of `bridge`"));
        let row = document.lines().find(|line| line.starts_with(&format!("| `bridge.{name}` | ")));
        let cells: Vec<&str> = row.unwrap_or_else(|| panic!("{name} has no row")).split(" | ").collect();
        assert_eq!((plain(cells[1]), cells.last()), (plain(default), Some(&&*format!("`{name}` |"))), "{name}");
        assert!(sources.matches(&format!("\"{name}\"")).count() >= 2, "nothing counts {name}");
    }
}

/// Without what is written for people only.
fn plain(value: &str) -> String {
    value.replace([' ', ','], "").replace("min", "m")
}

//! The rules of the house that no compiler checks. Each names the file and line, and why the rule is there.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Modules that decide: values and explicit time in, values out. `src/NAME.rs` and all of `src/NAME/`.
const CORE: [&str; 24] = [
    "alert",
    "checksum",
    "codes",
    "correlator",
    "courier",
    "decode",
    "document",
    "engine",
    "evaluation",
    "format",
    "localizer",
    "names",
    "notifier",
    "record",
    "redaction",
    "report",
    "ruleset",
    "scanner",
    "scenario",
    "shard",
    "signature",
    "simulator",
    "template",
    "time",
];

/// Past this a file has a second idea in it.
const MOST_LINES: usize = 600;

struct Source {
    /// From the root, with slashes.
    name: String,
    text: String,
}

impl Source {
    fn is_core(&self) -> bool {
        let module = self.name.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default();
        self.name.starts_with("src/") && CORE.contains(&module)
    }

    /// Lines that are compiled into the program, with their numbers; comments are cut off.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test =
            self.name.starts_with("tests/") || self.name.contains("/tests/") || self.name.ends_with("/tests.rs");
        let shipped = !is_test;
        // By convention a file's tests are its last item.
        let lines = self.text.lines().take_while(move |line| shipped && line.trim() != "#[cfg(test)]");
        lines.enumerate().map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
    }

    fn complaints(&self, pattern: &str, why: &str) -> Vec<String> {
        let pattern = Regex::new(pattern).unwrap();
        let hits = self.code().filter(|(_, code)| pattern.is_match(code));
        hits.map(|(line, code)| format!("{}:{line}: {} ({why})", self.name, code.trim())).collect()
    }
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for directory in ["src", "tests", "benches"] {
        gather(Path::new(directory), &mut sources);
    }
    assert!(sources.len() > 20, "the tests run in the package's root");
    sources
}

fn gather(directory: &Path, sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            gather(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.to_string_lossy().replace('\\', "/");
            sources.push(Source { name, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

#[track_caller]
fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Why: what decides must give the same answer in a replay, a restart and a test.
#[test]
fn the_core_reads_no_clock_and_does_no_io() {
    const CLIENTS: &str = r"\b(tokio|rdkafka|tracing|tracing_subscriber|axum|prometheus_client|config|clap)::";
    const CLOCKS: &str = r"\b(Instant|SystemTime)\b|\b(Timestamp|Zoned)::now\(";
    const SYSTEM: &str = r"\bstd::(fs|env|net|io|process|thread)\b|\bstd::\{[^}]*\b(fs|env|net|io|process|thread)\b";
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| source.is_core()) {
        complaints.extend(source.complaints(CLIENTS, "clients and telemetry are the shell's"));
        complaints.extend(source.complaints(CLOCKS, "time is an argument"));
        complaints.extend(source.complaints(SYSTEM, "bytes in, values out"));
    }
    assert_none(complaints);
}

/// Why: main → cli → {service, replay, demo} → {kafka, http, …} → core, and never back.
#[test]
fn the_core_knows_no_shell_and_the_scan_stage_no_correlator() {
    let sources = sources();
    let shell: Vec<&str> = sources
        .iter()
        .filter(|source| !source.is_core())
        .filter_map(|source| source.name.strip_prefix("src/")?.strip_suffix(".rs"))
        .filter(|module| !module.contains('/') && !["lib", "main"].contains(module))
        .collect();
    let shell = format!(r"\bcrate::({})\b", shell.join("|"));
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.is_core()) {
        complaints.extend(source.complaints(&shell, "dependencies run towards the core"));
        if source.name.starts_with("src/decode") || source.name.starts_with("src/scanner") {
            let later = r"\bcrate::(correlator|localizer|alert)\b";
            complaints.extend(source.complaints(later, "the stages meet in `report` only"));
        }
    }
    assert_none(complaints);
}

/// Why: a panic stops every stream of the process. A comment on the line or right above says why it cannot happen.
#[test]
fn nothing_is_unwrapped_without_a_reason() {
    let unwrapped = Regex::new(r"\.(unwrap|expect)\(|\.unwrap_err\(|\bunreachable!|\bpanic!").unwrap();
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| source.name.starts_with("src/")) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, code) in source.code().filter(|(_, code)| unwrapped.is_match(code)) {
            let explained = lines[number.saturating_sub(3)..number].iter().any(|line| line.contains("//"));
            if !explained {
                complaints.push(format!("{}:{number}: {} (say why it cannot fail)", source.name, code.trim()));
            }
        }
    }
    assert_none(complaints);
}

/// Why: these panic once the reader of the pipe has gone (`| head`); results and messages are written with `write!`.
#[test]
fn nothing_is_printed_without_regard_for_errors() {
    let sources = sources().into_iter().filter(|source| source.name.starts_with("src/"));
    assert_none(sources.flat_map(|source| source.complaints(r"\be?print(ln)?!", "use write!")).collect());
}

/// Why: a file is one idea.
#[test]
fn files_are_short() {
    let long = sources().into_iter().map(|source| (source.text.lines().count(), source.name));
    assert_none(
        long.filter(|(lines, _)| *lines > MOST_LINES).map(|(lines, name)| format!("{name}: {lines} lines")).collect(),
    );
}

/// The checks above can fail.
#[test]
fn what_is_forbidden_is_found() {
    let source = |name: &str, text: &str| Source { name: name.into(), text: text.into() };
    let core = source("src/scanner/matcher.rs", "use std::fs; // why\n// std::fs\n#[cfg(test)]\nuse std::fs;\n");
    assert!(core.is_core() && !source("src/settings/read.rs", "").is_core());
    assert_eq!(core.complaints(r"std::fs", "no"), ["src/scanner/matcher.rs:1: use std::fs; (no)"]);
    assert!(source("tests/cli.rs", "use std::fs;\n").complaints(r"std::fs", "no").is_empty());
}

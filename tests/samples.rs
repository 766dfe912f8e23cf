//! Real records of many producers, where the collection lies beside the repository (`../shared/samples`): which fields
//! are found, and that nothing is rejected that should not be. Skipped where there is no collection.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use comfy_table::Table;
use faultline::decode::{Input, Reason, decode};
use faultline::record::{Entry, Record};
use faultline::replay::source::{Content, DEFAULT_MAX_LINE_BYTES, Source};

/// Files (or folders) of which some records are rightly rejected, and why.
const REJECTED: &[(&str, Reason)] = &[
    // API server audit records, which call themselves events.
    ("audit-not-events/", Reason::AuditRecord),
    // Two of the seven are audit records.
    ("fluentd/openshift_fluentd_viaq.jsonl", Reason::AuditRecord),
];

/// Files of which every entry names its node, or its pod.
const WITH_NODE: &[&str] = &["vector/", "fluentd/", "openshift-viaq/", "otel/openshift_otlp_container.json"];
const WITH_POD: &[&str] = &["vector/", "otel/openshift_otlp_container.json"];

#[derive(Default)]
struct Tally {
    records: usize,
    logs: usize,
    events: usize,
    node: usize,
    namespace: usize,
    pod: usize,
    container: usize,
    time: usize,
    partial: usize,
    rejected: Vec<(Reason, String)>,
}

#[test]
fn real_records_decode() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples");
    if !folder.is_dir() {
        eprintln!("skipped: no collection of real records at ../shared/samples");
        return;
    }
    let mut producers: BTreeMap<String, Tally> = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in files(&folder) {
        let name = path.strip_prefix(&folder).unwrap().to_string_lossy().replace('\\', "/");
        if name.ends_with(".tsv") {
            continue;
        }
        let tally = read(&path);
        wrong.extend(complaints(&name, &tally));
        producers.entry(name.split('/').next().unwrap_or_default().to_owned()).or_default().add(tally);
    }
    println!("{}", table(&producers));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn table(producers: &BTreeMap<String, Tally>) -> Table {
    let mut table = Table::new();
    let header = ["records", "logs", "events", "node", "namespace", "pod", "container", "time", "partial", "rejected"];
    table.set_header(["producer"].into_iter().chain(header));
    for (name, tally) in producers {
        let counts = tally.counts().into_iter().chain([tally.rejected.len()]);
        table.add_row(std::iter::once(name.clone()).chain(counts.map(|count| count.to_string())));
    }
    table
}

impl Tally {
    fn counts(&self) -> [usize; 9] {
        let Tally { records, logs, events, node, namespace, pod, container, time, partial, .. } = *self;
        [records, logs, events, node, namespace, pod, container, time, partial]
    }

    fn add(&mut self, other: Tally) {
        self.records += other.records;
        self.logs += other.logs;
        self.events += other.events;
        self.node += other.node;
        self.namespace += other.namespace;
        self.pod += other.pod;
        self.container += other.container;
        self.time += other.time;
        self.partial += other.partial;
        self.rejected.extend(other.rejected);
    }
}

fn complaints(name: &str, tally: &Tally) -> Vec<String> {
    let expected = REJECTED.iter().find(|(start, _)| name.starts_with(start)).map(|(_, reason)| *reason);
    let mut wrong: Vec<String> = tally
        .rejected
        .iter()
        .filter(|(reason, _)| Some(*reason) != expected)
        .map(|(reason, detail)| format!("{name}: {reason}: {detail}"))
        .collect();
    if expected.is_some() && tally.rejected.is_empty() {
        wrong.push(format!("{name}: nothing was rejected"));
    }
    let entries = tally.logs + tally.events;
    let complete = |files: &[&str], found| !files.iter().any(|start| name.starts_with(start)) || found == entries;
    // A journal has no pods.
    if !complete(WITH_NODE, tally.node) || (!complete(WITH_POD, tally.pod)) {
        wrong.push(format!("{name}: {entries} entries, {} with a node, {} with a pod", tally.node, tally.pod));
    }
    wrong
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> Tally {
    let mut tally = Tally::default();
    let mut source = Source::open(path, DEFAULT_MAX_LINE_BYTES).unwrap();
    while let Some(line) = source.next().unwrap() {
        let Content::Value(value) = line.content else { panic!("{}: a line that is no value", path.display()) };
        count(&unpaired(value), &mut tally);
    }
    tally
}

/// Fluent Bit's tests write `[time, record]`.
fn unpaired(value: Vec<u8>) -> Vec<u8> {
    match serde_json::from_slice::<(f64, serde_json::Value)>(&value) {
        Ok((_, record)) => record.to_string().into_bytes(),
        Err(_) => value,
    }
}

fn count(value: &[u8], tally: &mut Tally) {
    tally.records += 1;
    let record = Record { offset: 0, timestamp: None, value: Some(value) };
    let mut entries = Vec::new();
    if let Err(rejected) = decode(&record, &Input::default(), &mut entries) {
        tally.rejected.push((rejected.reason, rejected.detail));
    }
    for entry in &entries {
        let (node, namespace, pod) = match entry {
            Entry::Log(log) => (log.source.node.is_some(), log.source.namespace.is_some(), log.source.pod.is_some()),
            Entry::Event(event) => {
                let object = &event.object;
                (event.node.is_some(), !object.namespace.is_empty(), object.kind == "Pod")
            }
        };
        if let Entry::Log(log) = entry {
            tally.container += usize::from(log.source.container.is_some());
            tally.partial += usize::from(log.partial);
        }
        tally.logs += usize::from(matches!(entry, Entry::Log(_)));
        tally.events += usize::from(matches!(entry, Entry::Event(_)));
        tally.node += usize::from(node);
        tally.namespace += usize::from(namespace);
        tally.pod += usize::from(pod);
        tally.time += usize::from(entry.time().is_some());
    }
}

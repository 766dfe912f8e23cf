//! A backlog is read: what it tells of may be over.

use super::*;

/// Reads what happens as if the scanner's clock were `behind` seconds ahead of it.
struct Late {
    cluster: Cluster,
    behind: i64,
}

impl Late {
    fn settled() -> Self {
        let mut cluster = Cluster::settled();
        cluster.correlator.options.alerts.max_age = Some(Duration::from_secs(3600));
        Late { cluster, behind: 7200 }
    }

    fn run(&mut self, seconds: i64) {
        for _ in 0..seconds {
            let report = self.cluster.report(|_| {});
            self.apply(report);
            self.cluster.now += 1;
        }
    }

    fn fail(&mut self, workload: &str, node: &str) {
        let pod = format!("{workload}-{node}");
        self.cluster.running.remove(&pod);
        let matched = matched(at(self.cluster.now), "entrypoint-failed", &[("code", "216")]);
        let report = self.cluster.report(|report| {
            report.pods.push(Cluster::pod(&pod, workload, node));
            report.matches.push(Match { pod: Some(report.pods.len() as u32 - 1), ..matched });
        });
        self.apply(report);
        self.cluster.now += 1;
    }

    fn apply(&mut self, report: Report) {
        self.cluster.apply(&Report { flushed_at: at(self.cluster.now + self.behind), ..report });
    }

    fn break_node(&mut self) {
        self.fail("api", "n2");
        self.fail("agent", "n2");
        self.run(20);
    }
}

#[test]
fn what_is_over_in_the_present_is_not_told() {
    let mut late = Late::settled();
    late.break_node();
    assert_eq!(late.cluster.correlator.sizes().incidents, 1, "it is followed");
    for workload in ["api", "agent"] {
        late.cluster.start(workload, "n2");
    }
    late.run(300);
    assert_eq!(late.cluster.correlator.sizes().incidents, 0, "it is over");
    late.behind = 0;
    late.run(60);
    assert_eq!(late.cluster.told(), []);
    assert!(late.cluster.counts.withheld >= 2, "{:?}", late.cluster.counts);
}

#[test]
fn what_is_still_true_in_the_present_is_told_then() {
    let mut late = Late::settled();
    late.break_node();
    assert_eq!(late.cluster.told(), []);
    late.behind = 10;
    late.run(10);
    assert_eq!(late.cluster.told(), [(FIRING, Node, "n2", Confirmed)]);
    for workload in ["api", "agent"] {
        late.cluster.start(workload, "n2");
    }
    late.run(300);
    assert_eq!(late.cluster.told(), [(FIRING, Node, "n2", Confirmed), (RESOLVED, Node, "n2", Confirmed)]);
}

#[test]
fn the_end_of_what_was_told_is_told_however_late() {
    let mut late = Late::settled();
    late.behind = 0;
    late.break_node();
    late.behind = 7200;
    for workload in ["api", "agent"] {
        late.cluster.start(workload, "n2");
    }
    late.run(300);
    assert_eq!(late.cluster.told(), [(FIRING, Node, "n2", Confirmed), (RESOLVED, Node, "n2", Confirmed)]);
}

#[test]
fn a_fault_that_widens_in_the_backlog_is_not_said_to_be_over() {
    let mut late = Late::settled();
    late.behind = 0;
    late.fail("api", "n2");
    late.run(100);
    late.fail("api", "n2");
    late.run(250);
    assert_eq!(late.cluster.told(), [(FIRING, PodScope, "shop/api-n2", Confirmed)]);
    // faultline was down for two hours, and reads on.
    late.behind = 7200;
    for workload in ["agent", "web", "api"] {
        late.fail(workload, "n2");
    }
    late.run(30);
    assert_eq!(
        late.cluster.told()[1..],
        [(RESOLVED, PodScope, "shop/api-n2", Confirmed), (FIRING, Node, "n2", Confirmed)]
    );
    assert_eq!(late.cluster.alerts[1].superseded_by.as_deref(), Some("prod/node/n2"));
}

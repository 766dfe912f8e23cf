//! What goes wrong in every cluster on every day, and is nobody's news.

use std::time::Duration;

use super::cluster::{Controller, Design, Os, PodId, Workload, WorkloadId};
use super::life::Trouble;
use super::story::Story;
use super::symptom::{Habitat, Symptom};
use crate::scenario::lines::Voice;

const CRON_INTERVAL_MS: u64 = 300_000;

impl Story {
    /// Crash-loopers with other symptoms than the faults', a pod that prints a bad line all the time, single crashes,
    /// and perhaps jobs and a rollout: none of it on nodes that are broken, or in workloads that are being changed.
    pub(super) fn add_noise(&mut self) {
        let taken: Vec<&'static Symptom> =
            self.cluster.pods.iter().filter_map(|pod| Some(pod.life.trouble?.symptom)).collect();
        let loopers = self.rng.between(1, 3);
        self.add_crash_loopers(loopers, &taken);
        self.add_chatterbox(&taken);
        let flakes = self.rng.below(6);
        self.add_flakes(flakes);
        self.add_churn();
    }

    /// Pods that have been failing for hours.
    pub(super) fn add_crash_loopers(&mut self, count: u64, taken: &[&'static Symptom]) {
        for _ in 0..count {
            let quiet = self.quiet_pods();
            let sizes = self.cluster.residents_by_workload();
            let is_only = |pod: &PodId| sizes[self.cluster.pods[*pod].workload] == 1;
            let only: Vec<PodId> = quiet.iter().copied().filter(is_only).collect();
            let choices = if !only.is_empty() && self.rng.chance(50) { only } else { quiet };
            let (Some(pod), Some(symptom)) =
                (self.rng.choose(&choices), Habitat::EveryDay.pick_other(&mut self.rng, taken))
            else {
                return;
            };
            let from = self.span.from;
            self.cluster.pods[pod].life.trouble = Some(Trouble { symptom, from, cure: None, is_old: true });
            self.background.push((pod, "crash-looper"));
        }
    }

    /// A pod that prints a bad line all the time and runs on.
    pub(super) fn add_chatterbox(&mut self, taken: &[&'static Symptom]) {
        let quiet = self.quiet_pods();
        let symptom = Habitat::Chatter.pick_other(&mut self.rng, taken);
        let Some((pod, symptom)) = self.rng.choose(&quiet).zip(symptom) else { return };
        self.cluster.pods[pod].life.mumbles = Some(symptom);
        self.background.push((pod, "chatty"));
    }

    /// Single crashes at any time.
    pub(super) fn add_flakes(&mut self, count: u64) {
        for _ in 0..count {
            let quiet = self.quiet_pods();
            let Some(pod) = self.rng.choose(&quiet) else { return };
            let length = self.span.to.since(self.span.from).as_millis() as u64;
            let at = self.span.from.saturating_add(self.rng.millis(60_000, length.saturating_sub(60_000).max(60_000)));
            let symptom = Habitat::Moment.pick(&mut self.rng);
            self.cluster.pods[pod].life.flakes.push((at, symptom));
            self.background.push((pod, "flake"));
        }
    }

    /// Jobs in half of the clusters, a rollout in some.
    pub(super) fn add_churn(&mut self) {
        if self.rng.chance(50) {
            self.add_jobs();
        }
        if self.rng.chance(40) {
            let workloads = self.quiet_workloads();
            if let Some(workload) = self.rng.choose(&workloads) {
                let at = self.span.from.saturating_add(self.rng.millis(90_000, 600_000));
                self.roll_out(workload, at);
            }
        }
    }

    /// Workloads that nothing happens to, now or later; no DaemonSets or jobs.
    pub(super) fn quiet_workloads(&self) -> Vec<WorkloadId> {
        let mut quiet: Vec<bool> = self.cluster.workloads.iter().map(is_application).collect();
        for pod in &self.cluster.pods {
            let life = &pod.life;
            quiet[pod.workload] &= life.is_undisturbed() && life.from.is_none() && life.until.is_none();
        }
        (0..quiet.len()).filter(|&workload| quiet[workload]).collect()
    }

    /// Pods that nothing happens to, on nodes that are whole, of workloads that stay as they are and have no such pod
    /// yet: two that fail in a workload by chance would look like its fault. Rather not siblings of what a fault broke.
    fn quiet_pods(&self) -> Vec<PodId> {
        let mut fits: Vec<bool> = self.cluster.workloads.iter().map(is_application).collect();
        let mut is_well = vec![true; fits.len()];
        for pod in &self.cluster.pods {
            let life = &pod.life;
            let is_odd = life.mumbles.is_some() || life.trouble.is_some_and(|trouble| trouble.is_old);
            fits[pod.workload] &= life.from.is_none() && life.until.is_none() && !is_odd;
            is_well[pod.workload] &= life.trouble.is_none();
        }
        let is_quiet = |id: &PodId| {
            let pod = &self.cluster.pods[*id];
            fits[pod.workload] && self.cluster.nodes[pod.node].takes_pods && pod.life.is_undisturbed()
        };
        let quiet: Vec<PodId> = (0..self.cluster.pods.len()).filter(is_quiet).collect();
        let well: Vec<PodId> = quiet.iter().copied().filter(|&pod| is_well[self.cluster.pods[pod].workload]).collect();
        if well.is_empty() { quiet } else { well }
    }

    /// A job every five minutes that speaks for a while and is done.
    fn add_jobs(&mut self) {
        let mut at = self.span.from.saturating_add(self.rng.millis(0, CRON_INTERVAL_MS));
        while at.saturating_add(Duration::from_secs(60)) < self.span.to {
            let nodes = self.cluster.open_nodes(Some(Os::Linux));
            let Some(node) = self.rng.choose(&nodes) else { return };
            let minute = at.as_millis() / 60_000;
            let design = Design {
                namespace: "core".to_owned(),
                name: format!("nightly-report-{minute}"),
                controller: Controller::Job,
                os: Some(Os::Linux),
                image: "registry.example.com/core/report:4.0.1".to_owned(),
                voice: Voice::Json,
                pace: Duration::from_secs(2),
            };
            let workload = self.cluster.add_workload(&mut self.rng, design);
            let pod = self.cluster.add_pod(&mut self.rng, workload, node);
            let until = at.saturating_add(self.rng.millis(15_000, 40_000));
            let life = &mut self.cluster.pods[pod].life;
            (life.from, life.until) = (Some(at), Some(until));
            at = at.saturating_add(Duration::from_millis(CRON_INTERVAL_MS));
        }
    }
}

fn is_application(workload: &Workload) -> bool {
    !matches!(workload.controller, Controller::DaemonSet | Controller::Job)
}

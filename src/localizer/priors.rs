//! How likely each kind of fault is before anything was seen.

/// Weights of the classes of hypotheses; only their ratios count. Pods that fail for reasons of their own are the rule,
/// so that two stray failures accuse nobody. Except for the first and the last, a class's share is split evenly among
/// its members: of a hundred nodes each is a hundred times less likely at fault than a single one.
///
/// Each is finite and above zero.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Priors {
    /// The failing pods have nothing in common.
    pub isolated: f64,
    /// Some workload: a bad rollout, a wrong configuration.
    pub workload: f64,
    /// Some node.
    pub node: f64,
    /// Some image that several workloads run.
    pub image: f64,
    /// Some node pool: its image, its network, its zone.
    pub node_pool: f64,
    /// The cluster: DNS, the network, the API server.
    pub cluster: f64,
}

impl Default for Priors {
    fn default() -> Self {
        Priors { isolated: 0.70, workload: 0.16, node: 0.10, image: 0.033, node_pool: 0.005, cluster: 0.002 }
    }
}

impl Priors {
    /// The same ratios with a sum of one.
    #[must_use]
    pub fn normalized(self) -> Self {
        let Priors { isolated, workload, node, image, node_pool, cluster } = self;
        let sum = isolated + workload + node + image + node_pool + cluster;
        Priors {
            isolated: isolated / sum,
            workload: workload / sum,
            node: node / sum,
            image: image / sum,
            node_pool: node_pool / sum,
            cluster: cluster / sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ratios_count() {
        let defaults = Priors::default();
        let tenfold = Priors { isolated: 7.0, workload: 1.6, node: 1.0, image: 0.33, node_pool: 0.05, cluster: 0.02 };
        for priors in [defaults.normalized(), tenfold.normalized()] {
            assert!((priors.isolated - defaults.isolated).abs() < 1e-12, "{priors:?}");
            assert!((priors.cluster - defaults.cluster).abs() < 1e-12, "{priors:?}");
        }
    }
}

//! Which machine of which cloud a node is, as far as its name tells.

use super::is_number;

/// A node's machine, in its cloud's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Machine<'n> {
    /// AKS: one of a virtual machine scale set.
    AksScaleSet {
        pool: &'n str,
        scale_set: &'n str,
        /// As the node's name has it: the instance id in base 36.
        digits: &'n str,
        /// As Azure's commands want it.
        instance_id: u64,
    },
    /// AKS: one of an availability set, named like its node.
    AksMachine { pool: &'n str },
    /// EC2, by its address or, where instances are named so, by its id.
    Ec2 { instance: Option<&'n str>, region: Option<&'n str> },
    /// GKE: named like its node.
    Gke { pool: &'n str },
}

impl<'n> Machine<'n> {
    /// The group of like nodes that the cloud makes and replaces together.
    pub fn pool(self) -> Option<&'n str> {
        match self {
            Machine::AksScaleSet { pool, .. } | Machine::AksMachine { pool } | Machine::Gke { pool } => Some(pool),
            Machine::Ec2 { .. } => None,
        }
    }
}

/// The machine of a node, from the naming schemes of AKS, EKS and GKE; `None` for a name that is none of these.
pub fn machine(node: &str) -> Option<Machine<'_>> {
    aks_linux(node).or_else(|| aks_windows(node)).or_else(|| gke(node)).or_else(|| ec2(node))
}

/// The pool of a node, from the naming schemes that have one: AKS and GKE.
pub fn node_pool(node: &str) -> Option<&str> {
    machine(node)?.pool()
}

/// Labels by which nodes tell their pool, of AKS, EKS, GKE and Karpenter.
const POOL_LABELS: [&str; 6] = [
    "kubernetes.azure.com/agentpool",
    "agentpool",
    "eks.amazonaws.com/nodegroup",
    "alpha.eksctl.io/nodegroup-name",
    "cloud.google.com/gke-nodepool",
    "karpenter.sh/nodepool",
];

/// Whether a node's label of this name holds its pool. Elasticsearch wants no dots in names, so shippers write `_`.
pub fn is_pool_label(label: &str) -> bool {
    let same = |a: u8, b: u8| a == b || a == b'.' && b == b'_';
    let is = |known: &str| known.len() == label.len() && known.bytes().zip(label.bytes()).all(|(a, b)| same(a, b));
    POOL_LABELS.iter().any(|known| is(known))
}

/// `aks-<pool>-<id>-vmss<base 36>`; clusters of availability sets end in a plain number.
fn aks_linux(node: &str) -> Option<Machine<'_>> {
    let (pool, rest) = node.strip_prefix("aks-")?.split_once('-')?;
    let (id, machine) = rest.split_once('-')?;
    if !(is_pool_name(pool) && id.len() == 8 && is_number(id)) {
        return None;
    }
    match machine.strip_prefix("vmss") {
        Some(digits) => scale_set(node, pool, digits),
        None => (!machine.is_empty() && is_number(machine)).then_some(Machine::AksMachine { pool }),
    }
}

/// `aks<pool><base 36, six digits>`: Windows allows 15 characters, so pools have at most six.
fn aks_windows(node: &str) -> Option<Machine<'_>> {
    const INSTANCE_LEN: usize = 6;
    let name = node.strip_prefix("aks").filter(|name| name.is_ascii())?;
    let pool_len = name.len().checked_sub(INSTANCE_LEN).filter(|len| (1..=6).contains(len))?;
    let (pool, digits) = name.split_at(pool_len);
    scale_set(node, pool, digits).filter(|_| is_pool_name(pool))
}

/// The scale set is what the node's name has before the digits.
fn scale_set<'n>(node: &'n str, pool: &'n str, digits: &'n str) -> Option<Machine<'n>> {
    let valid = is_instance(digits) && digits.len() <= 12;
    let instance_id = u64::from_str_radix(digits, 36).ok().filter(|_| valid)?;
    Some(Machine::AksScaleSet { pool, scale_set: node.strip_suffix(digits)?, digits, instance_id })
}

/// `gke-<cluster>-<pool>-<8 hex digits>-<4>`. Cluster and pool may both have dashes, so the usual pool names are
/// recognised and any other keeps the cluster's name before it, which is as good for telling pools apart.
fn gke(node: &str) -> Option<Machine<'_>> {
    let (rest, instance) = node.strip_prefix("gke-")?.rsplit_once('-')?;
    let (cluster_and_pool, hash) = rest.rsplit_once('-')?;
    let valid = instance.len() == 4
        && is_instance(instance)
        && hash.len() == 8
        && hash.bytes().all(|b| b.is_ascii_hexdigit())
        && !cluster_and_pool.is_empty();
    valid.then(|| Machine::Gke { pool: gke_pool(cluster_and_pool) })
}

fn gke_pool(cluster_and_pool: &str) -> &str {
    let start = match cluster_and_pool.rsplit_once('-') {
        Some((cluster, "pool")) => cluster.strip_suffix("-default").map(|cluster| cluster.len() + 1),
        Some((rest, number)) if is_number(number) => rest.strip_suffix("-pool").map(|cluster| cluster.len() + 1),
        _ => None,
    };
    &cluster_and_pool[start.unwrap_or(0)..]
}

/// `ip-<address>.<region>.compute.internal`, `ip-<address>.ec2.internal` in us-east-1, or the instance's id in place of
/// the address, with or without a domain.
fn ec2(node: &str) -> Option<Machine<'_>> {
    let (host, domain) = node.split_once('.').unwrap_or((node, ""));
    let region = match domain {
        "ec2.internal" => Some("us-east-1"),
        _ => domain.strip_suffix(".compute.internal"),
    };
    if let Some(hex) = host.strip_prefix("i-") {
        let valid = matches!(hex.len(), 8 | 17) && hex.bytes().all(|b| b.is_ascii_hexdigit());
        return valid.then_some(Machine::Ec2 { instance: Some(host), region });
    }
    let mut numbers = host.strip_prefix("ip-")?.split('-');
    let valid = numbers.clone().count() == 4 && numbers.all(|number| number.parse::<u8>().is_ok());
    (valid && region.is_some()).then_some(Machine::Ec2 { instance: None, region })
}

/// AKS: lower-case letters and digits, a letter first, twelve at most.
fn is_pool_name(pool: &str) -> bool {
    (1..=12).contains(&pool.len()) && pool.starts_with(|c: char| c.is_ascii_lowercase()) && is_instance(pool)
}

fn is_instance(instance: &str) -> bool {
    !instance.is_empty() && instance.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_machines_of_clouds_that_name_them() {
        let aks =
            |pool, scale_set, digits, instance_id| Some(Machine::AksScaleSet { pool, scale_set, digits, instance_id });
        let gke = |pool| Some(Machine::Gke { pool });
        let ec2 = |instance, region| Some(Machine::Ec2 { instance, region });
        let cases = [
            ("aks-linux-12345678-vmss000001", aks("linux", "aks-linux-12345678-vmss", "000001", 1)),
            ("aks-nodepool1-31415926-vmss00000a", aks("nodepool1", "aks-nodepool1-31415926-vmss", "00000a", 10)),
            ("aks-nodepool1-31415926-vmss0000zz", aks("nodepool1", "aks-nodepool1-31415926-vmss", "0000zz", 1295)),
            ("aks-nodepool1-31415926-0", Some(Machine::AksMachine { pool: "nodepool1" })),
            ("akswin000001", aks("win", "akswin", "000001", 1)),
            ("aksnpwin00000z", aks("npwin", "aksnpwin", "00000z", 35)),
            ("gke-prod-default-pool-2b6d1f2e-x7k2", gke("default-pool")),
            ("gke-my-cluster-pool-1-2b6d1f2e-abcd", gke("pool-1")),
            ("gke-prod-gpu-2b6d1f2e-x7k2", gke("prod-gpu")),
            ("ip-10-0-33-46.ec2.internal", ec2(None, Some("us-east-1"))),
            ("ip-10-0-33-46.eu-west-1.compute.internal", ec2(None, Some("eu-west-1"))),
            ("i-0123456789abcdef0", ec2(Some("i-0123456789abcdef0"), None)),
            ("i-0123456789abcdef0.eu-west-1.compute.internal", ec2(Some("i-0123456789abcdef0"), Some("eu-west-1"))),
            ("ip-10-0-33-46", None),
            ("ip-10-0-33-466.ec2.internal", None),
            ("ip-10-0-33.ec2.internal", None),
            ("i-am-a-node", None),
            ("aks", None),
            ("aks000001", None),
            ("aks-linux-1234-vmss000001", None),
            ("aks-linux-12345678-vmss", None),
            ("aks-linux-12345678-vmssñ", None),
            ("aks-linux-12345678-vmsszzzzzzzzzzzzzzzzzzzz", None),
            ("akswindows2019000001", None),
            ("gke-prod-pool-nothex00-x7k2", None),
            ("minikube", None),
            ("aksñ000001", None),
            ("", None),
        ];
        for (node, expected) in cases {
            assert_eq!(machine(node), expected, "{node}");
        }
    }

    #[test]
    fn labels_name_pools_with_and_without_dots() {
        for label in ["agentpool", "eks.amazonaws.com/nodegroup", "eks_amazonaws_com/nodegroup"] {
            assert!(is_pool_label(label), "{label}");
        }
        for label in ["pool", "eks.amazonaws.com/nodegroup2", "kubernetes.io/os", "cloud.google.com.gke-nodepool"] {
            assert!(!is_pool_label(label), "{label}");
        }
    }

    #[test]
    fn only_some_clouds_name_the_pool() {
        assert_eq!(node_pool("akswin000001"), Some("win"));
        assert_eq!(node_pool("aks-nodepool1-31415926-0"), Some("nodepool1"));
        assert_eq!(node_pool("ip-10-0-33-46.ec2.internal"), None);
    }
}

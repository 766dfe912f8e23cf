//! What Kubernetes' generated names tell: a pod's workload and revision, a node's machine and pool.
//!
//! Names are guesses where nothing better is written, but the guess is the same wherever it is made: a workload
//! derived from a record with an owner equals the one derived from the pod's name alone.

use crate::record::Owner;

mod machine;

pub use machine::{Machine, is_pool_label, machine, node_pool};

/// Letters that generated names are made of: no vowels, so that no words come out, and nothing that looks alike
/// (apimachinery `util/rand`).
const ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";
/// The hash of a pod template is a decimal number, digit by digit mapped into the alphabet: ten letters ever occur
/// (`SafeEncodeString`).
const HASH_ALPHABET: &str = "456789bcdf";
/// A `generateName` longer than this is cut before the five random letters are appended (apiserver `names`).
const MAX_GENERATED_BASE: usize = 58;
const SUFFIX_LEN: usize = 5;

/// The workload of a pod, `namespace/name`: a Deployment, DaemonSet, StatefulSet, CronJob, static pod or the like.
///
/// `owner` is the pod's controller where the producer wrote it, `node` the node where it is known (static pods carry
/// its name). A pod that belongs to nothing is its own workload.
pub fn workload(owner: Option<&Owner<'_>>, namespace: &str, pod: &str, node: Option<&str>) -> String {
    let name = match owner {
        Some(owner) if !owner.name.is_empty() => match owner.kind.as_ref() {
            "ReplicaSet" => without_hash(&owner.name),
            "Job" => without_schedule(&owner.name),
            // A static pod's owner is its node.
            "Node" => workload_of_pod(pod, Some(&owner.name)),
            _ => &owner.name,
        },
        _ => workload_of_pod(pod, node),
    };
    format!("{namespace}/{name}")
}

/// The hash of the pod template, the same for all pods of one revision of a Deployment; from names like
/// `name-<hash>-<5>`.
pub fn revision(pod: &str) -> Option<&str> {
    let generated_by = without_suffix(pod)?;
    let base = without_hash(generated_by);
    generated_by[base.len()..].strip_prefix('-')
}

fn workload_of_pod<'p>(pod: &'p str, node: Option<&str>) -> &'p str {
    if let Some(base) = node.and_then(|node| pod.strip_suffix(node)).and_then(|base| base.strip_suffix('-'))
        && !base.is_empty()
    {
        return base;
    }
    match without_suffix(pod) {
        Some(generated_by) => without_schedule(without_hash(generated_by)),
        None => without_ordinal(pod),
    }
}

/// Without the five random letters that end a generated name; `None` where there are none.
fn without_suffix(pod: &str) -> Option<&str> {
    let base_len = pod.len().checked_sub(SUFFIX_LEN).filter(|&len| len > 1 && pod.is_char_boundary(len))?;
    let (base, suffix) = pod.split_at(base_len);
    if !made_of(suffix, ALPHABET) {
        return None;
    }
    match base.strip_suffix('-') {
        Some(base) => Some(base),
        // The cut may have taken the dash, and part of the hash before it.
        None if base.len() == MAX_GENERATED_BASE => Some(base),
        None => None,
    }
}

/// Without the hash that a Deployment appends for its ReplicaSets.
fn without_hash(name: &str) -> &str {
    match last_part(name) {
        Some((base, part)) if is_hash(part) || (name.len() == MAX_GENERATED_BASE && made_of(part, HASH_ALPHABET)) => {
            base
        }
        _ => name,
    }
}

/// Eight to ten digits are 99.8 % of all 32-bit hashes. The full alphabet is accepted as well where it is as long: other
/// controllers, and people who make up examples, use it, and words have vowels.
fn is_hash(part: &str) -> bool {
    let encoded = (6..=10).contains(&part.len()) && made_of(part, HASH_ALPHABET);
    let like_it = (8..=10).contains(&part.len()) && made_of(part, ALPHABET) && !is_number(part);
    encoded || like_it
}

/// Without the scheduled time that a CronJob appends for its Jobs: minutes since the epoch, earlier seconds. The
/// decimal hashes of ReplicaSets before Kubernetes 1.8 look the same, and go the same way.
fn without_schedule(name: &str) -> &str {
    match last_part(name) {
        Some((base, part)) if (8..=10).contains(&part.len()) && is_number(part) => base,
        _ => name,
    }
}

/// Without the ordinal of a StatefulSet's pod.
fn without_ordinal(pod: &str) -> &str {
    match last_part(pod) {
        Some((base, part)) if part.len() <= 5 && is_number(part) && (part == "0" || !part.starts_with('0')) => base,
        _ => pod,
    }
}

fn last_part(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('-').filter(|(base, part)| !base.is_empty() && !part.is_empty())
}

fn made_of(text: &str, alphabet: &str) -> bool {
    text.chars().all(|c| alphabet.contains(c))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_pod(pod: &str) -> String {
        workload(None, "ns", pod, None)
    }

    #[test]
    fn derives_the_workload_from_the_pods_name() {
        let cases = [
            ("cd-7d9f8b6c5d-x7k2p", "ns/cd"),
            ("log-spamer-788b9ffbf5-nmz4m", "ns/log-spamer"),
            ("downloads-55f4ff79-gnrsw", "ns/downloads"),
            ("web-5xk2mzq9t-x7k2p", "ns/web"),
            ("kube-proxy-8crt4", "ns/kube-proxy"),
            ("omsagent-win-x7k2p", "ns/omsagent-win"),
            ("nginx-0", "ns/nginx"),
            ("redis-master-0", "ns/redis-master"),
            ("prometheus-user-workload-12", "ns/prometheus-user-workload"),
            ("backup-28471234-x7k2p", "ns/backup"),
            ("backup-1620000000-x7k2p", "ns/backup"),
            ("kairosdb-914055854-b62vq", "ns/kairosdb"),
            // No vowels in generated names: these are names that somebody chose.
            ("coredns-5d78c9869d-abcde", "ns/coredns-5d78c9869d-abcde"),
            ("my-nginx", "ns/my-nginx"),
            ("web-proxy", "ns/web-proxy"),
            // Too short for a hash, or no hash at all.
            ("api-v2-x7k2p", "ns/api-v2"),
            ("rabbitmq-server-gnrsw", "ns/rabbitmq-server"),
            ("web-007", "ns/web-007"),
            ("x7k2p", "ns/x7k2p"),
            ("-x7k2p", "ns/-x7k2p"),
            ("a", "ns/a"),
            ("", "ns/"),
            ("ünï-çødé", "ns/ünï-çødé"),
        ];
        for (pod, expected) in cases {
            assert_eq!(of_pod(pod), expected, "{pod}");
        }
    }

    #[test]
    fn the_owner_gives_the_same_answer_as_the_name() {
        let cases = [
            ("ReplicaSet", "cd-7d9f8b6c5d", "cd-7d9f8b6c5d-x7k2p"),
            ("ReplicaSet", "bare", "bare-x7k2p"),
            ("ReplicaSet", "kairosdb-f9b59484", "kairosdb-f9b59484-b62vq"),
            ("DaemonSet", "omsagent-win", "omsagent-win-x7k2p"),
            ("StatefulSet", "redis-master", "redis-master-0"),
            ("Job", "migrate", "migrate-x7k2p"),
            ("Job", "backup-28471234", "backup-28471234-x7k2p"),
            ("ReplicationController", "registry-2", "registry-2-x7k2p"),
        ];
        for (kind, name, pod) in cases {
            let owner = Owner { kind: kind.into(), name: name.into() };
            assert_eq!(workload(Some(&owner), "ns", pod, None), of_pod(pod), "{kind} {name}");
        }
    }

    #[test]
    fn a_static_pod_carries_its_nodes_name() {
        let pod = "kube-apiserver-aks-linux-12345678-vmss000000";
        let node = "aks-linux-12345678-vmss000000";
        assert_eq!(workload(None, "ns", pod, Some(node)), "ns/kube-apiserver");
        let owner = Owner { kind: "Node".into(), name: node.into() };
        assert_eq!(workload(Some(&owner), "ns", pod, None), "ns/kube-apiserver");
        assert_eq!(workload(None, "ns", "minikube", Some("minikube")), "ns/minikube");
        assert_eq!(workload(None, "ns", "cd-7d9f8b6c5d-x7k2p", Some(node)), "ns/cd");
    }

    #[test]
    fn a_name_that_was_cut_still_gives_its_workload() {
        let deployment = "a-deployment-with-a-really-long-name-that-goes-on-a";
        let base = format!("{deployment}-7d9f8b6c5d-");
        let pod = format!("{}x7k2p", &base[..MAX_GENERATED_BASE]);
        assert_eq!(pod.len(), 63);
        assert_eq!(of_pod(&pod), format!("ns/{deployment}"));
    }

    #[test]
    fn revisions_are_the_replica_sets_hash() {
        let cases = [
            ("cd-7d9f8b6c5d-x7k2p", Some("7d9f8b6c5d")),
            ("downloads-55f4ff79-gnrsw", Some("55f4ff79")),
            ("kube-proxy-8crt4", None),
            ("backup-28471234-x7k2p", None),
            ("redis-master-0", None),
            ("coredns-5d78c9869d-abcde", None),
            ("", None),
        ];
        for (pod, expected) in cases {
            assert_eq!(revision(pod), expected, "{pod}");
        }
    }
}

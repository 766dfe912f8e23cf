//! What can be done about a node: commands to copy, with the parts that its name tells filled in and placeholders for
//! the rest.

use crate::names::{Machine, machine};

/// Whether a name can stand in a shell command as it is. Names come from records, and records from anyone: one that
/// could end the command and begin another is left to its reader.
pub fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/:@".contains(&b))
}

/// Commands that take the node out of service, restart its machine, and bring it back, in this order.
pub fn for_node(node: &str) -> Vec<String> {
    if !is_plain(node) {
        return Vec::new();
    }
    let mut commands = vec![
        format!("kubectl cordon {node}"),
        format!("kubectl drain {node} --ignore-daemonsets --delete-emptydir-data"),
    ];
    commands.extend(for_machine(node));
    commands.push(format!("kubectl uncordon {node}"));
    commands
}

fn for_machine(node: &str) -> Vec<String> {
    match machine(node) {
        Some(Machine::AksScaleSet { scale_set, instance_id, .. }) => {
            let which = format!("--resource-group <node-resource-group> --name {scale_set}");
            vec![
                format!("az vmss restart {which} --instance-ids {instance_id}"),
                format!("az vmss reimage {which} --instance-ids {instance_id}"),
            ]
        }
        Some(Machine::AksMachine { .. }) => {
            vec![format!("az vm restart --resource-group <node-resource-group> --name {node}")]
        }
        Some(Machine::Ec2 { instance, region }) => {
            let (instance, region) = (instance.unwrap_or("<instance-id>"), region.unwrap_or("<region>"));
            vec![format!("aws ec2 reboot-instances --region {region} --instance-ids {instance}")]
        }
        Some(Machine::Gke { .. }) => vec![format!("gcloud compute instances reset {node} --zone <zone>")],
        None => Vec::new(),
    }
}

/// Pool and instance, where the node's name tells them.
pub fn whereabouts(node: &str) -> Option<String> {
    match machine(node)? {
        Machine::AksScaleSet { pool, scale_set, digits, instance_id } => Some(format!(
            "{node} is AKS node pool {pool}, scale set {scale_set}, instance {instance_id} (base 36: {digits})"
        )),
        Machine::AksMachine { pool } => Some(format!("{node} is a virtual machine of AKS node pool {pool}")),
        Machine::Gke { pool } => Some(format!("{node} is an instance of GKE node pool {pool}")),
        Machine::Ec2 { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aks_node_gets_its_scale_sets_commands() {
        let windows = for_node("akswin00000a");
        assert_eq!(
            windows,
            [
                "kubectl cordon akswin00000a",
                "kubectl drain akswin00000a --ignore-daemonsets --delete-emptydir-data",
                "az vmss restart --resource-group <node-resource-group> --name akswin --instance-ids 10",
                "az vmss reimage --resource-group <node-resource-group> --name akswin --instance-ids 10",
                "kubectl uncordon akswin00000a",
            ]
        );
        let linux = for_node("aks-nodepool1-31415926-vmss000001");
        assert!(linux[2].ends_with("--name aks-nodepool1-31415926-vmss --instance-ids 1"), "{linux:?}");
        let told = whereabouts("akswin00000a").unwrap();
        assert_eq!(told, "akswin00000a is AKS node pool win, scale set akswin, instance 10 (base 36: 00000a)");
    }

    #[test]
    fn what_a_name_does_not_tell_is_a_placeholder() {
        let command = |node| for_node(node).into_iter().find(|line| !line.starts_with("kubectl"));
        let cases = [
            (
                "aks-np-31415926-0",
                Some("az vm restart --resource-group <node-resource-group> --name aks-np-31415926-0"),
            ),
            (
                "ip-10-0-33-46.eu-west-1.compute.internal",
                Some("aws ec2 reboot-instances --region eu-west-1 --instance-ids <instance-id>"),
            ),
            (
                "i-0123456789abcdef0",
                Some("aws ec2 reboot-instances --region <region> --instance-ids i-0123456789abcdef0"),
            ),
            (
                "gke-prod-default-pool-2b6d1f2e-x7k2",
                Some("gcloud compute instances reset gke-prod-default-pool-2b6d1f2e-x7k2 --zone <zone>"),
            ),
            ("worker-3", None),
        ];
        for (node, expected) in cases {
            assert_eq!(command(node).as_deref(), expected, "{node}");
        }
    }

    #[test]
    fn a_name_that_is_shell_code_becomes_no_command() {
        for node in ["n1; reboot", "$(reboot)", "n1\nreboot", "-rf", "n'1", ""] {
            assert_eq!(for_node(node), Vec::<String>::new(), "{node}");
        }
    }
}

//! What can go wrong in a simulated cluster, or go right.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// The kinds, each with its name and what it is, in one place.
macro_rules! kinds {
    ($($kind:ident $name:literal $about:literal,)*) => {
        /// One kind of case; what it is stands beside its name in [`Kind::about`].
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Kind {
            $(#[doc = $about] $kind,)*
        }

        impl Kind {
            pub const ALL: &[Kind] = &[$(Kind::$kind),*];

            /// The word of the command line and of `truth.json`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }

            /// What happens, in a few words.
            pub fn about(self) -> &'static str {
                match self {
                    $(Kind::$kind => $about,)*
                }
            }
        }
    };
}

kinds! {
    Healthy "healthy" "an ordinary day: perhaps flakes, crash-loopers, jobs, a rollout; nothing is the matter",
    CrashLoopers "crash-loopers" "no fault, but pods that have crashed every five minutes for days, and single crashes",
    Chatty "chatty" "no fault, but a pod that prints a bad line all the time and runs on",
    Rollout "rollout" "no fault: several workloads get a new revision, and it is good",
    ScaleDown "scale-down" "no fault: several workloads get fewer pods",
    Drain "drain" "no fault: a node is drained and removed, its pods start elsewhere",
    Node "node" "a node breaks, and with it all that runs there",
    NodeNewStarts "node-new-starts" "a node starts nothing any more; what runs there runs on",
    NodeTwoPods "node-2" "two pods of different workloads fail on a node",
    NodeThreePods "node-3" "three pods of different workloads fail on a node",
    NodeFivePods "node-5" "five pods of different workloads fail on a node",
    TwoNodes "two-nodes" "two nodes break by themselves at about the same time",
    NodePool "node-pool" "all nodes of a pool break",
    Growing "growing" "a pod fails, minutes later its node, then most of the node's pool",
    NotReady "not-ready" "a node breaks, falls silent and is not ready; after five minutes its pods are moved",
    BlackHole "black-hole" "a node starts nothing any more, looks idle, and is given one new pod after another",
    Workload "workload" "a bad revision fails wherever it runs",
    WorkloadSurge "workload-surge" "a bad revision fails in the few pods that a rolling update begins with",
    WorkloadConfig "workload-config" "the running pods of a workload break within two minutes, without a rollout",
    Image "image" "an image that three workloads share is bad",
    ClusterDns "cluster-dns" "lookups of names fail all over the cluster",
    TwoFaults "two-faults" "a node and a workload break at about the same time",
    Disordered "disordered" "a node or a workload breaks; records come late, twice and out of order",
    Missing "missing" "a node or a workload breaks; some records in a hundred never come",
    EventsOnly "events-only" "a node or a workload breaks; there are no logs",
    LogsOnly "logs-only" "a node or a workload breaks; there are no events",
    EventsWithoutNode "events-without-node" "a node or a workload breaks; kubelet's events do not name their host",
    ColdStart "cold-start" "a node or a workload was broken before the watch began",
    Silence "silence" "a node breaks, then nothing comes for twelve minutes, then records for some seconds",
    SilenceNode "silence-node" "a node breaks, then nothing comes from it any more; the rest of the cluster goes on",
    RecoverRestart "recover-restart" "a node breaks and is put right, or restarted: its pods run again where they were",
    RecoverReschedule "recover-reschedule" "a node breaks and is drained: its pods run elsewhere; it is restarted or removed",
    RecoverRollback "recover-rollback" "a bad revision fails wherever it runs, and is rolled back",
}

#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("there is no kind of case `{0}`")]
pub struct UnknownKind(pub String);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name).ok_or_else(|| UnknownKind(name.to_owned()))
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

//! How pods fail, in the words of runtimes, kubelet and programs.

use super::cluster::Os;
use crate::scenario::lines::GO_PANIC;
use crate::scenario::rng::Rng;

/// A way to fail. In its texts `{time}` stands for a time to the second, `{container}` for the container's name and
/// `{id}` for a hash of the runtime.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Symptom {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
}

#[derive(PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// The container starts, says `before`, `telling` (which a rule knows) and `after`, and ends.
    Exits { before: &'static [&'static str], telling: Option<&'static str>, after: &'static [&'static str] },
    /// The runtime cannot start the container: kubelet's `Failed`.
    NotStarted(&'static str),
    /// The pod does not even get a sandbox: kubelet's `FailedCreatePodSandBox`.
    NoSandbox(&'static str),
    /// The container runs on and says this now and then.
    Complains(&'static str),
}

impl Symptom {
    /// Whether the pod's own log tells it.
    pub(super) fn is_logged(&self) -> bool {
        matches!(self.shape, Shape::Exits { telling: Some(_), .. } | Shape::Complains(_))
    }
}

const fn exits(name: &'static str, before: &'static [&'static str], telling: &'static str) -> Symptom {
    Symptom { name, shape: Shape::Exits { before, telling: Some(telling), after: &[] } }
}

const fn complains(name: &'static str, line: &'static str) -> Symptom {
    Symptom { name, shape: Shape::Complains(line) }
}

const LOG_MONITOR: Symptom = exits(
    "entrypoint-216",
    &["[{time}.000Z][LOGMONITOR] INFO: Starting log monitor"],
    "[{time}.000Z][LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216",
);
const NO_SPACE: Symptom = exits("no-space", &["starting up"], "write /var/lib/app/wal: no space left on device");
const NO_SPACE_PYTHON: Symptom = exits(
    "no-space-python",
    &["Traceback (most recent call last):", "  File \"/app/main.py\", line 41, in <module>"],
    "OSError: [Errno 28] No space left on device",
);
const CONTAINERD: Symptom = Symptom {
    name: "containerd",
    shape: Shape::NotStarted(
        "Error: failed to create containerd task: failed to create shim task: OCI runtime create failed: unable to \
         retrieve OCI runtime error (open /run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}/log.json: no such \
         file or directory): runc did not terminate successfully: exit status 127: unknown",
    ),
};
const SANDBOX_NO_SPACE: Symptom = Symptom {
    name: "sandbox-no-space",
    shape: Shape::NoSandbox(
        "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to create containerd task: failed to \
         create shim task: mkdir /run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}: no space left on device: \
         unknown",
    ),
};
const HCS: Symptom = Symptom {
    name: "hcs",
    shape: Shape::NotStarted(
        "Error: failed to create containerd task: failed to create shim task: hcs::CreateComputeSystem {container}: \
         The compute system exited unexpectedly while starting. (0xC0370100): unknown",
    ),
};

const GO: Symptom = match GO_PANIC {
    [telling, after @ ..] => {
        Symptom { name: "go-panic", shape: Shape::Exits { before: &["starting"], telling: Some(*telling), after } }
    }
    [] => EXIT,
};
const DOTNET: Symptom = Symptom {
    name: "dotnet",
    shape: Shape::Exits {
        before: &["info: Microsoft.Hosting.Lifetime[14]", "      Now listening on: http://[::]:8080"],
        telling: Some(
            "Unhandled exception. System.NullReferenceException: Object reference not set to an instance of an object.",
        ),
        after: &["   at App.Program.Main(String[] args) in /src/Program.cs:line 12"],
    },
};
const PYTHON: Symptom = exits(
    "python",
    &["Traceback (most recent call last):", "  File \"/app/main.py\", line 3, in <module>", "    import requests"],
    "ModuleNotFoundError: No module named 'requests'",
);
const JAVA: Symptom = Symptom {
    name: "java",
    shape: Shape::Exits {
        before: &[],
        telling: Some("Exception in thread \"main\" java.lang.NoClassDefFoundError: com/example/App"),
        after: &["\tat com.example.App.main(App.java:17)"],
    },
};
const NODE_JS: Symptom = exits(
    "javascript-heap",
    &["<--- Last few GCs --->"],
    "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
);
/// Nothing that a rule knows: only kubelet's back-off tells.
const EXIT: Symptom = Symptom {
    name: "exit",
    shape: Shape::Exits { before: &["config: key 'db.url' is missing, exiting"], telling: None, after: &[] },
};

const OF_LINUX: &[Symptom] = &[NO_SPACE, CONTAINERD, SANDBOX_NO_SPACE, NO_SPACE_PYTHON];
/// The first is the founding case's, and the likeliest.
const OF_WINDOWS: &[Symptom] = &[LOG_MONITOR, LOG_MONITOR, HCS];
const OF_PROGRAMS: &[Symptom] = &[GO, DOTNET, PYTHON, JAVA, EXIT];
const OF_EVERY_DAY: &[Symptom] = &[GO, DOTNET, PYTHON, JAVA, NODE_JS, EXIT];
/// What a single crash may leave.
const OF_A_MOMENT: &[Symptom] = &[GO, DOTNET, PYTHON, NODE_JS];
const OF_DNS: &[Symptom] = &[
    complains(
        "dns-timeout",
        "dial tcp: lookup db.prod.svc on 10.0.0.10:53: read udp 10.244.1.7:51234->10.0.0.10:53: i/o timeout",
    ),
    complains("dns-again", "Error: getaddrinfo EAI_AGAIN db.prod.svc"),
];
const OF_CHATTERBOXES: &[Symptom] = &[
    complains(
        "chatty-dotnet",
        "Unhandled exception. System.TimeoutException: The operation has timed out. Handled by the host, going on.",
    ),
    complains("chatty-space", "write /tmp/cache/index: no space left on device"),
    complains("chatty-dns", "Error: getaddrinfo EAI_AGAIN metrics.example.com"),
    complains("chatty-java", "java.lang.OutOfMemoryError: Java heap space"),
];

/// Where a way to fail belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Habitat {
    /// A broken node.
    Node(Os),
    /// A bad revision or configuration.
    Program,
    /// A pod that has been crashing for hours.
    EveryDay,
    /// A single crash.
    Moment,
    Dns,
    /// Lines that look bad and are not.
    Chatter,
}

impl Habitat {
    #[cfg(test)]
    pub(super) const ALL: &[Habitat] = &[
        Habitat::Node(Os::Linux),
        Habitat::Node(Os::Windows),
        Habitat::Program,
        Habitat::EveryDay,
        Habitat::Moment,
        Habitat::Dns,
        Habitat::Chatter,
    ];

    pub(super) fn symptoms(self) -> &'static [Symptom] {
        match self {
            Habitat::Node(Os::Linux) => OF_LINUX,
            Habitat::Node(Os::Windows) => OF_WINDOWS,
            Habitat::Program => OF_PROGRAMS,
            Habitat::EveryDay => OF_EVERY_DAY,
            Habitat::Moment => OF_A_MOMENT,
            Habitat::Dns => OF_DNS,
            Habitat::Chatter => OF_CHATTERBOXES,
        }
    }

    pub(super) fn pick(self, rng: &mut Rng) -> &'static Symptom {
        rng.pick(self.symptoms())
    }

    /// One that the logs alone tell; every habitat has some.
    pub(super) fn pick_logged(self, rng: &mut Rng) -> &'static Symptom {
        let logged: Vec<_> = self.symptoms().iter().filter(|symptom| symptom.is_logged()).collect();
        let &symptom = rng.pick(&logged);
        symptom
    }

    /// One that none of `taken` is.
    pub(super) fn pick_other(self, rng: &mut Rng, taken: &[&'static Symptom]) -> Option<&'static Symptom> {
        let others: Vec<_> = self.symptoms().iter().filter(|symptom| !taken.contains(symptom)).collect();
        rng.choose(&others)
    }
}

//! What containers say.

use super::rng::Rng;
use super::wire::seconds;
use crate::time::Timestamp;

/// The tone of a workload's lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Voice {
    /// .NET on IIS behind LogMonitor: CRLF.
    Iis,
    /// Go with klog.
    Klog,
    Dns,
    /// A web service's JSON.
    Json,
    Java,
    Redis,
    Agent,
}

const PATHS: &[&str] = &[
    "/healthz/ready",
    "/api/v1/items",
    "/api/v1/items/4711/price",
    "/sitecore/api/layout/render/jss",
    "/identity/connect/token",
    "/search?q=winter+jacket&page=2&sort=price",
];

/// One line with the line's end, and whether it goes to stderr.
pub(crate) fn line(voice: Voice, rng: &mut Rng, at: Timestamp) -> (String, bool) {
    let time = seconds(at);
    let (date, clock) = time.trim_end_matches('Z').split_once('T').unwrap_or_default();
    let path = *rng.pick(PATHS);
    let took = rng.between(1, 900);
    let octet = rng.between(2, 250);
    match voice {
        Voice::Iis => (iis(rng, date, clock, path, took, octet), false),
        Voice::Klog => (klog(rng, date, clock), true),
        Voice::Dns => {
            let id = rng.below(65_536);
            let port = rng.between(32_768, 60_999);
            let text = format!(
                "[INFO] 10.244.1.{octet}:{port} - {id} \"A IN checkout.shop.svc.cluster.local. udp 54 false 512\" \
                 NOERROR qr,aa,rd 106 0.000{took:03}s\n"
            );
            (text, false)
        }
        Voice::Json => (json(rng, at, path, took), false),
        Voice::Java => (java(rng, date, clock, path, took), false),
        Voice::Redis => (format!("1:M {date} {clock}.{took:03} * Background saving terminated with success\n"), false),
        Voice::Agent => {
            let sent = rng.between(100, 9_000);
            (format!("{date} {clock} +0000 [info]: #0 flushed {sent} records to the workspace in {took} ms\n"), false)
        }
    }
}

fn iis(rng: &mut Rng, date: &str, clock: &str, path: &str, took: u64, octet: u64) -> String {
    match rng.below(4) {
        0 => format!("{took} {clock} INFO  Cache created: 'web[items]' (max size: 100MB, running total: {took}MB)\r\n"),
        1 => {
            format!("ManagedPoolThread #{octet} {clock} INFO  Job ended: Index_Update_IndexName=sitecore_web_index\r\n")
        }
        2 => format!("{took} {clock} WARN  Slow query on the item '{path}', {took} ms, retrying is not needed\r\n"),
        _ => {
            format!("{date} {clock} 10.240.0.{octet} GET {path} - 80 - 10.240.0.4 kube-probe/1.31 - 200 0 0 {took}\r\n")
        }
    }
}

fn klog(rng: &mut Rng, date: &str, clock: &str) -> String {
    let day = date.get(5..).unwrap_or_default().replace('-', "");
    let thread = rng.between(1, 40);
    match rng.below(3) {
        0 => {
            format!("I{day} {clock}.102504 {thread:7} proxier.go:812] \"SyncProxyRules complete\" elapsed=\"21.7ms\"\n")
        }
        1 => {
            format!("I{day} {clock}.340118 {thread:7} config.go:105] \"Service config synchronized\" count={thread}\n")
        }
        _ => format!(
            "W{day} {clock}.550982 {thread:7} reflector.go:561] watch of *v1.EndpointSlice ended, will resume\n"
        ),
    }
}

fn json(rng: &mut Rng, at: Timestamp, path: &str, took: u64) -> String {
    let trace = rng.hex(16);
    match rng.below(12) {
        // Every day's errors; none is a pod that cannot run.
        0 => format!(
            "{{\"ts\":\"{at}\",\"level\":\"error\",\"msg\":\"payment declined by the card's issuer\",\"path\":\"{path}\",\
             \"trace_id\":\"{trace}\"}}\n"
        ),
        1 => format!(
            "{{\"ts\":\"{at}\",\"level\":\"warn\",\"msg\":\"upstream reset the connection, second attempt went well\",\
             \"took_ms\":{took},\"trace_id\":\"{trace}\"}}\n"
        ),
        _ => format!(
            "{{\"ts\":\"{at}\",\"level\":\"info\",\"msg\":\"request served\",\"path\":\"{path}\",\"status\":200,\
             \"took_ms\":{took},\"trace_id\":\"{trace}\"}}\n"
        ),
    }
}

fn java(rng: &mut Rng, date: &str, clock: &str, path: &str, took: u64) -> String {
    let worker = rng.between(1, 32);
    format!(
        "{date} {clock}.{took:03}  INFO 1 --- [nio-8080-exec-{worker}] c.example.shop.catalog.ItemController     : \
         GET {path} answered with 200 in {took} ms\n"
    )
}

/// What LogMonitor prints when the entrypoint's executable is for another machine type, or the node is broken.
pub(crate) fn entrypoint_failed(at: Timestamp) -> String {
    let time = seconds(at);
    let time = time.trim_end_matches('Z');
    format!("[{time}.000Z][LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216\r\n")
}

/// A Go program's last words, one record a line as runtimes split them.
pub(crate) const GO_PANIC: &[&str] = &[
    "panic: runtime error: invalid memory address or nil pointer dereference\n",
    "[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x7d3f5a]\n",
    "\n",
    "goroutine 1 [running]:\n",
    "example.com/shop/checkout/internal/tax.(*Table).Rate(...)\n",
    "\t/src/internal/tax/table.go:61\n",
    "main.main()\n",
    "\t/src/cmd/checkout/main.go:84 +0x3da\n",
];

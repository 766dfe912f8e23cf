//! An HTTP server that says what a test tells it to: PagerDuty, Slack, or whoever Alertmanager notifies.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What it does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    Says {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Reads it, and closes the connection.
    HangsUp,
    /// Closes in the middle of the answer's body.
    BreaksOff {
        status: u16,
    },
    /// Reads it, and says nothing until the test ends.
    IsSilent,
}

impl Reply {
    pub fn status(status: u16, body: &str) -> Self {
        Reply::Says { status, headers: Vec::new(), body: body.to_owned() }
    }

    pub fn accepted() -> Self {
        Reply::status(202, r#"{"status":"success","message":"Event processed","dedup_key":"k"}"#)
    }

    pub fn too_many(retry_after: &str) -> Self {
        let headers = vec![("Retry-After", retry_after.to_owned())];
        Reply::Says { status: 429, headers, body: String::new() }
    }
}

#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

#[derive(Default)]
struct State {
    requests: Mutex<Vec<Request>>,
    /// For the next requests; then `usual`.
    script: Mutex<VecDeque<Reply>>,
    ends: AtomicBool,
    silenced: Mutex<Vec<TcpStream>>,
}

pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Answers with `usual`, but for the first requests with `script`.
    pub fn start(usual: Reply, script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State { script: Mutex::new(script.into_iter().collect()), ..State::default() });
        let thread = {
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if state.ends.load(Ordering::Acquire) {
                        break;
                    }
                    serve(stream, &state, &usual);
                }
            })
        };
        Receiver { address, state, thread: Some(thread) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    /// The next requests get these.
    pub fn then(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.script.lock().unwrap().extend(replies);
    }

    /// Waits for so many requests.
    pub fn wait_for(&self, requests: usize) -> Vec<Request> {
        super::eventually(&format!("{requests} requests"), || {
            let got = self.requests();
            (got.len() >= requests).then_some(got)
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.state.ends.store(true, Ordering::Release);
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request a connection.
fn serve(mut stream: TcpStream, state: &State, usual: &Reply) {
    let Some(request) = read(&stream) else { return };
    let reply = state.script.lock().unwrap().pop_front().unwrap_or_else(|| usual.clone());
    state.requests.lock().unwrap().push(request);
    match reply {
        Reply::Says { status, headers, body } => {
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
            );
        }
        Reply::HangsUp => _ = stream.shutdown(Shutdown::Both),
        Reply::BreaksOff { status } => {
            let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 1000\r\nConnection: close\r\n\r\nbroken");
        }
        Reply::IsSilent => state.silenced.lock().unwrap().push(stream),
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { path, headers, body: String::from_utf8(body).ok()? })
}

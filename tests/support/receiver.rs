//! An HTTP server that says what a test tells it to: PagerDuty, Slack, or whoever Alertmanager notifies.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

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
    silenced: Mutex<Vec<Box<dyn Stream>>>,
}

trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Answers with `usual`, but for the first requests with `script`.
    pub fn start(usual: Reply, script: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(usual, script, None)
    }

    /// The same over TLS, as 127.0.0.1; with the authority that vouches for it, in PEM.
    pub fn start_tls(usual: Reply) -> (Self, Vec<u8>) {
        let (config, authority) = tls();
        (Self::with(usual, [], Some(Arc::new(config))), authority)
    }

    fn with(usual: Reply, script: impl IntoIterator<Item = Reply>, tls: Option<Arc<ServerConfig>>) -> Self {
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
                    let stream: Box<dyn Stream> = match &tls {
                        None => Box::new(stream),
                        Some(config) => {
                            let connection = ServerConnection::new(Arc::clone(config)).expect("TLS");
                            Box::new(StreamOwned::new(connection, stream))
                        }
                    };
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
fn serve(mut stream: Box<dyn Stream>, state: &State, usual: &Reply) {
    let Some(request) = read(&mut stream) else { return };
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
        Reply::HangsUp => drop(stream),
        Reply::BreaksOff { status } => {
            let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 1000\r\nConnection: close\r\n\r\nbroken");
        }
        Reply::IsSilent => state.silenced.lock().unwrap().push(stream),
    }
}

fn read(stream: &mut dyn Stream) -> Option<Request> {
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

/// A certificate that is made for the occasion.
fn tls() -> (ServerConfig, Vec<u8>) {
    let mut ours = CertificateParams::default();
    ours.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ours.distinguished_name.push(DnType::CommonName, "authority of a test");
    let key = KeyPair::generate().expect("a key");
    let authority = ours.self_signed(&key).expect("an authority").pem();
    let issuer = Issuer::new(ours, key);
    let key = KeyPair::generate().expect("a key");
    let name = vec!["127.0.0.1".to_owned()];
    let certificate =
        CertificateParams::new(name).and_then(|params| params.signed_by(&key, &issuer)).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a private key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key))
        .expect("a configuration");
    (config, authority.into_bytes())
}

//! The HTTP client: a request out, and what became of it, without a word that is secret.

use std::fmt;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use ureq::http::{HeaderValue, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Timeout};

use super::Error;
use crate::courier::answer::{Answer, Verdict, judge};
use crate::courier::{Shipment, Target, retry_after};
use crate::time::Timestamp;

/// Of an answer more is not read.
const ANSWER_BYTES: u64 = 4096;
const MASK: &str = "********";
/// Shorter ones are not masked: they would be found in every other word.
const SHORTEST_SECRET: usize = 4;
const ALERT_ID: &str = "faultline-alert-id";
const ALERTMANAGER_PATH: &str = "/api/v2/alerts";

/// Where to and how.
#[derive(Clone)]
pub struct Options {
    pub target: Target,
    /// For Alertmanager the base.
    pub url: String,
    pub token: Option<String>,
    /// Also masked in what receivers answer.
    pub routing_key: Option<String>,
    /// PEM, instead of the built-in authorities.
    pub authorities: Option<Vec<u8>>,
    /// Of one request altogether.
    pub timeout: Duration,
}

impl fmt::Debug for Options {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("target", &self.target).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Options {
    /// Whether requests can be made with them; makes none.
    ///
    /// # Errors
    /// As [`Poster::new`].
    pub fn check(&self) -> Result<(), Error> {
        Poster::new(self).map(drop)
    }
}

pub struct Poster {
    agent: Agent,
    target: Target,
    uri: Uri,
    token: Option<HeaderValue>,
    secrets: Vec<String>,
}

/// What a request came to.
#[derive(Debug)]
pub struct Posted {
    /// `None`: no answer.
    pub status: Option<u16>,
    pub verdict: Verdict,
}

impl Poster {
    /// # Errors
    /// A URL, token or certificate that is none. Never quotes them.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let uri = uri(options)?;
        let token = options.token.as_deref().map(bearer).transpose()?;
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &options.authorities {
            tls = tls.root_certs(RootCerts::from(authorities(pem)?));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A redirect would take secrets along to who knows where.
            .max_redirects(0)
            .timeout_global(Some(options.timeout))
            .user_agent(concat!("faultline/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build();
        Ok(Poster { agent: config.into(), target: options.target, secrets: secrets(&uri, options), uri, token })
    }

    /// Scheme, host and port, which may be shown.
    pub fn origin(&self) -> String {
        let (scheme, host) = (self.uri.scheme_str().unwrap_or_default(), self.uri.host().unwrap_or_default());
        match self.uri.port_u16() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }

    /// Whether anybody on the way can read what is sent, to other hosts than this one.
    pub fn is_in_the_clear(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        let is_local = host == "localhost" || host == "[::1]" || host.starts_with("127.");
        self.uri.scheme_str() == Some("http") && !is_local
    }

    /// Makes the request. Blocks up to the timeout. `wall` is for dates in the answer.
    pub fn post(&self, shipment: &Shipment, wall: Timestamp) -> Posted {
        let content_type = HeaderValue::from_str(&shipment.content_type)
            .unwrap_or_else(|_| HeaderValue::from_static("application/json"));
        let mut request = self.agent.post(&self.uri).header(header::CONTENT_TYPE, content_type);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Some(id) = shipment.id.as_ref().and_then(|id| HeaderValue::from_str(id).ok()) {
            request = request.header(ALERT_ID, id);
        }
        match request.send(&shipment.body[..]) {
            Ok(mut answer) => {
                let status = answer.status().as_u16();
                let asked = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
                let retry_after = asked.and_then(|text| retry_after(text, wall));
                let mut body = Vec::new();
                // The status is known, and says most: an answer that breaks off is taken as far as it came.
                let _ = answer.body_mut().as_reader().take(ANSWER_BYTES).read_to_end(&mut body);
                let verdict = judge(self.target, &Answer { status, body: &body, retry_after });
                Posted { status: Some(status), verdict: self.masked(verdict) }
            }
            Err(error) => Posted { status: None, verdict: self.masked(no_answer(&error)) },
        }
    }

    /// Receivers may quote what they were sent.
    fn masked(&self, verdict: Verdict) -> Verdict {
        let mask = |why: String| self.secrets.iter().fold(why, |why, secret| why.replace(secret, MASK));
        match verdict {
            Verdict::Delivered => Verdict::Delivered,
            Verdict::Retry { after, reached, why } => Verdict::Retry { after, reached, why: mask(why) },
            Verdict::Pause { why } => Verdict::Pause { why: mask(why) },
            Verdict::Refused { why } => Verdict::Refused { why: mask(why) },
        }
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| Error::new("bridge.token holds characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn uri(options: &Options) -> Result<Uri, Error> {
    let mut text = options.url.trim().to_owned();
    if options.target == Target::Alertmanager && !text.trim_end_matches('/').ends_with(ALERTMANAGER_PATH) {
        text = format!("{}{ALERTMANAGER_PATH}", text.trim_end_matches('/'));
    }
    let uri = text.parse::<Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    let uri = uri.filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    uri.ok_or_else(|| {
        Error::new(
            "the URL of the bridge must be http://HOST... or https://HOST... (it is not shown: it may be secret)",
        )
    })
}

fn authorities(pem: &[u8]) -> Result<Vec<Certificate<'static>>, Error> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(Error::new(format!("bridge.ca_file is no PEM: {error}"))),
        }
    }
    if found.is_empty() {
        return Err(Error::new("bridge.ca_file holds no certificate"));
    }
    Ok(found)
}

/// What must not be shown, longest first, so that no part of one is left.
fn secrets(uri: &Uri, options: &Options) -> Vec<String> {
    let userinfo = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')).map(|(user, _)| user);
    let path = uri.path_and_query().map(|path| path.as_str()).filter(|_| options.target != Target::Alertmanager);
    let segments = path.into_iter().flat_map(|path| path.split(['/', '?', '&', '=']));
    let keys = [options.token.as_deref(), options.routing_key.as_deref(), userinfo, path];
    let mut all: Vec<String> = keys.into_iter().flatten().chain(segments).map(str::to_owned).collect();
    all.retain(|secret| secret.len() >= SHORTEST_SECRET && !is_common(secret));
    all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    all.dedup();
    all
}

/// Parts of public addresses.
fn is_common(part: &str) -> bool {
    matches!(part, "/v2/enqueue" | "enqueue" | "services" | "/api/chat.postMessage" | "chat.postMessage")
}

/// No answer: whether the receiver may have the message all the same, and whether waiting helps.
fn no_answer(error: &ureq::Error) -> Verdict {
    let retry = |reached, why: String| Verdict::Retry { after: None, reached, why };
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => retry(false, "no connection in time".to_owned()),
        ureq::Error::Timeout(_) => retry(true, "no answer in time".to_owned()),
        ureq::Error::HostNotFound => retry(false, "the host's name is not known".to_owned()),
        ureq::Error::ConnectionFailed => retry(false, "no connection".to_owned()),
        ureq::Error::ConnectProxyFailed(_) => retry(false, "the proxy does not connect".to_owned()),
        ureq::Error::Tls(what) => Verdict::Pause { why: format!("TLS: {what}") },
        ureq::Error::Rustls(error) => Verdict::Pause { why: format!("TLS: {error}") },
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => retry(false, "connection refused".to_owned()),
            // What rustls makes of a certificate that it does not trust.
            io::ErrorKind::InvalidData => Verdict::Pause { why: format!("TLS: {error}") },
            _ => retry(true, error.to_string()),
        },
        // Not quoted: they may quote the URL.
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::RequireHttpsOnly(_) => {
            Verdict::Pause { why: "the request cannot be made from this URL".to_owned() }
        }
        error => retry(true, error.to_string()),
    }
}

/// Reads the authorities to trust.
///
/// # Errors
/// Names the file.
pub fn read_authorities(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file)
        .map_err(|error| Error::new(format!("bridge.ca_file: cannot read `{}`: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(target: Target, url: &str) -> Options {
        let timeout = Duration::from_secs(1);
        Options { target, url: url.to_owned(), token: None, routing_key: None, authorities: None, timeout }
    }

    #[test]
    fn urls_are_taken_and_only_their_origin_is_shown() {
        for (target, url, full, origin) in [
            (Target::Alertmanager, "http://am:9093/", "http://am:9093/api/v2/alerts", "http://am:9093"),
            (Target::Alertmanager, "https://h/am", "https://h/am/api/v2/alerts", "https://h"),
            (Target::Alertmanager, "http://am/api/v2/alerts", "http://am/api/v2/alerts", "http://am"),
            (
                Target::Slack,
                "https://u:p@hooks.example/T0/B0/s3cret",
                "https://u:p@hooks.example/T0/B0/s3cret",
                "https://hooks.example",
            ),
        ] {
            let poster = Poster::new(&options(target, url)).unwrap();
            assert_eq!((poster.uri.to_string().as_str(), poster.origin().as_str()), (full, origin));
        }
        for url in ["s3cret", "ftp://s3cret/x", "https://", "/s3cret", "https:// s3cret"] {
            let error = Poster::new(&options(Target::Webhook, url)).err().unwrap().to_string();
            assert!(error.contains("https://HOST") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn what_a_receiver_quotes_is_masked() {
        let mut options = options(Target::Slack, "https://hooks.example/services/T000/s3cretpath");
        (options.token, options.routing_key) = (Some("t0ken".to_owned()), Some("r0uting".to_owned()));
        let poster = Poster::new(&options).unwrap();
        let why = "no /services/T000/s3cretpath, s3cretpath, t0ken, r0uting".to_owned();
        let verdict = poster.masked(Verdict::Refused { why });
        assert_eq!(verdict, Verdict::Refused { why: "no ********, ********, ********, ********".to_owned() });
        assert!(!format!("{options:?}").contains("t0ken"));
    }

    #[test]
    fn plain_http_to_elsewhere_is_known() {
        for (url, clear) in [("http://127.0.0.1:1/", false), ("http://h/", true), ("https://h/", false)] {
            assert_eq!(Poster::new(&options(Target::Webhook, url)).unwrap().is_in_the_clear(), clear, "{url}");
        }
    }
}

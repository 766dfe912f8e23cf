//! Tokens for SASL/OAUTHBEARER, from a file that somebody else keeps fresh: a projected Kubernetes service account token,
//! or what a sidecar fetches. The file is read again whenever librdkafka wants a token, which is after four fifths of the
//! last one's lifetime.
#![allow(unsafe_code)]

use std::error;
use std::ffi::{CStr, CString, c_char};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::ptr;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext, OAuthToken};
use rdkafka::types::RDKafkaRespErr;
use serde::Deserialize;

use super::Error;
use crate::time::Timestamp;

/// Far more than any token has.
const MOST_BYTES: u64 = 64 << 10;
/// A token that lives longer is looked for anew before, as it may have been replaced.
const LONGEST_MS: i64 = 3_600_000;
/// Of a token that does not tell how long it lives.
const OPAQUE_MS: i64 = 300_000;

/// Where a client finds its tokens.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    file: Option<PathBuf>,
}

impl Tokens {
    pub(super) fn new(file: Option<&Path>) -> Self {
        Tokens { file: file.map(Path::to_owned) }
    }

    /// The token of now, for librdkafka's refresh callback.
    pub(super) fn next(&self) -> Result<OAuthToken, Box<dyn error::Error>> {
        let Some(file) = &self.file else { return Err("kafka.oauth_token_file is not set".into()) };
        let failed = |what: String| format!("kafka.oauth_token_file `{}`: {what}", file.display());
        let text = read(file).map_err(|error| failed(error.to_string()))?;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Ok(token(&text, i64::try_from(now_ms).unwrap_or(i64::MAX)).map_err(failed)?)
    }

    /// For a client whose callbacks nobody serves, as rdkafka does not those of admin clients.
    ///
    /// # Errors
    /// When there is no token that is of use.
    pub(super) fn hand_to<C: ClientContext>(&self, client: &Client<C>) -> Result<(), Error> {
        if self.file.is_none() {
            return Ok(());
        }
        let OAuthToken { token, principal_name, lifetime_ms } =
            self.next().map_err(|error| Error::new(error.to_string()))?;
        let text = |text: String| CString::new(text).map_err(|_| Error::new("a token holds no zero byte"));
        let (token, principal) = (text(token)?, text(principal_name)?);
        let mut reason: [c_char; 512] = [0; 512];
        // SAFETY: the client is open as long as it is borrowed. Both texts and the buffer, whose size is told with it,
        // outlive the call, which copies what it keeps; there are no extensions, and none are counted.
        let code = unsafe {
            sys::rd_kafka_oauthbearer_set_token(
                client.native_ptr(),
                token.as_ptr(),
                lifetime_ms,
                principal.as_ptr(),
                ptr::null_mut(),
                0,
                reason.as_mut_ptr(),
                reason.len(),
            )
        };
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        // SAFETY: librdkafka ends the text with a zero within the buffer, which began as zeros.
        let reason = unsafe { CStr::from_ptr(reason.as_ptr()) };
        Err(Error::new(format!("kafka.oauth_token_file: {}", reason.to_string_lossy())))
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// What is read of a token (RFC 7519). Whether it is genuine is the broker's to say.
#[derive(Default, Deserialize)]
struct Claims {
    /// Seconds since 1970.
    exp: Option<f64>,
    sub: Option<String>,
}

/// The text of a file as a token, until when it is to be used, and whose it is. Errors never quote it.
fn token(text: &str, now_ms: i64) -> Result<OAuthToken, String> {
    let token = text.trim();
    if token.is_empty() {
        return Err("is empty".to_owned());
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("holds more than a token: spaces, or what is not ASCII".to_owned());
    }
    let claims = claims(token).unwrap_or_default();
    // Beyond what i64 holds it saturates.
    let expires_ms = claims.exp.map(|seconds| (seconds * 1000.0) as i64);
    if let Some(expires_ms) = expires_ms.filter(|&expires_ms| expires_ms <= now_ms) {
        return Err(format!("the token expired at {}", Timestamp::from_millis(expires_ms)));
    }
    let lifetime_ms = match expires_ms {
        Some(expires_ms) => expires_ms.min(now_ms.saturating_add(LONGEST_MS)),
        None => now_ms.saturating_add(OPAQUE_MS),
    };
    let principal_name = claims.sub.unwrap_or_else(|| "faultline".to_owned());
    Ok(OAuthToken { token: token.to_owned(), principal_name, lifetime_ms })
}

/// `None` for a token that is no JWT.
fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_795_000_000_000;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn lifetime(text: &str) -> Result<i64, String> {
        token(text, NOW_MS).map(|token| token.lifetime_ms - NOW_MS)
    }

    #[test]
    fn lifetime_and_principal_are_those_of_the_token() {
        let text = jwt(r#"{"sub":"system:serviceaccount:ns:faultline","exp":1795000060,"aud":["kafka"]}"#);
        let token = token(&format!("{text}\n"), NOW_MS).unwrap();
        assert_eq!((token.token, token.principal_name.as_str()), (text, "system:serviceaccount:ns:faultline"));
        assert_eq!(token.lifetime_ms, NOW_MS + 60_000);
        assert_eq!(lifetime(&jwt(r#"{"exp":1795000000.5}"#)), Ok(500), "fractions are allowed");
        assert_eq!(lifetime(&jwt(r#"{"exp":1e300}"#)), Ok(LONGEST_MS));
    }

    #[test]
    fn a_token_that_tells_nothing_is_read_again_soon() {
        for text in ["opaque", "a.b.c", "a.%%%.c", &jwt("[1]"), &jwt(r#"{"sub":"x"}"#)] {
            assert_eq!(lifetime(text), Ok(OPAQUE_MS), "{text}");
        }
    }

    #[test]
    fn what_is_of_no_use_is_told_without_showing_it() {
        assert_eq!(lifetime(" \n").unwrap_err(), "is empty");
        let two = lifetime("hunter2 hunter3").unwrap_err();
        assert!(two.starts_with("holds more than a token") && !two.contains("hunter"), "{two}");
        let expired = lifetime(&jwt(r#"{"exp":1794999999}"#)).unwrap_err();
        assert_eq!(expired, "the token expired at 2026-11-18T11:06:39.000Z");
    }

    #[test]
    fn the_file_is_read_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let tokens = Tokens::new(Some(&file));
        let missing = tokens.next().err().unwrap().to_string();
        assert!(missing.starts_with("kafka.oauth_token_file `") && missing.contains("No such file"), "{missing}");
        for text in ["one", "two"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(tokens.next().unwrap().token, text);
        }
        assert_eq!(Tokens::new(None).next().err().unwrap().to_string(), "kafka.oauth_token_file is not set");
    }
}

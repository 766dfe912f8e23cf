//! SASL as Kafka wraps it (KIP-43, KIP-152): who may go on to other requests.

use std::io;

use crate::scram::{self, Hash};
use crate::wire::{Header, Reader, Writer};

pub const SASL_HANDSHAKE: i16 = 17;
pub const SASL_AUTHENTICATE: i16 = 36;
const API_VERSIONS: i16 = 18;

const UNSUPPORTED_MECHANISM: i16 = 33;
const ILLEGAL_STATE: i16 = 34;
const AUTHENTICATION_FAILED: i16 = 58;

const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

/// Who may connect. With neither, anybody.
#[derive(Clone, Default)]
pub struct Users {
    /// Name and password, for PLAIN and SCRAM.
    pub user: Option<(String, String)>,
    /// For OAUTHBEARER.
    pub token: Option<String>,
}

impl Users {
    pub fn are_asked(&self) -> bool {
        self.user.is_some() || self.token.is_some()
    }
}

/// How far one connection has come.
pub struct Login<'u> {
    users: &'u Users,
    state: State,
}

enum State {
    Out,
    Plain,
    Scram(Hash),
    ScramBegun(scram::Begun),
    Token,
    /// A token was not good.
    Refusing,
    In,
    Refused,
}

/// What to say to a message of the client, and what comes next.
struct Answer {
    state: State,
    bytes: Vec<u8>,
}

impl<'u> Login<'u> {
    pub fn new(users: &'u Users) -> Self {
        Login { users, state: if users.are_asked() { State::Out } else { State::In } }
    }

    /// Whether the connection is to be closed.
    pub fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused)
    }

    /// The answer to a request that is about logging in; `None` for one that may go on.
    ///
    /// # Errors
    /// Any other request of somebody who has not logged in.
    pub fn answer(&mut self, header: &Header, body: &mut Reader<'_>) -> io::Result<Option<Vec<u8>>> {
        match header.api {
            SASL_HANDSHAKE => self.handshake(header, &body.text()?).map(Some),
            SASL_AUTHENTICATE => self.authenticate(header, &body.bytes()?).map(Some),
            API_VERSIONS => Ok(None),
            _ if matches!(self.state, State::In) => Ok(None),
            _ => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        }
    }

    fn handshake(&mut self, header: &Header, mechanism: &str) -> io::Result<Vec<u8>> {
        self.state = match mechanism {
            "PLAIN" => State::Plain,
            "SCRAM-SHA-256" => State::Scram(Hash::Sha256),
            "SCRAM-SHA-512" => State::Scram(Hash::Sha512),
            "OAUTHBEARER" => State::Token,
            _ => State::Refused,
        };
        let mut response = Writer::response(header.correlation);
        response.i16(if self.is_refused() { UNSUPPORTED_MECHANISM } else { 0 });
        response.count(MECHANISMS.len());
        MECHANISMS.iter().for_each(|mechanism| response.text(mechanism));
        Ok(response.0)
    }

    fn authenticate(&mut self, header: &Header, message: &[u8]) -> io::Result<Vec<u8>> {
        let state = std::mem::replace(&mut self.state, State::Refused);
        let code = if matches!(state, State::Out | State::In) { ILLEGAL_STATE } else { AUTHENTICATION_FAILED };
        let answer = std::str::from_utf8(message).ok().and_then(|message| self.next(state, message));
        let mut response = Writer::response(header.correlation);
        match answer {
            Some(answer) => {
                self.state = answer.state;
                response.i16(0);
                response.nullable_text(None);
                response.bytes(&answer.bytes);
            }
            None => {
                response.i16(code);
                response.nullable_text(Some("Authentication failed: invalid credentials"));
                response.bytes(&[]);
            }
        }
        if header.version > 0 {
            // For how long it counts: for ever.
            response.0.extend(0_i64.to_be_bytes());
        }
        Ok(response.0)
    }

    fn next(&self, state: State, message: &str) -> Option<Answer> {
        let user = || self.users.user.as_ref();
        let accepted = |bytes: Vec<u8>| Answer { state: State::In, bytes };
        match state {
            State::Plain => {
                let (name, password) = user()?;
                (message == format!("\0{name}\0{password}")).then(|| accepted(Vec::new()))
            }
            State::Scram(hash) => {
                let (begun, answer) = scram::begin(hash, message)?;
                Some(Answer { state: State::ScramBegun(begun), bytes: answer.into() })
            }
            State::ScramBegun(begun) => {
                let (name, password) = user()?;
                begun.end(name, password, message).map(|answer| accepted(answer.into()))
            }
            State::Token => {
                let token = self.users.token.as_ref()?;
                let expected = format!("n,,\x01auth=Bearer {token}\x01\x01");
                Some(if message == expected {
                    accepted(Vec::new())
                } else {
                    // RFC 7628: the reason comes first, and the refusal after the client has seen it.
                    Answer { state: State::Refusing, bytes: br#"{"status":"invalid_token"}"#.to_vec() }
                })
            }
            State::Refusing | State::Out | State::In | State::Refused => None,
        }
    }
}

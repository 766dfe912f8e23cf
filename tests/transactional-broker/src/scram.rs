//! The broker's side of SCRAM (RFC 5802, RFC 7677), without channel binding.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

/// Which hash is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hash {
    Sha256,
    Sha512,
}

/// Kafka's least.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
const SALT: &[u8] = b"salt of a test";

impl Hash {
    fn hmac(self, key: &[u8], text: &[u8]) -> hmac::Tag {
        let algorithm = match self {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), text)
    }

    fn digest(self, text: &[u8]) -> digest::Digest {
        match self {
            Hash::Sha256 => digest::digest(&digest::SHA256, text),
            Hash::Sha512 => digest::digest(&digest::SHA512, text),
        }
    }

    fn salted(self, password: &str) -> Vec<u8> {
        let (algorithm, length) = match self {
            Hash::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
            Hash::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        };
        let mut salted = vec![0; length];
        pbkdf2::derive(algorithm, ITERATIONS, SALT, password.as_bytes(), &mut salted);
        salted
    }
}

/// A conversation that the client has begun.
pub struct Begun {
    hash: Hash,
    user: String,
    /// `client-first-message-bare,server-first-message`
    said: String,
    nonce: String,
}

/// Answers the client's first message; `None` if it is none.
pub fn begin(hash: Hash, first: &str) -> Option<(Begun, String)> {
    let bare = first.strip_prefix("n,,")?;
    let (user, nonce) = (attribute(bare, "n=")?, attribute(bare, "r=")?);
    let nonce = format!("{nonce}broker");
    let answer = format!("r={nonce},s={},i={ITERATIONS}", STANDARD.encode(SALT));
    let begun = Begun { hash, user: user.to_owned(), said: format!("{bare},{answer}"), nonce };
    Some((begun, answer))
}

impl Begun {
    /// Answers the client's last message, if it proves that it knows the password.
    pub fn end(&self, user: &str, password: &str, last: &str) -> Option<String> {
        let (without_proof, proof) = last.rsplit_once(",p=")?;
        let known = self.user == user && attribute(without_proof, "r=")? == self.nonce;
        let said = format!("{},{without_proof}", self.said);
        let hash = self.hash;
        let salted = hash.salted(password);
        let client_key = hash.hmac(&salted, b"Client Key");
        let signature = hash.hmac(hash.digest(client_key.as_ref()).as_ref(), said.as_bytes());
        let expected: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let server_key = hash.hmac(&salted, b"Server Key");
        let answer = format!("v={}", STANDARD.encode(hash.hmac(server_key.as_ref(), said.as_bytes())));
        (known && STANDARD.decode(proof).ok()? == expected).then_some(answer)
    }
}

fn attribute<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    message.split(',').find_map(|attribute| attribute.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_password() {
        let (begun, answer) = begin(Hash::Sha256, "n,,n=me,r=abc").unwrap();
        assert!(answer.starts_with("r=abcbroker,s="), "{answer}");
        assert_eq!(begun.end("me", "secret", "c=biws,r=abcbroker,p=AAAA"), None);
        assert!(begin(Hash::Sha512, "y,,n=me,r=abc").is_none());
    }
}

//! The key pair of an environment: ed25519, in PEM as `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write it. A private
//! key is shown in no text but its own PEM, and no error repeats what was given as a key.

use std::fmt;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::api::digest::sha256;

/// The key of a Secret under which a private key lies, by custom.
pub const PRIVATE_KEY_NAME: &str = "private.pem";
/// The key of a Secret under which a public key lies, by custom.
pub const PUBLIC_KEY_NAME: &str = "public.pem";

/// Signs evidence.
pub struct PrivateKey(SigningKey);

/// Checks evidence.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// Why a text is not a key that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No private key.
    #[error(
        "is no ed25519 private key in PEM (-----BEGIN PRIVATE KEY-----): make one with kubectl holdfast evidence keygen, or with openssl \
         genpkey -algorithm ed25519"
    )]
    NotPrivate,
    /// No public key.
    #[error(
        "is no ed25519 public key in PEM (-----BEGIN PUBLIC KEY-----): take the one that kubectl holdfast evidence keygen wrote beside the \
         private key, or make it with openssl pkey -pubout"
    )]
    NotPublic,
    /// A private key where a public one is wanted.
    #[error(
        "is a private key, which has no business there: make a new key pair, since whoever could read this can sign, and give the public key only"
    )]
    PrivateForPublic,
    /// A public key by which anybody could sign.
    #[error("is a public key by which anybody could sign: make a key pair with kubectl holdfast evidence keygen")]
    Weak,
}

fn text(pem: &[u8]) -> Option<&str> {
    std::str::from_utf8(pem).ok().map(str::trim)
}

impl PrivateKey {
    /// The key of a PEM text.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let key = text(pem).and_then(|text| SigningKey::from_pkcs8_pem(text).ok());
        key.map(Self).ok_or(KeyError::NotPrivate)
    }

    /// The key of 32 bytes, which nobody may be able to guess.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Its PEM text, without the public key, as openssl reads it.
    ///
    /// # Errors
    /// When it cannot be written, which no key is the cause of.
    pub fn to_pem(&self) -> Result<String, ed25519_dalek::pkcs8::Error> {
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        Ok(pair.to_pkcs8_pem(LineEnding::LF)?.to_string())
    }

    /// The public key of the pair.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, text: &str) -> String {
        format!("{:x}", self.0.sign(text.as_bytes()))
    }
}

impl PublicKey {
    /// The key of a PEM text.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let text = text(pem).ok_or(KeyError::NotPublic)?;
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::PrivateForPublic);
        }
        let key = VerifyingKey::from_public_key_pem(text).map_err(|_| KeyError::NotPublic)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// Its PEM text.
    ///
    /// # Errors
    /// When it cannot be written, which no key is the cause of.
    pub fn to_pem(&self) -> Result<String, ed25519_dalek::pkcs8::spki::Error> {
        self.0.to_public_key_pem(LineEnding::LF)
    }

    /// What a key is called: `sha256:` and the digest of its DER, as of `openssl pkey -pubin -outform DER`.
    #[must_use]
    pub fn id(&self) -> String {
        self.0.to_public_key_der().map(|der| sha256(der.as_bytes())).unwrap_or_default()
    }

    /// Whether a signature, in hexadecimal digits, is one of this text with the private key of the pair.
    pub(super) fn verifies(&self, text: &str, signature: &str) -> bool {
        let signature: Result<Signature, _> = signature.parse();
        signature.is_ok_and(|signature| self.0.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A pair that openssl made.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn keys_are_read_and_written_as_openssl_does() {
        let key = PrivateKey::from_pem(PRIVATE.as_bytes()).unwrap();
        assert_eq!(key.to_pem().unwrap(), PRIVATE);
        assert_eq!(key.public().to_pem().unwrap(), PUBLIC);
        let laid_out = format!("\n  {}\r\n", PUBLIC.trim_end().replace('\n', "\r\n"));
        assert_eq!(PublicKey::from_pem(laid_out.as_bytes()).unwrap(), key.public());
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        for text in ["", "secret", "-----BEGIN PUBLIC KEY-----\nsecret\n-----END PUBLIC KEY-----\n", PRIVATE] {
            let error = PublicKey::from_pem(text.as_bytes()).unwrap_err();
            assert_eq!(error == KeyError::PrivateForPublic, text == PRIVATE, "{error}");
            assert!(!error.to_string().contains("secret") && !error.to_string().contains("MC4C"), "{error}");
        }
        for text in ["secret".as_bytes(), PUBLIC.as_bytes(), b"\xff"] {
            assert_eq!(PrivateKey::from_pem(text).err(), Some(KeyError::NotPrivate));
        }
    }

    #[test]
    fn a_key_by_which_anybody_could_sign_is_none() {
        let mut identity = [0_u8; 32];
        identity[0] = 1;
        let weak = VerifyingKey::from_bytes(&identity).unwrap().to_public_key_pem(LineEnding::LF).unwrap();
        assert_eq!(PublicKey::from_pem(weak.as_bytes()).err(), Some(KeyError::Weak));
    }
}

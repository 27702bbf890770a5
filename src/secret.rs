//! The node's secrets and all cryptography that is not a transport's: the `.scheduler0` file, keys
//! derived from `SecretKey`, verification of client secrets, sealing of secrets that are read again.
//!
//! `cli` writes the file, `node` loads it, `auth` and `api` check and make client keys, `peer`
//! takes its token. It never prints, logs or returns a secret inside an error.
//!
//! # Why a keyed hash verifies client secrets
//!
//! A client sends `x-api-key` (public, the row is looked up by it) and `x-secret-key`. Of the
//! secret the database keeps HMAC-SHA256 under a key derived from `SecretKey`. Slow hashes
//! (argon2, bcrypt) exist for secrets that people choose; ours are 256 random bits, which nobody
//! guesses however fast the hash, and a fast one lets every request be checked anew: an archived
//! key stops working at once. Who steals the database, the Raft log or a snapshot holds neither
//! the secrets nor, without `SecretKey`, a way to test one.
//!
//! # What a sealed secret reveals
//!
//! Secrets that the cluster must read again (to sign, to sign in at a target) are kept as
//! [`Sealed`] text: AES-256-GCM under one derived key, with the first 96 bits of an HMAC-SHA256
//! over purpose and plaintext, under another, as the nonce. So the same secret for the same purpose
//! is the same text: definitions that agree are stored once, and a request that says the same again
//! changes nothing. Who sees the text learns just this, that two secrets are equal, and about how
//! long they are; not what they are, and without `SecretKey` there is no way to test a guess. A
//! nonce meets a second plaintext only where HMAC collides. What was sealed for one purpose does not
//! open for another.

mod file;
pub mod purpose;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::config::{self, Config};
use crate::model::target::Sealed;
pub use file::{SecretFile, write_private};

/// The name of the file that holds the node's secrets.
pub const FILE: &str = ".scheduler0";

/// The fewest characters of an `AuthPassword` that is not said to be weak.
pub const MIN_PASSWORD: usize = 16;
/// Bytes of the nonce that stands before a sealed text.
const NONCE: usize = 12;
/// What stands before a signing secret in base64 (Standard Webhooks).
const WEBHOOK_PREFIX: &str = "whsec_";
/// Random bytes, and bytes of the MAC, in a signing secret that was made for a request.
const HALF: usize = 16;
/// Bytes that AES-GCM adds, by which a change is noticed.
const TAG: usize = 16;
/// First byte of a sealed text: which construction.
const SEALED_V1: u8 = 1;

/// What can go wrong with secrets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part is nowhere to be found.
    #[error(
        "{key} is not set: run `scheduler0 credential init`, or set {variable} (looked for {FILE} in {places})"
    )]
    Missing {
        /// The key.
        key: &'static str,
        /// The environment variable that sets it.
        variable: String,
        /// The folders that were searched.
        places: String,
    },
    /// `SecretKey` is not 64 hex characters.
    #[error(
        "SecretKey must be 64 hex characters (AES-256) and has {length}{reason}: make one with `scheduler0 credential init --generate` or `openssl rand -hex 32`"
    )]
    SecretKey {
        /// Its length in characters.
        length: usize,
        /// What else is wrong with it.
        reason: &'static str,
    },
    /// `SecretKey` is a placeholder.
    #[error(
        "SecretKey is one byte over and over, which anybody can guess: make one with `openssl rand -hex 32`, or say --weak to use it as it is"
    )]
    RepeatedKey,
    /// `AuthPassword` is short enough to be guessed.
    #[error(
        "AuthPassword has {length} characters and needs {MIN_PASSWORD} or more, so that nobody can guess it: make one with `openssl rand -hex 16`, or say --weak to use it as it is"
    )]
    ShortPassword {
        /// Its length in characters.
        length: usize,
    },
    /// The file's owner lets others read it.
    #[error(
        "{path} has mode {mode:04o}: others may read the secrets of the cluster; chmod 600 it, or say --insecure to use it as it is"
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Basic authentication cannot carry it.
    #[error("{0} must have no {1} in it: HTTP Basic authentication cannot carry that (RFC 7617)")]
    SignIn(&'static str, &'static str),
    /// The file exists and may not be replaced.
    #[error(
        "{0} exists already: credentials made with it stop working under another secret key; use --force to replace it"
    )]
    Exists(PathBuf),
    /// The file is not the JSON it should be.
    #[error(
        "{path} is not valid: expected {{\"secretKey\", \"authUsername\", \"authPassword\"}} as JSON text values (line {line})"
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line that is wrong.
        line: usize,
    },
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A sealed secret was changed, belongs to something else, or was made under another
    /// `SecretKey`.
    #[error(
        "the {0} cannot be opened: it was sealed under another SecretKey, or changed since; \
         start all nodes with the SecretKey that it was set under, or set it anew"
    )]
    Sealed(String),
}

impl Error {
    fn missing(key: &'static str, places: &[PathBuf]) -> Self {
        let places: Vec<_> = places.iter().map(|p| p.display().to_string()).collect();
        let variable = config::environment_name(key).unwrap_or_default();
        Self::Missing { key, variable, places: places.join(", ") }
    }
}

/// The node's secrets, ready for use. Cleared from memory when dropped.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Keys {
    secret_key: [u8; 32],
    username: String,
    password: String,
}

impl Keys {
    /// Takes them from the configuration (environment, then file), and what is missing there from
    /// `.scheduler0`, looked for in `config.places`. The file is refused where others may read it,
    /// unless `insecure`.
    pub fn load(config: &Config, insecure: bool) -> Result<Self, Error> {
        let given = &config.secrets;
        let found = if given.is_complete() { None } else { SecretFile::find(&config.places)? };
        if let Some((path, _)) = &found {
            file::check_mode(path, insecure)?;
        }
        let file = found.as_ref().map(|(_, file)| file);
        let pick = |key, configured: &str, stored: Option<&String>| {
            match (configured, stored.map_or("", String::as_str)) {
                ("", "") => Err(Error::missing(key, &config.places)),
                ("", stored) => Ok(stored.to_owned()),
                (configured, _) => Ok(configured.to_owned()),
            }
            .map(Zeroizing::new)
        };
        let key = pick("SecretKey", &given.secret_key, file.map(|f| &f.secret_key))?;
        let username = pick("AuthUsername", &given.auth_username, file.map(|f| &f.auth_username))?;
        let password = pick("AuthPassword", &given.auth_password, file.map(|f| &f.auth_password))?;
        Self::new(&key, &username, &password)
    }

    /// From their textual forms; the secret key is 64 hex characters.
    pub fn new(secret_key: &str, username: &str, password: &str) -> Result<Self, Error> {
        let length = secret_key.chars().count();
        let mut key = [0; 32];
        if length != 64 {
            return Err(Error::SecretKey { length, reason: "" });
        }
        hex::decode_to_slice(secret_key, &mut key)
            .map_err(|_| Error::SecretKey { length, reason: ", of which some are not hex" })?;
        if username.contains(':') {
            return Err(Error::SignIn("AuthUsername", "colon"));
        }
        for (key, text) in [("AuthUsername", username), ("AuthPassword", password)] {
            if text.chars().any(char::is_control) {
                return Err(Error::SignIn(key, "line end or other control character"));
            }
        }
        Ok(Self { secret_key: key, username: username.to_owned(), password: password.to_owned() })
    }

    /// Refuses what can be guessed, before a node starts with it or a file is written: a `SecretKey`
    /// of one byte over and over, and an `AuthPassword` of fewer than [`MIN_PASSWORD`] characters;
    /// unless `weak`.
    pub fn check_strength(&self, weak: bool) -> Result<(), Error> {
        if !weak && self.secret_key.iter().all(|byte| *byte == self.secret_key[0]) {
            return Err(Error::RepeatedKey);
        }
        check_password(&self.password, weak)
    }

    /// What nodes and the command line sign in with.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password, for the `Authorization` header of the command line's own requests.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Whether a pair is the node's username and password; takes the same time for every wrong one.
    pub fn is_operator(&self, username: &str, password: &str) -> bool {
        let key = self.derive("operator");
        let ours = pair(&key, &self.username, &self.password);
        let theirs = pair(&key, username, password);
        ours.ct_eq(&theirs).into()
    }

    /// What nodes show each other: equal on nodes that share secret key, username and password,
    /// and of no use for finding any of them.
    pub fn peer_token(&self) -> String {
        BASE64.encode(pair(&self.derive("peer"), &self.username, &self.password))
    }

    /// The secret key as it stands in the file: for the operator who asks to see it.
    pub fn secret_key_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.secret_key))
    }

    /// A short mark to compare nodes by: equal where secret key, username and password are.
    pub fn fingerprint(&self) -> String {
        hex::encode(&pair(&self.derive("fingerprint"), &self.username, &self.password)[..6])
    }

    /// What is kept of a client's secret; see the head of this file.
    pub fn verifier(&self, secret: &str) -> Vec<u8> {
        mac(&self.derive("client secret"), &[secret.as_bytes()]).to_vec()
    }

    /// Whether a verifier was made of this secret. Constant time.
    pub fn verify(&self, secret: &str, verifier: &[u8]) -> bool {
        self.verifier(secret).ct_eq(verifier).into()
    }

    /// The secret to an api key that was made under an `Idempotency-Key`. It follows from the
    /// request's digests and from the api key, 128 random bits that are new with each creation: so it
    /// can be told again while the credential is there, and never comes back after that. Nobody can
    /// tell it from a random one without the secret key.
    pub fn api_secret_for(
        &self,
        key: &[u8; 32],
        body: &[u8; 32],
        api_key: &str,
    ) -> Zeroizing<String> {
        let derived = self.derive("request api secret v2");
        let secret = Zeroizing::new(mac(&derived, &[key, body, api_key.as_bytes()]));
        Zeroizing::new(BASE64.encode(secret.as_slice()))
    }

    /// A new signing secret for a request under an `Idempotency-Key`: 128 random bits, and 128 of a
    /// MAC over them and the request's digests. With it [`Keys::is_webhook_secret_for`] tells whether
    /// the secret in use is the one that a request made, though nothing but the secret is kept.
    pub fn new_webhook_secret_for(&self, key: &[u8; 32], body: &[u8; 32]) -> Zeroizing<String> {
        let mut random = Zeroizing::new([0; HALF]);
        rand::fill(random.as_mut_slice());
        let mac = self.request_mac(key, body, &random);
        let mut bytes = Zeroizing::new([0; 2 * HALF]);
        bytes[..HALF].copy_from_slice(random.as_slice());
        bytes[HALF..].copy_from_slice(&mac[..HALF]);
        webhook_secret(&bytes)
    }

    /// Whether a signing secret was made for this request. Constant time.
    pub fn is_webhook_secret_for(&self, key: &[u8; 32], body: &[u8; 32], secret: &str) -> bool {
        let Some(encoded) = secret.strip_prefix(WEBHOOK_PREFIX) else { return false };
        let Ok(bytes) = STANDARD.decode(encoded).map(Zeroizing::new) else { return false };
        let Some((random, rest)) = bytes.split_first_chunk::<HALF>() else { return false };
        self.request_mac(key, body, random)[..HALF].ct_eq(rest).into()
    }

    fn request_mac(&self, key: &[u8; 32], body: &[u8; 32], random: &[u8; HALF]) -> [u8; 32] {
        mac(&self.derive("request webhook secret v2"), &[key, body, random])
    }

    /// Encrypts a secret that the cluster has to read again, for one of [`purpose`]. Equal secrets
    /// give equal text; see the head of this file.
    pub fn seal(&self, plain: &str, purpose: &str) -> Sealed {
        let whole = Zeroizing::new(pair(&self.derive("sealed nonce"), purpose, plain));
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&whole[..NONCE]);
        let payload = Payload { msg: plain.as_bytes(), aad: purpose.as_bytes() };
        let text = self.sealing().encrypt(&Nonce::from(nonce), payload);
        // AES-GCM refuses nothing but texts of 64 GiB and more, which no request is.
        let text = text.expect("a secret is short");
        Sealed(BASE64.encode([&[SEALED_V1][..], &nonce, &text].concat()))
    }

    /// Opens what [`Keys::seal`] made for the same purpose.
    pub fn open(&self, sealed: &Sealed, purpose: &'static str) -> Result<Zeroizing<String>, Error> {
        let read = || {
            let bytes = BASE64.decode(&sealed.0).ok()?;
            let (nonce, msg) = bytes.strip_prefix(&[SEALED_V1])?.split_first_chunk::<NONCE>()?;
            let payload = Payload { msg, aad: purpose.as_bytes() };
            let plain = self.sealing().decrypt(&Nonce::from(*nonce), payload).ok()?;
            String::from_utf8(plain).ok().map(Zeroizing::new)
        };
        read().ok_or_else(|| Error::Sealed(purpose.to_owned()))
    }

    fn sealing(&self) -> Aes256Gcm {
        Aes256Gcm::new(&(*self.derive("sealed")).into())
    }

    /// A key for one purpose: knowing it tells nothing about the others.
    fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(mac(&self.secret_key, &[b"scheduler0 v1 ", purpose.as_bytes()]))
    }
}

/// Refuses an `AuthPassword` of fewer than [`MIN_PASSWORD`] characters, unless `weak`.
pub fn check_password(password: &str, weak: bool) -> Result<(), Error> {
    let length = password.chars().count();
    if length < MIN_PASSWORD && !weak {
        return Err(Error::ShortPassword { length });
    }
    Ok(())
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("username", &self.username).finish_non_exhaustive()
    }
}

/// How many bytes a sealed secret has in the clear: that is no secret.
pub fn length(sealed: &Sealed) -> usize {
    (sealed.0.len() * 3 / 4).saturating_sub(1 + NONCE + TAG)
}

/// A new client key pair: (api key, secret), 128 and 256 random bits as URL-safe text.
pub fn new_api_key() -> (String, Zeroizing<String>) {
    (format!("s0_{}", *random_text::<16>()), random_text::<32>())
}

/// A new signing secret: 256 random bits in the form that Standard Webhooks asks for.
pub fn new_webhook_secret() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(bytes.as_mut_slice());
    webhook_secret(&bytes)
}

fn webhook_secret(bytes: &[u8; 32]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(bytes));
    Zeroizing::new(format!("{WEBHOOK_PREFIX}{}", *text))
}

fn random_text<const BYTES: usize>() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    rand::fill(bytes.as_mut_slice());
    Zeroizing::new(BASE64.encode(bytes.as_slice()))
}

/// HMAC-SHA256 of the parts, one after the other.
fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&(hmac_key(key)).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HMAC's block is 64 bytes; a shorter key is padded with zeros, which is what HMAC does itself.
fn hmac_key(key: &[u8; 32]) -> [u8; 64] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    block
}

/// HMAC of two texts; the length in front keeps ("ab", "c") from ("a", "bc").
fn pair(key: &[u8; 32], first: &str, second: &str) -> [u8; 32] {
    let length = (first.len() as u64).to_be_bytes();
    mac(key, &[&length, first.as_bytes(), second.as_bytes()])
}

//! The node's secrets and what is derived from them: tokens, verifiers of client secrets, sealed
//! text. The head of `secret` says why each construction was chosen.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::file::{self, SecretFile};
use super::random::{WEBHOOK_PREFIX, webhook_secret};
use super::{Error, MIN_PASSWORD};
use crate::config::Config;
use crate::model::target::Sealed;

/// Bytes of the nonce in front of a sealed text.
pub(super) const NONCE: usize = 12;
/// Random bytes, and bytes of the MAC, in a signing secret that was made for a request.
const HALF: usize = 16;
/// Bytes of AES-GCM's authentication tag.
const TAG: usize = 16;
/// Bytes of the proof in a session.
const PROOF: usize = 16;
/// The first byte of a sealed text, which names its construction.
const SEALED_V1: u8 = 1;

/// The node's secrets, ready for use. Cleared from memory when dropped.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Keys {
    secret_key: [u8; 32],
    username: String,
    password: String,
    /// The keys that credentials of requests are checked with. Each request would derive its key
    /// anew.
    of_operator: [u8; 32],
    of_clients: [u8; 32],
    /// The HMAC of username and password under `of_operator`.
    operator: [u8; 32],
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

    /// Makes keys of their textual forms; the secret key is 64 hex characters.
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
        let of_operator = *derive(&key, "operator");
        Ok(Self {
            secret_key: key,
            username: username.to_owned(),
            password: password.to_owned(),
            of_operator,
            of_clients: *derive(&key, "client secret"),
            operator: pair(&of_operator, username, password),
        })
    }

    /// Refuses secrets that can be guessed, before a node starts with them or a file is written: a
    /// `SecretKey` of one repeated byte, and an `AuthPassword` of fewer than [`MIN_PASSWORD`]
    /// characters; unless `weak`.
    pub fn check_strength(&self, weak: bool) -> Result<(), Error> {
        if !weak && self.secret_key.iter().all(|byte| *byte == self.secret_key[0]) {
            return Err(Error::RepeatedKey);
        }
        check_password(&self.password, weak)
    }

    /// The username of nodes and command line.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password, for the `Authorization` header of the command line's own requests.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Returns whether a pair is the node's username and password; takes the same time for every
    /// wrong one.
    pub fn is_operator(&self, username: &str, password: &str) -> bool {
        self.operator.ct_eq(&pair(&self.of_operator, username, password)).into()
    }

    /// The token that nodes show each other. It is equal on nodes that share secret key, username
    /// and password, and does not help to find any of them.
    pub fn peer_token(&self) -> String {
        BASE64.encode(pair(&self.derive("peer"), &self.username, &self.password))
    }

    /// The secret key in the form of the file, for the operator who asks for it.
    pub fn secret_key_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.secret_key))
    }

    /// A short mark to compare nodes by: equal where secret key, username and password are.
    pub fn fingerprint(&self) -> String {
        hex::encode(&pair(&self.derive("fingerprint"), &self.username, &self.password)[..6])
    }

    /// The proof in a session of an operator: equal where secret key, username and password are. It
    /// is shown nowhere, so that the secret key alone makes no session.
    pub fn operator_proof(&self) -> String {
        let whole = pair(&self.derive("session of an operator"), &self.username, &self.password);
        hex::encode(&whole[..PROOF])
    }

    /// The proof in a session of a client, whose secret has this verifier.
    pub fn client_proof(&self, verifier: &[u8]) -> String {
        hex::encode(&mac(&self.derive("session of a client"), &[verifier])[..PROOF])
    }

    /// The verifier of a client's secret; see the head of `secret`.
    pub fn verifier(&self, secret: &str) -> Vec<u8> {
        mac(&self.of_clients, &[secret.as_bytes()]).to_vec()
    }

    /// Returns whether a verifier was made of this secret. Constant time.
    pub fn verify(&self, secret: &str, verifier: &[u8]) -> bool {
        self.verifier(secret).ct_eq(verifier).into()
    }

    /// The secret to an api key that was created under an `Idempotency-Key`. It is derived from the
    /// request's digests and from the api key, which has 128 random bits. A repeated request
    /// therefore gets the same secret while the credential exists, and never after that. Without
    /// the secret key it cannot be distinguished from a random one.
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

    /// Makes a signing secret for a request under an `Idempotency-Key`: 128 random bits, and 128 of
    /// a MAC over them and the request's digests. [`Keys::is_webhook_secret_for`] can then find out
    /// whether the secret in use is the one of a request, though nothing but the secret is kept.
    pub fn new_webhook_secret_for(&self, key: &[u8; 32], body: &[u8; 32]) -> Zeroizing<String> {
        let mut random = Zeroizing::new([0; HALF]);
        rand::fill(random.as_mut_slice());
        let mac = self.request_mac(key, body, &random);
        let mut bytes = Zeroizing::new([0; 2 * HALF]);
        bytes[..HALF].copy_from_slice(random.as_slice());
        bytes[HALF..].copy_from_slice(&mac[..HALF]);
        webhook_secret(&bytes)
    }

    /// Returns whether a signing secret was made for this request. Constant time.
    pub fn is_webhook_secret_for(&self, key: &[u8; 32], body: &[u8; 32], secret: &str) -> bool {
        let Some(encoded) = secret.strip_prefix(WEBHOOK_PREFIX) else { return false };
        let Ok(bytes) = STANDARD.decode(encoded).map(Zeroizing::new) else { return false };
        let Some((random, rest)) = bytes.split_first_chunk::<HALF>() else { return false };
        self.request_mac(key, body, random)[..HALF].ct_eq(rest).into()
    }

    fn request_mac(&self, key: &[u8; 32], body: &[u8; 32], random: &[u8; HALF]) -> [u8; 32] {
        mac(&self.derive("request webhook secret v2"), &[key, body, random])
    }

    /// Encrypts a secret that the cluster has to read again, for one of [`super::purpose`]. Equal
    /// secrets give equal text; see the head of this file.
    pub fn seal(&self, plain: &str, purpose: &str) -> Sealed {
        let whole = Zeroizing::new(pair(&self.derive("sealed nonce"), purpose, plain));
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&whole[..NONCE]);
        let payload = Payload { msg: plain.as_bytes(), aad: purpose.as_bytes() };
        let text = self.sealing().encrypt(&Nonce::from(nonce), payload);
        // AES-GCM refuses only texts of 64 GiB and more; requests are shorter.
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

    fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        derive(&self.secret_key, purpose)
    }
}

/// Derives a key for one purpose. Knowing it reveals nothing about the others.
fn derive(secret_key: &[u8; 32], purpose: &str) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(mac(secret_key, &[b"scheduler0 v1 ", purpose.as_bytes()]))
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

/// The length of a sealed secret in the clear, in bytes, which is not secret.
pub fn length(sealed: &Sealed) -> usize {
    (sealed.0.len() * 3 / 4).saturating_sub(1 + NONCE + TAG)
}

/// HMAC-SHA256 of the parts, one after the other.
pub(super) fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
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

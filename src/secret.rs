//! The node's secrets and all cryptography that is not a transport's: the `.scheduler0` file, keys
//! derived from `SecretKey`, verification of client secrets, sealing of secrets that are read
//! again.
//!
//! `cli` writes the file, `node` loads it, `auth` and `app` check and make client keys, and `peer`
//! takes its token. No log line, error or listing contains a secret.
//!
//! # Why a keyed hash verifies client secrets
//!
//! A client sends `x-api-key` (public, the row is looked up by it) and `x-secret-key`. The database
//! keeps an HMAC-SHA256 of the secret under a key derived from `SecretKey`. Slow hashes (argon2,
//! bcrypt) exist for secrets that people choose. Ours are 256 random bits, which cannot be guessed
//! however fast the hash is, and a fast hash lets a node check every request: an archived key stops
//! working at once. A thief of the database, the Raft log or a snapshot has neither the secrets
//! nor, without `SecretKey`, a way to test one.
//!
//! # What a sealed secret reveals
//!
//! Secrets that the cluster must read again (to sign, to sign in at a target) are kept as
//! [`Sealed`](crate::model::target::Sealed) text: AES-256-GCM under one derived key. The nonce is
//! the first 96 bits of an HMAC-SHA256 over purpose and plaintext under another derived key. The
//! same secret for the same purpose therefore has the same text: definitions that agree are stored
//! once, and a request that repeats a secret changes nothing. The text reveals that two secrets are
//! equal, and about how long they are. It does not reveal the secret, and without `SecretKey` a
//! guess cannot be tested. A nonce meets a second plaintext only where HMAC collides. A text that
//! was sealed for one purpose does not open for another.

mod error;
mod file;
mod json;
mod keys;
pub mod purpose;
mod random;
#[cfg(test)]
mod tests;
mod text;

pub use error::Error;
pub use file::{SecretFile, write_private};
pub use json::SecretJson;
pub use keys::{Keys, check_password, length};
pub use random::{new_api_key, new_webhook_secret};
pub use text::SecretText;

/// The name of the file that holds the node's secrets.
pub const FILE: &str = crate::disk::modes::SECRET_FILE;
/// The fewest characters of an `AuthPassword` that a node accepts without `--weak`.
pub const MIN_PASSWORD: usize = 16;

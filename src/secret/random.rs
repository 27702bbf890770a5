//! New secrets from the system's random numbers: client key pairs and signing secrets.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use zeroize::Zeroizing;

/// The prefix of a signing secret in base64 (Standard Webhooks).
pub(super) const WEBHOOK_PREFIX: &str = "whsec_";

/// A new client key pair: (api key, secret), 128 and 256 random bits as URL-safe text.
pub fn new_api_key() -> (String, Zeroizing<String>) {
    (format!("s0_{}", *random_text::<16>()), random_text::<32>())
}

/// Makes a signing secret: 256 random bits in the form of Standard Webhooks.
pub fn new_webhook_secret() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(bytes.as_mut_slice());
    webhook_secret(&bytes)
}

/// Bytes in the form of a signing secret.
pub(super) fn webhook_secret(bytes: &[u8; 32]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(bytes));
    Zeroizing::new(format!("{WEBHOOK_PREFIX}{}", *text))
}

/// Random bytes as URL-safe text.
pub(super) fn random_text<const BYTES: usize>() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    rand::fill(bytes.as_mut_slice());
    Zeroizing::new(BASE64.encode(bytes.as_slice()))
}

//! The random values of a login: `state` (RFC 6749, section 10.12), `nonce` (OpenID Connect Core,
//! section 3.1.2.1), and the proof key of the code (PKCE, RFC 7636, method S256).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use sha2::{Digest as _, Sha256};

use crate::secret::SecretText;

/// A new random text of 256 bits, in letters, digits, `-` and `_`.
pub(super) fn random_text() -> SecretText {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    rand::fill(bytes.as_mut_slice());
    BASE64.encode(bytes.as_slice()).into()
}

/// The `code_challenge` of a `code_verifier` by S256.
pub(super) fn challenge(verifier: &str) -> String {
    BASE64.encode(Sha256::digest(verifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        let (one, other) = (random_text(), random_text());
        assert!(one.len() == 43 && *one != *other, "43 characters are the least of a verifier");
    }
}

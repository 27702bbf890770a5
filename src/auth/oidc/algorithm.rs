//! The algorithms of signatures that are accepted (RFC 7518 3.1, RFC 8037 3.1), and the check of a
//! signature by a public key. `key_set` makes the keys, `verify` asks them. The algorithm is a
//! property of the key, never of a token, and there is no symmetric one.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

/// An algorithm that a key may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSA with PKCS#1 v1.5 padding and SHA-256.
    Rs256,
    /// RSA with PSS padding and SHA-256.
    Ps256,
    /// ECDSA over P-256 and SHA-256.
    Es256,
    /// `Ed25519`.
    EdDsa,
}

impl Algorithm {
    /// The algorithm of a name in a key or a header; `None` for one that is not accepted.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            // RFC 9864 gives the one curve that is accepted a name of its own.
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// A public key with its algorithm.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    pub(super) algorithm: Algorithm,
    pub(super) numbers: Numbers,
}

/// The numbers of a key, as `ring` takes them.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Modulus and exponent, big-endian, without zeros before them.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// The point of a curve: uncompressed for P-256, 32 bytes for `Ed25519`.
    Point(Vec<u8>),
}

impl PublicKey {
    /// Says whether a signature of a message was made with this key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let by_point = |algorithm: &'static dyn VerificationAlgorithm, point: &[u8]| {
            UnparsedPublicKey::new(algorithm, point).verify(message, signature)
        };
        let verified =
            match (&self.numbers, self.algorithm) {
                (Numbers::Rsa { n, e }, Algorithm::Rs256) => RsaPublicKeyComponents { n, e }
                    .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
                (Numbers::Rsa { n, e }, Algorithm::Ps256) => RsaPublicKeyComponents { n, e }
                    .verify(&RSA_PSS_2048_8192_SHA256, message, signature),
                (Numbers::Point(point), Algorithm::Es256) => {
                    by_point(&ECDSA_P256_SHA256_FIXED, point)
                }
                (Numbers::Point(point), Algorithm::EdDsa) => by_point(&ED25519, point),
                // `key_set` makes no such key.
                (Numbers::Rsa { .. }, Algorithm::Es256 | Algorithm::EdDsa)
                | (Numbers::Point(_), Algorithm::Rs256 | Algorithm::Ps256) => return false,
            };
        verified.is_ok()
    }
}

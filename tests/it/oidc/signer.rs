//! Keys of a provider, and tokens that are signed with them as a test wants them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};

const RSA: &str = include_str!("../../fixtures/oidc/rsa.key");

/// A pair of keys.
enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A key of a provider.
pub(crate) struct Signer {
    id: &'static str,
    algorithm: &'static str,
    pair: Pair,
}

/// The text of bytes in a token or a key.
pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Fields with changes; `null` takes a field off.
fn with(fields: Value, changes: &Value) -> Value {
    let Value::Object(mut fields) = fields else { panic!("fields") };
    fields.extend(changes.as_object().cloned().unwrap_or_default());
    fields.retain(|_, value| !value.is_null());
    Value::Object(fields)
}

impl Signer {
    /// A key of an id for an algorithm. All RSA keys are the same.
    pub(crate) fn new(id: &'static str, algorithm: &'static str) -> Self {
        let random = SystemRandom::new();
        let pair = match algorithm {
            "RS256" | "PS256" => {
                let der = PrivatePkcs8KeyDer::from_pem_slice(RSA.as_bytes()).unwrap();
                Pair::Rsa(RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap())
            }
            "ES256" => {
                let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let der = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
                Pair::P256(EcdsaKeyPair::from_pkcs8(kind, der.as_ref(), &random).unwrap())
            }
            "EdDSA" => {
                let der = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap())
            }
            other => panic!("no key for {other}"),
        };
        Self { id, algorithm, pair }
    }

    /// The public key as a provider publishes it.
    pub(crate) fn public(&self) -> Value {
        let common = json!({"kid": self.id, "alg": self.algorithm, "use": "sig"});
        let own = match &self.pair {
            Pair::Rsa(pair) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": encoded(public.n), "e": encoded(public.e)})
            }
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key())})
            }
        };
        with(common, &own)
    }

    /// The modulus of the public key, for whoever signs with it as if it were a secret.
    pub(crate) fn modulus(&self) -> Vec<u8> {
        let Pair::Rsa(pair) = &self.pair else { panic!("no RSA") };
        PublicKeyComponents::<Vec<u8>>::from(pair.public()).n
    }

    /// A token with these claims, and changes of its header.
    pub(crate) fn token(&self, claims: &Value, header: &Value) -> String {
        let header = with(json!({"alg": self.algorithm, "kid": self.id, "typ": "JWT"}), header);
        let signed = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        format!("{signed}.{}", encoded(self.sign(signed.as_bytes())))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                if self.algorithm == "PS256" {
                    pair.sign(&RSA_PSS_SHA256, &random, message, &mut signature).unwrap();
                } else {
                    pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                }
                signature
            }
            Pair::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// The claims of a good token of an issuer at an instant, in seconds, with changes.
pub(crate) fn claims(issuer: &str, now: i64, changes: &Value) -> Value {
    let mut good = Map::new();
    good.insert("iss".to_owned(), issuer.into());
    let rest = json!({
        "sub": "f:1", "aud": "scheduler0", "azp": "other", "preferred_username": "ann",
        "iat": now, "exp": now + 300, "scope": "openid jobs:read projects:read",
    });
    with(with(Value::Object(good), &rest), changes)
}

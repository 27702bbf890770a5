//! The keys that an issuer publishes (JSON Web Key Set, RFC 7517): which of them can verify a
//! signature, and by which algorithm. `issuer_keys` keeps a set. Keys that nobody may sign access
//! tokens with are left out here, so that no token can ask for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Numbers, PublicKey};

/// The most keys of a set that are read.
const MOST_KEYS: usize = 100;
/// The longest id of a key, in bytes, in a set and in a token.
pub(super) const LONGEST_KEY_ID: usize = 256;
/// The sizes of an RSA modulus, in bits: RFC 7518 3.3 asks for the least, `ring` for the most.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// The usable keys of an issuer.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct KeySet {
    /// The keys that have an id, by it. Keys of several algorithms may share one.
    by_id: BTreeMap<String, Vec<Arc<PublicKey>>>,
    /// The keys without an id.
    nameless: Vec<Arc<PublicKey>>,
}

impl KeySet {
    /// Reads a set. The error says that it is none, or that no key in it can be used.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let set: Value =
            serde_json::from_slice(text).map_err(|_| "the key set is not JSON".to_owned())?;
        let Some(keys) = set.get("keys").and_then(Value::as_array) else {
            return Err("the key set has no list of keys".to_owned());
        };
        let mut all = Self::default();
        for entry in keys.iter().take(MOST_KEYS).filter_map(Value::as_object) {
            let Some(key) = usable(entry).map(Arc::new) else { continue };
            match entry.get("kid") {
                None => all.nameless.push(key),
                Some(Value::String(id)) if id.len() <= LONGEST_KEY_ID => {
                    all.by_id.entry(id.clone()).or_default().push(key);
                }
                Some(_) => {}
            }
        }
        if all.is_empty() {
            return Err("the key set has no key that is accepted".to_owned());
        }
        Ok(all)
    }

    /// The keys that a token means: those of its `kid`, or the only one there is where it has none.
    pub(super) fn named(&self, id: Option<&str>) -> &[Arc<PublicKey>] {
        if let Some(id) = id {
            return self.by_id.get(id).map_or(&[][..], Vec::as_slice);
        }
        let mut all = self.by_id.values().chain([&self.nameless]).filter(|of| !of.is_empty());
        match (all.next(), all.next()) {
            (Some(only), None) if only.len() == 1 => only.as_slice(),
            _ => &[],
        }
    }

    /// Says whether each key of this set is in another one, unchanged.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let nameless = self.nameless.iter().all(|key| other.nameless.contains(key));
        nameless
            && self.by_id.iter().all(|(id, keys)| {
                other
                    .by_id
                    .get(id)
                    .is_some_and(|others| keys.iter().all(|key| others.contains(key)))
            })
    }

    /// Says whether there is no key.
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty() && self.nameless.is_empty()
    }
}

/// The key of an entry, if it may verify signatures and its algorithm is accepted.
fn usable(entry: &Map<String, Value>) -> Option<PublicKey> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    if entry.contains_key("use") && text("use") != Some("sig") {
        return None;
    }
    if let Some(operations) = entry.get("key_ops")
        && !operations.as_array()?.iter().any(|one| one == "verify")
    {
        return None;
    }
    let algorithm = match (text("kty")?, entry.get("alg")) {
        (_, Some(name)) => Algorithm::of(name.as_str()?)?,
        ("RSA", None) => Algorithm::Rs256,
        ("EC", None) => Algorithm::Es256,
        ("OKP", None) => Algorithm::EdDsa,
        _ => return None,
    };
    let number = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let numbers = match (text("kty")?, algorithm) {
        ("RSA", Algorithm::Rs256 | Algorithm::Ps256) => {
            let (n, e) = (without_zeros(number("n")?), without_zeros(number("e")?));
            let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
            if !RSA_BITS.contains(&bits) {
                return None;
            }
            Numbers::Rsa { n, e }
        }
        ("EC", Algorithm::Es256) if text("crv") == Some("P-256") => {
            let (x, y) = (number("x")?, number("y")?);
            if x.len() != 32 || y.len() != 32 {
                return None;
            }
            Numbers::Point([&[4], &x[..], &y[..]].concat())
        }
        ("OKP", Algorithm::EdDsa) if text("crv") == Some("Ed25519") => {
            Numbers::Point(number("x").filter(|x| x.len() == 32)?)
        }
        _ => return None,
    };
    Some(PublicKey { algorithm, numbers })
}

fn without_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(bits: usize) -> Value {
        let mut n = vec![0xff; bits / 8];
        n[0] = 0x80;
        json!({"kty": "RSA", "kid": "a", "n": URL_SAFE_NO_PAD.encode(n), "e": "AQAB"})
    }

    fn with(mut key: Value, fields: Value) -> Value {
        let Value::Object(fields) = fields else { panic!("fields") };
        key.as_object_mut().unwrap().extend(fields);
        key
    }

    /// The algorithm of the only key of a set of one entry.
    fn algorithm(key: &Value) -> Option<Algorithm> {
        let set = KeySet::read(json!({"keys": [key]}).to_string().as_bytes()).ok()?;
        set.named(None).first().map(|key| key.algorithm)
    }

    #[test]
    fn a_key_says_by_which_algorithm_it_verifies() {
        let point = URL_SAFE_NO_PAD.encode([7; 32]);
        let curve = json!({"kty": "EC", "crv": "P-256", "x": point, "y": point});
        let edwards = json!({"kty": "OKP", "crv": "Ed25519", "x": point});
        for (key, fields, wanted) in [
            (rsa(2_048), json!({}), Some(Algorithm::Rs256)),
            (rsa(2_048), json!({"alg": "PS256"}), Some(Algorithm::Ps256)),
            (rsa(2_048), json!({"use": "sig", "key_ops": ["verify"]}), Some(Algorithm::Rs256)),
            (rsa(2_048), json!({"alg": "RS512"}), None),
            (rsa(2_048), json!({"alg": "HS256"}), None),
            (rsa(2_048), json!({"alg": "ES256"}), None),
            (rsa(2_048), json!({"alg": 1}), None),
            (rsa(2_048), json!({"use": "enc"}), None),
            (rsa(2_048), json!({"use": null}), None),
            (rsa(2_048), json!({"key_ops": ["encrypt"]}), None),
            (rsa(2_048), json!({"kid": 7}), None),
            (rsa(2_048), json!({"kid": "k".repeat(LONGEST_KEY_ID + 1)}), None),
            (rsa(2_048), json!({"n": ""}), None),
            (rsa(2_048), json!({"n": "not base64!"}), None),
            (rsa(2_040), json!({}), None),
            (rsa(1_024), json!({}), None),
            (rsa(16_384), json!({}), None),
            (curve.clone(), json!({}), Some(Algorithm::Es256)),
            (curve.clone(), json!({"crv": "P-384"}), None),
            (curve, json!({"x": "AAAA"}), None),
            (edwards.clone(), json!({}), Some(Algorithm::EdDsa)),
            (edwards.clone(), json!({"alg": "Ed25519"}), Some(Algorithm::EdDsa)),
            (edwards.clone(), json!({"crv": "X25519"}), None),
            (edwards, json!({"x": "AAAA"}), None),
            (json!({"kty": "oct", "k": point}), json!({}), None),
            (json!({"kty": "oct", "k": point}), json!({"alg": "HS256"}), None),
            (json!({"k": point}), json!({}), None),
        ] {
            let key = with(key, fields);
            assert_eq!(algorithm(&key), wanted, "{key}");
        }
    }

    #[test]
    fn a_modulus_may_have_a_zero_before_it() {
        let mut n = vec![0xff; 257];
        n[0] = 0;
        let key = with(rsa(2_048), json!({"n": URL_SAFE_NO_PAD.encode(n)}));
        assert_eq!(algorithm(&key), Some(Algorithm::Rs256));
    }

    #[test]
    fn a_token_without_a_key_id_means_the_only_key() {
        let set = |keys: Value| KeySet::read(json!({"keys": keys}).to_string().as_bytes());
        let (a, b) = (rsa(2_048), with(rsa(2_048), json!({"kid": "b"})));
        let one = set(json!([a])).ok().unwrap();
        assert_eq!((one.named(None).len(), one.named(Some("a")).len()), (1, 1));
        assert_eq!(one.named(Some("b")).len(), 0);
        let two = set(json!([a, b])).ok().unwrap();
        assert_eq!((two.named(None).len(), two.named(Some("b")).len()), (0, 1));
        assert!(one.is_within(&two) && !two.is_within(&one));
        for empty in [json!([]), json!(7), json!([1]), json!([rsa(1_024)])] {
            assert!(set(empty).is_err());
        }
        assert!(KeySet::read(b"{").is_err());
    }
}

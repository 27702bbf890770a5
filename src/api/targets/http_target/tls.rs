//! `ca`, `clientCert` and `clientKey` of an `http` object or an executor: checked, the key sealed
//! and never shown.

use zeroize::Zeroizing;

use crate::api::http::error::Error;
use crate::executor::tls::{Part, check};
use crate::model::target::{Sealed, Tls};
use crate::secret::{Keys, purpose};

/// The longest of the three texts, in bytes: a chain, or a bundle of a few authorities.
pub(crate) const LONGEST_PEM: usize = 32 * 1_024;

/// The TLS fields of a request. An empty text is absent.
#[derive(Default)]
pub(crate) struct TlsInput {
    pub(crate) ca: String,
    pub(crate) client_cert: String,
    /// `None` where the request does not name it: the known key of the same certificate stays.
    pub(crate) client_key: Option<Zeroizing<String>>,
    /// Whether even the known key goes.
    pub(crate) forget_key: bool,
}

/// The names of the three fields in errors.
pub(crate) type Names = [&'static str; 3];

impl TlsInput {
    /// Checks the fields for a URL. `old` holds the known key.
    pub(crate) fn read(
        self,
        names: Names,
        url: &str,
        keys: &Keys,
        old: Option<&Tls>,
    ) -> Result<Option<Box<Tls>>, Error> {
        let [ca, cert, key] = names;
        let name = |part| match part {
            Part::Ca => ca,
            Part::ClientCert => cert,
            Part::ClientKey => key,
        };
        let texts = [&self.ca, &self.client_cert];
        for (name, text) in [ca, cert].into_iter().zip(texts) {
            bounded(name, text)?;
        }
        let given = self.client_key.filter(|key| !key.is_empty());
        if let Some(given) = &given {
            bounded(key, given)?;
        }
        let bad = |(part, why): (Part, String)| {
            let name = name(part);
            Error::invalid(name, format!("{name} is not valid: {why}"))
        };
        let kept = match old {
            Some(old) if !self.forget_key && old.client_cert == self.client_cert => {
                old.client_key.clone()
            }
            _ => None,
        };
        let client_key = match (given, kept) {
            (Some(given), _) => {
                check(&self.ca, &self.client_cert, &given).map_err(bad)?;
                Some(keys.seal(&given, purpose::CLIENT_KEY))
            }
            (None, Some(kept)) => {
                check(&self.ca, "", "").map_err(bad)?;
                Some(kept)
            }
            (None, None) => {
                check(&self.ca, &self.client_cert, "").map_err(bad)?;
                None::<Sealed>
            }
        };
        if self.ca.is_empty() && self.client_cert.is_empty() {
            return Ok(None);
        }
        if !url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:")) {
            let name = if self.ca.is_empty() { cert } else { ca };
            return Err(Error::invalid(
                name,
                format!("{name} needs a URL that begins with https://"),
            ));
        }
        Ok(Some(Box::new(Tls { ca: self.ca, client_cert: self.client_cert, client_key })))
    }
}

fn bounded(name: &'static str, text: &str) -> Result<(), Error> {
    if text.len() > LONGEST_PEM {
        return Err(Error::invalid(name, format!("{name} is longer than {LONGEST_PEM} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::api::targets::http_target::merge::merged;
    use crate::api::targets::http_target::read::read_target;
    use crate::api::targets::http_target::view::show;
    use crate::executor::guard::TargetGuard;
    use crate::model::target::HttpTarget;
    use crate::secret::{Keys, purpose};

    const CA: &str = include_str!("../../../../tests/fixtures/tls/ca.pem");
    const CERT: &str = include_str!("../../../../tests/fixtures/tls/client.pem");
    const KEY: &str = include_str!("../../../../tests/fixtures/tls/client.key");
    const OTHER: &str = include_str!("../../../../tests/fixtures/tls/server.pem");

    fn keys() -> Keys {
        Keys::new(&"ab".repeat(32), "node", "pass").unwrap()
    }

    fn read(given: Value, old: Option<&HttpTarget>) -> Result<HttpTarget, String> {
        read_target(given, &TargetGuard::default(), &keys(), old).map_err(|e| format!("{e:?}"))
    }

    fn whole() -> Value {
        json!({"url": "https://a.example/", "ca": CA, "clientCert": CERT, "clientKey": KEY})
    }

    #[test]
    fn a_key_is_sealed_and_never_shown() {
        let target = read(whole(), None).unwrap();
        let tls = target.tls.as_deref().unwrap();
        let key = tls.client_key.as_ref().unwrap();
        assert_eq!(keys().open(key, purpose::CLIENT_KEY).unwrap().as_str(), KEY);
        let shown = serde_json::to_value(show(&target)).unwrap();
        assert_eq!((&shown["ca"], &shown["clientCert"]), (&json!(CA), &json!(CERT)));
        assert_eq!(shown["clientKeySet"], true);
        let secret = KEY.lines().nth(1).unwrap();
        for text in [shown.to_string(), serde_json::to_string(&target).unwrap()] {
            assert!(!text.contains(secret), "{text}");
        }
        let plain = read(json!({"url": "http://a/"}), None).unwrap();
        assert!(
            !serde_json::to_string(&plain).unwrap().contains("tls"),
            "as older versions wrote it"
        );
    }

    #[test]
    fn a_key_stays_with_its_certificate_and_goes_with_it() {
        let old = read(whole(), None).unwrap();
        let patched = |patch: Value| read(merged(Some(&old), patch).unwrap(), Some(&old));
        assert_eq!(patched(json!({})).unwrap(), old);
        assert_eq!(patched(json!({"url": "https://a.example/y"})).unwrap().tls, old.tls);
        let no_ca = patched(json!({"ca": null})).unwrap().tls.unwrap();
        assert!(no_ca.ca.is_empty() && no_ca.client_key.is_some());
        let only_ca = patched(json!({"clientCert": null})).unwrap().tls.unwrap();
        assert!(only_ca.client_cert.is_empty() && only_ca.client_key.is_none());
        assert_eq!(patched(json!({"clientCert": null, "ca": null})).unwrap().tls, None);
        for patch in [json!({"clientKey": null}), json!({"clientCert": OTHER})] {
            let refused = patched(patch).unwrap_err();
            assert!(refused.contains("http.clientKey"), "{refused}");
        }
    }

    #[test]
    fn what_could_not_be_used_is_refused_when_it_is_set() {
        for (change, field) in [
            (json!({"ca": "hush"}), "http.ca"),
            (json!({"clientCert": "hush"}), "http.clientCert"),
            (json!({"clientKey": "hush"}), "http.clientKey"),
            (json!({"clientCert": OTHER}), "http.clientKey"),
            (json!({"clientCert": ""}), "http.clientCert"),
            (json!({"clientKey": ""}), "http.clientKey"),
            (json!({"url": "http://a.example/"}), "http.ca"),
            (json!({"ca": "x".repeat(40_000)}), "http.ca"),
        ] {
            let mut given = whole();
            for (name, value) in change.as_object().unwrap() {
                given[name] = value.clone();
            }
            let refused = read(given, None).unwrap_err();
            assert!(refused.contains(&format!("field: Some({field:?})")), "{change}: {refused}");
            assert!(!refused.contains("hush"), "{refused}");
        }
    }
}

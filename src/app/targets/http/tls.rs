//! `ca`, `clientCert` and `clientKey` of an `http` object or an executor: checked, the key sealed
//! and never shown.

use crate::app::error::Error;
use crate::executor::tls::{Part, check};
use crate::model::target::{Sealed, Tls};
use crate::secret::{Keys, SecretText, purpose};

/// The longest of the three texts, in bytes: a chain, or a bundle of a few authorities.
pub(crate) const LONGEST_PEM: usize = 32 * 1_024;

/// The TLS fields of a request. An empty text is absent.
#[derive(Default)]
pub(in crate::app) struct TlsInput {
    pub(in crate::app) ca: String,
    pub(in crate::app) client_cert: String,
    /// `None` where the request does not name it: the known key of the same certificate stays.
    pub(in crate::app) client_key: Option<SecretText>,
    /// `true` if even the known key goes.
    pub(in crate::app) forget_key: bool,
}

/// The names of the three fields in errors.
pub(in crate::app) type Names = [&'static str; 3];

impl TlsInput {
    /// Checks the fields for a URL. `old` holds the known key.
    pub(in crate::app) fn read(
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

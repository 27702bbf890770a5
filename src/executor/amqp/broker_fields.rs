//! The fields of settings that say which broker is meant: its URL with the login, and further
//! authorities. The checks of each kind that connects to a broker call it. The password is sealed
//! here; no error holds it.

use super::broker::Broker;
use super::url::{BrokerUrl, Password, for_guard};
use crate::delivery::executor::Invalid;
use crate::executor::guard::TargetGuard;
use crate::executor::tls::check as check_certificates;
use crate::secret::{Keys, purpose};

/// The longest text of certificates, in bytes.
const LONGEST_PEM: usize = 32 * 1_024;

/// The fields as a client gives them; empty texts are left out.
pub(in crate::executor) struct BrokerFields<'v> {
    /// The name of the URL's field, for errors.
    pub(in crate::executor) url_field: &'static str,
    /// The URL.
    pub(in crate::executor) url: &'v str,
    /// The name of the field of the authorities, for errors.
    pub(in crate::executor) ca_field: &'static str,
    /// The authorities, as PEM.
    pub(in crate::executor) ca: &'v str,
}

impl BrokerFields<'_> {
    /// The broker, with the sealed password. `old` is the one so far: where the URL hides the
    /// password, that of the same user and address stays.
    pub(in crate::executor) fn broker(
        &self,
        old: Option<&Broker>,
        guard: &TargetGuard,
        keys: &Keys,
    ) -> Result<Broker, Invalid> {
        let field = self.url_field;
        if self.url.is_empty() {
            let message = format!("{field} is required: amqp://user:password@host:port/vhost");
            return Err(Invalid::new(field, message));
        }
        let bad = |why: String| Invalid::new(field, format!("{field} is not valid: {why}"));
        let url = BrokerUrl::read(self.url).map_err(bad)?;
        let password = match &url.password {
            Password::Given(password) => keys.seal(password, purpose::PASSWORD),
            Password::Kept => {
                let Some(old) = old.filter(|old| url.keeps_password_of(old)) else {
                    let message = format!(
                        "{field} needs the password: one that was set is kept for the same scheme, \
                         user, host, port and virtual host only"
                    );
                    return Err(Invalid::new(field, message));
                };
                old.password.clone()
            }
        };
        let ca = self.certificates(url.tls)?;
        let BrokerUrl { tls, host, port, vhost, user, .. } = url;
        let broker = Broker { tls, host, port, vhost, user, password, ca };
        let address = for_guard(&broker).map_err(bad)?;
        guard.check_broker(&address).map_err(|error| {
            let message = format!("{field} is not valid: {error}");
            if error.is_refusal() {
                Invalid::not_allowed(field, message)
            } else {
                Invalid::new(field, message)
            }
        })?;
        Ok(broker)
    }

    /// The certificates of further authorities.
    fn certificates(&self, tls: bool) -> Result<String, Invalid> {
        let Self { ca_field: field, ca: given, url_field, .. } = self;
        if given.is_empty() {
            return Ok(String::new());
        }
        if given.len() > LONGEST_PEM {
            return Err(Invalid::new(field, format!("{field} is longer than {LONGEST_PEM} bytes")));
        }
        let bad = |(_, why)| Invalid::new(field, format!("{field} is not valid: {why}"));
        check_certificates(given, "", "").map_err(bad)?;
        if !tls {
            let message = format!("{field} needs an {url_field} that begins with amqps://");
            return Err(Invalid::unfit(field, message));
        }
        Ok((*given).to_owned())
    }
}

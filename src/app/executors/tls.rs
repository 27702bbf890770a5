//! The TLS of an executor's URL for batches. `edit` calls it; a target of kind `http` has its own.

use crate::app::error::Error;
use crate::app::executors::input::ExecutorInput;
use crate::app::patch::Patch;
use crate::app::targets::http::tls::{Names, TlsInput};
use crate::model::target::{Executor, Tls};
use crate::secret::Keys;

/// The names of the TLS fields.
const NAMES: Names = ["ca", "clientCert", "clientKey"];

/// The TLS that the fields make of an old executor's. `new` is the executor with its target and
/// its settings.
pub(super) fn of(
    input: &ExecutorInput,
    new: &Executor,
    old: &Executor,
    keys: &Keys,
) -> Result<Option<Box<Tls>>, Error> {
    let named = [
        ("ca", matches!(input.ca, Patch::Set(_))),
        ("clientCert", matches!(input.client_cert, Patch::Set(_))),
        ("clientKey", matches!(input.client_key, Patch::Set(_))),
    ];
    let own = if new.http.is_some() {
        Some("http")
    } else {
        Some(new.kind.as_str()).filter(|_| new.settings.is_some())
    };
    if let Some(own) = own {
        return match named.iter().find(|(_, given)| *given) {
            None => Ok(None),
            Some((name, _)) => {
                let message = format!("{name} is for webhookUrl: of {own} it stands in {own}");
                Err(Error::invalid(name, message))
            }
        };
    }
    let known = old.tls.as_deref();
    let of = |given: &Patch<String>, part: fn(&Tls) -> &String| {
        given.clone().apply_to(known.map(|tls| part(tls).clone())).unwrap_or_default()
    };
    let tls = TlsInput {
        ca: of(&input.ca, |tls| &tls.ca),
        client_cert: of(&input.client_cert, |tls| &tls.client_cert),
        client_key: input.client_key.clone().apply_to(None),
        forget_key: input.client_key == Patch::Clear,
    };
    tls.read(NAMES, &new.webhook_url, keys, known)
}

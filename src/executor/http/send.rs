//! What the worker does with a request: whether it may go, its labels, signature and TLS when it
//! goes, and the call itself.

use reqwest::header::{HeaderName, HeaderValue};

use super::headers::{WEBHOOK_SIGNATURE, headers, overlay};
use super::prepared::HttpRequest;
use super::run;
use crate::delivery::batch::Labels;
use crate::delivery::gate::Gate;
use crate::delivery::request::{PreparedRequest, Sending};
use crate::executor::signature::Signer;
use crate::model::call_target::CallTarget;
use crate::model::target::SigningSecret;
use crate::secret;

impl HttpRequest {
    /// The header lines, signed for the moment of the labels.
    fn lines(
        &mut self,
        labels: &Labels<'_>,
        signing: &[SigningSecret],
    ) -> Result<Vec<(HeaderName, HeaderValue)>, secret::Error> {
        let mut lines = headers(labels);
        if !self.batch {
            lines = overlay(lines, std::mem::take(&mut self.headers));
        }
        let signer = Signer::in_use(self.parts.credentials.secrets(), signing, labels.now)?;
        let signature = signer.map(|signer| signer.sign(labels.request_id, &self.body));
        // Base64 and a few signs: always a valid header value.
        let signature = signature.and_then(|signature| HeaderValue::from_str(&signature).ok());
        lines.extend(signature.map(|signature| (WEBHOOK_SIGNATURE, signature)));
        Ok(lines)
    }
}

impl PreparedRequest for HttpRequest {
    /// An address that is written in the URL never passes through the resolver.
    fn admit(&self) -> Result<(), String> {
        let url = self.url.as_ref().map_err(ToString::to_string)?;
        let guard = self.parts.options.guard.for_project(self.allowed.as_ref());
        guard.check(url).map_err(|error| error.of_attempt())
    }

    fn complete(
        &mut self,
        target: &CallTarget,
        labels: &Labels<'_>,
        signing: &[SigningSecret],
    ) -> Result<(), String> {
        let tls = match target {
            CallTarget::Callback(callback) => callback.tls.as_deref(),
            CallTarget::Http(http) => http.tls.as_deref(),
            CallTarget::Settings(_) => None,
        };
        self.allowed = labels.allowed.cloned();
        self.headers = self.lines(labels, signing).map_err(|error| error.to_string())?;
        let tls = tls.map(|tls| self.parts.credentials.tls(tls)).transpose();
        self.tls = tls.map_err(|error| error.to_string())?;
        Ok(())
    }

    fn send(self: Box<Self>, gate: Gate) -> Sending {
        Box::pin(run::run(*self, gate))
    }
}

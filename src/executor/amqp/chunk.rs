//! A chunk of messages, ready to go: whether it may go, the labels and signatures of its messages
//! when it goes, and the call itself. `render` writes it, the worker completes and sends it.

use std::sync::Arc;

use super::message::Publish;
use super::parts::Parts;
use super::url::for_guard;
use crate::delivery::batch::Labels;
use crate::delivery::gate::Gate;
use crate::delivery::request::{PreparedRequest, Sending};
use crate::executor::broker::labels::{label, set};
use crate::executor::broker::message::Message;
use crate::executor::signature::Signer;
use crate::model::call_target::CallTarget;
use crate::model::target::SigningSecret;
use crate::model::target_pattern::TargetPattern;
use crate::model::time::rfc3339;
use crate::secret::{SecretText, purpose};

/// A chunk.
pub(super) struct Chunk {
    parts: Arc<Parts>,
    pub(super) publish: Publish,
    /// The opened password; empty until the chunk is complete.
    password: SecretText,
    /// Where jobs of its project may call; `None` for everywhere that the node allows.
    allowed: Option<Arc<[TargetPattern]>>,
}

impl Chunk {
    /// A chunk that is not complete yet.
    pub(super) fn new(parts: Arc<Parts>, publish: Publish) -> Self {
        Self { parts, publish, password: String::new().into(), allowed: None }
    }
}

impl PreparedRequest for Chunk {
    /// An address that is written in the URL never passes through the resolver.
    fn admit(&self) -> Result<(), String> {
        let address = for_guard(&self.publish.broker)?;
        let guard = self.parts.guard.for_project(self.allowed.as_ref());
        guard.check_broker(&address).map_err(|error| error.of_attempt())
    }

    fn complete(
        &mut self,
        _: &CallTarget,
        labels: &Labels<'_>,
        signing: &[SigningSecret],
    ) -> Result<(), String> {
        self.allowed = labels.allowed.cloned();
        let secrets = &self.parts.secrets;
        let password = secrets.open(&self.publish.broker.password, purpose::PASSWORD);
        let password = password.map_err(|error| format!("amqp.url: {error}"))?;
        self.password = (*password).clone().into();
        let signer = Signer::in_use(secrets, signing, labels.now);
        let signer = signer.map_err(|error| error.to_string())?;
        let scheduled = rfc3339(labels.scheduled);
        for message in &mut self.publish.messages {
            label(message, labels, (&scheduled, None));
            if let Some(signer) = &signer {
                add_signature(message, signer);
            }
        }
        Ok(())
    }

    fn send(self: Box<Self>, gate: Gate) -> Sending {
        let Self { parts, publish, password, .. } = *self;
        parts.publisher.publish(publish, password, gate)
    }
}

/// Adds the signature of a message, in the headers of Standard Webhooks.
fn add_signature(message: &mut Message, signer: &Signer) {
    let signature = signer.sign(&message.execution, &message.body);
    let seconds = message.properties.timestamp.to_string();
    let headers = &mut message.properties.headers;
    set(headers, "webhook-id", message.execution.as_str());
    // Verifiers read headers as text.
    set(headers, "webhook-timestamp", seconds);
    set(headers, "webhook-signature", signature);
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;

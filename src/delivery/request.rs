//! A request, whatever its kind: an envelope that the worker reads, and the content, which only its
//! executor knows. Renderers make it, the worker completes it and puts it into a call.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;

use super::batch::Labels;
use super::gate::Gate;
use super::reply::Reply;
use crate::model::JobId;
use crate::model::call_target::CallTarget;
use crate::model::target::SigningSecret;

/// The future of a call.
pub type Sending = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// A request of one kind, written and ready to go.
pub trait PreparedRequest: Any + Send {
    /// Checks whether the request may go where it goes at all, before it waits for its turn. The
    /// error is that of a failed attempt.
    fn admit(&self) -> Result<(), String>;

    /// Adds what is known only when the request goes: labels, signatures, credentials. The error is
    /// that of a failed attempt.
    fn complete(
        &mut self,
        target: &CallTarget,
        labels: &Labels<'_>,
        signing: &[SigningSecret],
    ) -> Result<(), String>;

    /// Sends the request. Its first byte goes out only if the check of the gate passes. Dropping
    /// the future ends the call.
    fn send(self: Box<Self>, gate: Gate) -> Sending;
}

/// The result of rendering.
#[derive(Debug, Default)]
pub struct Rendered {
    /// The requests.
    pub requests: Vec<Request>,
    /// Jobs, ascending, for which no request can be written, and why: they are dead.
    pub failed: Vec<(Vec<JobId>, String)>,
}

/// A request.
pub struct Request {
    /// The jobs in it, ascending.
    pub members: Vec<JobId>,
    /// The id by which receivers recognize it: the same whenever the same jobs go out again for the
    /// same instant.
    pub id: String,
    /// Requests of one series are numbered, from 0; any other request has the number 0.
    pub series: Option<Arc<str>>,
    /// A hash of the path at the destination, for the breakers.
    pub path: u64,
    /// The content.
    pub prepared: Box<dyn PreparedRequest>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("members", &self.members)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

//! The nodes that a worker speaks to: one at a time, and the next one as soon as that fails. Any
//! node will do for any request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::event_lines::EventLines;
use crate::cli::client::{Client, NodeReply};

/// No answer, or one that says to try again.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoAnswer {
    /// The wait that the node asks for.
    pub(super) retry_after: Option<Duration>,
}

/// The nodes.
pub(super) struct Nodes {
    client: Client,
    /// The place of the node that is asked.
    asked: AtomicUsize,
    lines: Arc<EventLines>,
    /// What was said last of a failure; `None` while all is well.
    trouble: Mutex<Option<String>>,
}

impl Nodes {
    /// Begins with the first node of a client.
    pub(super) fn new(client: Client, lines: Arc<EventLines>) -> Self {
        Self { client, asked: AtomicUsize::new(0), lines, trouble: Mutex::default() }
    }

    /// The number of nodes.
    pub(super) fn count(&self) -> usize {
        self.client.node_count()
    }

    /// Sends a request to the node that is asked at present, once. If it fails, the next request of
    /// anybody goes to the next node.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &Value,
        timeout: Duration,
    ) -> Result<NodeReply, NoAnswer> {
        let place = self.asked.load(Ordering::Relaxed);
        let (trouble, retry_after) = match self.client.post_to(place, path, body, timeout).await {
            Ok(reply) if !is_passing(reply.status) => {
                self.note(None);
                return Ok(reply);
            }
            Ok(reply) => {
                let message = format!("the node says {}: {}", reply.status, reply.message());
                (message, reply.retry_after)
            }
            Err(failure) => (failure.to_string(), None),
        };
        let next = (place + 1) % self.count();
        // Another request may have gone on already.
        let _ = self.asked.compare_exchange(place, next, Ordering::Relaxed, Ordering::Relaxed);
        self.note(Some(trouble));
        Err(NoAnswer { retry_after })
    }

    /// Says a failure once, until another one or an answer comes.
    fn note(&self, trouble: Option<String>) {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == trouble {
            return;
        }
        match &trouble {
            Some(trouble) => self.lines.say(trouble),
            None => self.lines.say("a node answers again"),
        }
        *known = trouble;
    }
}

/// Returns whether a status says that the same request may succeed later, or at another node.
pub(super) fn is_passing(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 429)
}

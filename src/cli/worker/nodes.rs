//! The nodes that a worker speaks to: one at a time, and the next one as soon as that fails. Any
//! node will do for any request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::event_lines::EventLines;
use crate::cli::client::{Client, NodeReply};

/// The time in which a line about a failure is not said again.
const SAID_FOR: Duration = Duration::from_mins(1);
/// The most lines about failures in that time.
const MAX_SAID: usize = 32;

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
    troubles: Mutex<Troubles>,
}

/// What was said of failures.
#[derive(Default)]
struct Troubles {
    /// The last request failed.
    is_troubled: bool,
    /// The lines that are not said again for a while, and when they were said.
    said: HashMap<String, Instant>,
}

impl Nodes {
    /// Begins with the first node of a client.
    pub(super) fn new(client: Client, lines: Arc<EventLines>) -> Self {
        Self { client, asked: AtomicUsize::new(0), lines, troubles: Mutex::default() }
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
            Err(failure) => (format!("{failure:#}"), None),
        };
        let next = (place + 1) % self.count();
        // Another request may have gone on already.
        let _ = self.asked.compare_exchange(place, next, Ordering::Relaxed, Ordering::Relaxed);
        self.note(Some(trouble));
        Err(NoAnswer { retry_after })
    }

    /// Says what is new about the nodes.
    fn note(&self, trouble: Option<String>) {
        let mut known = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = known.note(trouble, Instant::now()) {
            self.lines.say(&line);
        }
    }
}

impl Troubles {
    /// Takes in a failure, or an answer. Returns a line to be said: each at most once in a while,
    /// since many requests fail over one cause, in turns at each node.
    fn note(&mut self, trouble: Option<String>, now: Instant) -> Option<String> {
        let line = match (trouble, self.is_troubled) {
            (Some(trouble), _) => {
                self.is_troubled = true;
                trouble
            }
            (None, true) => {
                self.is_troubled = false;
                "a node answers again".to_owned()
            }
            (None, false) => return None,
        };
        self.said.retain(|_, at| now.duration_since(*at) < SAID_FOR);
        let is_new = self.said.len() < MAX_SAID && !self.said.contains_key(&line);
        is_new.then(|| {
            self.said.insert(line.clone(), now);
            line
        })
    }
}

/// Returns whether a status says that the same request may succeed later, or at another node.
pub(super) fn is_passing(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_once_a_minute_and_so_is_its_end() {
        let (mut troubles, now) = (Troubles::default(), Instant::now());
        let mut note = |trouble: Option<&str>, seconds| {
            let now = now + Duration::from_secs(seconds);
            troubles.note(trouble.map(str::to_owned), now)
        };
        assert_eq!(note(None, 0), None);
        for seconds in 0..50 {
            let said = (note(Some("a is down"), seconds), note(Some("b is down"), seconds));
            assert_eq!((said.0.is_some(), said.1.is_some()), (seconds == 0, seconds == 0));
        }
        assert_eq!(note(None, 50).as_deref(), Some("a node answers again"));
        // Reports fail where heartbeats do not.
        for seconds in 51..60 {
            assert_eq!((note(Some("a is down"), seconds), note(None, seconds)), (None, None));
        }
        assert!(note(Some("a is down"), 60).is_some());
        let many = (0..1_000).filter(|n| note(Some(&format!("trouble {n}")), 61).is_some());
        assert!(many.count() < MAX_SAID);
    }
}

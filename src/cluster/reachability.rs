//! Reachability of the other nodes: one log line when a node stops answering and one when it
//! answers again. openraft reports every call that fails, a dozen a second for each node that is
//! down. `network` reports each call to it. It decides nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::NodeId;
use crate::peer;

/// The longest silence of a node that is not logged.
const PATIENCE: Duration = Duration::from_secs(1);

/// The nodes whose last call failed.
#[derive(Debug, Default)]
pub(super) struct Reachability(Mutex<BTreeMap<NodeId, Silence>>);

#[derive(Debug)]
struct Silence {
    since: Instant,
    said: bool,
}

/// A change that is logged.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Silent,
    Back(Duration),
}

impl Reachability {
    /// Takes the error of a call, which is `None` for an answer.
    pub(super) fn note(&self, node: NodeId, error: Option<&peer::Error>) {
        match (self.news(node, Instant::now(), error.is_some()), error) {
            (Some(News::Silent), Some(error)) => {
                tracing::warn!(node, "does not answer any more: {error}");
            }
            (Some(News::Back(after)), _) => {
                tracing::info!(node, after_ms = after.as_millis() as u64, "answers again");
            }
            _ => {}
        }
    }

    fn news(&self, node: NodeId, now: Instant, failed: bool) -> Option<News> {
        let mut silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !failed {
            let silence = silent.remove(&node).filter(|silence| silence.said)?;
            return Some(News::Back(now - silence.since));
        }
        let silence = silent.entry(node).or_insert(Silence { since: now, said: false });
        let news = !silence.said && now - silence.since >= PATIENCE;
        silence.said |= news;
        news.then_some(News::Silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_said_once_and_its_end_once() {
        let reach = Reachability::default();
        let start = Instant::now();
        let call = |node, ms, failed| reach.news(node, start + Duration::from_millis(ms), failed);
        assert_eq!(call(2, 0, false), None);
        // One call that fails is not logged.
        assert_eq!(call(2, 100, true), None);
        assert_eq!(call(2, 200, false), None);
        for ms in (1_000..2_000).step_by(100) {
            assert_eq!(call(2, ms, true), None);
            assert_eq!(call(3, ms, false), None);
        }
        assert_eq!(call(2, 2_000, true), Some(News::Silent));
        assert_eq!(call(2, 60_000, true), None);
        assert_eq!(call(2, 61_000, false), Some(News::Back(Duration::from_mins(1))));
        assert_eq!(call(2, 62_000, false), None);
        assert_eq!(call(2, 63_000, true), None, "another silence begins");
    }
}

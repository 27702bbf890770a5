//! The actions that wait to be published at one broker, and the chunks that are made of them. An
//! action of a run waits until the one before is decided about, and a chunk has at most one of each
//! run: by its id a returned message is told apart. `publisher` keeps it. Pure.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::action::{Act, Action};
use super::offers::Check;

/// The most actions of a chunk.
const MOST: usize = 1_024;
/// The most bytes of a chunk of more than one action.
const MOST_BYTES: usize = 1 << 20;
/// The most chunks under way at a time, each on a channel of its own.
const MAX_PUBLISHERS: usize = 8;

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Published {
    /// The broker has it, in a queue.
    Confirmed,
    /// The check before sending did not let it go, or it was withdrawn.
    Withheld,
    /// The broker takes no messages now.
    Blocked,
    /// It did not leave, for a reason.
    Unsent(String),
    /// It reached no queue.
    Returned(String),
    /// An exchange of its chunk is missing, and it is not known whether it arrived.
    Missing(String),
    /// It left, and it is not known whether it arrived.
    Unconfirmed(String),
    /// The broker does not take it.
    Rejected(String),
    /// It cannot be written.
    Unwritable(String),
}

/// An action that waits.
pub(super) struct WaitingAction {
    pub(super) act: Act,
    pub(super) action: Arc<Action>,
    /// The check before sending; without one it may always go.
    pub(super) check: Option<Arc<Check>>,
    pub(super) reply: oneshot::Sender<Published>,
}

/// The actions.
#[derive(Default)]
pub(super) struct WaitingActions {
    queue: VecDeque<WaitingAction>,
    /// The runs of which an action is under way.
    under_way: HashSet<String>,
    publishers: usize,
}

impl WaitingActions {
    /// Adds an action; true if another publisher is to be started for it.
    pub(super) fn push(&mut self, waiting: WaitingAction) -> bool {
        self.queue.push_back(waiting);
        let starts = self.publishers < MAX_PUBLISHERS;
        self.publishers += usize::from(starts);
        starts
    }

    /// The next chunk for a publisher; without one the publisher ends.
    pub(super) fn take(&mut self) -> Option<Vec<WaitingAction>> {
        let (mut chunk, mut passed, mut bytes) = (Vec::new(), VecDeque::new(), 0);
        let mut held: HashSet<String> = HashSet::new();
        while chunk.len() < MOST
            && let Some(next) = self.queue.pop_front()
        {
            let run = &next.action.message.execution;
            if held.contains(run) || self.under_way.contains(run) {
                held.insert(run.clone());
                passed.push_back(next);
                continue;
            }
            let size = next.action.message.bytes();
            if !chunk.is_empty() && bytes + size > MOST_BYTES {
                self.queue.push_front(next);
                break;
            }
            bytes += size;
            self.under_way.insert(run.clone());
            chunk.push(next);
        }
        passed.append(&mut self.queue);
        self.queue = passed;
        if chunk.is_empty() {
            // What is left waits for something under way, whose publisher takes it.
            self.publishers -= 1;
            return None;
        }
        Some(chunk)
    }

    /// Notes that the action of a run is decided about.
    pub(super) fn decided(&mut self, run: &str) {
        self.under_way.remove(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::hand_out::Ticket;
    use crate::bus::rabbitmq::bus::tests::{settings, ticket};

    fn waiting(act: Act, run: &str, data: &str) -> WaitingAction {
        let ticket = Ticket { run: run.to_owned(), data: data.into(), ..ticket(0) };
        let settings =
            crate::executor::RabbitmqSettings { include_data: !data.is_empty(), ..settings() };
        let action = Arc::new(Action::new(act, &settings, "n", ticket).unwrap());
        WaitingAction { act, action, check: None, reply: oneshot::channel().0 }
    }

    fn taken(actions: &mut WaitingActions) -> Option<Vec<String>> {
        let chunk = actions.take()?;
        Some(chunk.into_iter().map(|one| one.action.message.execution.clone()).collect())
    }

    #[test]
    fn actions_of_a_run_follow_each_other() {
        let mut actions = WaitingActions::default();
        for (act, run) in [(Act::Run, "a"), (Act::Cancel, "a"), (Act::Run, "b"), (Act::Run, "a")] {
            assert!(actions.push(waiting(act, run, "")));
        }
        assert_eq!(taken(&mut actions), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(taken(&mut actions), None, "the rest waits for the first");
        actions.decided("a");
        assert_eq!(taken(&mut actions), Some(vec!["a".to_owned()]));
        assert_eq!(taken(&mut actions), None);
        actions.decided("a");
        assert_eq!(taken(&mut actions), Some(vec!["a".to_owned()]), "the last one");
    }

    #[test]
    fn a_chunk_is_bounded_in_actions_and_bytes_and_so_are_the_publishers() {
        let mut actions = WaitingActions::default();
        let started = (0..2_000).filter(|n| actions.push(waiting(Act::Run, &n.to_string(), "")));
        assert_eq!(started.count(), MAX_PUBLISHERS);
        assert_eq!(actions.take().unwrap().len(), MOST);
        assert_eq!(actions.take().unwrap().len(), 2_000 - MOST);
        let data = "x".repeat(700_000);
        for n in ["x", "y", "z"] {
            actions.push(waiting(Act::Run, n, &data));
        }
        assert_eq!(taken(&mut actions), Some(vec!["x".to_owned()]));
        assert_eq!(taken(&mut actions), Some(vec!["y".to_owned()]), "in their order");
        assert_eq!(taken(&mut actions), Some(vec!["z".to_owned()]));
    }
}

//! A chunk of actions on one channel. Each action is decided about when the broker has confirmed or
//! returned it, whatever the others wait for. `publisher` makes chunks.
//!
//! A confirm may never come. The channel is closed 30 s after the chunk was handed over, and soon
//! where a run may not be handed out any more: its shard is promised to another owner, who waits.
//! What is not confirmed then may have arrived.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::action::Action;
use super::offers::Check;
use super::waiting_actions::{Published, WaitingAction};
use crate::clock::Clock;
use crate::executor::broker::failure::{Failure, NOT_FOUND};
use crate::executor::broker::held::HeldChannel;
use crate::executor::broker::publish::{Admission, Chunk, Fate, Outgoing, Progress};

/// The longest wait for the confirms of a chunk, in milliseconds of the boot clock.
const LONGEST_MS: u64 = 30_000;
/// The time after which a chunk is given up over a run that may not be handed out any more.
const PROMISED_MS: u64 = 2_000;
/// The time between two looks at that, in milliseconds.
const LOOK: Duration = Duration::from_millis(250);

const LATE: &str = "the broker did not confirm the message within 30 s";
const PROMISED: &str =
    "this node may not hand out the run any more, and the broker has not confirmed its message";

/// A chunk. `decide` is called once for each of its actions.
pub(super) struct ActionChunk<D: FnMut(WaitingAction, Published)> {
    /// The actions that are not decided about.
    waiting: Vec<Option<WaitingAction>>,
    decide: D,
}

impl<D: FnMut(WaitingAction, Published) + Send> ActionChunk<D> {
    /// A chunk of actions that nobody is told of yet.
    pub(super) fn new(waiting: Vec<WaitingAction>, decide: D) -> Self {
        Self { waiting: waiting.into_iter().map(Some).collect(), decide }
    }

    /// Decides about all that is left.
    pub(super) fn end(&mut self, published: &Published) {
        for waiting in self.waiting.iter_mut().filter_map(Option::take) {
            (self.decide)(waiting, published.clone());
        }
    }

    /// Publishes the actions over a channel, and waits until all of them are decided about.
    pub(super) async fn carry_out(&mut self, mut held: HeldChannel, clock: &dyn Clock) {
        let actions: Vec<Arc<Action>> =
            self.waiting.iter().flatten().map(|one| Arc::clone(&one.action)).collect();
        let checks: Vec<Option<Arc<Check>>> =
            self.waiting.iter().flatten().map(|one| one.check.clone()).collect();
        let messages: Vec<Outgoing<'_>> = actions.iter().map(|action| outgoing(action)).collect();
        let open = Mutex::new(self);
        let mut progress = Progress::new(messages.len(), None);
        let chunk = Chunk { messages: &messages, mandatory: true };
        let admit = |n: usize| {
            // Whoever offered it may want it no more.
            let is_wanted = lock(&open).is_wanted(n);
            if is_wanted && checks[n].as_ref().is_none_or(|check| check.leaves()) {
                return Admission::Goes;
            }
            lock(&open).decide(n, Published::Withheld);
            Admission::Stays
        };
        let decided = |n: usize, fate: &Fate| {
            let published = match fate {
                // The broker takes nothing: else it is told at the end.
                Fate::Unsent => Published::Blocked,
                fate => published(fate, LATE),
            };
            lock(&open).decide(n, published);
        };
        let publishing = progress.publish_each(&mut held, &chunk, admit, decided);
        let ended = tokio::select! {
            biased;
            () = publishing => None,
            why = given_up(&open, &checks, clock) => Some(why.to_owned()),
        };
        progress.attribute(actions.iter().map(|action| &action.message));
        let missing = progress.ended.as_ref().is_some_and(is_missing);
        let ended = ended.or_else(|| progress.ended.take().map(|failure| failure.text));
        let ended = ended.unwrap_or_else(|| "the channel to the broker was closed".to_owned());
        for (n, fate) in progress.fates.iter().enumerate() {
            let published = match fate {
                Fate::Unsent if progress.blocked => Published::Blocked,
                Fate::Sent if missing => Published::Missing(ended.clone()),
                fate => published(fate, &ended),
            };
            lock(&open).decide(n, published);
        }
    }

    fn is_wanted(&self, n: usize) -> bool {
        self.waiting[n].as_ref().is_some_and(|waiting| !waiting.reply.is_closed())
    }

    /// Decides about an action, unless that was done.
    fn decide(&mut self, n: usize, published: Published) {
        if let Some(waiting) = self.waiting[n].take() {
            (self.decide)(waiting, published);
        }
    }
}

/// Waits until the rest of a chunk is given up; returns the reason.
async fn given_up<D: FnMut(WaitingAction, Published) + Send>(
    open: &Mutex<&mut ActionChunk<D>>,
    checks: &[Option<Arc<Check>>],
    clock: &dyn Clock,
) -> &'static str {
    let since = clock.boot();
    loop {
        tokio::time::sleep(LOOK).await;
        let waited = clock.boot().saturating_sub(since);
        if waited >= LONGEST_MS {
            return LATE;
        }
        if waited < PROMISED_MS {
            continue;
        }
        let is_open = |n: usize| lock(open).waiting[n].is_some();
        let mut left = checks.iter().enumerate().filter(|(n, _)| is_open(*n));
        if left.any(|(_, check)| check.as_ref().is_some_and(|check| !check.holds())) {
            return PROMISED;
        }
    }
}

fn lock<T>(open: &Mutex<T>) -> MutexGuard<'_, T> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

fn outgoing(action: &Action) -> Outgoing<'_> {
    Outgoing { exchange: &action.exchange, message: &action.message }
}

/// What became of an action, by the fate of its message. `ended` is the reason why no more is
/// known.
fn published(fate: &Fate, ended: &str) -> Published {
    match fate {
        Fate::Unsent => Published::Unsent(ended.to_owned()),
        Fate::Unwritable(error) => Published::Unwritable(error.to_string()),
        Fate::Sent => Published::Unconfirmed(ended.to_owned()),
        Fate::Taken => Published::Confirmed,
        Fate::Rejected => {
            Published::Rejected("the broker does not take the message (nack)".to_owned())
        }
        Fate::Returned(code, text) => Published::Returned(format!("{code} {text}")),
    }
}

/// Whether a channel was closed because an exchange is missing.
fn is_missing(failure: &Failure) -> bool {
    failure.of_channel && failure.number() == NOT_FOUND
}

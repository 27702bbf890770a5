//! The queues of the kind: what arrived, and what becomes of each message.

use std::sync::{Arc, Mutex};

use crate::delivery::secret_cache::SecretCache;
use crate::model::JobId;
use crate::secret::Keys;

/// A message as its queue got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The queue.
    pub(crate) queue: String,
    /// The secret of the queue, opened.
    pub(crate) secret: String,
    /// The job.
    pub(crate) job: JobId,
    /// The data of the job.
    pub(crate) data: String,
    /// The number of the attempt.
    pub(crate) attempt: u32,
}

/// The fate of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is confirmed.
    Confirmed,
    /// It came back: no queue takes it now.
    Returned,
    /// It is not one that the queue ever takes.
    Refused,
    /// It was not handed over, nor was any message behind it.
    Unsent,
    /// The queue refuses the whole chunk and does not say why.
    ChunkRefused,
    /// There is no such queue at the moment.
    Down,
}

type Fates = Box<dyn Fn(&Message) -> Fate + Send + Sync>;

/// The queues, and what becomes of messages.
pub(crate) struct Queues {
    /// The confirmed messages, in order.
    pub(crate) confirmed: Mutex<Vec<Message>>,
    /// The number of chunks that were sent.
    pub(crate) chunks: Mutex<usize>,
    fates: Mutex<Fates>,
    pub(super) secrets: SecretCache,
}

impl Queues {
    /// Queues that confirm everything.
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self {
            confirmed: Mutex::default(),
            chunks: Mutex::default(),
            fates: Mutex::new(Box::new(|_| Fate::Confirmed)),
            secrets: SecretCache::new(keys),
        }
    }

    /// What becomes of a message.
    pub(super) fn fate(&self, message: &Message) -> Fate {
        (self.fates.lock().unwrap())(message)
    }

    /// Says what becomes of each message from now on.
    pub(crate) fn answer_with(&self, fates: impl Fn(&Message) -> Fate + Send + Sync + 'static) {
        *self.fates.lock().unwrap() = Box::new(fates);
    }
}

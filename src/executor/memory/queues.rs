//! The queues of the kind: what arrived, what becomes of each message, and what goes wrong in the
//! kind itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

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
    /// The place of the message in its chunk, from 0.
    pub(crate) place: usize,
    /// The number of messages in its chunk.
    pub(crate) of: usize,
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
    /// The queue takes no message at the moment: neither it nor any behind it is handed over.
    Blocked,
    /// It is handed over, and the reply says nothing of it.
    Forgotten,
    /// It is handed over, and confirmed once the test releases what hangs.
    Hanging,
    /// The queue refuses it and all messages behind it, and does not say why.
    Closed,
    /// It is not confirmed, and nobody knows why.
    Unconfirmed,
    /// The queue refuses the whole chunk and does not say why.
    ChunkRefused,
    /// There is no such queue at the moment.
    Down,
}

/// What goes wrong in the kind itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Nothing.
    #[default]
    None,
    /// It panics when it is asked how jobs share requests.
    Grouping,
    /// It panics when it is asked where messages go.
    Address,
    /// It panics at this job.
    At(JobId),
    /// It panics when the chunks are put together in which this job is.
    Finish(JobId),
    /// It forgets this job.
    LeavesOut(JobId),
    /// It panics while it sends.
    Send,
}

type Fates = Box<dyn Fn(&Message) -> Fate + Send + Sync>;

/// The queues, and what becomes of messages.
pub(crate) struct Queues {
    /// The confirmed messages, in order.
    pub(crate) confirmed: Mutex<Vec<Message>>,
    /// The jobs of each chunk that were sent, in order.
    pub(crate) chunks: Mutex<Vec<Vec<JobId>>>,
    /// The most messages of a chunk.
    pub(crate) chunk: AtomicUsize,
    /// What goes wrong.
    pub(crate) defect: Mutex<Defect>,
    /// True once messages that hang are confirmed.
    pub(crate) released: watch::Sender<bool>,
    fates: Mutex<Fates>,
    pub(super) secrets: SecretCache,
}

impl Queues {
    /// Queues that confirm everything.
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self {
            confirmed: Mutex::default(),
            chunks: Mutex::default(),
            chunk: AtomicUsize::new(8),
            defect: Mutex::default(),
            released: watch::Sender::new(false),
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

    /// Says what goes wrong from now on.
    pub(crate) fn fail(&self, defect: Defect) {
        *self.defect.lock().unwrap() = defect;
    }

    /// Panics if this goes wrong.
    pub(super) fn check(&self, defect: Defect) {
        let wrong = *self.defect.lock().unwrap() == defect;
        assert!(!wrong, "a fault of the test's: {defect:?}");
    }

    /// The most messages of a chunk.
    pub(super) fn most(&self) -> usize {
        self.chunk.load(Ordering::SeqCst)
    }
}

//! The messages between the nodes of the model.

use std::rc::Rc;

use scheduler0::model::lease::{Answer, Renewal};

/// A round of the leader: its whole log, shared.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    pub(crate) term: u64,
    pub(crate) log: Rc<Vec<u32>>,
    pub(crate) commit: usize,
    pub(crate) sent_boot: u64,
}

/// A message under way.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Append(Append),
    Ack {
        term: u64,
        of_term: u64,
        upto: usize,
        sent_boot: u64,
    },
    Renewal(Renewal),
    /// With the renewal that it answers.
    Answer(Answer, Renewal),
}

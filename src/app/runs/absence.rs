//! Runs whose records have not come in the time that a report waits for them: whether they still
//! may. `report` and the older routes of reports ask it before they refuse a worker.
//!
//! That a run was never handed out is proven in a cluster that works: its leader is the one of the
//! whole wait, and the owner of its shard says so under a lease. While a leader or an owner is
//! away, has just changed, or is handing the attempt out, the report is to be repeated. A planned
//! occurrence of which the store has nothing at all may have a record on its way until its shard
//! has settled what was due then (`standing`): before that nothing is proven.
//!
//! Whatever is not proven, the leader may know the end of the occurrence: a report of which the
//! store has nothing is proposed once before its worker is told to repeat it.

use crate::app::error::Error;
use crate::app::state::App;
use crate::model::claim::{HandOutQuestion, HandedOut};
use crate::model::run_report::RunState;

/// A report whose run is still waited for.
pub(in crate::app) struct LateReport {
    /// What its worker says that it was handed.
    pub(in crate::app) question: HandOutQuestion,
    /// The store has nothing of the occurrence, and its shard has not settled it yet.
    pub(in crate::app) is_unsettled: bool,
}

impl App {
    /// The term of the leader that this node knows of, for [`App::are_absent`].
    pub(in crate::app) fn term(&self) -> u64 {
        self.cluster.leadership().borrow().term
    }

    /// Says of each report whether its attempt was never handed out, as far as anybody can ever
    /// know. `term` is that of the moment at which the wait began.
    pub(in crate::app) async fn are_absent(&self, late: Vec<LateReport>, term: u64) -> Vec<bool> {
        // While the node starts nobody can be asked: the answer of the leader is the last word.
        let Some(gateway) = self.gateway() else { return vec![true; late.len()] };
        let has_leader = {
            let leadership = self.cluster.leadership();
            let now = leadership.borrow();
            now.leader.is_some() && now.term == term
        };
        if !has_leader {
            return vec![false; late.len()];
        }
        let asked = late.iter().filter(|one| !one.is_unsettled);
        let asked: Vec<_> = asked.map(|one| one.question.clone()).collect();
        let mut told =
            if asked.is_empty() { Vec::new() } else { gateway.handed_out(asked).await }.into_iter();
        let is_absent = |one: &LateReport| {
            !one.is_unsettled && told.next().is_some_and(|told| told == HandedOut::No)
        };
        late.iter().map(is_absent).collect()
    }
}

/// The error of a report whose run may still come; the state without it.
pub(in crate::app) fn not_recorded_yet(state: Option<RunState>) -> Error {
    let message = "the record of this run has not come yet, because a leader or an owner is away \
                   or has just changed: report again";
    Error::unavailable(message).in_state(state)
}

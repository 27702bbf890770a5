//! Signs of life that came over a broker, on their way to the supervisor. The task calls it with
//! what the hearer has heard; nothing here waits.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::done::HeardBeat;
use super::hearing::HEARTBEAT;
use super::task::Task;
use crate::bus::Receipt;
use crate::model::shard::shard_of;
use crate::worker::ports::{Lease, StateStore};
use crate::worker::supervisor::{Beat, Event, Heartbeat};

impl<B: StateStore, L: Lease> Task<B, L> {
    /// Notes signs of life that came over a broker, and acknowledges their messages. Those of runs
    /// of other owners go on to them: workers of one name may perform jobs of many shards.
    /// A beat counts for a run whose workers are where it came from.
    pub(super) fn take_beats(&mut self, beats: Vec<HeardBeat>) {
        let (mut runs, mut receipts, mut astray) = (Vec::new(), Vec::new(), 0);
        {
            let supervisor = self.supervisor.lock();
            for HeardBeat { beat, address, receipt } in beats {
                let terms = supervisor.terms_of(beat.of);
                if terms.is_none_or(|terms| self.publisher.is_at(terms, &address)) {
                    runs.push(beat);
                } else {
                    astray += receipt.iter().count();
                }
                receipts.extend(receipt);
            }
        }
        let is_foreign = |beat: &&Beat| !self.publisher.owns(shard_of(beat.of.job));
        let foreign: Vec<_> = runs.iter().filter(is_foreign).map(Beat::as_heartbeat).collect();
        let others = foreign.len();
        if others > 0 {
            (self.elsewhere)(foreign);
        }
        let (answer, mut told) = oneshot::channel();
        let id = self.answers.add_heartbeat(answer);
        self.step(Event::Heartbeat(Heartbeat { id, worker: Arc::default(), runs }));
        // It is answered within the step.
        let unknown = told.try_recv().map_or(0, |unknown| unknown.len());
        let unknown = (unknown.saturating_sub(others) + astray).min(receipts.len());
        self.metrics.bus.messages(HEARTBEAT, "unknown", unknown as u64);
        self.metrics.bus.messages(HEARTBEAT, "ok", (receipts.len() - unknown) as u64);
        receipts.into_iter().for_each(Receipt::done);
    }
}

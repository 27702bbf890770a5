//! Lets the nodes and the baseline send the same bodies by turns, when all jobs are due together.
//! `run` calls it again and again while the window passes; it judges nothing.

use super::baseline::{Baseline, RoundTrips};
use super::oracle::Oracle;
use super::receiver::{Body, Receiver};
use crate::clock::{Clock, SystemClock};
use crate::model::Millis;

/// Measurements of each side.
const ROUNDS: usize = 5;
/// The least distance of two instants between which the baseline can send.
const APART: Millis = 4_000;

/// The state of the alternation.
pub(super) struct Alternation<'a> {
    oracle: &'a Oracle,
    receiver: &'a Receiver,
    baseline: Baseline,
    bodies: Vec<Body>,
    /// The place of the next instant among the instants of the window.
    next: usize,
    pub(super) done: RoundTrips,
}

impl<'a> Alternation<'a> {
    /// Prepares the alternation for an oracle and the receiver that feeds it.
    pub(super) fn new(oracle: &'a Oracle, receiver: &'a Receiver) -> anyhow::Result<Self> {
        if let [first, second, ..] = oracle.common_instants()
            && second - first >= APART
        {
            receiver.keep(*first);
        }
        let (baseline, bodies) = (Baseline::new()?, Vec::new());
        Ok(Self { oracle, receiver, baseline, bodies, next: 0, done: RoundTrips::default() })
    }

    /// Lets the baseline send, if the present moment is half-way between two instants.
    pub(super) async fn step(&mut self) -> anyhow::Result<()> {
        let instants = self.oracle.common_instants();
        let [due, after, ..] = instants[self.next.min(instants.len())..] else { return Ok(()) };
        let half = i64::midpoint(due, after);
        if after - due < APART || self.done.taken.len() >= ROUNDS || SystemClock.wall() < half {
            return Ok(());
        }
        self.next += 1;
        let Some(last) = self.oracle.complete(self.next - 1) else { return Ok(()) };
        if self.bodies.is_empty() {
            self.bodies = self.receiver.kept().unwrap_or_default();
            self.done.requests = self.bodies.len();
            // This opens the connections of the baseline; those of the nodes are open already.
            self.baseline.send(&self.bodies, self.receiver).await?;
        }
        if !self.bodies.is_empty() {
            let bare = self.baseline.send(&self.bodies, self.receiver).await?;
            self.done.taken.push(((last - due) as f64, bare));
        }
        Ok(())
    }
}

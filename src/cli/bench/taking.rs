//! Nodes and bare client taking turns at the same bodies, when all jobs are due together. `super` asks
//! it again and again while the window passes; it judges nothing.

use super::limit::{Bare, Turns};
use super::oracle::Oracle;
use super::receiver::{Body, Receiver};
use crate::clock::{Clock, SystemClock};
use crate::model::Millis;

/// How often nodes and bare client take turns.
const TURNS: usize = 5;
/// The bare client only takes its turn when instants are at least so far apart.
const APART: Millis = 4_000;

/// See the head of this file.
pub(super) struct Taking<'a> {
    oracle: &'a Oracle,
    pub(super) receiver: &'a Receiver,
    bare: Bare,
    bodies: Vec<Body>,
    /// The place of the next instant.
    next: usize,
    pub(super) done: Turns,
}

impl<'a> Taking<'a> {
    /// For an oracle and the receiver that feeds it.
    pub(super) fn new(oracle: &'a Oracle, receiver: &'a Receiver) -> anyhow::Result<Self> {
        if let [first, second, ..] = oracle.common_instants()
            && second - first >= APART
        {
            receiver.keep(*first);
        }
        let (bare, bodies) = (Bare::new()?, Vec::new());
        Ok(Self { oracle, receiver, bare, bodies, next: 0, done: Turns::default() })
    }

    /// Lets the bare client have its turn, half-way between two instants.
    pub(super) async fn take(&mut self) -> anyhow::Result<()> {
        let instants = self.oracle.common_instants();
        let [due, after, ..] = instants[self.next.min(instants.len())..] else { return Ok(()) };
        let half = i64::midpoint(due, after);
        if after - due < APART || self.done.taken.len() >= TURNS || SystemClock.wall() < half {
            return Ok(());
        }
        self.next += 1;
        let Some(last) = self.oracle.complete(self.next - 1) else { return Ok(()) };
        if self.bodies.is_empty() {
            self.bodies = self.receiver.kept().unwrap_or_default();
            self.done.requests = self.bodies.len();
            // Its connections are open from here on, as those of the nodes are.
            self.bare.send(&self.bodies, self.receiver).await?;
        }
        if !self.bodies.is_empty() {
            let bare = self.bare.send(&self.bodies, self.receiver).await?;
            self.done.taken.push(((last - due) as f64, bare));
        }
        Ok(())
    }
}

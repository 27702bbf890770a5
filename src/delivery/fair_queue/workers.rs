//! The workers of a fair queue: which project has how many, and which project lends one.
//! `queue::FairQueue` calls it whenever a call begins, goes on to another stage or ends. It decides
//! nothing about turns.

use std::collections::BTreeSet;

/// The stage of a call in flight. The owner of the queue says when a call goes on to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// The call takes a worker.
    #[default]
    Quick,
    /// The call takes a worker, unless another project wants it.
    Slow,
    /// The call takes no worker.
    Hanging,
}

/// The workers of all projects. Projects are given by their index in the queue.
#[derive(Debug)]
pub(super) struct Workers {
    capacity: usize,
    in_use: usize,
    /// Projects by their number of workers, where that is not 0.
    holders: BTreeSet<(usize, usize)>,
    /// The same for the projects whose slow calls have a worker that they may lend.
    lenders: BTreeSet<(usize, usize)>,
}

/// The workers of one project.
#[derive(Debug, Default)]
pub(super) struct WorkerShare {
    /// Workers that the project has.
    pub(super) held: usize,
    /// Calls that do not hang yet and go on without the worker that was lent. Slow calls count
    /// first among these.
    lent: usize,
    /// Slow calls, with a worker or without.
    slow: usize,
    /// The keys under which the project is in `holders` and in `lenders`.
    listed: (usize, Option<usize>),
}

impl Workers {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, in_use: 0, holders: BTreeSet::new(), lenders: BTreeSet::new() }
    }

    /// Workers that are taken.
    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }

    /// Whether all workers are taken.
    pub(super) fn are_taken(&self) -> bool {
        self.in_use >= self.capacity
    }

    /// Whether a project with `held` workers may have one more.
    pub(super) fn has_one_for(&self, held: usize) -> bool {
        !self.are_taken() || self.lender(held).is_some()
    }

    /// The project that lends a worker to a project with `held` workers.
    pub(super) fn lender(&self, held: usize) -> Option<usize> {
        let most = self.holders.last().filter(|(most, _)| *most >= held + 2);
        let slow = || self.lenders.last().filter(|(most, _)| *most > held);
        most.or_else(slow).map(|(_, at)| *at)
    }

    /// Takes the worker of one of a project's calls, which goes on without it.
    pub(super) fn lend(&mut self, at: usize, share: &mut WorkerShare) {
        share.lent += 1;
        self.release(at, share);
    }

    /// Gives a project one more worker.
    pub(super) fn take(&mut self, at: usize, share: &mut WorkerShare) {
        share.held += 1;
        self.in_use += 1;
        self.list(at, share);
    }

    /// Notes that a call of a project became slow.
    pub(super) fn slow_down(&mut self, at: usize, share: &mut WorkerShare) {
        share.slow += 1;
        self.list(at, share);
    }

    /// Notes that a call of a project has left a stage and needs no worker any more.
    pub(super) fn leave(&mut self, at: usize, share: &mut WorkerShare, stage: Stage) {
        share.slow -= usize::from(stage == Stage::Slow);
        match stage {
            Stage::Hanging => {}
            _ if share.lent > 0 => {
                share.lent -= 1;
                self.list(at, share);
            }
            _ => self.release(at, share),
        }
    }

    fn release(&mut self, at: usize, share: &mut WorkerShare) {
        share.held -= 1;
        self.in_use -= 1;
        self.list(at, share);
    }

    /// Lists a project under its present number of workers.
    fn list(&mut self, at: usize, share: &mut WorkerShare) {
        let held = share.held;
        let lends = (held > 0 && share.slow > share.lent).then_some(held);
        let (held_before, lent_before) = std::mem::replace(&mut share.listed, (held, lends));
        if held_before != held {
            if held_before > 0 {
                self.holders.remove(&(held_before, at));
            }
            if held > 0 {
                self.holders.insert((held, at));
            }
        }
        if lent_before != lends {
            if let Some(before) = lent_before {
                self.lenders.remove(&(before, at));
            }
            if let Some(held) = lends {
                self.lenders.insert((held, at));
            }
        }
    }
}

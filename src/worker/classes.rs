//! The due queue of one part of a shard: jobs with the same schedule are one class with a member
//! list, and the heap holds classes.
//!
//! ```text
//!   (shape, phase) ──> home class ── next 12:00 ── members 64..128, 4160..4224, ...
//!                      side class ── next 11:58 ── members 4161        (joins home at 12:00)
//!                      side class ── next 11:59, until 11:59 ── 77     (a closed plan's rest)
//! ```
//!
//! A member that is not where its home class is (it was added late, its plan has an end, it was
//! handed back) lives in a side class until it has caught up. A schedule is evaluated once a class
//! and instant, never for a job. Pure: `worker::load` builds parts on any thread, `worker::queue`
//! owns them; no clock, no store.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::runs::Runs;
use crate::model::members::Members;
use crate::model::{JobId, Millis, ProjectId};
use crate::schedule::Schedule;

/// What a class of jobs fires by: a shape's schedule and its bounds.
#[derive(Debug)]
pub struct Plan {
    /// The shape's number.
    pub shape: u64,
    /// The project of its jobs.
    pub project: ProjectId,
    /// The schedule, read once for all that share the shape.
    pub schedule: Schedule,
    /// Whether the schedule was read for one job alone (`H` in its spec), which is then this one.
    pub seed: Option<JobId>,
    /// No occurrence before this instant.
    pub start: Option<Millis>,
    /// No occurrence after this instant.
    pub end: Option<Millis>,
}

impl Plan {
    /// What tells members of one shape apart: the phase of `@every`, the job of a seeded spec.
    fn phase(&self, anchor: Millis) -> Millis {
        match (self.seed, self.schedule.period()) {
            (Some(job), _) => job as Millis,
            (None, Some(period)) => anchor.rem_euclid(period),
            (None, None) => 0,
        }
    }

    /// Whether a job with this anchor has an occurrence at an instant.
    pub fn is_due(&self, anchor: Millis, at: Millis) -> bool {
        self.start.is_none_or(|start| start <= at)
            && at <= self.last()
            && self.schedule.next(anchor, at - 1) == Some(at)
    }

    /// The occurrence after one of a job's own.
    pub fn following(&self, occurrence: Millis) -> Option<Millis> {
        self.schedule.next(occurrence, occurrence)
    }

    fn last(&self) -> Millis {
        self.end.unwrap_or(Millis::MAX)
    }
}

/// A job's plan as it goes into the queue.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The job.
    pub job: JobId,
    /// What its `@every` counts from.
    pub anchor: Millis,
    /// Its occurrences lie after this instant ...
    pub after: Millis,
    /// ... and not after this one.
    pub until: Millis,
}

/// What is due at one instant of one part.
#[derive(Debug)]
pub struct Popped {
    /// The instant; what fires is due now and was not given out before.
    pub due: Millis,
    /// The classes that fire, and their members.
    pub fire: Vec<(Arc<Plan>, Members)>,
    /// What is too late by the misfire policy: every occurrence of the members due from `.1` to
    /// `.2`. A newer one of each is still in the queue.
    pub skipped: Vec<(Arc<Plan>, Millis, Millis, Members)>,
}

type Key = (u64, Millis);

#[derive(Debug)]
struct Class {
    plan: Arc<Plan>,
    phase: Millis,
    /// No occurrence lies between this instant and `next`, both left out.
    base: Millis,
    next: Millis,
    until: Millis,
    home: bool,
    members: Runs,
}

/// The due queue of one part; see the head of this file.
#[derive(Debug)]
pub struct PartQueue {
    after: Millis,
    until: Millis,
    classes: Vec<Option<Class>>,
    free: Vec<u32>,
    home: HashMap<Key, u32>,
    side: HashMap<(Key, Millis, Millis), u32>,
    /// (next, a side class, number), earliest first; an entry counts only while its class still
    /// is at that instant.
    heap: BinaryHeap<Reverse<(Millis, bool, u32)>>,
}

impl PartQueue {
    /// An empty queue for what is due after `after`, up to and including `until`.
    pub fn new(after: Millis, until: Millis) -> Self {
        Self {
            after,
            until,
            classes: Vec::new(),
            free: Vec::new(),
            home: HashMap::new(),
            side: HashMap::new(),
            heap: BinaryHeap::new(),
        }
    }

    /// Fires nothing due after `until` from now on.
    pub fn set_until(&mut self, until: Millis) {
        self.until = until;
    }

    /// Adds a job's plan. A plan that is there already must be removed first.
    pub fn add(&mut self, plan: &Arc<Plan>, member: Member) {
        let every = plan.schedule.period().is_some();
        let mut after = self.after.max(member.after);
        if every {
            after = after.max(member.anchor);
        }
        if let Some(start) = plan.start {
            after = after.max(start - 1);
        }
        let until = member.until.min(plan.last());
        let phase = plan.phase(member.anchor);
        let home = if until == plan.last() { self.home_of((plan.shape, phase)) } else { None };
        if let Some(class) = home
            && class.base <= after
            && after < class.next
        {
            class.members.insert(member.job);
            return;
        }
        let Some(next) = plan.schedule.next(phase, after).filter(|next| *next <= until) else {
            return;
        };
        let mut members = Runs::default();
        members.insert(member.job);
        self.place(Class {
            plan: Arc::clone(plan),
            phase,
            base: after,
            next,
            until,
            home: false,
            members,
        });
    }

    /// Puts members back that were popped at `due` and not fired.
    pub fn put_back(&mut self, plan: &Arc<Plan>, due: Millis, jobs: &Members) {
        let mut members = Runs::default();
        jobs.iter().for_each(|job| members.insert(job));
        if members.is_empty() {
            return;
        }
        // Bounded by its own instant, it never joins a home class, whatever the phase.
        let class = Class {
            plan: Arc::clone(plan),
            phase: 0,
            base: due - 1,
            next: due,
            until: due,
            home: false,
            members,
        };
        self.place(class);
    }

    /// Takes jobs out, all their plans. The list must be ascending.
    pub fn remove(&mut self, jobs: &[JobId]) {
        for number in 0..self.classes.len() {
            let Some(class) = &mut self.classes[number] else { continue };
            if class.members.remove(jobs) && class.members.is_empty() {
                self.take(number as u32);
            }
        }
    }

    /// The earliest instant at which something is due and not yet popped, within this part.
    pub fn next_due(&mut self) -> Option<Millis> {
        while let Some(Reverse((next, _, number))) = self.heap.peek() {
            let class = self.classes.get(*number as usize).and_then(Option::as_ref);
            if class.is_some_and(|class| class.next == *next) {
                return Some(*next).filter(|next| *next <= self.until);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes what is due at the earliest instant, if that is not after `limit`. Where more than
    /// one occurrence of a class waits and the oldest is due before `stale`, only the newest is
    /// left to fire and the others are skipped (the misfire policy `latest`).
    pub fn pop(&mut self, limit: Millis, stale: Millis) -> Option<Popped> {
        let due = self.next_due().filter(|due| *due <= limit)?;
        let limit = limit.min(self.until);
        let mut popped = Popped { due, fire: Vec::new(), skipped: Vec::new() };
        while self.next_due() == Some(due) {
            let Some(Reverse((_, _, number))) = self.heap.pop() else { break };
            let Some(mut class) = self.take(number) else { continue };
            let (schedule, phase) = (&class.plan.schedule, class.phase);
            let newest = if due < stale {
                schedule.prev(phase, limit.min(class.until)).filter(|newest| *newest > due)
            } else {
                None
            };
            if let Some(newest) = newest {
                let last = schedule.prev(phase, newest - 1).map_or(due, |last| last.max(due));
                let members = class.members.members();
                popped.skipped.push((Arc::clone(&class.plan), due, last, members));
                class.base = last;
                class.next = newest;
                self.place(class);
                continue;
            }
            popped.fire.push((Arc::clone(&class.plan), class.members.members()));
            if let Some(next) = schedule.next(phase, due).filter(|next| *next <= class.until) {
                class.base = due;
                class.next = next;
                self.place(class);
            }
        }
        Some(popped)
    }

    /// How many jobs wait whose next occurrence is due by an instant; costs a step a class.
    pub fn waiting(&self, by: Millis) -> u64 {
        let due = self.classes.iter().flatten().filter(|class| class.next <= by.min(self.until));
        due.map(|class| class.members.len()).sum()
    }

    /// Gives back memory that a load took and the parts do not need.
    pub fn shrink(&mut self) {
        self.classes.iter_mut().flatten().for_each(|class| class.members.shrink());
        self.classes.shrink_to_fit();
        self.heap.shrink_to_fit();
    }

    /// The bytes held, as far as they grow with jobs.
    pub fn bytes(&self) -> usize {
        let members: usize = self.classes.iter().flatten().map(|class| class.members.bytes()).sum();
        members
            + self.classes.capacity() * size_of::<Option<Class>>()
            + self.heap.capacity() * size_of::<Reverse<(Millis, bool, u32)>>()
            + self.home.capacity() * (size_of::<(Key, u32)>() + 1)
    }

    fn home_of(&mut self, key: Key) -> Option<&mut Class> {
        let number = *self.home.get(&key)?;
        self.classes.get_mut(number as usize)?.as_mut()
    }

    /// Puts a class where it belongs: it joins one that is at the same instant and has the same
    /// end, or takes a slot of its own, as the home class if there is none.
    fn place(&mut self, mut class: Class) {
        let key = (class.plan.shape, class.phase);
        let whole = class.until == class.plan.last();
        let at_home = if whole { self.home.get(&key).copied() } else { None };
        class.home = whole && at_home.is_none();
        let side = self.side.get(&(key, class.next, class.until)).copied();
        for number in at_home.into_iter().chain(side) {
            if let Some(other) = &mut self.classes[number as usize]
                && other.next == class.next
            {
                other.members.absorb(&class.members);
                other.base = other.base.min(class.base);
                return;
            }
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.classes.push(None);
            self.classes.len() as u32 - 1
        });
        if class.home {
            self.home.insert(key, number);
        } else {
            self.side.insert((key, class.next, class.until), number);
        }
        self.heap.push(Reverse((class.next, !class.home, number)));
        self.classes[number as usize] = Some(class);
    }

    /// Takes a class out of its slot.
    fn take(&mut self, number: u32) -> Option<Class> {
        let class = self.classes.get_mut(number as usize)?.take()?;
        let key = (class.plan.shape, class.phase);
        if class.home {
            self.home.remove(&key);
        } else {
            self.side.remove(&(key, class.next, class.until));
        }
        self.free.push(number);
        Some(class)
    }
}

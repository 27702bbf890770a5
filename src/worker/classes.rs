//! The due queue of one part of a shard: jobs with the same schedule are one class with a member
//! list, and the heap holds classes.
//!
//! ```text
//!   (definition, phase) ──> home class ── next 12:00 ── members 64..128, 4160..4224, ...
//!                      side class ── next 11:58 ── members 4161        (joins home at 12:00)
//!                      side class ── next 11:59, until 11:59 ── 77     (a closed plan's rest)
//!   (definition, job) ────> home class ── next 12:00:07, scheduled 12:00 ── 78         (jitter)
//!
//!   held:  what a paused project has due, until it is certain that it still was paused then
//!   late:  what is made up by the misfire policy `all`, beside what is due in time
//! ```
//!
//! A member that is not where its home class is (it was added late, its plan has an end, it was
//! handed back) lives in a side class until it has caught up. A schedule is evaluated once a class
//! and instant, never for a job. Pure: `worker::load` builds parts on any thread, `worker::queue`
//! owns them, `worker::misfire` says what is too late; no clock, no store.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::misfire::{Judged, Late, Ticket, judge};
use super::pauses::Pauses;
use super::plan::{Key, Member, Plan};
use super::runs::Runs;
use crate::model::members::Members;
use crate::model::target::ProjectPause;
use crate::model::{JobId, Millis};

/// The circumstances under which something is taken out of the queue.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// What is due up to here is taken.
    pub until: Millis,
    /// Scheduler time.
    pub now: Millis,
    /// Log time up to which all changes are known.
    pub heard: Millis,
    /// How late is not yet too late, for plans that do not say.
    pub grace: Millis,
    /// The pauses of projects.
    pub pauses: &'a Pauses,
}

/// What is due at one instant of one part.
#[derive(Debug)]
pub struct Popped {
    /// The instant; what fires is due now and was not given out before.
    pub due: Millis,
    /// What fires.
    pub fire: Vec<Fire>,
    /// What is too late.
    pub skipped: Vec<Skip>,
}

/// Members of a class that fire.
#[derive(Debug)]
pub struct Fire {
    /// By which plan.
    pub plan: Arc<Plan>,
    /// The instant that they were scheduled for: when they are due, or with jitter before it.
    pub scheduled: Millis,
    /// Who.
    pub members: Members,
    /// To be held until what it is for is over: it is made up, a few at a time.
    pub ticket: Option<Ticket>,
}

/// Every occurrence of some members due in a stretch of time: too late by their misfire policy.
#[derive(Clone, Debug)]
pub struct Skip {
    /// By which plan.
    pub plan: Arc<Plan>,
    /// What it counts from.
    pub phase: Millis,
    /// When the first of them was due.
    pub since: Millis,
    /// When the last of them was due ...
    pub due: Millis,
    /// ... and what it was scheduled for.
    pub scheduled: Millis,
    /// Whose.
    pub members: Members,
}

#[derive(Debug)]
pub(super) struct Class {
    pub(super) plan: Arc<Plan>,
    pub(super) phase: Millis,
    /// No occurrence lies between this instant and `next`, both left out.
    pub(super) base: Millis,
    /// When it is due next ...
    pub(super) next: Millis,
    /// ... and how long before that it is scheduled.
    pub(super) delay: u32,
    /// Nothing of it is due after this instant.
    pub(super) until: Millis,
    home: bool,
    /// It was given out before, and came back: the misfire policy does not ask again.
    returned: bool,
    pub(super) members: Runs,
}

impl Class {
    fn key(&self) -> Key {
        self.plan.key(self.phase, self.members.first())
    }

    fn side(&self, key: Key) -> Side {
        (key, self.phase, self.next, self.delay, self.until)
    }

    /// Its first occurrence due after an instant, as (scheduled, due).
    pub(super) fn after(&self, due: Millis) -> Option<(Millis, Millis)> {
        let found = self.plan.of(self.phase, self.members.first()).next(due);
        found.filter(|(_, due)| *due <= self.until)
    }

    /// Its last occurrence due by an instant, as (scheduled, due).
    pub(super) fn by(&self, due: Millis) -> Option<(Millis, Millis)> {
        self.plan.of(self.phase, self.members.first()).prev(due)
    }

    /// The class as it is after an instant, if there is more to come.
    pub(super) fn advanced(mut self, over: Millis) -> Option<Self> {
        let next = self.after(over)?;
        self.base = over;
        self.go_to(next);
        Some(self)
    }

    pub(super) fn go_to(&mut self, (scheduled, due): (Millis, Millis)) {
        self.next = due;
        // No delay is longer: see `Jittered`.
        self.delay = (due - scheduled) as u32;
    }

    pub(super) fn scheduled(&self) -> Millis {
        self.next - Millis::from(self.delay)
    }

    /// The first instants of it, up to one, by themselves.
    pub(super) fn split(&self, until: Millis) -> Self {
        let (plan, members) = (Arc::clone(&self.plan), self.members.clone());
        Self { plan, members, until, home: false, ..*self }
    }
}

/// What tells side classes apart: key, phase, next, delay and end. With jitter one key may have two
/// occurrences that are due at once, but were scheduled apart.
type Side = (Key, Millis, Millis, u32, Millis);

/// The due queue of one part; see the head of this file.
#[derive(Debug)]
pub struct PartQueue {
    after: Millis,
    until: Millis,
    classes: Vec<Option<Class>>,
    free: Vec<u32>,
    home: HashMap<Key, u32>,
    side: HashMap<Side, u32>,
    /// (next, a side class, number), earliest first; an entry counts only while its class still
    /// is at that instant.
    heap: BinaryHeap<Reverse<(Millis, bool, u32)>>,
    held: Vec<Class>,
    late: Late,
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
            held: Vec::new(),
            late: Late::default(),
        }
    }

    /// Fires nothing due after `until` from now on.
    pub fn set_until(&mut self, until: Millis) {
        self.until = until;
    }

    /// Takes in nothing due up to `after` from now on.
    pub fn set_after(&mut self, after: Millis) {
        self.after = self.after.max(after);
    }

    /// Adds a job's plan. A plan that is there already must be removed first.
    pub fn add(&mut self, plan: &Arc<Plan>, member: Member) {
        let floor = self.after;
        let until = plan.due_by(&member);
        let phase = plan.phase(member.anchor);
        let home =
            if until == plan.last() { self.home_of(plan.key(phase, member.job)) } else { None };
        let after = floor.max(plan.lower(&member));
        if let Some(class) = home
            && plan.jitter <= 0
            && class.base <= after
            && after < class.next
        {
            class.members.insert(member.job);
            return;
        }
        let Some(first) = plan.first(&member, floor).filter(|first| first.1 <= until) else {
            return;
        };
        let mut members = Runs::default();
        members.insert(member.job);
        let mut class = Class {
            plan: Arc::clone(plan),
            phase,
            base: after,
            next: 0,
            delay: 0,
            until,
            home: false,
            returned: false,
            members,
        };
        class.go_to(first);
        self.place(class);
    }

    /// Puts members back that were popped, due and scheduled as given, and not fired.
    pub fn put_back(&mut self, plan: &Arc<Plan>, due: Millis, scheduled: Millis, jobs: &Members) {
        // With jitter each job is a class.
        let at_once = if plan.jitter > 0 { 1 } else { usize::MAX };
        let mut jobs = jobs.iter().peekable();
        while jobs.peek().is_some() {
            let mut members = Runs::default();
            jobs.by_ref().take(at_once).for_each(|job| members.insert(job));
            // Bounded by its own instant, it never joins a home class, whatever the phase.
            let mut class = Class {
                plan: Arc::clone(plan),
                phase: 0,
                base: due - 1,
                next: due,
                delay: 0,
                until: due,
                home: false,
                returned: true,
                members,
            };
            class.go_to((scheduled, due));
            self.place(class);
        }
    }

    /// Takes jobs out, all their plans. The list must be ascending.
    pub fn remove(&mut self, jobs: &[JobId]) {
        for number in 0..self.classes.len() {
            let Some(class) = &mut self.classes[number] else { continue };
            let key = class.key();
            if class.members.remove(jobs)
                && class.members.is_empty()
                && let Some(class) = self.classes[number].take()
            {
                self.vacate(number as u32, key, &class);
            }
        }
        self.held.retain_mut(|class| !class.members.remove(jobs) || !class.members.is_empty());
        self.late.remove(jobs);
    }

    /// The earliest instant at which something is due and not yet popped, within this part; what is
    /// made up, and what is held, left out.
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

    /// The earliest instant at which anything is due that was not given out: no watermark reaches
    /// it.
    pub fn undispatched(&mut self) -> Option<Millis> {
        let aside = self.held.iter().chain(self.late.classes()).map(|class| class.next).min();
        let aside = aside.filter(|next| *next <= self.until);
        self.next_due().into_iter().chain(aside).min()
    }

    /// Takes what is due at the earliest instant, if that is not after the moment's end. What the
    /// misfire policies do not let fire is left out, and said; what falls into a pause is left out.
    pub fn pop(&mut self, moment: &Moment<'_>) -> Option<Popped> {
        let due = self.next_due().filter(|due| *due <= moment.until)?;
        let limit = moment.until.min(self.until);
        let mut popped = Popped { due, fire: Vec::new(), skipped: Vec::new() };
        while self.next_due() == Some(due) {
            let Some(Reverse((_, _, number))) = self.heap.pop() else { break };
            let Some(mut class) = self.take(number) else { continue };
            if let Some(pause) = moment.pauses.at(class.plan.project, due) {
                // A one-off ends with its instant, and somebody has to say so: whoever writes its
                // request finds the pause in the books.
                if !class.plan.schedule.is_once() || due > moment.heard {
                    self.rest(class, pause, moment.heard);
                    continue;
                }
            } else if !class.returned {
                match judge(class, limit, moment) {
                    Judged::InTime(same) => class = same,
                    Judged::Late { skip, made_up, rest } => {
                        popped.skipped.extend(skip);
                        if let Some(class) = made_up {
                            self.late.push(class);
                        }
                        if let Some(class) = rest {
                            self.place(class);
                        }
                        continue;
                    }
                }
            }
            let (plan, scheduled) = (Arc::clone(&class.plan), class.scheduled());
            let members = class.members.members();
            popped.fire.push(Fire { plan, scheduled, members, ticket: None });
            if let Some(class) = class.advanced(due) {
                self.place(class);
            }
        }
        Some(popped)
    }

    /// Takes one instant of a class that is made up: each in turn, and none that has its share
    /// under way.
    pub fn pop_late(&mut self, limit: Millis) -> Option<Popped> {
        self.late.pop(limit.min(self.until))
    }

    /// A class that is due in a pause: passes over what is certain to fall into it, that is, as far
    /// as all changes are known. What is not certain yet is held, for the pause may have ended.
    fn rest(&mut self, class: Class, pause: &ProjectPause, heard: Millis) {
        let end = pause.until.unwrap_or(Millis::MAX);
        if class.next > heard {
            self.held.push(class.split(end.min(class.until)));
        }
        let over = if class.next > heard { end } else { end.min(heard) };
        if let Some(class) = class.advanced(over) {
            self.place(class);
        }
    }

    /// Looks again at what was held and is due up to an instant.
    pub fn release(&mut self, until: Millis) {
        for class in self.held.extract_if(.., |class| class.next <= until).collect::<Vec<_>>() {
            self.place(class);
        }
    }

    /// How many jobs wait whose next occurrence is due by an instant; costs a step a class.
    pub fn waiting(&self, by: Millis) -> u64 {
        let all = self.classes.iter().flatten().chain(&self.held).chain(self.late.classes());
        let due = all.filter(|class| class.next <= by.min(self.until));
        due.map(|class| class.members.len()).sum()
    }

    /// Whether something is made up.
    pub fn is_late(&self) -> bool {
        self.late.classes().next().is_some()
    }

    /// Gives back memory that a load took and the parts do not need.
    pub fn shrink(&mut self) {
        self.classes.iter_mut().flatten().for_each(|class| class.members.shrink());
        self.classes.shrink_to_fit();
        self.heap.shrink_to_fit();
        self.home.shrink_to_fit();
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

    /// Puts a class where it belongs: it joins one that is at the same occurrence and has the same
    /// end, or takes a slot of its own, as the home class if there is none.
    fn place(&mut self, mut class: Class) {
        let key = class.key();
        let whole = class.until == class.plan.last() && !class.returned;
        let at_home = if whole { self.home.get(&key).copied() } else { None };
        class.home = whole && at_home.is_none();
        let side = self.side.get(&class.side(key)).copied();
        for number in at_home.into_iter().chain(side) {
            if let Some(other) = &mut self.classes[number as usize]
                && (other.phase, other.next, other.delay) == (class.phase, class.next, class.delay)
                && other.returned == class.returned
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
            self.side.insert(class.side(key), number);
        }
        self.heap.push(Reverse((class.next, !class.home, number)));
        self.classes[number as usize] = Some(class);
    }

    /// Takes a class out of its slot.
    fn take(&mut self, number: u32) -> Option<Class> {
        let class = self.classes.get_mut(number as usize)?.take()?;
        self.vacate(number, class.key(), &class);
        Some(class)
    }

    /// Forgets the slot of a class that was taken out of it.
    fn vacate(&mut self, number: u32, key: Key, class: &Class) {
        if class.home {
            self.home.remove(&key);
        } else {
            self.side.remove(&class.side(key));
        }
        self.free.push(number);
    }
}

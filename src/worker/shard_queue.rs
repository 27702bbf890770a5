//! The due queue of one part of a shard: jobs with the same schedule are one group with a member
//! list, and the heap holds groups.
//!
//! ```text
//!   (definition, phase) ──> regular group ── next 12:00 ── members 64..128, 4160..4224, ...
//!                      side group ── next 11:58 ── members 4161        (joins regular at 12:00)
//!                      side group ── next 11:59, until 11:59 ── 77     (a closed plan's rest)
//!   (definition, job) ────> regular group ── next 12:00:07, scheduled 12:00 ── 78         (jitter)
//!
//!   held:  what a paused project has due, until it is certain that it still was paused then
//!   late:  what is made up by the misfire policy `all`, beside what is due in time
//! ```
//!
//! A member that is not where its regular group is (it was added late, its plan has an end, it was
//! handed back) lives in a side group until it has caught up. A schedule is evaluated once a group
//! and instant, never for a job. Pure: `worker::load` builds parts on any thread, `worker::due_queue`
//! owns them, `worker::misfire` says what is too late; no clock, no store.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::id_set::IdSet;
use super::misfire::{CatchUpQueue, PolicyResult, Ticket, apply_policy};
use super::pauses::Pauses;
use super::plan::{Key, Member, Plan};
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
    pub caught_up_to: Millis,
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

/// Members of a group that fire.
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
pub(super) struct ScheduleGroup {
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
    regular: bool,
    /// It was given out before, and came back: the misfire policy does not ask again.
    returned: bool,
    pub(super) members: IdSet,
}

impl ScheduleGroup {
    fn key(&self) -> Key {
        self.plan.key(self.phase, self.members.first())
    }

    fn detached_key(&self, key: Key) -> DetachedKey {
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

    /// The group as it is after an instant, if there is more to come.
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
        Self { plan, members, until, regular: false, ..*self }
    }
}

/// What tells side groups apart: key, phase, next, delay and end. With jitter one key may have two
/// occurrences that are due at once, but were scheduled apart.
type DetachedKey = (Key, Millis, Millis, u32, Millis);

/// The due queue of one part; see the head of this file.
#[derive(Debug)]
pub struct ShardQueue {
    after: Millis,
    until: Millis,
    groups: Vec<Option<ScheduleGroup>>,
    free: Vec<u32>,
    regular: HashMap<Key, u32>,
    detached: HashMap<DetachedKey, u32>,
    /// (next, a side group, number), earliest first; an entry counts only while its group still
    /// is at that instant.
    heap: BinaryHeap<Reverse<(Millis, bool, u32)>>,
    held: Vec<ScheduleGroup>,
    catch_up: CatchUpQueue,
}

impl ShardQueue {
    /// An empty queue for what is due after `after`, up to and including `until`.
    pub fn new(after: Millis, until: Millis) -> Self {
        Self {
            after,
            until,
            groups: Vec::new(),
            free: Vec::new(),
            regular: HashMap::new(),
            detached: HashMap::new(),
            heap: BinaryHeap::new(),
            held: Vec::new(),
            catch_up: CatchUpQueue::default(),
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
        let regular = if until == plan.last() {
            self.regular_group(plan.key(phase, member.job))
        } else {
            None
        };
        let after = floor.max(plan.lower(&member));
        if let Some(group) = regular
            && plan.jitter <= 0
            && group.base <= after
            && after < group.next
        {
            group.members.insert(member.job);
            return;
        }
        let Some(first) = plan.first(&member, floor).filter(|first| first.1 <= until) else {
            return;
        };
        let mut members = IdSet::default();
        members.insert(member.job);
        let mut group = ScheduleGroup {
            plan: Arc::clone(plan),
            phase,
            base: after,
            next: 0,
            delay: 0,
            until,
            regular: false,
            returned: false,
            members,
        };
        group.go_to(first);
        self.place(group);
    }

    /// Puts members back that were popped, due and scheduled as given, and not fired.
    pub fn put_back(&mut self, plan: &Arc<Plan>, due: Millis, scheduled: Millis, jobs: &Members) {
        // With jitter each job is a group.
        let at_once = if plan.jitter > 0 { 1 } else { usize::MAX };
        let mut jobs = jobs.iter().peekable();
        while jobs.peek().is_some() {
            let mut members = IdSet::default();
            jobs.by_ref().take(at_once).for_each(|job| members.insert(job));
            // Bounded by its own instant, it never joins a regular group, whatever the phase.
            let mut group = ScheduleGroup {
                plan: Arc::clone(plan),
                phase: 0,
                base: due - 1,
                next: due,
                delay: 0,
                until: due,
                regular: false,
                returned: true,
                members,
            };
            group.go_to((scheduled, due));
            self.place(group);
        }
    }

    /// Takes jobs out, all their plans. The list must be ascending.
    pub fn remove(&mut self, jobs: &[JobId]) {
        for number in 0..self.groups.len() {
            let Some(group) = &mut self.groups[number] else { continue };
            let key = group.key();
            if group.members.remove(jobs)
                && group.members.is_empty()
                && let Some(group) = self.groups[number].take()
            {
                self.vacate(number as u32, key, &group);
            }
        }
        self.held.retain_mut(|group| !group.members.remove(jobs) || !group.members.is_empty());
        self.catch_up.remove(jobs);
    }

    /// The earliest instant at which something is due and not yet popped, within this part; what is
    /// made up, and what is held, left out.
    pub fn next_due(&mut self) -> Option<Millis> {
        while let Some(Reverse((next, _, number))) = self.heap.peek() {
            let group = self.groups.get(*number as usize).and_then(Option::as_ref);
            if group.is_some_and(|group| group.next == *next) {
                return Some(*next).filter(|next| *next <= self.until);
            }
            self.heap.pop();
        }
        None
    }

    /// The earliest instant at which anything is due that was not given out: no watermark reaches
    /// it.
    pub fn undispatched(&mut self) -> Option<Millis> {
        let aside = self.held.iter().chain(self.catch_up.groups()).map(|group| group.next).min();
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
            let Some(mut group) = self.take(number) else { continue };
            if let Some(pause) = moment.pauses.at(group.plan.project, due) {
                // A one-off ends with its instant, and somebody has to say so: whoever writes its
                // request finds the pause in the store.
                if !group.plan.schedule.is_once() || due > moment.caught_up_to {
                    self.pass_over_pause(group, pause, moment.caught_up_to);
                    continue;
                }
            } else if !group.returned {
                match apply_policy(group, limit, moment) {
                    PolicyResult::InTime(same) => group = same,
                    PolicyResult::Late { skip, catch_up, rest } => {
                        popped.skipped.extend(skip);
                        if let Some(group) = catch_up {
                            self.catch_up.push(group);
                        }
                        if let Some(group) = rest {
                            self.place(group);
                        }
                        continue;
                    }
                }
            }
            let (plan, scheduled) = (Arc::clone(&group.plan), group.scheduled());
            let members = group.members.members();
            popped.fire.push(Fire { plan, scheduled, members, ticket: None });
            if let Some(group) = group.advanced(due) {
                self.place(group);
            }
        }
        Some(popped)
    }

    /// Takes one instant of a group that is made up: each in turn, and none that has its share
    /// under way.
    pub fn pop_catch_up(&mut self, limit: Millis) -> Option<Popped> {
        self.catch_up.pop(limit.min(self.until))
    }

    /// A group that is due in a pause: permits over what is certain to fall into it, that is, as far
    /// as all changes are known. What is not certain yet is held, for the pause may have ended.
    fn pass_over_pause(
        &mut self,
        group: ScheduleGroup,
        pause: &ProjectPause,
        caught_up_to: Millis,
    ) {
        let end = pause.until.unwrap_or(Millis::MAX);
        if group.next > caught_up_to {
            self.held.push(group.split(end.min(group.until)));
        }
        let over = if group.next > caught_up_to { end } else { end.min(caught_up_to) };
        if let Some(group) = group.advanced(over) {
            self.place(group);
        }
    }

    /// Looks again at what was held and is due up to an instant.
    pub fn release(&mut self, until: Millis) {
        for group in self.held.extract_if(.., |group| group.next <= until).collect::<Vec<_>>() {
            self.place(group);
        }
    }

    /// How many jobs wait whose next occurrence is due by an instant; costs a step a group.
    pub fn waiting(&self, by: Millis) -> u64 {
        let all = self.groups.iter().flatten().chain(&self.held).chain(self.catch_up.groups());
        let due = all.filter(|group| group.next <= by.min(self.until));
        due.map(|group| group.members.len()).sum()
    }

    /// Whether something is made up.
    pub fn has_catch_up(&self) -> bool {
        self.catch_up.groups().next().is_some()
    }

    /// Gives back memory that a load took and the parts do not need.
    pub fn shrink(&mut self) {
        self.groups.iter_mut().flatten().for_each(|group| group.members.shrink());
        self.groups.shrink_to_fit();
        self.heap.shrink_to_fit();
        self.regular.shrink_to_fit();
    }

    /// The bytes held, as far as they grow with jobs.
    pub fn bytes(&self) -> usize {
        let members: usize = self.groups.iter().flatten().map(|group| group.members.bytes()).sum();
        members
            + self.groups.capacity() * size_of::<Option<ScheduleGroup>>()
            + self.heap.capacity() * size_of::<Reverse<(Millis, bool, u32)>>()
            + self.regular.capacity() * (size_of::<(Key, u32)>() + 1)
    }

    fn regular_group(&mut self, key: Key) -> Option<&mut ScheduleGroup> {
        let number = *self.regular.get(&key)?;
        self.groups.get_mut(number as usize)?.as_mut()
    }

    /// Puts a group where it belongs: it joins one that is at the same occurrence and has the same
    /// end, or takes a slot of its own, as the regular group if there is none.
    fn place(&mut self, mut group: ScheduleGroup) {
        let key = group.key();
        let whole = group.until == group.plan.last() && !group.returned;
        let regular = if whole { self.regular.get(&key).copied() } else { None };
        group.regular = whole && regular.is_none();
        let detached = self.detached.get(&group.detached_key(key)).copied();
        for number in regular.into_iter().chain(detached) {
            if let Some(other) = &mut self.groups[number as usize]
                && (other.phase, other.next, other.delay) == (group.phase, group.next, group.delay)
                && other.returned == group.returned
            {
                other.members.merge(&group.members);
                other.base = other.base.min(group.base);
                return;
            }
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.groups.push(None);
            self.groups.len() as u32 - 1
        });
        if group.regular {
            self.regular.insert(key, number);
        } else {
            self.detached.insert(group.detached_key(key), number);
        }
        self.heap.push(Reverse((group.next, !group.regular, number)));
        self.groups[number as usize] = Some(group);
    }

    /// Takes a group out of its slot.
    fn take(&mut self, number: u32) -> Option<ScheduleGroup> {
        let group = self.groups.get_mut(number as usize)?.take()?;
        self.vacate(number, group.key(), &group);
        Some(group)
    }

    /// Forgets the slot of a group that was taken out of it.
    fn vacate(&mut self, number: u32, key: Key, group: &ScheduleGroup) {
        if group.regular {
            self.regular.remove(&key);
        } else {
            self.detached.remove(&group.detached_key(key));
        }
        self.free.push(number);
    }
}

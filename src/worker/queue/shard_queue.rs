//! The due queue of one ownership range: groups of jobs in a heap by their next due instant.
//!
//! ```text
//!   (definition, phase) ──> regular group ── next 12:00 ── members 64..128, 4160..4224, ...
//!                      detached group ── next 11:58 ── members 4161   (joins the regular at 12:00)
//!                      detached group ── next 11:59, until 11:59 ── 77  (rest of a closed plan)
//!   (definition, job) ────> regular group ── next 12:00:07, scheduled 12:00 ── 78     (jitter)
//!
//!   held:      what a paused project has due, until it is certain that the pause held then
//!   catch_up:  what the misfire policy `all` still fires, beside what is due in time
//! ```
//!
//! A member that is not where its regular group is lives in a detached group until it has caught
//! up: it was added late, its plan has an end, or it came back unsent. Pure: `engine/load` fills
//! queues on any thread, `due_queue` owns them, `misfire` says what is too late.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::catch_up::CatchUpQueue;
use super::group::{DetachedKey, ScheduleGroup};
use super::id_set::IdSet;
use super::misfire::{PolicyResult, apply_policy};
use super::plan::{Key, Member, Plan};
use super::popped::{Fire, Moment, Popped};
use crate::model::members::Members;
use crate::model::target::ProjectPause;
use crate::model::{JobId, Millis};

/// The due queue of one ownership range; see the head of this file.
#[derive(Debug)]
pub struct ShardQueue {
    after: Millis,
    until: Millis,
    groups: Vec<Option<ScheduleGroup>>,
    free: Vec<u32>,
    regular: HashMap<Key, u32>,
    detached: HashMap<DetachedKey, u32>,
    /// (next, detached, slot), earliest first. An entry counts only while its group still is at
    /// that instant.
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

    /// Gives out nothing due after `until` from now on.
    pub fn set_until(&mut self, until: Millis) {
        self.until = until;
    }

    /// Adds nothing due up to `after` from now on.
    pub fn set_after(&mut self, after: Millis) {
        self.after = self.after.max(after);
    }

    /// Adds a job's plan. The job's older plans must have been removed.
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

    /// Puts back members that were taken out, due and scheduled as given, and not sent.
    pub fn put_back(&mut self, plan: &Arc<Plan>, due: Millis, scheduled: Millis, jobs: &Members) {
        // With jitter each job is a group of its own.
        let at_once = if plan.jitter > 0 { 1 } else { usize::MAX };
        let mut jobs = jobs.iter().peekable();
        while jobs.peek().is_some() {
            let mut members = IdSet::default();
            jobs.by_ref().take(at_once).for_each(|job| members.insert(job));
            // It ends with its own instant, so it never joins a regular group, whatever the phase.
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

    /// Removes jobs with all their plans. The list must be ascending.
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

    /// The earliest due instant within this range. Groups that catch up or are held do not count.
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

    /// The earliest due instant of anything that was not given out, held and catching-up groups
    /// included. No watermark may reach it.
    pub fn undispatched(&mut self) -> Option<Millis> {
        let aside = self.held.iter().chain(self.catch_up.groups()).map(|group| group.next).min();
        let aside = aside.filter(|next| *next <= self.until);
        self.next_due().into_iter().chain(aside).min()
    }

    /// Takes what is due at the earliest instant, if that is not after `moment.until`. Occurrences
    /// that the misfire policy skips are listed apart. What is due in a pause is left out.
    pub fn pop(&mut self, moment: &Moment<'_>) -> Option<Popped> {
        let due = self.next_due().filter(|due| *due <= moment.until)?;
        let limit = moment.until.min(self.until);
        let mut popped = Popped { due, fire: Vec::new(), skipped: Vec::new() };
        while self.next_due() == Some(due) {
            let Some(Reverse((_, _, number))) = self.heap.pop() else { break };
            let Some(mut group) = self.take(number) else { continue };
            if let Some(pause) = moment.pauses.at(group.plan.project, due) {
                // A one-off ends with its instant and its end has to be recorded: its request
                // builder finds the pause in the store.
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

    /// Takes one catch-up instant. Groups take turns, and one with its share under way is passed
    /// over.
    pub fn pop_catch_up(&mut self, limit: Millis) -> Option<Popped> {
        self.catch_up.pop(limit.min(self.until))
    }

    /// Passes over what is due in a pause, as far as all changes are known. The rest is held, since
    /// the pause may have been ended before that instant (the certainty rule).
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

    /// The number of jobs whose next occurrence is due by an instant. Costs a step for each group.
    pub fn waiting(&self, by: Millis) -> u64 {
        let all = self.groups.iter().flatten().chain(&self.held).chain(self.catch_up.groups());
        let due = all.filter(|group| group.next <= by.min(self.until));
        due.map(|group| group.members.len()).sum()
    }

    /// Says whether any group catches up.
    pub fn has_catch_up(&self) -> bool {
        self.catch_up.groups().next().is_some()
    }

    /// Gives back unused memory after a load.
    pub fn shrink(&mut self) {
        self.groups.iter_mut().flatten().for_each(|group| group.members.shrink());
        self.groups.shrink_to_fit();
        self.heap.shrink_to_fit();
        self.regular.shrink_to_fit();
    }

    /// The number of bytes held, as far as they grow with jobs.
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

    /// Puts a group into place. It joins a group that is at the same occurrence and has the same
    /// end; else it takes a slot, as the regular group if there is none.
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

    /// Frees the slot of a group that was taken out.
    fn vacate(&mut self, number: u32, key: Key, group: &ScheduleGroup) {
        if group.regular {
            self.regular.remove(&key);
        } else {
            self.detached.remove(&group.detached_key(key));
        }
        self.free.push(number);
    }
}

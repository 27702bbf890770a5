//! Misfires: which occurrences of a group that waited too long still fire, and how those that are
//! made up one after the other are kept from getting in the way of what is due in time.
//!
//! ```text
//!   waiting:     o o o o o o o o o o | o o     | = past the grace
//!   latest       . . . . . . . . . . . F       the newest of all
//!   skip         . . . . . . . . . . | F F     what is within the grace
//!   all, max 4   . . . . . . M M M M | F F     made up, oldest first
//! ```
//!
//! Whatever is older than the plan's window is skipped. Called by `worker::groups`. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use super::shard_queue::{Fire, Moment, Popped, ScheduleGroup, Skip};
use crate::model::delivery::{MISFIRE_MAX, MisfirePolicy};
use crate::model::{JobId, Millis};

/// So many made-up instants of one group are under way at a time.
const AT_ONCE: usize = 4;

/// What a made-up instant holds while it is under way.
#[derive(Clone, Debug, Default)]
pub struct Ticket(Arc<()>);

/// What the policy says of a group.
pub(super) enum PolicyResult {
    /// What is due now fires.
    InTime(ScheduleGroup),
    /// Not so fast.
    Late {
        /// These occurrences do not fire.
        skip: Option<Skip>,
        /// These are made up.
        catch_up: Option<ScheduleGroup>,
        /// The group goes on with the rest.
        rest: Option<ScheduleGroup>,
    },
}

/// Asks the misfire policy what becomes of the occurrences of a group that are due by `limit`.
pub(super) fn apply_policy(
    mut group: ScheduleGroup,
    limit: Millis,
    moment: &Moment<'_>,
) -> PolicyResult {
    let (due, misfire) = (group.next, group.plan.misfire);
    // What is due before `stale` is past the grace, what is due before `oldest` out of the window.
    let stale = moment.now.saturating_sub(misfire.grace.unwrap_or(moment.grace));
    let oldest = misfire.window.map_or(Millis::MIN, |window| moment.now.saturating_sub(window));
    if due >= stale && due >= oldest {
        return PolicyResult::InTime(group);
    }
    // A stretch of its own ends where a pause begins: an occurrence in a pause stands for none.
    let limit = limit.min(group.until).min(moment.pauses.free_until(group.plan.project, due));
    let Some((scheduled, newest)) = group.by(limit) else { return PolicyResult::InTime(group) };
    // The last one that is past the grace.
    let last_late =
        group.by(stale.saturating_sub(1).min(limit)).map_or(due, |found| found.1).max(due);
    let mut keep = match misfire.policy {
        // Only the window is against it.
        _ if due >= stale => Some(due),
        MisfirePolicy::Latest => Some(newest),
        MisfirePolicy::Skip => group.after(stale - 1).map(|found| found.1),
        MisfirePolicy::All => newest_of(&group, due.max(oldest), last_late, misfire.max),
    };
    if keep.is_some_and(|keep| keep < oldest) {
        keep = group.after(oldest - 1).map(|found| found.1);
    }
    let keep = keep.filter(|keep| *keep <= newest);
    let last = match keep {
        Some(keep) if keep > due => group.by(keep - 1),
        Some(_) => None,
        None => Some((scheduled, newest)),
    };
    let skip = last.map(|(scheduled, last)| {
        let (plan, members) = (Arc::clone(&group.plan), group.members.members());
        Skip { plan, phase: group.phase, since: due, due: last, scheduled, members }
    });
    if let Some(Skip { due, .. }) = skip {
        match group.advanced(due) {
            Some(rest) => group = rest,
            None => return PolicyResult::Late { skip, catch_up: None, rest: None },
        }
    }
    if misfire.policy == MisfirePolicy::All && keep.is_some_and(|keep| keep <= last_late) {
        let catch_up = Some(group.split(last_late));
        return PolicyResult::Late { skip, catch_up, rest: group.advanced(last_late) };
    }
    match skip {
        None => PolicyResult::InTime(group),
        skip => PolicyResult::Late { skip, catch_up: None, rest: Some(group) },
    }
}

/// With `all`: the oldest of the newest `max` up to `last`, none of them due before `oldest`; what
/// comes after `last` if there is none.
fn newest_of(
    group: &ScheduleGroup,
    oldest: Millis,
    last: Millis,
    max: Option<u32>,
) -> Option<Millis> {
    let max = max.unwrap_or(MISFIRE_MAX);
    if max == 0 || last < oldest {
        return group.after(last).map(|found| found.1);
    }
    let mut keep = last;
    for _ in 1..max {
        match group.by(keep - 1) {
            Some((_, before)) if before >= oldest => keep = before,
            _ => break,
        }
    }
    Some(keep)
}

/// The groups of one part that are made up.
///
/// They wait apart from what is due in time, take turns, and each has at most [`AT_ONCE`] instants
/// under way: the next one goes out when one of them is over.
#[derive(Debug, Default)]
pub(super) struct CatchUpQueue(VecDeque<(ScheduleGroup, Ticket)>);

impl CatchUpQueue {
    pub(super) fn push(&mut self, group: ScheduleGroup) {
        self.0.push_back((group, Ticket::default()));
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &ScheduleGroup> {
        self.0.iter().map(|(group, _)| group)
    }

    pub(super) fn remove(&mut self, jobs: &[JobId]) {
        self.0.retain_mut(|(group, _)| !group.members.remove(jobs) || !group.members.is_empty());
    }

    /// Takes an instant, due by `limit`, of the next group in turn that has none too many under
    /// way.
    pub(super) fn pop(&mut self, limit: Millis) -> Option<Popped> {
        for _ in 0..self.0.len() {
            let (group, ticket) = self.0.pop_front()?;
            if group.next > limit || Arc::strong_count(&ticket.0) > AT_ONCE {
                self.0.push_back((group, ticket));
                continue;
            }
            let (plan, scheduled, due) = (Arc::clone(&group.plan), group.scheduled(), group.next);
            let members = group.members.members();
            let fire = vec![Fire { plan, scheduled, members, ticket: Some(ticket.clone()) }];
            if let Some(group) = group.advanced(due) {
                self.0.push_back((group, ticket));
            }
            return Some(Popped { due, fire, skipped: Vec::new() });
        }
        None
    }
}

#[cfg(test)]
#[path = "misfire_tests.rs"]
mod tests;

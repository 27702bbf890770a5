//! Misfires: which occurrences of a class that waited too long still fire, and how those that are
//! made up one after the other are kept from getting in the way of what is due in time.
//!
//! ```text
//!   waiting:     o o o o o o o o o o | o o     | = past the grace
//!   latest       . . . . . . . . . . . F       the newest of all
//!   skip         . . . . . . . . . . | F F     what is within the grace
//!   all, max 4   . . . . . . M M M M | F F     made up, oldest first
//! ```
//!
//! Whatever is older than the plan's window is skipped. Called by `worker::classes`. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use super::classes::{Class, Fire, Moment, Popped, Skip};
use crate::model::delivery::{MISFIRE_MAX, MisfirePolicy};
use crate::model::{JobId, Millis};

/// So many made-up instants of one class are under way at a time.
const AT_ONCE: usize = 4;

/// What a made-up instant holds while it is under way.
#[derive(Clone, Debug, Default)]
pub struct Ticket(Arc<()>);

/// What the policy says of a class.
pub(super) enum Judged {
    /// What is due now fires.
    InTime(Class),
    /// Not so fast.
    Late {
        /// These occurrences do not fire.
        skip: Option<Skip>,
        /// These are made up.
        made_up: Option<Class>,
        /// The class goes on with the rest.
        rest: Option<Class>,
    },
}

/// Asks the misfire policy what becomes of the occurrences of a class that are due by `limit`.
pub(super) fn judge(mut class: Class, limit: Millis, moment: &Moment<'_>) -> Judged {
    let (due, misfire) = (class.next, class.plan.misfire);
    // What is due before `stale` is past the grace, what is due before `oldest` out of the window.
    let stale = moment.now.saturating_sub(misfire.grace.unwrap_or(moment.grace));
    let oldest = misfire.window.map_or(Millis::MIN, |window| moment.now.saturating_sub(window));
    if due >= stale && due >= oldest {
        return Judged::InTime(class);
    }
    // A stretch of its own ends where a pause begins: an occurrence in a pause stands for none.
    let limit = limit.min(class.until).min(moment.pauses.free_until(class.plan.project, due));
    let Some((scheduled, newest)) = class.by(limit) else { return Judged::InTime(class) };
    // The last one that is past the grace.
    let last_late =
        class.by(stale.saturating_sub(1).min(limit)).map_or(due, |found| found.1).max(due);
    let mut keep = match misfire.policy {
        // Only the window is against it.
        _ if due >= stale => Some(due),
        MisfirePolicy::Latest => Some(newest),
        MisfirePolicy::Skip => class.after(stale - 1).map(|found| found.1),
        MisfirePolicy::All => newest_of(&class, due.max(oldest), last_late, misfire.max),
    };
    if keep.is_some_and(|keep| keep < oldest) {
        keep = class.after(oldest - 1).map(|found| found.1);
    }
    let keep = keep.filter(|keep| *keep <= newest);
    let last = match keep {
        Some(keep) if keep > due => class.by(keep - 1),
        Some(_) => None,
        None => Some((scheduled, newest)),
    };
    let skip = last.map(|(scheduled, last)| {
        let (plan, members) = (Arc::clone(&class.plan), class.members.members());
        Skip { plan, phase: class.phase, since: due, due: last, scheduled, members }
    });
    if let Some(Skip { due, .. }) = skip {
        match class.advanced(due) {
            Some(rest) => class = rest,
            None => return Judged::Late { skip, made_up: None, rest: None },
        }
    }
    if misfire.policy == MisfirePolicy::All && keep.is_some_and(|keep| keep <= last_late) {
        let made_up = Some(class.split(last_late));
        return Judged::Late { skip, made_up, rest: class.advanced(last_late) };
    }
    match skip {
        None => Judged::InTime(class),
        skip => Judged::Late { skip, made_up: None, rest: Some(class) },
    }
}

/// With `all`: the oldest of the newest `max` up to `last`, none of them due before `oldest`; what
/// comes after `last` if there is none.
fn newest_of(class: &Class, oldest: Millis, last: Millis, max: Option<u32>) -> Option<Millis> {
    let max = max.unwrap_or(MISFIRE_MAX);
    if max == 0 || last < oldest {
        return class.after(last).map(|found| found.1);
    }
    let mut keep = last;
    for _ in 1..max {
        match class.by(keep - 1) {
            Some((_, before)) if before >= oldest => keep = before,
            _ => break,
        }
    }
    Some(keep)
}

/// The classes of one part that are made up.
///
/// They wait apart from what is due in time, take turns, and each has at most [`AT_ONCE`] instants
/// under way: the next one goes out when one of them is over.
#[derive(Debug, Default)]
pub(super) struct Late(VecDeque<(Class, Ticket)>);

impl Late {
    pub(super) fn push(&mut self, class: Class) {
        self.0.push_back((class, Ticket::default()));
    }

    pub(super) fn classes(&self) -> impl Iterator<Item = &Class> {
        self.0.iter().map(|(class, _)| class)
    }

    pub(super) fn remove(&mut self, jobs: &[JobId]) {
        self.0.retain_mut(|(class, _)| !class.members.remove(jobs) || !class.members.is_empty());
    }

    /// Takes an instant, due by `limit`, of the next class in turn that has none too many under
    /// way.
    pub(super) fn pop(&mut self, limit: Millis) -> Option<Popped> {
        for _ in 0..self.0.len() {
            let (class, ticket) = self.0.pop_front()?;
            if class.next > limit || Arc::strong_count(&ticket.0) > AT_ONCE {
                self.0.push_back((class, ticket));
                continue;
            }
            let (plan, scheduled, due) = (Arc::clone(&class.plan), class.scheduled(), class.next);
            let members = class.members.members();
            let fire = vec![Fire { plan, scheduled, members, ticket: Some(ticket.clone()) }];
            if let Some(class) = class.advanced(due) {
                self.0.push_back((class, ticket));
            }
            return Some(Popped { due, fire, skipped: Vec::new() });
        }
        None
    }
}

#[cfg(test)]
#[path = "misfire_tests.rs"]
mod tests;

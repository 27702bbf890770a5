//! The misfire policy: which occurrences of a group that waited too long still fire.
//!
//! ```text
//!   waiting:     o o o o o o o o o o | o o     | = the grace ends
//!   latest       . . . . . . . . . . . F       the newest of all
//!   skip         . . . . . . . . . . | F F     those within the grace
//!   all, max 4   . . . . . . C C C C | F F     catching up, oldest first
//! ```
//!
//! An occurrence older than the plan's window is skipped under every policy. `shard_queue` asks for
//! each group that it takes out. Pure.

use std::sync::Arc;

use super::group::ScheduleGroup;
use super::popped::{Moment, Skip};
use crate::model::Millis;
use crate::model::delivery::{MISFIRE_MAX, MisfirePolicy};

/// The policy's decision about a group.
pub(super) enum PolicyResult {
    /// The group fires now.
    InTime(ScheduleGroup),
    /// Some occurrences are past the grace or the window.
    Late {
        /// The occurrences that do not fire.
        skip: Option<Skip>,
        /// The occurrences that the group catches up with.
        catch_up: Option<ScheduleGroup>,
        /// The group with what follows.
        rest: Option<ScheduleGroup>,
    },
}

/// Applies the misfire policy to the occurrences of a group that are due by `limit`.
pub(super) fn apply_policy(
    mut group: ScheduleGroup,
    limit: Millis,
    moment: &Moment<'_>,
) -> PolicyResult {
    let (due, misfire) = (group.next, group.plan.misfire);
    // An occurrence due before `stale` is past the grace, one due before `oldest` is out of the
    // window.
    let stale = moment.now.saturating_sub(misfire.grace.unwrap_or(moment.grace));
    let oldest = misfire.window.map_or(Millis::MIN, |window| moment.now.saturating_sub(window));
    if due >= stale && due >= oldest {
        return PolicyResult::InTime(group);
    }
    // A range of skipped occurrences ends where a pause begins: the pause covers what is due in it,
    // so no skip may name it.
    let limit = limit.min(group.until).min(moment.pauses.free_until(group.plan.project, due));
    let Some((scheduled, newest)) = group.by(limit) else { return PolicyResult::InTime(group) };
    // The last occurrence that is past the grace.
    let last_late =
        group.by(stale.saturating_sub(1).min(limit)).map_or(due, |found| found.1).max(due);
    let mut keep = match misfire.policy {
        // Only the window is against this occurrence.
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

/// Policy `all`: the oldest of the newest `max` occurrences up to `last`, none of them due before
/// `oldest`. Without any, the first occurrence after `last`.
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

#[cfg(test)]
#[path = "misfire_tests.rs"]
mod tests;

//! An explanation in words: one sentence for what happened (or why nothing did), and notes on
//! unusual circumstances. The words say nothing that the facts do not show.

use super::run_words::{performed, waiting};
use crate::model::Millis;
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::delivery::MisfirePolicy;
use crate::model::postponement::parts;
use crate::model::result_code::ResultCode;
use crate::model::time::rfc3339;
use crate::schedule::{Mark, show_duration};
use crate::store::attempts::StoredAttempt;
use crate::store::explain::{Account, Explained};
use crate::store::ledger::State;
use crate::store::timeline::{FiringState, Plan};

/// The name of the state at the instant.
pub(super) fn state(found: &Explained, at: Millis) -> &'static str {
    match &found.account {
        Some(account) => account.state.name(),
        None if found.plan.is_some() => "not_due",
        None => absence(found, at).0,
    }
}

/// The explanation in one sentence.
pub(super) fn summary(found: &Explained, at: Millis) -> String {
    let plan = found.plan.map(|plan| &found.timeline.plans[plan]);
    match (&found.account, plan) {
        (Some(account), plan) => happened(found, account, plan),
        (None, plan) => {
            let absent = plan.map_or_else(
                || absence(found, at).1,
                |plan| format!("not due: {}", not_due(found, plan, at)),
            );
            // A manual run is named before the missing occurrence.
            match found.manual.last() {
                Some(run) => format!("{}; by its schedule {absent}", told(found, run)),
                None => absent,
            }
        }
    }
}

/// The sentence of one occurrence or manual run.
pub(super) fn told(found: &Explained, account: &Account) -> String {
    if account.occurrence.run > 0 {
        return format!("run by hand, {}", happened(found, account, None));
    }
    happened(found, account, found.plan.map(|plan| &found.timeline.plans[plan]))
}

/// The name and the sentence of an instant without a plan: before the first, after the last, or no
/// longer kept.
fn absence(found: &Explained, at: Millis) -> (&'static str, String) {
    let plans = &found.timeline.plans;
    if let Some(job) = found.timeline.job.as_ref().filter(|job| at <= job.created) {
        let created = rfc3339(job.created);
        return ("not_created", format!("the job did not exist yet: it was created at {created}"));
    }
    let last = plans.iter().filter_map(|plan| plan.until).max().unwrap_or(Millis::MIN);
    if found.timeline.job.is_none() && at > last {
        return ("deleted", format!("the job was deleted at {}", rfc3339(last)));
    }
    let first = plans.iter().map(|plan| plan.from).min().unwrap_or(at);
    let kept = rfc3339(first);
    let text = format!("nothing is kept of that time: what is known of the job begins at {kept}");
    ("forgotten", text)
}

fn not_due(found: &Explained, plan: &Plan, at: Millis) -> String {
    let Some(reading) = &found.reading else {
        return "its schedule cannot be read by this version".to_owned();
    };
    if !found.in_bounds {
        let bound = |name, bound: Option<Millis>| bound.map(|at| format!("{name} {}", rfc3339(at)));
        let bounds =
            [bound("startDate", plan.definition.start), bound("endDate", plan.definition.end)];
        let bounds: Vec<_> = bounds.into_iter().flatten().collect();
        return format!("the instant lies outside of {}", bounds.join(" and "));
    }
    if reading.due {
        return format!(
            "the schedule has the instant, but its plan holds for what is scheduled after {} only",
            rfc3339(plan.from)
        );
    }
    if reading.dst == Some(Mark::Second) {
        return format!(
            "{} shows {} a second time, and the schedule counts the first",
            reading.zone, reading.local
        );
    }
    let days = ["day-of-month", "day-of-week"];
    let day = reading.checks.iter().any(|check| days.contains(&check.name) && check.met);
    let missed = |name: &str| !(reading.either_day && day && days.contains(&name));
    let unmet: Vec<_> = reading
        .checks
        .iter()
        .filter(|check| !check.met && missed(check.name))
        .map(|check| format!("{} is {}, wants {}", check.name, check.value, check.wants))
        .collect();
    if unmet.is_empty() {
        let (seconds, rest) = (at.div_euclid(1_000).rem_euclid(60), at.rem_euclid(1_000));
        if rest == 0 && seconds > 0 {
            // Five fields have no seconds.
            return format!("its occurrences lie on whole minutes, and this is {seconds} s later");
        }
        return "occurrences lie on whole seconds".to_owned();
    }
    format!("{} ({} in {})", unmet.join("; "), reading.local, reading.zone)
}

fn happened(found: &Explained, account: &Account, plan: Option<&Plan>) -> String {
    match account.state {
        State::Delivered => {
            let sent = account.attempts.iter().find(|one| one.record.verdict == Verdict::Delivered);
            sent.map_or_else(|| "delivered".to_owned(), |one| format!("delivered: {}", tried(one)))
        }
        State::Dead => {
            let last = account.attempts.iter().rev().find(|one| one.is_end());
            let tried = last.map(|one| format!(": {}", tried(one))).unwrap_or_default();
            let letter = account.letter.as_ref().map_or_else(
                || "its dead letter is gone".to_owned(),
                |letter| format!("dead letter {}", letter.id),
            );
            format!("given up{tried}; {letter}")
        }
        State::Skipped(reason) => skipped(found, account, plan, reason),
        State::Pending => match &account.pending {
            Some(row) => waiting(row, account.queue.as_deref(), !account.behind.is_empty()),
            None => "it waits until the run before it is over".to_owned(),
        },
        State::Running => account.run.as_ref().map_or_else(
            || "under way".to_owned(),
            |run| {
                if let Some(kept) = run.worker.as_deref() {
                    return performed(run, kept);
                }
                let what = if run.accepted { "accepted by its receiver" } else { "sent" };
                let (node, since) = (run.node, rfc3339(run.started));
                let end = run.bounded_by().map(|end| format!("; lost after {}", rfc3339(end)));
                let unbounded = if run.accepted { "; nothing but a report ends it" } else { "" };
                let end = end.unwrap_or_else(|| unbounded.to_owned());
                format!("under way: {what}, by node {node} at {since}{end}")
            },
        ),
        State::Unrecorded => {
            let (shard, owner) =
                found.progress.shard.as_ref().map_or((0, 0), |shard| (shard.id, shard.owner));
            let mark = rfc3339(found.progress.watermark(account.due));
            format!(
                "due, and not yet recorded: node {owner}, which owns shard {shard}, has accounted \
                 for what was due up to {mark}"
            )
        }
        State::Future => {
            let idle = match firing(found, account) {
                Some((_, FiringState::Active)) | None if account.planned => "",
                None => "; the job is deleted, and skips it",
                Some((_, FiringState::Active))
                    if found.project_pause.is_some_and(|pause| pause.by_quota) =>
                {
                    "; the executions of its account are used up, and it is skipped as things stand"
                }
                Some((_, FiringState::Active)) => {
                    "; its project is paused, and skips it as things stand"
                }
                Some((_, FiringState::Disabled)) => "; the job is disabled",
                _ => "; it is paused, and skips it as things stand",
            };
            format!("not due yet: it will be at {}{idle}", rfc3339(account.due))
        }
        State::Forgotten => {
            let dropped = found.progress.dropped.map(rfc3339).unwrap_or_default();
            format!(
                "it was due, and what came of it has been dropped with the history up to {dropped}"
            )
        }
        State::Missing => {
            let mark = rfc3339(found.progress.watermark(account.due));
            format!("it was due, its shard is accounted for up to {mark}, and nothing was recorded")
        }
    }
}

fn skipped(
    found: &Explained,
    account: &Account,
    plan: Option<&Plan>,
    reason: SkipReason,
) -> String {
    let policy = match plan.map(|plan| plan.definition.misfire.policy).unwrap_or_default() {
        MisfirePolicy::Latest => "latest: only the newest of what is late is sent",
        MisfirePolicy::All => "all: what is late is sent, up to its window and number",
        MisfirePolicy::Skip => "skip: what is late is not sent",
    };
    let range = account.attempts.iter().find(|one| one.record.since.is_some());
    let range = range.and_then(|one| Some((one.record.since?, one.record.due)));
    let range = range
        .filter(|(since, due)| since != due)
        .map(|(since, due)| format!(", like all from {} to {}", rfc3339(since), rfc3339(due)))
        .unwrap_or_default();
    let until = |until: Option<Millis>| {
        until.map_or_else(
            || "until further notice".to_owned(),
            |at| format!("until {}", rfc3339(at)),
        )
    };
    // A pause or disabling counts at the instant at which the occurrence is due.
    let then = firing(found, account).filter(|(_, firing)| *firing != FiringState::Active);
    let why = match (reason, &found.project_pause, then) {
        (SkipReason::Paused, _, Some((plan, _))) => {
            format!("the job was paused from {} {}", rfc3339(plan.from), until(plan.until))
        }
        (SkipReason::Paused, Some(pause), _) => {
            format!("its project was paused from {} {}", rfc3339(pause.from), until(pause.end()))
        }
        (SkipReason::Paused, ..) => "it was paused when its turn came".to_owned(),
        (SkipReason::Quota, Some(pause), _) => {
            let until = pause.end().map(rfc3339).unwrap_or_default();
            let from = rfc3339(pause.from);
            format!("the executions of its account were used up from {from} until {until}")
        }
        (SkipReason::Quota, ..) => "the executions of its account were used up".to_owned(),
        (SkipReason::Overlap, ..) => "the run before it was still under way".to_owned(),
        (SkipReason::Misfire, ..) => {
            format!("it could not be sent in time, and its policy is {policy}")
        }
        (SkipReason::Edited, ..) => "the job was changed before it was sent".to_owned(),
        (SkipReason::Ended, ..) => "the job was deleted, or was past its end".to_owned(),
        (SkipReason::Disabled, _, Some((plan, FiringState::Disabled))) => {
            format!("the job was disabled from {} {}", rfc3339(plan.from), until(plan.until))
        }
        (SkipReason::Disabled, ..) => "the job was disabled".to_owned(),
        (SkipReason::Cancelled, ..) => "its run was cancelled".to_owned(),
        (SkipReason::QueueFull, ..) => {
            "as many occurrences of the job waited as its maxQueue allows".to_owned()
        }
        (SkipReason::NotStarted, ..) => "no worker began within its startTimeout".to_owned(),
        (SkipReason::Restored, ..) => match found.progress.gap(account.due) {
            Some(gap) => format!(
                "the cluster was restored from a backup: of what was due from {} to {} it is not \
                 known what was sent, so nothing was",
                rfc3339(gap.from),
                rfc3339(gap.until)
            ),
            None => "it waited for another attempt when the cluster was lost; after the restore \
                     from a backup it was not made"
                .to_owned(),
        },
    };
    format!("skipped: {why}{range}")
}

/// The plan in force when an occurrence was due, and whether the job fired in it.
fn firing<'f>(found: &'f Explained, account: &Account) -> Option<(&'f Plan, FiringState)> {
    let plan = &found.timeline.plans[found.timeline.at(account.due)?];
    Some((plan, plan.firing))
}

fn tried(one: &StoredAttempt) -> String {
    let record = &one.record;
    let (waited, error) = parts(record.error.as_deref());
    let answer = match (record.result, error) {
        (ResultCode::None, None) => String::new(),
        (ResultCode::None, Some(error)) => format!(", {error}"),
        (code, None) => format!(", {code}"),
        (code, Some(error)) => format!(", {code}, {error}"),
    };
    let (attempt, node, took) = (record.attempt, one.node, record.duration);
    let waited = waited.map(|waited| format!("; it {waited}")).unwrap_or_default();
    let started = rfc3339(record.started);
    format!("attempt {attempt} by node {node} at {started}, {took} ms{answer}{waited}")
}

/// Notes on circumstances that may surprise a reader.
pub(super) fn notes(found: &Explained, at: Millis) -> Vec<String> {
    let mut notes = Vec::new();
    let plan = found.plan.map(|plan| &found.timeline.plans[plan]);
    if let Some(account) = &found.account {
        let was_sent = |one: &&StoredAttempt| !matches!(one.record.verdict, Verdict::Skipped(_));
        let sent = account.attempts.iter().find(was_sent);
        if let Some(one) = sent.filter(|_| !account.planned) {
            let pause = found.project_pause.map(|pause| pause.from);
            let change = pause.or(plan.map(|plan| plan.from)).or(found
                .timeline
                .plans
                .iter()
                .filter_map(|plan| plan.until)
                .filter(|until| *until < at)
                .max());
            let change = change.map_or_else(String::new, |at| format!(" of {}", rfc3339(at)));
            let node = one.node;
            notes.push(format!("sent before the change{change} was applied on node {node}"));
        }
        if account.due != account.occurrence.scheduled {
            let delay = account.due - account.occurrence.scheduled;
            let (delay, due) = (show_duration(delay), rfc3339(account.due));
            notes.push(format!("jitter delayed it by {delay}, to {due}"));
        }
        if account.attempts.iter().any(|one| one.stale) {
            notes.push("an attempt was recorded after its node had lost the shard".to_owned());
        }
    }
    if let Some(reading) = &found.reading {
        let said = match reading.dst {
            Some(Mark::Moved) => Some(
                "its local time did not exist that day: it came at the first instant after the gap",
            ),
            Some(Mark::First) => Some("its local time came twice that day: this is the first"),
            Some(Mark::Second) if reading.due => {
                Some("its local time came twice that day: this is the second")
            }
            _ => None,
        };
        notes.extend(said.map(str::to_owned));
        if reading.either_day {
            let text = "day-of-month and day-of-week both say something: one of them is enough";
            notes.push(text.to_owned());
        }
    }
    let runs = found.manual.len();
    if runs > 1 || (runs == 1 && found.account.is_some()) {
        notes.push(format!("manual runs at that instant: {runs}"));
    }
    notes
}

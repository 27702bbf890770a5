//! The form of an explanation: the facts that `app` found, by the names that the API uses
//! elsewhere.

use serde::Serialize;

use crate::api::history::worker_run_view::WorkerRunView;
use crate::app::history::{Account, Explanation, FiringState, StoredAttempt};
use crate::app::jobs::misfire::MisfireView;
use crate::model::attempt::{SkipReason, Verdict, occurrence_id};
use crate::model::postponement::parts;
use crate::model::target::ProjectPause;
use crate::model::time::rfc3339;
use crate::schedule::{Check, Mark, describe, describe_at, show_duration};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplainView {
    job_id: u64,
    project_id: u64,
    at: String,
    /// The explanation in one sentence.
    summary: String,
    /// Further facts, a sentence each.
    notes: Vec<String>,
    /// The state of the occurrence; without one `not_due`, `not_created`, `deleted` or `forgotten`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// `true` if the job had an occurrence then, by its schedule and its pauses.
    due: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<ScheduleView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<PlanView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurrence: Option<AccountView>,
    /// The manual runs at that instant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    manual_runs: Vec<AccountView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<ShardView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScheduleView {
    spec: String,
    description: String,
    timezone: &'static str,
    /// The instant on the clock of that zone.
    local: String,
    /// `true` if the schedule has the instant.
    matches: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst: Option<Mark>,
    /// `true` if a match of one of the two day fields is enough.
    either_day: bool,
    fields: Vec<Check>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanView {
    standing: &'static str,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    anchor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<String>,
    misfire: MisfireView,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_paused_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_paused_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_paused_until: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountView {
    execution_id: String,
    /// The account in one sentence.
    summary: String,
    /// `true` if it is a manual run.
    manual: bool,
    scheduled_at: String,
    due_at: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    attempts: Vec<AttemptView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<PendingView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<ExplainedRunView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_id: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptView {
    id: u64,
    attempt: u32,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The begin of a skipped range.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_since: Option<String>,
    node_id: u64,
    epoch: u64,
    /// `true` if the attempt was recorded after its node had lost the shard.
    stale: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    duration_ms: u32,
    http_code: u16,
    /// The answer in words, such as `AMQP 312`, where its code is no HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// `answer`, `reported`, `lost`, `timed_out`, `cancelled`.
    how: &'static str,
    /// The time by which the attempt was deferred although it was due, and the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    date_created: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PendingView {
    attempt: u32,
    /// Absent while the attempt waits behind other runs, or for a worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    behind: Vec<String>,
    /// The worker or the destination that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplainedRunView {
    attempt: u32,
    /// `true` if the receiver accepted the run and reports later.
    accepted: bool,
    node_id: u64,
    epoch: u64,
    started_at: String,
    last_heard_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    /// The part that a worker performs.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_run: Option<WorkerRunView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShardView {
    id: u16,
    owner: u64,
    epoch: u64,
    /// The watermark: everything due up to it is accounted for.
    watermark: String,
}

impl ExplainView {
    pub(crate) fn new(explanation: &Explanation) -> Self {
        let (found, at) = (&explanation.facts, explanation.at);
        let plan = found.plan.map(|plan| &found.timeline.plans[plan]);
        let newest = found.timeline.plans.last();
        let schedule = plan.zip(found.reading.as_ref()).map(|(plan, reading)| ScheduleView {
            spec: plan.definition.spec.clone(),
            description: if plan.definition.is_one_off() {
                describe_at(plan.anchor, plan.zone)
            } else {
                describe(&plan.definition.spec)
            },
            timezone: reading.zone.name(),
            local: reading.local.clone(),
            matches: reading.due,
            dst: reading.dst,
            either_day: reading.either_day,
            fields: reading.checks.clone(),
        });
        let pause = found.project_pause.as_ref();
        let plan_view = plan.map(|plan| PlanView {
            standing: match plan.firing {
                FiringState::Active => "active",
                FiringState::Paused => "paused",
                FiringState::Disabled => "disabled",
            },
            from: rfc3339(plan.from),
            until: plan.until.map(rfc3339),
            anchor: rfc3339(plan.anchor),
            start_date: plan.definition.start.map(rfc3339),
            end_date: plan.definition.end.map(rfc3339),
            jitter: Some(plan.definition.jitter).filter(|jitter| *jitter > 0).map(show_duration),
            misfire: MisfireView::of(&plan.definition.misfire),
            project_paused_by: pause.filter(|pause| pause.by_quota).map(|_| "quota"),
            project_paused_from: pause.map(|pause| rfc3339(pause.from)),
            project_paused_until: pause.and_then(ProjectPause::end).map(rfc3339),
        });
        let due = found.account.as_ref().map_or(at, |account| account.due);
        Self {
            job_id: found.timeline.id,
            project_id: plan.or(newest).map_or(0, |plan| plan.definition.project),
            at: rfc3339(at),
            summary: explanation.summary(),
            notes: explanation.notes(),
            state: explanation.state(),
            reason: found.account.as_ref().and_then(reason),
            due: found.account.as_ref().is_some_and(|account| account.planned),
            schedule,
            plan: plan_view,
            occurrence: found.account.as_ref().map(|account| view(explanation, account)),
            manual_runs: found.manual.iter().map(|one| view(explanation, one)).collect(),
            previous: found.previous.map(|one| rfc3339(one.scheduled)),
            next: found.next.map(|one| rfc3339(one.scheduled)),
            shard: found.progress.shard.as_ref().map(|shard| ShardView {
                id: shard.id,
                owner: shard.owner,
                epoch: shard.epoch,
                watermark: rfc3339(found.progress.watermark(due)),
            }),
        }
    }
}

fn reason(account: &Account) -> Option<&'static str> {
    account.state.reason().map(SkipReason::name)
}

fn waits_for(account: &Account) -> Option<String> {
    let row = account.pending.as_ref()?;
    let worker = account.queue.as_ref().map(|queue| format!("a worker of queue {queue}"));
    worker.or_else(|| Some(row.postponement()?.waits_for()))
}

fn view(explanation: &Explanation, account: &Account) -> AccountView {
    let id = |occurrence| occurrence_id(explanation.facts.cluster, occurrence);
    AccountView {
        execution_id: id(account.occurrence),
        summary: explanation.told(account),
        manual: account.occurrence.run > 0,
        scheduled_at: rfc3339(account.occurrence.scheduled),
        due_at: rfc3339(account.due),
        state: account.state.name(),
        reason: reason(account),
        attempts: account.attempts.iter().map(attempt).collect(),
        pending: account.pending.as_ref().map(|row| PendingView {
            attempt: row.attempt,
            next_attempt_at: row.attempt_at().map(rfc3339),
            behind: account.behind.iter().copied().map(id).collect(),
            waits_for: waits_for(account),
        }),
        run: account.run.as_ref().map(|run| ExplainedRunView {
            attempt: run.attempt,
            accepted: run.accepted,
            node_id: run.node,
            epoch: run.epoch,
            started_at: rfc3339(run.started),
            last_heard_at: rfc3339(run.heard),
            deadline: run.bounded_by().map(rfc3339),
            worker_run: WorkerRunView::of(run),
        }),
        dead_letter_id: account.letter.as_ref().map(|letter| letter.id),
    }
}

fn attempt(recorded: &StoredAttempt) -> AttemptView {
    let record = &recorded.record;
    let sent = !matches!(record.verdict, Verdict::Skipped(_));
    let (waited, error) = parts(record.error.as_deref());
    AttemptView {
        id: recorded.id,
        attempt: record.attempt,
        status: record.verdict.name(),
        reason: match record.verdict {
            Verdict::Skipped(reason) => Some(reason.name()),
            _ => None,
        },
        skipped_since: record.since.map(rfc3339),
        node_id: recorded.node,
        epoch: record.epoch,
        stale: recorded.stale,
        started_at: sent.then(|| rfc3339(record.started)),
        duration_ms: record.duration,
        http_code: record.result.http_code(),
        answer: record.result.answer(),
        how: record.origin.name(),
        waited: waited.map(str::to_owned),
        error: error.map(str::to_owned),
        response: record.response.clone(),
        next_attempt_at: match record.verdict {
            Verdict::Retry { at } if at > 0 => Some(rfc3339(at)),
            _ => None,
        },
        date_created: rfc3339(recorded.created),
    }
}

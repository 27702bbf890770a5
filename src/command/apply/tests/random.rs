//! Random things that happen to a few jobs at a few instants, for the tests of random logs.

use super::offers::{offer, taken};
use super::*;
use crate::command::{DefinitionEdit, ReshapeJobs};
use crate::model::account::{AccountEdit, Limits, NewAccount};
use crate::model::attempt::SkipReason;
use crate::model::delivery::{Overlap, Retry};
use crate::model::feature::Features;
use crate::model::job::Timing;
use crate::model::offer::Offer;
use crate::model::run::{Accepted, BeginRun, Occurrence, Report};
use crate::model::run_report::{RunReport, Said};

/// A result for some of jobs 1..=8 at one of four instants, epoch 0..=2.
pub(super) fn random_record((what, which, when): (u8, u8, u8)) -> AttemptRecord {
    let verdict = match what % 6 {
        0 => Verdict::Delivered,
        1 => Verdict::Retry { at: START + 90_000 },
        2 => Verdict::Dead,
        3 => Verdict::Postponed { at: START + 95_000 },
        4 => Verdict::Running,
        _ => Verdict::Skipped(SkipReason::Misfire),
    };
    let due = START + i64::from(when / 3 % 4) * 60_000;
    let range = verdict == Verdict::Skipped(SkipReason::Misfire) && what >= 128;
    let retry = Retry { max: 2, delay: 5_000, factor: 1_000, max_delay: 5_000 };
    let promise = Accepted {
        run_timeout: (what & 1 == 0).then_some(30_000),
        heartbeat_timeout: (what & 2 == 0).then_some(10_000),
        retry,
    };
    AttemptRecord {
        epoch: u64::from(when % 3),
        accepted: (verdict == Verdict::Running).then(|| Box::new(promise)),
        due,
        scheduled: due,
        since: range.then_some(due - 60_000),
        ..record((0..8).filter(|i| which >> i & 1 == 1).map(|i| i + 1), verdict)
    }
}

/// Job 1..=8 at one of the four instants.
pub(super) fn random_occurrence(which: u8, when: u8) -> Occurrence {
    let scheduled = START + i64::from(when / 3 % 4) * 60_000;
    Occurrence { job: u64::from(which % 8) + 1, scheduled, run: 0 }
}

pub(super) fn random_begin((how, which, when): (u8, u8, u8)) -> BeginRun {
    let occurrence = random_occurrence(which, when);
    BeginRun {
        occurrence,
        project: 1,
        shard: 0,
        node: 1,
        epoch: 1 + u64::from(when % 8 == 0),
        due: occurrence.scheduled,
        attempt: 1,
        pending: (how >= 128).then_some(u64::from(when % 16)),
        overlap: [Overlap::Allow, Overlap::Skip, Overlap::QueueOne, Overlap::CancelPrevious]
            [usize::from(how % 4)],
        timeout: 10_000,
        retry: Retry { max: 1, delay: 5_000, factor: 1_000, max_delay: 5_000 },
    }
}

pub(super) fn random_report(what: u8) -> Report {
    match what % 6 {
        0 => Report::Complete,
        1 | 2 => Report::Fail { error: None, retry: true },
        3 => Report::Fail { error: Some("no".into()), retry: false },
        4 => Report::Cancel,
        _ => Report::Heartbeat,
    }
}

/// An offer and a claim in the journal of a node, whose next sequence numbers are `seq`.
pub(super) fn random_worker_entries((a, b, c): (u8, u8, u8), seq: &mut [u64; 3]) -> Command {
    let node = u64::from(a % 2) + 1;
    let first = seq[node as usize];
    seq[node as usize] += 2;
    let offer = |epoch| Offer { epoch, ..offer(random_occurrence(b, c)) };
    let offered = JournalEntry::Offered(offer(u64::from(a % 3)));
    let taken = JournalEntry::Taken(taken(offer(u64::from(c % 3)), "w"));
    let entries = vec![offered, taken];
    Command::Record(JournalBatch { node, incarnation: 1, first, entries })
}

/// A report on a run that a worker may have.
pub(super) fn random_run_report((a, b, c): (u8, u8, u8)) -> Command {
    let said = match a % 4 {
        0 => Said::Done { result: None },
        1 => Said::Failed { error: None, retry: b % 2 == 0 },
        2 => Said::Released,
        _ => Said::Cancel { by: None },
    };
    let (occurrence, attempt) = (random_occurrence(b, c), u32::from(a % 3));
    let report = RunReport { occurrence, attempt, worker: String::new(), said };
    Command::ReportRuns { reports: vec![report] }
}

/// An edit of some jobs of a few definitions.
pub(super) fn random_reshape(
    to: &JobDefinition,
    at: Option<Millis>,
    (a, b, c): (u8, u8, u8),
) -> Command {
    let edit = |from: u8| DefinitionEdit {
        from: u64::from(from),
        to: JobDefinition { jitter: i64::from(from) * 1_000, ..to.clone() },
        at: at.filter(|_| to.timing == Timing::At),
        again: b % 2 == 0,
    };
    Command::ReshapeJobs(Box::new(ReshapeJobs {
        definitions: (0..a % 24).map(|n| edit(n + 1)).collect(),
        jobs: vec![(u64::from(c) % 90, u64::from(b % 16)), (90, 4)],
        data: (c % 3 == 0).then(|| format!("{a}")),
        by: None,
    }))
}

/// Something about one of the first accounts, or the level from which executions count.
pub(super) fn random_account_step((a, b, c): (u8, u8, u8)) -> Command {
    let id = u64::from(b % 3) + 1;
    let limit = |n: u8| (n % 4 > 1).then(|| u64::from(n));
    let limits = Limits {
        projects: limit(a).map(|limit| limit % 5),
        jobs: limit(b),
        credentials: limit(c).map(|limit| limit % 8),
        executions_per_month: limit(b.wrapping_add(c)).map(|limit| limit % 16),
        jobs_per_request: limit(a.wrapping_add(c)),
        ..Limits::default()
    };
    let features = Features::from_bits(u32::from(c) & Features::ALL.bits());
    let name = format!("a{}", c % 4);
    match a % 8 {
        0 => Command::CreateAccount(Box::new(NewAccount { name, features, limits, by: None })),
        1 => Command::DeleteAccount { id, expect: None },
        2 | 3 => Command::GrantExecutions { id, count: u64::from(c % 8) },
        4 => Command::RaiseLevel { level: 7 },
        _ => {
            let features = if b % 2 == 0 { Features::ALL } else { features };
            let edit = AccountEdit { name, features, limits, by: None };
            let expect = (c % 9 == 0).then_some(u64::from(b % 3));
            Command::UpdateAccount { id, expect, edit: Box::new(edit) }
        }
    }
}

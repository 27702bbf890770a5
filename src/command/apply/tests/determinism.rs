//! Replicas are equal: the same log gives the same state however it is cut into transactions, and a
//! journal recorded twice counts once.

use std::net::IpAddr;

use proptest::prelude::*;

use super::consistency::{account_counts, asked, definition_references, replay};
use super::random::{
    random_account_step, random_begin, random_occurrence, random_record, random_report,
    random_reshape, random_run_report, random_worker_entries,
};
use super::template_chains::random_template_step;
use super::templates::broken_templates;
use super::*;
use crate::command::{JobAction, JobEdit, ProjectAction, ProjectEdit};
use crate::model::credential::{Credential, HOUR_MS, KeyUse};
use crate::model::job::Timing;
use crate::model::key_terms::{KeyTerms, TermsEdit};
use crate::model::reach::Reach;
use crate::model::scope::Scopes;
use crate::model::target::Executor;

/// A step of a random log: what, and three numbers that say which.
type Step = (u8, u8, u8, u8);

fn steps(n: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0_u8..47, any::<u8>(), any::<u8>(), any::<u8>()), 1..n)
}

/// The command of a step. Ids are small, so that they are often ones that exist.
fn command(step: Step, seq: &mut [u64; 3]) -> Command {
    let (what, a, b, c) = step;
    let definition = JobDefinition {
        project: u64::from(a % 3) + 1,
        spec: format!("@every {}m", b % 3 + 1),
        period: (b % 4 > 0).then(|| i64::from(b % 3 + 1) * 60_000),
        timing: match a % 8 {
            0 => Timing::At,
            1 => Timing::After(i64::from(b) * 100),
            _ => Timing::Spec,
        },
        executor: (a % 16 == 9).then_some(u64::from(b % 3)),
        delete_after_run: b % 2 == 0,
        labels: (b % 5 < 2).then(|| ("l".into(), format!("{}", b % 2))).into_iter().collect(),
        ..every_minute()
    };
    let at = (a % 3 > 0).then(|| START + i64::from(b) * 1_000);
    let until = (b % 3 == 0).then(|| START + i64::from(a) * 1_000);
    let status = if c % 3 == 0 { JobStatus::Inactive } else { JobStatus::Active };
    let name = Some(format!("n{}", b % 4)).filter(|_| c % 2 == 0);
    match what {
        0 => Command::CreateProject(NewProject {
            name: format!("n{}", a % 4),
            description: "d".into(),
            ..NewProject::default()
        }),
        1 => Command::UpdateProject(ProjectEdit {
            id: u64::from(a % 3) + 1,
            name,
            action: (c % 3 == 0).then_some(ProjectAction::Pause { until }),
            ..ProjectEdit::default()
        }),
        2 => Command::DeleteProject { id: u64::from(a % 3) + 1, cascade: c % 2 == 0, expect: None },
        3..=6 => create_some(u128::from(c % 8), definition, usize::from(b % 40), a % 5 == 0, at),
        7 => Command::ActivateJobs { request: u128::from(c % 8) },
        8 => Command::DiscardJobs { request: u128::from(c % 8) },
        9..=10 => Command::UpdateJob(Box::new(JobEdit {
            id: u64::from(c) % 90,
            definition,
            data: format!("{b}"),
            status,
            expect: (b % 7 == 0).then_some(u64::from(a % 3)),
            at,
            pause_until: until,
            external_id: (c % 4 == 0).then(|| format!("{}", b % 4)),
            by: None,
        })),
        11 => {
            let expect = (b % 7 == 0).then_some(u64::from(a % 3));
            Command::DeleteJob { id: u64::from(c) % 90, expect }
        }
        12 => {
            let kind = match a % 3 {
                0 => MoveKind::TakeOver,
                1 => MoveKind::HandOver { until: START + i64::from(c) * 1_000 },
                _ => MoveKind::TakeClosing,
            };
            let moved =
                |shard| Move { shard, to: u64::from(b % 2) + 1, expects: u64::from(c % 4), kind };
            Command::Assign(vec![moved(0), moved(1)])
        }
        13..=16 => {
            let node = u64::from(a % 2) + 1;
            let first = seq[node as usize];
            seq[node as usize] += 2;
            let record = random_record((b, c, a));
            let told = mark(0, u64::from(a % 3), START + i64::from(b) * 1_000);
            let entries = vec![JournalEntry::Attempt(record), told];
            Command::Record(JournalBatch { node, incarnation: 1, first, entries })
        }
        17 => Command::Retain {
            before: START + i64::from(a) * 1_000,
            dead_letters: START + i64::from(b) * 1_000,
            limit: u32::from(b % 5),
        },
        18 => Command::Once {
            key: [a % 4; 32],
            body: [b % 2; 32],
            command: Box::new(match c % 4 {
                0 => Command::Conclude { answer: format!("{b}") },
                _ => Command::DeleteJob { id: u64::from(c) % 90, expect: None },
            }),
        },
        19..=21 => {
            let action = match b % 4 {
                0 => JobAction::Pause { until: None },
                1 => JobAction::Pause { until: Some(START + i64::from(a) * 1_000) },
                2 => JobAction::Resume,
                _ => JobAction::Delete,
            };
            let jobs = vec![(u64::from(c) % 90, u64::from(a % 5)), (u64::from(b) % 90, 2)];
            Command::ChangeJobs { jobs, action, by: None }
        }
        22 => Command::RunJob { id: u64::from(c) % 90, forced: b % 2 == 0 },
        23 => Command::project_action(u64::from(a % 3) + 1, ProjectAction::Pause { until }, None),
        24 => Command::project_action(u64::from(a % 3) + 1, ProjectAction::Resume, None),
        25 => {
            let (name, webhook_url) = (format!("e{}", b % 3), "http://receiver/a".to_owned());
            let kind = "webhook_url".to_owned();
            Command::CreateExecutor(Executor { name, kind, webhook_url, ..Executor::default() })
        }
        26 => Command::DeleteExecutor { id: u64::from(b % 3), expect: None },
        27 => Command::BeginRun(random_begin((a, b, c))),
        28 => Command::ReportRun { occurrence: random_occurrence(b, c), report: random_report(a) },
        29 => Command::Expire { limit: u32::from(a % 4) },
        30 if a % 2 == 0 => Command::ReplayDeadLetters {
            letters: vec![(u64::from(b % 8), START + i64::from(c) * 1_000)],
        },
        30 => Command::PurgeDeadLetters { letters: vec![u64::from(b % 8)] },
        31..=34 => random_credential_step((a, b, c)),
        35 => random_worker_entries((a, b, c), seq),
        36 => random_run_report((a, b, c)),
        37..=40 => random_template_step((a, b, c)),
        41 => random_reshape(&definition, at, (a, b, c)),
        42 => {
            let projects = [u64::from(b % 3) + 1, u64::from(c % 3) + 1];
            let projects = (c % 4 > 0).then_some(&projects[..]);
            let reach = Reach::of_projects(u64::from(a % 2) + 1, projects);
            command((a % 13, b, c, a), seq).within(&reach)
        }
        43..=45 => random_account_step((a, b, c)),
        _ => Command::Tick,
    }
}

/// Something about one of a few credentials, by a client or an operator.
fn random_credential_step((a, b, c): (u8, u8, u8)) -> Command {
    let id = u64::from(b % 8);
    let terms = KeyTerms {
        scopes: (b % 3 == 0).then(|| Scopes::from_bits(u32::from(b) | 0x300)),
        expires: (b % 5 == 0).then(|| START + i64::from(b) * 1_000),
        projects: (b % 7 == 0).then(|| vec![u64::from(c % 3) + 1]),
        ..KeyTerms::default()
    };
    let command = match a % 9 {
        0 | 1 => Command::CreateCredential(Credential {
            api_key: format!("k{}", c % 16),
            verifier: vec![a, b],
            archived: a % 16 == 0,
            terms,
            ..Credential::default()
        }),
        5 => {
            let archived = (c % 5 == 0).then_some(b % 2 == 0);
            let edit = TermsEdit { from: KeyTerms::default(), to: terms, archived };
            Command::ChangeCredential { id, edit: Box::new(edit), by: None }
        }
        6 => Command::RotateCredential { id, verifier: vec![c], overlap: i64::from(c % 3) * 5_000 },
        7 => Command::TouchCredentials(vec![KeyUse {
            id,
            hour: START / HOUR_MS + i64::from(c % 4),
            from: (b % 2 == 0).then_some(IpAddr::from([10, 0, 0, c])),
        }]),
        2 => Command::ArchiveCredential { id, archived: c % 4 > 0, by: None },
        3 => Command::EndSessions { credential: (c % 4 > 0).then_some(id) },
        8 => {
            let expires = START + i64::from(b) * 3_600_000;
            return Command::EndSession { session: u64::from(c), expires };
        }
        _ => Command::DeleteCredential { id },
    };
    if matches!(command, Command::TouchCredentials(_)) {
        return command;
    }
    command.by_client((c % 3 > 0).then_some(u64::from(c % 8)))
}

/// [`create`], with some jobs that are one-offs, begin with a pause or have a name.
fn create_some(
    request: u128,
    definition: JobDefinition,
    n: usize,
    staged: bool,
    at: Option<Millis>,
) -> Command {
    let mut command = create(request, definition, n, staged);
    if let Command::CreateJobs(new) = &mut command {
        for (i, job) in new.jobs.iter_mut().enumerate() {
            job.at = at.map(|at| at + i as Millis / 3 * 500);
            job.pause_until = (i % 5 == 4).then_some(START + i as Millis * 2_000);
            job.external_id = (i % 16 == 3).then(|| format!("{}", (request + i as u128) % 11));
            if i % 6 == 5 {
                job.status = JobStatus::Inactive;
            }
        }
    }
    command
}

/// A log of (stamp, command), the same for all who apply it.
fn log(steps: &[Step]) -> Vec<(Millis, Command)> {
    let mut seq = [1; 3];
    let take = |shard| Move { shard, to: 1, expects: 0, kind: MoveKind::TakeOver };
    let mut log = vec![
        (START, Command::Init { cluster: 7 }),
        (START, Command::Assign((0..SHARDS).map(take).collect())),
    ];
    for (i, step) in steps.iter().enumerate() {
        // Mostly a little later; now and then hours later, now and then a stamp from before.
        let by = if step.1 == 0 { 3_600_000 } else { i64::from(step.2 % 4) * 500 };
        let stamp = START + i as i64 * 700 + by;
        log.push((stamp, command(*step, &mut seq)));
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(feature = "slow") { 48 } else { 12 }))]

    #[test]
    fn replicas_agree_however_their_logs_are_cut(
        steps in steps(160),
        chunks in prop::collection::vec(1_usize..40, 1..6),
        at in 0_usize..100,
    ) {
        let log = log(&steps);
        let mut one_by_one = ApplyFixture::unborn();
        let outcomes = replay(&mut one_by_one, &log, &[1], asked);

        let mut cut = ApplyFixture::unborn();
        let (before, after) = log.split_at(log.len() * at / 100);
        let mut others = replay(&mut cut, before, &chunks, asked);
        // Half-way the rest is applied by a third node, which begins with a snapshot of the second.
        let mut third = ApplyFixture::unborn();
        let snapshot = third.dir.path().join("snapshot");
        cut.store.snapshot_to(&snapshot).unwrap();
        third.store.replace_with(&mut third.writer, &snapshot).unwrap();
        third.index = cut.index;
        others.extend(replay(&mut third, after, &chunks, asked));

        prop_assert_eq!(outcomes, others);
        prop_assert_eq!(one_by_one.hash(), third.hash());
        prop_assert_eq!(definition_references(&third), vec![]);
        prop_assert_eq!(account_counts(&third), vec![]);
        prop_assert_eq!(broken_templates(&third), Vec::<String>::new());
        // A node that came later has the same facts at the same places from there on.
        let facts = [cut, third].map(|node| node.change.events.facts().to_vec()).concat();
        prop_assert_eq!(one_by_one.change.events.facts(), facts);
    }

    #[test]
    fn a_journal_recorded_twice_in_any_parts_is_recorded_once(
        told in prop::collection::vec(any::<(u8, u8, u8)>(), 1..40),
        intervals in prop::collection::vec((0_usize..40, 1_usize..12), 0..30),
    ) {
        let records: Vec<_> = told.into_iter().map(random_record).collect();
        let journal_part = |from: usize, to: usize| journal_batch(1, 5, from as u64 + 1, records[from..to].to_vec());
        let mut plain = ApplyFixture::new();
        let mut other = ApplyFixture::new();
        plain.done(journal_part(0, records.len()));
        let mut cursor = 0;
        for (from, n) in intervals {
            let from = from % records.len();
            let to = (from + n).min(records.len());
            other.index = plain.index - 1; // the log index is not compared
            let outcome = other.apply(&journal_part(from, to));
            prop_assert_eq!(matches!(outcome, Outcome::Rejected(_)), from > cursor);
            if from <= cursor {
                cursor = cursor.max(to);
            }
        }
        other.index = plain.index - 1;
        other.done(journal_part(cursor.min(records.len() - 1), records.len()));
        prop_assert_eq!(plain.hash(), other.hash());
    }
}

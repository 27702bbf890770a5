//! The facts of transactions: how they are numbered, merged and bounded.

use super::change_events::{ChangeEvents, MAX_BYTES, MAX_FACTS, MAX_PROJECTS, MAX_TEMPLATES};
use crate::model::attempt::{AttemptRecord, Occurrences, Verdict};
use crate::model::event::{
    Fact, JobChange, JobUpdate, LettersChange, Noun, RecordChange, RunChange, TemplateMark,
};
use crate::model::members::Members;
use crate::model::run::Occurrence;
use crate::model::shard::ShardId;
use crate::model::{JobId, ProjectId};

const NONE: TemplateMark = TemplateMark::NoTemplate;
const EDITED: JobChange = JobChange::Updated(JobUpdate::Edited);

fn delivered(project: ProjectId, shard: ShardId) -> AttemptRecord {
    let members = Members::from_sorted([7]);
    let occurrences = Occurrences { project, shard, epoch: 1, due: 0, scheduled: 0, members };
    AttemptRecord::attempt(occurrences, Verdict::Delivered)
}

fn places(events: &ChangeEvents) -> Vec<(u64, u32)> {
    events.facts().iter().map(|event| (event.index, event.number)).collect()
}

#[test]
fn facts_are_numbered_by_entry_and_alike_ones_are_one() {
    let mut events = ChangeEvents::default();
    events.begin(7, 70);
    for job in [1, 2, 3, 9] {
        events.add_job(1, NONE, EDITED, job);
    }
    events.add(Fact::Members);
    events.begin(8, 80);
    events.add_job(1, NONE, EDITED, 10);
    assert_eq!(places(&events), [(7, 1), (7, 2), (8, 1)]);
    let Fact::Jobs { jobs, .. } = &events.facts()[0].fact else { panic!("{events:?}") };
    assert_eq!(jobs.ranges, [(1, 3), (9, 1)]);
    events.begin(9, 90);
    events.add_job(1, NONE, EDITED, 11);
    events.withdraw();
    assert_eq!(places(&events), [(7, 1), (7, 2), (8, 1)]);
}

#[test]
fn too_many_facts_are_one_gap_up_to_the_end_of_the_transaction() {
    let mut events = ChangeEvents::default();
    events.begin(1, 0);
    for id in 0..2 * MAX_FACTS as u64 {
        events.add(Fact::Record { noun: Noun::Project, id, change: RecordChange::Created });
    }
    events.begin(2, 0);
    events.add(Fact::Members);
    events.withdraw();
    events.begin(3, 0);
    events.add(Fact::Members);
    events.add_results(&delivered(1, 2), 1);
    let facts = events.facts();
    assert_eq!(facts.len(), MAX_FACTS);
    let gaps = facts.iter().filter(|event| event.fact == Fact::Gap).count();
    assert_eq!((gaps, &facts.last().unwrap().fact), (1, &Fact::Gap));
    assert_eq!(facts.last().unwrap().number as usize, facts.len());
}

#[test]
fn long_texts_are_a_gap_before_they_take_too_much() {
    let mut events = ChangeEvents::default();
    for index in 1..2_000 {
        events.begin(index, 0);
        let message = Some("x".repeat(1_000));
        let change = RunChange::Progress { percent: None, message };
        events.add_run(1, Occurrence { job: 1, scheduled: 0, run: 0 }, 1, change);
    }
    let bytes: usize = events.facts().iter().map(|event| event.fact.heap()).sum();
    assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&bytes), "{bytes}");
    assert_eq!(events.facts().last().unwrap().fact, Fact::Gap);
}

#[test]
fn an_entry_names_some_runs_and_letters_and_counts_the_rest() {
    let mut events = ChangeEvents::default();
    events.begin(1, 0);
    for job in 0..100 {
        let of = Occurrence { job, scheduled: 5, run: 0 };
        events.add_run(1, of, 1, RunChange::Accepted);
        events.add_letter(1, job, &Members::from_sorted([job]), Some("no"));
    }
    let count = |is: fn(&Fact) -> bool| events.facts().iter().filter(|e| is(&e.fact)).count();
    assert_eq!(count(|fact| matches!(fact, Fact::Run { .. })), 64);
    assert_eq!(count(|fact| matches!(fact, Fact::DeadLetter { .. })), 64);
    assert_eq!(count(|fact| matches!(fact, Fact::MoreRuns { count: 36, .. })), 1);
    let added =
        |fact: &Fact| matches!(fact, Fact::DeadLetters { change: LettersChange::Added, count: 36 });
    assert_eq!(count(added), 1);
}

#[test]
fn results_of_an_entry_are_one_sum() {
    let mut events = ChangeEvents::default();
    for index in 1..3 {
        events.begin(index, 0);
        events.add(Fact::Members);
        for shard in 0..10 {
            events.add_results(&delivered(4, shard), 1);
        }
    }
    assert_eq!(places(&events), [(1, 1), (1, 2), (2, 1), (2, 2)]);
    let Fact::Executions(sums) = &events.facts()[3].fact else { panic!("{events:?}") };
    assert_eq!(sums.projects[0].1.delivered, 10);
}

#[test]
fn alike_changes_of_an_entry_are_one_fact_however_they_interleave() {
    const PROJECTS: u64 = 40;
    let mut events = ChangeEvents::default();
    events.begin(1, 0);
    for round in 0..3 {
        for project in 1..=PROJECTS {
            let job = round * 1_000 + project * 10;
            events.add_job(project, NONE, EDITED, job);
            events.add_job(project, NONE, JobChange::Deleted, job + 5);
        }
    }
    let of = |change: JobChange| {
        let sets = events.facts().iter().filter_map(move |event| match &event.fact {
            Fact::Jobs { project, change: known, jobs, .. } if *known == change => {
                Some((*project, jobs))
            }
            _ => None,
        });
        sets.collect::<Vec<_>>()
    };
    let named = MAX_PROJECTS as u64;
    for (change, offset) in [(EDITED, 0), (JobChange::Deleted, 5)] {
        let facts = of(change);
        let projects: Vec<_> = facts.iter().map(|(project, _)| *project).collect();
        let first = (1..=named).map(Some);
        assert_eq!(projects, first.chain([None]).collect::<Vec<Option<ProjectId>>>());
        let jobs: Vec<(JobId, u64)> =
            (0..3).map(|round| (round * 1_000 + 10 + offset, 1)).collect();
        assert_eq!(facts[0].1.ranges, jobs);
        let rest = facts.last().unwrap().1;
        assert_eq!(rest.len(), 3 * (PROJECTS - named));
        assert!(rest.may_contain(PROJECTS * 10 + offset));
    }
    assert_eq!(events.facts().len() as u64, 2 * (named + 1));
    // The next entry tells others apart.
    events.begin(2, 0);
    events.add_job(PROJECTS, NONE, EDITED, 1);
    let last = &events.facts().last().unwrap().fact;
    assert!(matches!(last, Fact::Jobs { project: Some(PROJECTS), .. }), "{last:?}");
}

#[test]
fn runs_and_letters_that_are_not_named_are_counted_once_among_other_facts() {
    let mut events = ChangeEvents::default();
    events.begin(1, 0);
    for n in 0..100 {
        events.add_run(1, Occurrence { job: n, scheduled: 0, run: 0 }, 1, RunChange::Lost);
        events.add_letters(LettersChange::Replayed, 1);
        for id in 0..10 {
            events.add(Fact::Record { noun: Noun::Executor, id, change: RecordChange::Updated });
        }
    }
    let all = events.facts();
    let counts = all.iter().filter_map(|event| match &event.fact {
        Fact::MoreRuns { count, .. } | Fact::DeadLetters { count, .. } => Some(*count),
        _ => None,
    });
    assert_eq!(counts.collect::<Vec<_>>(), [100, 36]);
}

#[test]
fn changes_are_told_apart_by_their_template_up_to_a_bound() {
    let templates = MAX_TEMPLATES as u64 + 4;
    let mut events = ChangeEvents::default();
    events.begin(1, 0);
    for round in 0..2 {
        events.add_job(1, NONE, EDITED, 900 + round * 50);
        for template in 1..=templates {
            let job = round * 1_000 + template * 10;
            events.add_job(1, TemplateMark::One(template), EDITED, job);
        }
    }
    let marks = events.facts().iter().map(|event| match &event.fact {
        Fact::Jobs { template, jobs, .. } => (*template, jobs.len()),
        other => panic!("{other:?}"),
    });
    let named = (1..=MAX_TEMPLATES as u64).map(|template| (TemplateMark::One(template), 2));
    let expected = [(NONE, 2)].into_iter().chain(named).chain([(TemplateMark::Unknown, 8)]);
    assert!(marks.eq(expected), "{events:?}");
}

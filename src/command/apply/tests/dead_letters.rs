//! Dead letters: replayed, delivered after all, dropped, listed.

use super::record::JournalFixture;
use super::*;
use crate::store::dead_letters::{self, Filter, Order, Walked};
use crate::store::{Page, pending};

fn dead(fixture: &mut JournalFixture, members: impl IntoIterator<Item = u64>, minute: i64) {
    let at = START + minute * 60_000;
    fixture.tell(
        1,
        AttemptRecord { attempt: 4, due: at, scheduled: at, ..record(members, Verdict::Dead) },
    );
}

fn replay(fixture: &mut JournalFixture, letters: &[(u64, Millis)]) -> Outcome {
    fixture.state.done(Command::ReplayDeadLetters { letters: letters.to_vec() })
}

#[test]
fn a_forced_run_is_forced_in_its_replay_too() {
    use crate::model::run::Report;
    for (forced, accepted) in [(false, false), (true, false), (true, true), (false, true)] {
        let mut fixture = JournalFixture::new();
        let Outcome::Run(of) = fixture.state.done(Command::RunJob { id: 1, forced }) else {
            panic!("no run");
        };
        let row = fixture.rows()[0].0;
        let told = |pending, verdict| {
            let (due, run) = (of.scheduled, of.run);
            AttemptRecord {
                due,
                scheduled: due,
                run,
                pending: Some(pending),
                ..record([1], verdict)
            }
        };
        if accepted {
            fixture.tell(1, told(row, Verdict::Running));
            let report = Report::Fail { error: None, retry: false };
            fixture.state.done(Command::ReportRun { occurrence: of, report });
        } else {
            fixture.tell(1, told(row, Verdict::Retry { at: START + 90_000 }));
            let row = fixture.rows()[0].0;
            fixture.tell(1, AttemptRecord { attempt: 2, ..told(row, Verdict::Dead) });
        }
        assert_eq!(replay(&mut fixture, &[(1, 0)]), Outcome::Changed(1));
        let row = fixture.rows()[0].0;
        let row = fixture.state.read(|c| pending::get(c, row)).unwrap();
        assert_eq!((row.run, row.forced), (of.run, forced), "accepted: {accepted}");
    }
}

#[test]
fn a_replay_is_a_new_series_of_attempts_at_the_same_occurrence() {
    let mut fixture = JournalFixture::new();
    dead(&mut fixture, 1..=3, 1);
    fixture.state.now = START + 100_000;
    assert_eq!(replay(&mut fixture, &[(1, START + 105_000), (9, 0)]), Outcome::Changed(1));
    assert_eq!(fixture.state.change.pending, [0]);
    assert_eq!((fixture.dead().len(), fixture.rows()), (0, vec![(1, 5, vec![1, 2, 3])]));
    let row = fixture.state.read(|c| pending::get(c, 1)).unwrap();
    assert_eq!((row.base, row.next_at, row.scheduled), (4, START + 105_000, START + 60_000));
    assert_eq!(replay(&mut fixture, &[(1, 0)]), Outcome::Changed(0), "it is gone");
    // Its retries count from the replay on.
    let again = |id, attempt, verdict| AttemptRecord {
        attempt,
        pending: Some(id),
        ..record(1..=3, verdict)
    };
    fixture.tell(1, again(1, 5, Verdict::Retry { at: START + 110_000 }));
    let row = fixture.state.read(|c| pending::get(c, 2)).unwrap();
    assert_eq!((row.attempt, row.base), (6, 4));
    fixture.tell(1, again(2, 6, Verdict::Postponed { at: START + 120_000 }));
    let row = fixture.state.read(|c| pending::get(c, 3)).unwrap();
    assert_eq!((row.attempt, row.base, row.next_at), (6, 4, START + 120_000));
    fixture.tell(1, again(3, 6, Verdict::Dead));
    assert_eq!((fixture.rows(), fixture.dead()), (vec![], vec![vec![1, 2, 3]]));
    assert_eq!(replay(&mut fixture, &[(2, 0)]), Outcome::Changed(1));
    assert_eq!(fixture.state.read(|c| pending::get(c, 4)).unwrap().next_at, fixture.state.now);
    fixture.tell(1, again(4, 7, Verdict::Delivered));
    assert_eq!((fixture.rows(), fixture.dead().len()), (vec![], 0));
}

#[test]
fn a_late_failure_adds_nothing_to_a_replay() {
    let mut fixture = JournalFixture::new();
    dead(&mut fixture, [1], 1);
    replay(&mut fixture, &[(1, 0)]);
    fixture.tell(1, record([1], Verdict::Retry { at: START }));
    assert_eq!(fixture.rows(), [(1, 5, vec![1])]);
    fixture.tell(1, record([1], Verdict::Delivered));
    assert_eq!(fixture.rows(), [], "a late success ends it");
}

#[test]
fn a_purged_letter_stays_dead() {
    let mut fixture = JournalFixture::new();
    dead(&mut fixture, [1], 1);
    let purge = |fixture: &mut JournalFixture| {
        fixture.state.done(Command::PurgeDeadLetters { letters: vec![1, 7] })
    };
    assert_eq!(purge(&mut fixture), Outcome::Changed(1));
    assert_eq!(purge(&mut fixture), Outcome::Changed(0));
    assert_eq!(replay(&mut fixture, &[(1, 0)]), Outcome::Changed(0));
    fixture.tell(1, record([1], Verdict::Retry { at: START }));
    assert_eq!((fixture.rows(), fixture.dead().len()), (vec![], 0));
}

#[test]
fn letters_are_found_by_project_job_time_and_place() {
    let mut fixture = JournalFixture::new();
    dead(&mut fixture, [1], 4);
    dead(&mut fixture, 1..=3, 3);
    dead(&mut fixture, [2], 2);
    dead(&mut fixture, [1, 9], 1);
    let all = Filter::default();
    let list = |filter: &Filter, page: Page<Order>| {
        let (total, found) = fixture.state.read(|c| dead_letters::list(c, filter, &page));
        (total, found.iter().map(|letter| letter.id).collect::<Vec<_>>())
    };
    let page = Page::<Order>::default();
    assert_eq!(list(&all, page), (4, vec![1, 2, 3, 4]));
    assert_eq!(list(&all, Page { order_by: Order::Due, ..page }), (4, vec![4, 3, 2, 1]));
    let of_job = Filter { job: Some(1), ..Filter::default() };
    assert_eq!(list(&of_job, page), (3, vec![1, 2, 4]));
    assert_eq!(list(&of_job, Page { limit: 1, offset: 1, ..page }), (3, vec![2]));
    assert_eq!(list(&Filter { after: Some(1), ..of_job.clone() }, page), (3, vec![2, 4]));
    let (after, limit) = (Some(1), 2);
    assert_eq!(list(&Filter { after, ..all.clone() }, Page { limit, ..page }), (4, vec![2, 3]));
    let down = Page { descending: true, ..page };
    assert_eq!(list(&Filter { after: Some(3), ..all.clone() }, down), (4, vec![2, 1]));
    let (from, until) = (Some(START + 120_000), Some(START + 180_000));
    let between = Filter { from, until, ..all.clone() };
    assert_eq!(list(&between, page), (2, vec![2, 3]));
    assert_eq!(list(&Filter { project: Some(2), ..all.clone() }, page), (0, vec![]));

    let walk = |filter: &Filter, range, most| {
        fixture.state.read(|c| dead_letters::walk(c, filter, range, most))
    };
    for (filter, expected) in [
        (&all, vec![(1, 1), (2, 3), (3, 1), (4, 2)]),
        (&of_job, vec![(1, 1), (2, 3), (4, 2)]),
        (&between, vec![(2, 3), (3, 1)]),
    ] {
        for most in 1..=5 {
            let (mut found, mut after) = (Vec::new(), 0);
            loop {
                let Walked { found: some, on } = walk(filter, (after, 4), most);
                found.extend(some);
                let Some(id) = on else { break };
                assert_eq!(id, after + most, "it looks at so many, whether they match or not");
                after = id;
            }
            assert_eq!(found, expected, "{most}");
        }
    }
    let nothing = Walked { found: Vec::new(), on: Some(2) };
    assert_eq!(walk(&Filter { project: Some(2), ..all.clone() }, (0, 4), 2), nothing);
    assert_eq!(walk(&all, (1, 3), 9), Walked { found: vec![(2, 3), (3, 1)], on: None });
    assert_eq!(fixture.state.read(dead_letters::last_id), 4);
}

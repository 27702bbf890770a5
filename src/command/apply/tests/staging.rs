//! Large requests: staged jobs appear all at once, or never.

use super::*;
use crate::model::task::TaskState;
use crate::store::{jobs, projects, tasks};

#[test]
fn staged_jobs_appear_all_at_once() {
    let mut state = ApplyFixture::new();
    assert_eq!(
        state.done(create(5, every_minute(), 3, true)),
        Outcome::Jobs { request: 5, jobs: vec![] }
    );
    state.done(create(6, every_minute(), 1, false));
    state.done(create(5, every_minute(), 2, true));
    assert_eq!((state.count("jobs"), state.count("shapes")), (1, 1));
    assert_eq!(state.read(|c| tasks::get(c, 5)).unwrap().state, TaskState::InProgress);
    state.now = START + 4_300;
    let activate = Command::ActivateJobs { request: 5 };
    let outcome = Outcome::Jobs { request: 5, jobs: vec![(2, 5)] };
    assert_eq!(state.done(activate.clone()), outcome);
    assert_eq!(state.change.created, [(2, 5)]);
    assert_eq!(state.done(activate), outcome, "twice is once");
    let mut made = Vec::new();
    state.read(|c| {
        jobs::each_of_range(c, 2, 5, |job| {
            made.push(job);
            Ok(true)
        })
    });
    let data: Vec<_> = made.iter().map(|job| job.data.as_str()).collect();
    assert_eq!(data, ["data 0", "data 1", "data 2", "data 0", "data 1"]);
    assert!(made.iter().all(|j| (j.created, j.anchor) == (START + 4_300, START + 5_000)));
    assert_eq!((state.count("staged_jobs"), state.read(|c| projects::job_count(c, 1))), (0, 6));
    assert_eq!(state.refused(&create(5, every_minute(), 1, true)).0, RejectionKind::Conflict);
    assert_eq!(state.refused(&Command::DiscardJobs { request: 5 }).0, RejectionKind::Conflict);
    assert_eq!(state.refused(&Command::ActivateJobs { request: 9 }).0, RejectionKind::NotFound);
}

#[test]
fn staged_jobs_of_a_project_that_went_are_not_activated() {
    let mut state = ApplyFixture::new();
    state.done(create(5, every_minute(), 3, true));
    state.done(Command::DeleteProject { id: 1, cascade: false, expect: None });
    assert_eq!(state.refused(&Command::ActivateJobs { request: 5 }).0, RejectionKind::Invalid);
    state.done(Command::DiscardJobs { request: 5 });
    assert_eq!(state.done(Command::DiscardJobs { request: 5 }), Outcome::Done);
    assert_eq!((state.count("staged_jobs"), state.count("shapes")), (0, 0));
    assert_eq!(state.read(|c| tasks::get(c, 5)).unwrap().state, TaskState::Failed);
    assert_eq!(state.refused(&Command::ActivateJobs { request: 5 }).0, RejectionKind::Conflict);
}

#[test]
fn abandoned_chunks_go_with_a_tick() {
    let mut state = ApplyFixture::new();
    state.done(create(5, every_minute(), 3, true));
    state.now += 3_600_000;
    state.done(Command::Tick);
    assert_eq!(state.count("staged_jobs"), 3);
    state.now += 1;
    state.done(Command::Tick);
    assert_eq!((state.count("staged_jobs"), state.count("shapes")), (0, 0));
}

//! Recurring jobs that are over: a list by status finds those, and only those, of which a job asked
//! by itself says so.

use super::*;
use crate::command::{JobAction, ProjectAction};
use crate::store::Page;
use crate::store::jobs::{self, Filter, JobRow};

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;

/// Definitions whose last occurrences lie in all the places that matter.
fn definitions() -> Vec<JobDefinition> {
    let cron = |spec: &str| JobDefinition { spec: spec.into(), period: None, ..every_minute() };
    let every = |spec: &str, period| JobDefinition {
        spec: spec.into(),
        period: Some(period),
        ..every_minute()
    };
    let mut definitions = vec![
        every_minute(),
        every("@every 7h", 7 * HOUR),
        cron("0 * * * *"),
        cron("H * * * *"),
        cron("H H * * *"),
        cron("0 0 1 1 *"),
    ];
    let later = definitions
        .iter()
        .map(|definition| JobDefinition { start: Some(START + HOUR), ..definition.clone() });
    definitions.extend(later.collect::<Vec<_>>());
    let late = definitions
        .iter()
        .map(|definition| JobDefinition { jitter: 40 * MINUTE, ..definition.clone() });
    definitions.extend(late.collect::<Vec<_>>());
    let ends = [START + HOUR + 1, START + 9 * HOUR, START + 500 * HOUR];
    let ended = |end| {
        definitions
            .iter()
            .map(move |definition| JobDefinition { end: Some(end), ..definition.clone() })
    };
    definitions.iter().cloned().chain(ends.into_iter().flat_map(ended)).collect()
}

#[test]
fn a_list_by_status_finds_the_jobs_that_say_they_are_over() {
    let mut state = ApplyFixture::new();
    let other = NewProject { name: "other".into(), ..NewProject::default() };
    state.done(Command::CreateProject(other));
    let mut all = Vec::new();
    for (n, definition) in definitions().into_iter().enumerate() {
        for case in 0..4 {
            state.now = START + 10;
            let project = 1 + (n % 2) as u64;
            let id = state
                .create_one(JobDefinition { project, ..definition.clone() }, NewJob::default());
            all.push(id);
            state.now = START + 30 * MINUTE;
            let act = |action| Command::ChangeJobs { jobs: vec![(id, 1)], action, by: None };
            match case {
                0 => {}
                1 => drop(state.done(act(JobAction::Pause { until: Some(START + 2 * HOUR) }))),
                2 => drop(state.done(act(JobAction::Pause { until: None }))),
                _ => drop(state.edit(id, |edit| edit.definition.jitter = 0)),
            }
        }
    }
    state.done(Command::project_action(2, ProjectAction::Pause { until: None }, None));
    for after in [0, 31 * MINUTE, HOUR, HOUR + 1, 90 * MINUTE, 9 * HOUR, 40 * HOUR, 501 * HOUR] {
        let now = START + after;
        for project in [None, Some(1), Some(2)] {
            let mut over = Vec::new();
            for job in all.iter().map(|id| state.job(*id)) {
                if project.is_none_or(|project| project == job.definition.project) {
                    let (id, definition_id, created) = (job.id, job.definition_id, job.created);
                    let (anchor, from, status) = (job.anchor, job.from, job.status);
                    let row = JobRow { id, definition_id, created, anchor, from, status };
                    let schedule = jobs::parse(&job.definition, id).unwrap();
                    if state.read(|c| jobs::is_over(c, &row, &job.definition, &schedule, now)) {
                        over.push(id);
                    }
                }
            }
            let status = Some((JobStatus::Completed, now));
            let filter = Filter { project, status, ..Filter::default() };
            // Also a few at a time.
            for most in [usize::MAX, 7] {
                let found = walked(&state, &filter, most);
                assert_eq!(found, over, "{after} {project:?} {most}");
            }
            let (total, page) = state.read(|c| jobs::list(c, &filter, &Page::default()));
            assert_eq!(total, over.len() as u64);
            assert!(page.iter().map(|job| &job.id).eq(over.iter().take(page.len())));
        }
    }
}

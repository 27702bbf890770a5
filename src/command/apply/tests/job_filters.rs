//! Lists, counts and walks of jobs by project, status, labels and ids.

use super::pauses::{change, pause};
use super::*;
use crate::store::Page;
use crate::store::jobs::{self, Filter, Walked};

#[test]
fn jobs_are_found_by_what_they_are() {
    let mut state = ApplyFixture::new();
    state.done(Command::CreateProject(NewProject { name: "q".into(), ..NewProject::default() }));
    let labelled = |project, labels: &[(&str, &str)]| JobDefinition {
        project,
        labels: labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        ..every_minute()
    };
    let named = NewJob { external_id: Some("x".into()), ..NewJob::default() };
    state.jobs(every_minute(), 2); // 1, 2
    state.jobs(labelled(1, &[("env", "prod"), ("team", "a")]), 2); // 3, 4
    state.create_one(labelled(1, &[("env", "prod")]), named.clone()); // 5
    state.create_one(labelled(2, &[("env", "prod")]), named); // 6
    state.done(request_staged(&labelled(2, &[("env", "dev")])));
    state.done(Command::ActivateJobs { request: 5 }); // 7
    state.now = START + 10;
    state.done(change(&[(2, 1)], pause(None)));
    state.done(change(&[(3, 1)], pause(90)));
    state.disable(7);
    let find = |state: &ApplyFixture, filter: &Filter| {
        let found = walked(state, filter, usize::MAX);
        let (total, page) = state.read(|c| jobs::list(c, filter, &Page::default()));
        assert_eq!(page.iter().map(|job| job.id).collect::<Vec<_>>(), found);
        assert_eq!(total, found.len() as u64);
        for most in 1..4 {
            assert_eq!(walked(state, filter, most), found, "{filter:?} {most}");
        }
        found
    };
    let labels = |labels: &[(&str, &str)]| {
        labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<Vec<(String, String)>>()
    };
    let any = Filter::default();
    let now = START + 20;
    let of = |project| Filter { project: Some(project), ..Filter::default() };
    let with = |pairs: &[(&str, &str)]| Filter { labels: labels(pairs), ..Filter::default() };
    let status = |status, now| Filter { status: Some((status, now)), ..Filter::default() };
    let external = Some("x".to_owned());
    let cases = [
        (any.clone(), vec![1, 2, 3, 4, 5, 6, 7]),
        (of(2), vec![6, 7]),
        (of(9), vec![]),
        (status(JobStatus::Active, now), vec![1, 4, 5, 6]),
        (status(JobStatus::Inactive, now), vec![2, 3]),
        (status(JobStatus::Inactive, START + 90), vec![2]),
        (status(JobStatus::Disabled, now), vec![7]),
        (status(JobStatus::Completed, now), vec![]),
        (with(&[("env", "prod")]), vec![3, 4, 5, 6]),
        (with(&[("env", "prod"), ("team", "a")]), vec![3, 4]),
        (with(&[("env", "prod"), ("env", "dev")]), vec![]),
        (Filter { project: Some(1), ..with(&[("env", "prod")]) }, vec![3, 4, 5]),
        (Filter { status: Some((JobStatus::Active, now)), ..with(&[("team", "a")]) }, vec![4]),
        (with(&[("env", "dev")]), vec![7]),
        (Filter { external_id: external.clone(), ..any.clone() }, vec![5, 6]),
        (Filter { external_id: external.clone(), ..of(2) }, vec![6]),
        (Filter { external_id: external, ..with(&[("env", "dev")]) }, vec![]),
        (Filter { external_id: Some("y".into()), ..any }, vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(find(&state, &filter), expected, "{filter:?}");
    }
    // A part of the walk ends where it has looked at so many, whether they match or not.
    let walk = |filter: &Filter, range, most| state.read(|c| jobs::walk(c, filter, range, most));
    let disabled = status(JobStatus::Disabled, now);
    assert_eq!(walk(&disabled, (0, 9), 3), Walked { found: vec![], on: Some(3) });
    assert_eq!(walk(&disabled, (6, 9), 3), Walked { found: vec![7], on: None });
    assert_eq!(walk(&disabled, (0, 6), 9), Walked { found: vec![], on: None });
    let seven = with(&[("env", "dev")]);
    assert_eq!(walk(&Filter { project: Some(1), ..seven }, (0, 9), 4).on, Some(4));
    // A filter that names jobs looks at no others.
    let named = Filter { ids: Some(vec![7, 2, 7, 99, 4]), ..Filter::default() };
    assert_eq!(walk(&named, (0, 9), 9), Walked { found: vec![2, 4, 7], on: None });
    assert_eq!(walk(&named, (2, 9), 1), Walked { found: vec![4], on: Some(4) });
    let external_ids = Some(vec!["x".to_owned(), "y".to_owned()]);
    let of_one = Filter { external_ids, ..of(1) };
    assert_eq!(walk(&of_one, (0, 9), 9), Walked { found: vec![5], on: None });
    // Labels follow an edit.
    state.edit(1, |edit| edit.definition = labelled(1, &[("team", "a")]));
    state.edit(4, |edit| edit.definition = every_minute());
    assert_eq!(find(&state, &with(&[("team", "a")])), [1, 3]);
}

fn request_staged(definition: &JobDefinition) -> Command {
    create(5, definition.clone(), 1, true)
}

#[test]
fn a_total_by_status_looks_at_no_job_where_there_are_many() {
    let mut state = ApplyFixture::new();
    state.done(Command::CreateProject(NewProject { name: "q".into(), ..NewProject::default() }));
    let ended = |project| JobDefinition { project, end: Some(START + 1), ..every_minute() };
    state.jobs(ended(1), 3); // 1, 2, 3
    state.jobs(ended(2), 2); // 4, 5
    let now = START + 20;
    let total = |state: &ApplyFixture, project, status| {
        let filter = Filter { project, status: Some((status, now)), ..Filter::default() };
        let jobs::Total { count, exact } = state.read(|c| jobs::count(c, &filter));
        (count, exact)
    };
    assert_eq!(total(&state, None, JobStatus::Completed), (5, true));
    assert_eq!(total(&state, Some(2), JobStatus::Completed), (2, true));
    state.jobs(every_minute(), 20_000);
    state.now = START + 10;
    state.done(change(&[(6, 4)], pause(None)));
    state.done(change(&[(10, 2)], pause(90)));
    state.disable(12);
    for (status, number) in
        [(JobStatus::Active, 19_993), (JobStatus::Inactive, 6), (JobStatus::Completed, 5)]
    {
        assert_eq!(total(&state, None, status), (number, false), "{status:?}");
    }
    assert_eq!(total(&state, None, JobStatus::Disabled), (1, true), "no job is over by that");
    assert_eq!(total(&state, Some(2), JobStatus::Completed), (2, true), "it has few jobs");
    let all = state.read(|c| jobs::counts(c, None));
    assert_eq!((all.active, all.inactive, all.disabled), (20_000, 4, 1));
}

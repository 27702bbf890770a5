//! What edits keep, replace and take away.

use super::super::check::tests::{NOW, read, rules, with};
use super::super::parse;
use super::*;
use crate::model::delivery::Overlap;

const HOUR: Millis = 3_600_000;

/// The job that a request makes, as the books would have it an hour later.
fn job(body: &str) -> Job {
    let (shapes, jobs) = read(body, rules()).unwrap();
    let shape = shapes[0].clone();
    let anchor = match shape.timing {
        Timing::After(delay) => NOW - HOUR + delay,
        _ => jobs[0].at.unwrap_or(NOW - HOUR),
    };
    Job {
        id: 1,
        shape_id: 1,
        shape: shape.into(),
        data: jobs[0].data.clone(),
        created: NOW - HOUR,
        anchor,
        from: jobs[0].pause_until.map_or(NOW - HOUR, |until| until - 1),
        status: jobs[0].status,
        modified: None,
        external_id: jobs[0].external_id.clone(),
        version: 1,
        modified_by: None,
    }
}

fn edit(job: &Job, body: &str, how: How) -> Result<JobEdit, Error> {
    let (input, mut warnings) = parse::one(body.as_bytes()).unwrap();
    edited(&rules(), job, &input, how, &mut warnings)
}

/// A job that says everything.
fn rich() -> Job {
    job(r#"{"projectId":7,"spec":"@daily","timezone":"UTC","data":"d","retryMax":4,
        "http":{"url":"https://a.example/x","auth":{"type":"basic","username":"me","password":"p"}},
        "startDate":"2026-01-01T00:00:00Z","dst":{"gap":"skip"},"jitter":"1m","retryDelay":2,
        "timeout":9,"overlap":"skip","runTimeout":60,"heartbeatTimeout":6,"labels":{"a":"b"},
        "misfire":{"policy":"all"},"externalId":"e","pauseUntil":"2026-11-21T00:00:00Z"}"#)
}

#[test]
fn an_edit_that_makes_a_job_unfit_is_refused_whichever_part_it_changes() {
    let good = job(r#"{"projectId":7,"spec":"@daily","timezone":"UTC","data":"d",
        "http":{"url":"http://a.example/{{data}}","query":{"q":"{{data}}"}}}"#);
    let data = format!("{{\"data\":\"{}\"}}", "x".repeat(9_000));
    let repeats = "{{data}}".repeat(1_000);
    let query = format!("{{\"http\":{{\"query\":{{\"r\":\"{repeats}\"}}}}}}");
    let long = job(&with("data", &format!("\"{}\"", "x".repeat(9_000))));
    let http = r#"{"http":{"url":"http://a.example/","headers":{"X-A":"{{data}}"}}}"#;
    for (job, body, hows, field) in [
        (&good, &*data, &[How::Put, How::Patch][..], "http.url"),
        (&good, r#"{"data":"."}"#, &[How::Put, How::Patch], "http.url"),
        (&good, r#"{"data":null}"#, &[How::Patch], "http.url"),
        (&job(&with("data", "\"0123456789abcdef0\"")), &query, &[How::Patch], "http.url"),
        (&long, http, &[How::Put, How::Patch], "http.headers"),
    ] {
        for how in hows {
            let body = if job.shape.http.is_none() && body == query {
                body.replace("{\"query\"", "{\"url\":\"http://a.example/\",\"query\"")
            } else {
                body.to_owned()
            };
            let error = edit(job, &body, *how).unwrap_err();
            let shown = format!("{error:?}");
            assert_eq!(error.status(), 422, "{how:?}: {shown}");
            assert!(shown.contains(&format!("field: Some(\"{field}\")")), "{how:?}: {shown}");
        }
    }
}

#[test]
fn a_put_keeps_what_the_published_clients_know_and_does_not_name() {
    let job = job(&with("retry_max", "4"));
    let old = &*job.shape;
    let same = edit(&job, "{\"modified_by\":\"me\"}", How::Put).unwrap();
    assert_eq!((&same.shape, &same.data, same.status), (old, &job.data, job.status));
    assert_eq!(same.by.as_deref(), Some("me"));
    let nulls = "{\"endDate\":null,\"retryMax\":null,\"status\":null,\"spec\":\"\",\"data\":null}";
    let same = edit(&job, nulls, How::Put).unwrap();
    assert_eq!((&same.shape, &same.data), (old, &job.data));
    let faster = edit(&job, "{\"spec\":\"@every 5s\",\"status\":\"inactive\"}", How::Put).unwrap();
    assert_eq!((faster.shape.period, faster.status), (Some(5_000), JobStatus::Inactive));
    assert_eq!(faster.shape.callback_url, old.callback_url);
    for bad in ["{\"spec\":\"0 0 30 2 *\"}", "{\"timezone\":\"Mars\"}", "{\"end_date\":\"x\"}"] {
        assert_eq!(edit(&job, bad, How::Put).unwrap_err().status(), 400, "{bad}");
    }
}

#[test]
fn each_way_of_editing_has_its_way_with_what_is_not_named() {
    let job = rich();
    let old = &*job.shape;
    let put = edit(&job, "{\"retryMax\":5}", How::Put).unwrap();
    let kept = JobShape { retry_max: Some(5), ..base(old, How::Put) };
    assert_eq!(put.shape, kept);
    assert_eq!(put.shape.http, old.http, "the target stays");
    assert_eq!((put.shape.jitter, put.shape.overlap), (0, Overlap::Allow));
    assert!(put.shape.labels.is_empty() && put.shape.delivery.timeout.is_none());
    assert_eq!((put.external_id.as_deref(), put.pause_until), (Some("e"), Some(job.from + 1)));

    let patch = edit(&job, "{\"retryMax\":5}", How::Patch).unwrap();
    assert_eq!(patch.shape, JobShape { retry_max: Some(5), ..old.clone() });
    assert_eq!((patch.data.as_str(), patch.external_id.as_deref()), ("d", Some("e")));
    assert_eq!((patch.status, patch.pause_until), (JobStatus::Active, Some(job.from + 1)));

    let whole = r#"{"spec":"@hourly","timezone":"UTC","callbackUrl":"http://localhost/"}"#;
    let whole = edit(&job, whole, How::Whole).unwrap();
    assert_eq!(whole.shape.retry_max, None);
    assert_eq!((whole.shape.start, &*whole.shape.spec), (None, "@hourly"));
    assert_eq!((whole.data.as_str(), whole.pause_until), ("", Some(job.from + 1)));
    let nothing = edit(&job, "{\"retryMax\":5}", How::Whole).unwrap_err();
    assert!(format!("{nothing:?}").contains("field: Some(\"spec\")"));
}

#[test]
fn null_takes_a_field_away_in_a_patch() {
    let job = rich();
    let patch = r#"{"retryMax":null,"startDate":null,"dst":null,"jitter":null,"misfire":null,
        "retryDelay":null,"timeout":null,"overlap":null,"runTimeout":null,"heartbeatTimeout":null,
        "labels":null,"externalId":null,"pauseUntil":null,"data":null,"http":null,
        "callbackUrl":"http://localhost/"}"#;
    let bare = edit(&job, patch, How::Patch).unwrap();
    let expected = JobShape {
        project: 7,
        spec: "@daily".into(),
        timezone: "UTC".into(),
        execution_type: "http".into(),
        callback_url: "http://localhost/".into(),
        ..JobShape::default()
    };
    assert_eq!(bare.shape, expected);
    assert_eq!((bare.external_id, bare.data.as_str(), bare.pause_until), (None, "", None));
    for (patch, field) in [
        ("{\"http\":null}", "callbackUrl"),
        ("{\"spec\":null}", "spec"),
        ("{\"timezone\":null}", "timezone"),
        ("{\"callbackUrl\":\"http://localhost/\"}", "overlap"),
    ] {
        let error = format!("{:?}", edit(&job, patch, How::Patch).unwrap_err());
        assert!(error.contains(&format!("field: Some({field:?})")), "{patch}: {error}");
    }
}

#[test]
fn a_target_or_schedule_that_is_named_replaces_the_one_before() {
    let job = rich();
    let moved = edit(&job, "{\"executorId\":3}", How::Put).unwrap().shape;
    assert_eq!((moved.executor, moved.http.is_none()), (Some(3), true));
    let once = edit(&job, "{\"at\":\"2026-11-21T09:00:00Z\"}", How::Patch).unwrap();
    assert_eq!((once.at, once.shape.timing), (Some(NOW + 13 * HOUR), Timing::At));
    assert!(once.shape.spec.is_empty() && once.shape.start.is_none());
    let secret = |body: &str| edit(&job, body, How::Put).map(|edit| edit.shape.http.unwrap().auth);
    let old = &job.shape.http.as_ref().unwrap().auth;
    let auth = r#""auth":{"type":"basic","username":"me"}"#;
    let same = secret(&format!("{{\"http\":{{\"url\":\"https://a.example/y\",{auth}}}}}")).unwrap();
    assert_eq!(same, *old);
    assert!(secret(&format!("{{\"http\":{{\"url\":\"https://b.example/y\",{auth}}}}}")).is_err());
}

#[test]
fn a_one_off_moves_only_when_it_is_told_to() {
    let url = "\"callbackUrl\":\"http://localhost/\",\"projectId\":7";
    let at = job(&format!("{{{url},\"at\":\"2026-11-20T20:30:00Z\"}}"));
    let after = job(&format!("{{{url},\"after\":\"90m\"}}"));
    let done = |job: &Job| Job { status: JobStatus::Completed, ..job.clone() };
    let past = Job { anchor: NOW - HOUR, ..done(&at) };
    let (active, completed) = (JobStatus::Active, JobStatus::Completed);
    for (job, body, how, wanted) in [
        (&at, "{}", How::Put, Some((Some(at.anchor), active))),
        (&at, "{\"at\":\"2026-11-20T21:00:00Z\"}", How::Put, Some((Some(NOW + HOUR), active))),
        (&at, "{\"after\":\"5m\"}", How::Patch, Some((None, active))),
        (&after, "{}", How::Patch, Some((Some(after.anchor), active))),
        (&after, "{\"after\":\"90m\"}", How::Put, Some((Some(after.anchor), active))),
        (&after, "{\"after\":\"90m\"}", How::Patch, Some((None, active))),
        (&after, "{\"after\":\"80m\"}", How::Put, Some((None, active))),
        (&done(&after), "{\"after\":\"90m\"}", How::Patch, Some((None, active))),
        (
            &done(&after),
            "{\"after\":\"90m\",\"status\":\"completed\"}",
            How::Put,
            Some((Some(after.anchor), completed)),
        ),
        (
            &past,
            "{\"at\":\"2026-11-20T19:00:00Z\",\"status\":\"completed\"}",
            How::Put,
            Some((Some(past.anchor), completed)),
        ),
        (
            &past,
            "{\"at\":\"2026-11-20T19:00:00Z\"}",
            How::Patch,
            Some((Some(past.anchor), completed)),
        ),
        (&past, "{\"at\":\"2026-11-20T19:00:01Z\"}", How::Put, None),
        (
            &past,
            "{\"at\":\"2026-11-20T20:10:00Z\"}",
            How::Put,
            Some((Some(NOW + HOUR / 6), active)),
        ),
        (&past, "{\"status\":\"active\"}", How::Patch, None),
        (&past, "{\"spec\":\"@daily\"}", How::Patch, Some((None, active))),
        (&at, "{\"status\":\"completed\"}", How::Put, None),
    ] {
        let edit = edit(job, body, how).map(|edit| (edit.at, edit.status));
        match wanted {
            Some(wanted) => assert_eq!(edit.unwrap(), wanted, "{body} {how:?}"),
            None => assert!(edit.is_err(), "{body} {how:?}: {edit:?}"),
        }
    }
}

#[test]
fn a_pause_stays_until_a_status_or_another_end_is_named() {
    let paused = rich();
    let idle = Job { status: JobStatus::Inactive, from: NOW - HOUR, ..rich() };
    let off = Job { status: JobStatus::Disabled, ..idle.clone() };
    let (active, inactive) = (JobStatus::Active, JobStatus::Inactive);
    let later = "{\"pauseUntil\":\"2026-11-20T21:00:00Z\"}";
    // What a GET shows.
    let back = "{\"status\":\"inactive\",\"pauseUntil\":\"2026-11-21T00:00:00Z\"}";
    for (job, body, status, until) in [
        (&paused, "{}", active, Some(paused.from + 1)),
        (&paused, back, active, Some(paused.from + 1)),
        (&paused, later, active, Some(NOW + HOUR)),
        (&paused, "{\"status\":\"active\"}", active, None),
        (&paused, "{\"status\":\"inactive\"}", inactive, None),
        (&paused, "{\"pauseUntil\":null}", active, None),
        (&idle, "{}", inactive, None),
        (&idle, later, active, Some(NOW + HOUR)),
        (&idle, "{\"pauseUntil\":null}", inactive, None),
        (&off, "{\"status\":\"disabled\"}", JobStatus::Disabled, None),
        (&off, "{\"status\":\"active\"}", active, None),
    ] {
        for how in [How::Put, How::Patch] {
            let edit = edit(job, body, how).unwrap();
            assert_eq!((edit.status, edit.pause_until), (status, until), "{body} {how:?}");
        }
    }
}

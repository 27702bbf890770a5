//! Fields that edits keep, replace and clear.

use super::*;
use crate::app::error::ErrorKind;
use crate::app::jobs::validate::fixtures::{NOW, input, read, rules, with};
use crate::model::delivery::Overlap;

const HOUR: Millis = 3_600_000;

/// The job that a request makes, as the store has it an hour later.
fn job(body: &str) -> Job {
    let (definitions, jobs) = read(body, rules()).unwrap();
    let definition = definitions[0].clone();
    let anchor = match definition.timing {
        Timing::After(delay) => NOW - HOUR + delay,
        _ => jobs[0].at.unwrap_or(NOW - HOUR),
    };
    Job {
        id: 1,
        definition_id: 1,
        definition: definition.into(),
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

fn edit(job: &Job, body: &str, mode: EditMode) -> Result<JobEdit, Error> {
    let (input, mut warnings) = (input(body), Warnings::default());
    edited(&rules(), job, &input, mode, &mut warnings)
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
        (&good, &*data, &[EditMode::Put, EditMode::Patch][..], "http.url"),
        (&good, r#"{"data":"."}"#, &[EditMode::Put, EditMode::Patch], "http.url"),
        (&good, r#"{"data":null}"#, &[EditMode::Patch], "http.url"),
        (&job(&with("data", "\"0123456789abcdef0\"")), &query, &[EditMode::Patch], "http.url"),
        (&long, http, &[EditMode::Put, EditMode::Patch], "http.headers"),
    ] {
        for mode in hows {
            let body = if job.definition.http.is_none() && body == query {
                body.replace("{\"query\"", "{\"url\":\"http://a.example/\",\"query\"")
            } else {
                body.to_owned()
            };
            let error = edit(job, &body, *mode).unwrap_err();
            let shown = format!("{error:?}");
            assert_eq!(error.kind(), ErrorKind::Unprocessable, "{mode:?}: {shown}");
            assert!(shown.contains(&format!("field: Some(\"{field}\")")), "{mode:?}: {shown}");
        }
    }
}

#[test]
fn a_put_keeps_what_the_published_clients_know_and_does_not_name() {
    let job = job(&with("retry_max", "4"));
    let old = &*job.definition;
    let same = edit(&job, "{\"modified_by\":\"me\"}", EditMode::Put).unwrap();
    assert_eq!((&same.definition, &same.data, same.status), (old, &job.data, job.status));
    assert_eq!(same.by.as_deref(), Some("me"));
    let nulls = "{\"endDate\":null,\"retryMax\":null,\"status\":null,\"spec\":\"\",\"data\":null}";
    let same = edit(&job, nulls, EditMode::Put).unwrap();
    assert_eq!((&same.definition, &same.data), (old, &job.data));
    let faster =
        edit(&job, "{\"spec\":\"@every 5s\",\"status\":\"inactive\"}", EditMode::Put).unwrap();
    assert_eq!((faster.definition.period, faster.status), (Some(5_000), JobStatus::Inactive));
    assert_eq!(faster.definition.callback_url, old.callback_url);
    for bad in ["{\"spec\":\"0 0 30 2 *\"}", "{\"timezone\":\"Mars\"}", "{\"end_date\":\"x\"}"] {
        assert_eq!(edit(&job, bad, EditMode::Put).unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
    }
}

#[test]
fn each_way_of_editing_has_its_way_with_what_is_not_named() {
    let job = rich();
    let old = &*job.definition;
    let put = edit(&job, "{\"retryMax\":5}", EditMode::Put).unwrap();
    let kept = JobDefinition { retry_max: Some(5), ..base(old, EditMode::Put) };
    assert_eq!(put.definition, kept);
    assert_eq!(put.definition.http, old.http, "the target stays");
    assert_eq!((put.definition.jitter, put.definition.overlap), (0, Overlap::Allow));
    assert!(put.definition.labels.is_empty() && put.definition.delivery.timeout.is_none());
    assert_eq!((put.external_id.as_deref(), put.pause_until), (Some("e"), Some(job.from + 1)));

    let patch = edit(&job, "{\"retryMax\":5}", EditMode::Patch).unwrap();
    assert_eq!(patch.definition, JobDefinition { retry_max: Some(5), ..old.clone() });
    assert_eq!((patch.data.as_str(), patch.external_id.as_deref()), ("d", Some("e")));
    assert_eq!((patch.status, patch.pause_until), (JobStatus::Active, Some(job.from + 1)));

    let whole = r#"{"spec":"@hourly","timezone":"UTC","callbackUrl":"http://localhost/"}"#;
    let whole = edit(&job, whole, EditMode::Whole).unwrap();
    assert_eq!(whole.definition.retry_max, None);
    assert_eq!((whole.definition.start, &*whole.definition.spec), (None, "@hourly"));
    assert_eq!((whole.data.as_str(), whole.pause_until), ("", Some(job.from + 1)));
    let nothing = edit(&job, "{\"retryMax\":5}", EditMode::Whole).unwrap_err();
    assert!(format!("{nothing:?}").contains("field: Some(\"spec\")"));
}

#[test]
fn null_takes_a_field_away_in_a_patch() {
    let job = rich();
    let patch = r#"{"retryMax":null,"startDate":null,"dst":null,"jitter":null,"misfire":null,
        "retryDelay":null,"timeout":null,"overlap":null,"runTimeout":null,"heartbeatTimeout":null,
        "labels":null,"externalId":null,"pauseUntil":null,"data":null,"http":null,
        "callbackUrl":"http://localhost/"}"#;
    let bare = edit(&job, patch, EditMode::Patch).unwrap();
    let expected = JobDefinition {
        project: 7,
        spec: "@daily".into(),
        timezone: "UTC".into(),
        execution_type: "http".into(),
        callback_url: "http://localhost/".into(),
        ..JobDefinition::default()
    };
    assert_eq!(bare.definition, expected);
    assert_eq!((bare.external_id, bare.data.as_str(), bare.pause_until), (None, "", None));
    for (patch, field) in [
        ("{\"http\":null}", "callbackUrl"),
        ("{\"spec\":null}", "spec"),
        ("{\"timezone\":null}", "timezone"),
        ("{\"callbackUrl\":\"http://localhost/\"}", "overlap"),
    ] {
        let error = format!("{:?}", edit(&job, patch, EditMode::Patch).unwrap_err());
        assert!(error.contains(&format!("field: Some({field:?})")), "{patch}: {error}");
    }
}

#[test]
fn a_target_or_schedule_that_is_named_replaces_the_one_before() {
    let job = rich();
    let moved = edit(&job, "{\"executorId\":3}", EditMode::Put).unwrap().definition;
    assert_eq!((moved.executor, moved.http.is_none()), (Some(3), true));
    let once = edit(&job, "{\"at\":\"2026-11-21T09:00:00Z\"}", EditMode::Patch).unwrap();
    assert_eq!((once.at, once.definition.timing), (Some(NOW + 13 * HOUR), Timing::At));
    assert!(once.definition.spec.is_empty() && once.definition.start.is_none());
    let secret =
        |body: &str| edit(&job, body, EditMode::Put).map(|edit| edit.definition.http.unwrap().auth);
    let old = &job.definition.http.as_ref().unwrap().auth;
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
    for (job, body, mode, wanted) in [
        (&at, "{}", EditMode::Put, Some((Some(at.anchor), active))),
        (&at, "{\"at\":\"2026-11-20T21:00:00Z\"}", EditMode::Put, Some((Some(NOW + HOUR), active))),
        (&at, "{\"after\":\"5m\"}", EditMode::Patch, Some((None, active))),
        (&after, "{}", EditMode::Patch, Some((Some(after.anchor), active))),
        (&after, "{\"after\":\"90m\"}", EditMode::Put, Some((Some(after.anchor), active))),
        (&after, "{\"after\":\"90m\"}", EditMode::Patch, Some((None, active))),
        (&after, "{\"after\":\"80m\"}", EditMode::Put, Some((None, active))),
        (&done(&after), "{\"after\":\"90m\"}", EditMode::Patch, Some((None, active))),
        (
            &done(&after),
            "{\"after\":\"90m\",\"status\":\"completed\"}",
            EditMode::Put,
            Some((Some(after.anchor), completed)),
        ),
        (
            &past,
            "{\"at\":\"2026-11-20T19:00:00Z\",\"status\":\"completed\"}",
            EditMode::Put,
            Some((Some(past.anchor), completed)),
        ),
        (
            &past,
            "{\"at\":\"2026-11-20T19:00:00Z\"}",
            EditMode::Patch,
            Some((Some(past.anchor), completed)),
        ),
        (&past, "{\"at\":\"2026-11-20T19:00:01Z\"}", EditMode::Put, None),
        (
            &past,
            "{\"at\":\"2026-11-20T20:10:00Z\"}",
            EditMode::Put,
            Some((Some(NOW + HOUR / 6), active)),
        ),
        (&past, "{\"status\":\"active\"}", EditMode::Patch, None),
        (&past, "{\"spec\":\"@daily\"}", EditMode::Patch, Some((None, active))),
        (&at, "{\"status\":\"completed\"}", EditMode::Put, None),
    ] {
        let edit = edit(job, body, mode).map(|edit| (edit.at, edit.status));
        match wanted {
            Some(wanted) => assert_eq!(edit.unwrap(), wanted, "{body} {mode:?}"),
            None => assert!(edit.is_err(), "{body} {mode:?}: {edit:?}"),
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
    // The job as a GET shows it.
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
        for mode in [EditMode::Put, EditMode::Patch] {
            let edit = edit(job, body, mode).unwrap();
            assert_eq!((edit.status, edit.pause_until), (status, until), "{body} {mode:?}");
        }
    }
}

/// A job that holds the settings of its target itself.
fn with_own_settings() -> Job {
    job(r#"{"projectId":7,"spec":"@daily","timezone":"UTC","data":"d","amqp":
        {"routingKey":"a","password":"hush","headers":{"x_a":1,"b":2}}}"#)
}

#[test]
fn settings_in_a_job_are_patched_and_keep_their_secret() {
    let job = with_own_settings();
    let old = job.definition.target.clone().unwrap();
    let body = r#"{"amqp":{"routing_key":"c","headers":{"x_a":null}}}"#;
    let patched = edit(&job, body, EditMode::Patch).unwrap().definition.target.unwrap();
    assert_eq!(patched.settings["routingKey"], "c");
    assert_eq!(patched.settings["headers"].to_string(), r#"{"b":2}"#);
    assert_eq!(patched.settings["password"], old.settings["password"]);
    let put = r#"{"amqp":{"routing_key":"c"}}"#;
    for mode in [EditMode::Put, EditMode::Whole] {
        let body = put.replace("{\"amqp\"", "{\"spec\":\"@daily\",\"timezone\":\"UTC\",\"amqp\"");
        let put = edit(&job, &body, mode).unwrap().definition.target.unwrap();
        assert_eq!(put.settings.get("headers"), None, "{mode:?}");
        assert_eq!(put.settings["password"], old.settings["password"], "{mode:?}");
    }
    for mode in [EditMode::Put, EditMode::Patch] {
        let kept = edit(&job, r#"{"retryMax":5}"#, mode).unwrap().definition;
        assert_eq!(kept.target, Some(old.clone()), "{mode:?}: the target stays");
        let url = r#"{"callbackUrl":"http://localhost/"}"#;
        assert_eq!(edit(&job, url, mode).unwrap().definition.target, None, "{mode:?}");
    }
    let other = edit(&job, r#"{"amqp":null,"executorId":3}"#, EditMode::Patch).unwrap();
    assert_eq!((other.definition.target, other.definition.executor), (None, Some(3)));
    let gone = edit(&job, r#"{"amqp":null}"#, EditMode::Patch).unwrap_err();
    assert_eq!(gone.field_name(), Some("callbackUrl"));
    let kept = edit(&job, r#"{"amqp":null}"#, EditMode::Put).unwrap().definition;
    assert_eq!(kept.target, Some(old), "null is as not named");
}

#[test]
fn a_message_is_patched_and_goes_with_its_executor() {
    let job = job(r#"{"projectId":7,"spec":"@daily","timezone":"UTC","data":"d","executorId":3,
        "message":{"routingKey":"a","headers":{"x_a":1},"body":{"n":1}}}"#);
    let message = |body: &str, mode| {
        let message = edit(&job, body, mode).unwrap().definition.message;
        message.map(|message| message.to_string())
    };
    let old = job.definition.message.as_ref().map(std::string::ToString::to_string);
    let body = r#"{"message":{"routing_key":null,"headers":{"b":2},"body":{"m":null}}}"#;
    let patched = r#"{"body":{"m":null},"headers":{"b":2,"x_a":1}}"#;
    assert_eq!(message(body, EditMode::Patch).as_deref(), Some(patched));
    assert_eq!(message(r#"{"message":null}"#, EditMode::Patch), None);
    assert_eq!(message(r#"{"executorId":4}"#, EditMode::Patch), old, "it is not named");
    assert_eq!(message(r#"{"retryMax":5}"#, EditMode::Put), old, "the target stays");
    let same = r#"{"spec":"@hourly","executorId":3}"#;
    assert_eq!(message(same, EditMode::Put), old, "no other target is named");
    assert_eq!(message(r#"{"executorId":4}"#, EditMode::Put), None);
    for body in [r#"{"callbackUrl":"http://localhost/"}"#, r#"{"amqp":{"routingKey":"a"}}"#] {
        for mode in [EditMode::Put, EditMode::Patch] {
            assert_eq!(message(body, mode), None, "{body} {mode:?}");
        }
    }
}

#[test]
fn fields_of_workers_stay_are_cleared_and_are_replaced() {
    let old = job(r#"{"projectId":7,"spec":"@daily","timezone":"UTC","executorId":3,
        "overlap":"queue","maxQueue":5,"startTimeout":5,"cancelTimeout":6,"retryOn":["lost"],
        "workerName":"n","runTimeout":7,"heartbeatTimeout":8}"#);
    let edited = |body, mode| edit(&old, body, mode).unwrap().definition;
    assert_eq!(edited(r#"{"data":"x"}"#, EditMode::Patch), *old.definition);
    let wider = edited(r#"{"maxQueue":9}"#, EditMode::Patch);
    assert_eq!((wider.overlap, wider.max_queue), (Overlap::Queue { most: 9 }, Some(9)));
    let usual = edited(r#"{"maxQueue":null}"#, EditMode::Patch);
    assert_eq!((usual.overlap, usual.max_queue), (Overlap::Queue { most: 1_000 }, None));
    let allows = edited(r#"{"allowConcurrentRuns":true}"#, EditMode::Patch);
    assert_eq!((allows.overlap, allows.max_queue), (Overlap::Allow, Some(5)));
    for clears in [r#"{"overlap":null}"#, r#"{"allowConcurrentRuns":null}"#] {
        assert_eq!(edited(clears, EditMode::Patch).overlap, Overlap::Allow);
    }
    let bare = edited(
        r#"{"startTimeout":null,"cancelTimeout":null,"retryOn":null,"workerName":null,
        "maxQueue":null,"overlap":null,"runTimeout":null,"heartbeatTimeout":null}"#,
        EditMode::Patch,
    );
    assert_eq!((bare.queue_only(), bare.single_only()), (None, None));
    for mode in [EditMode::Put, EditMode::Whole] {
        let replaced = edited(r#"{"spec":"@daily","timezone":"UTC","executorId":3}"#, mode);
        assert_eq!((replaced.queue_only(), replaced.single_only()), (None, None), "{mode:?}");
    }
    let moved = r#"{"http":{"url":"https://a.example/x"}}"#;
    let error = edit(&old, moved, EditMode::Patch).unwrap_err();
    assert_eq!(error.field_name(), Some("startTimeout"), "{error:?}");
    assert!(error.message().contains("clear it with null"), "{error:?}");
}

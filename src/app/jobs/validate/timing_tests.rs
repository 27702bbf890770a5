//! Schedules, zones and dates of requests: what is refused and why, alike by every way in; and what
//! is taken with a warning.

use super::*;
use crate::app::error::ErrorKind;
use crate::app::jobs::validate::batch::Batch;
use crate::app::jobs::validate::edit::{EditMode, edited};
use crate::app::jobs::validate::fixtures::{NOW, add_all, input, read, rules, with};
use crate::app::warnings::Warnings;
use crate::model::job::{Job, JobStatus};
use crate::model::time::rfc3339;

/// The original's message, and the sentence of our own.
fn told(error: &Error) -> String {
    format!("{error:?}").replace('\\', "")
}

fn stored(spec: &str, period: Option<Millis>) -> Job {
    let (definitions, _) = read(&with("x", "1"), rules()).unwrap();
    let definition = JobDefinition { spec: spec.to_owned(), period, ..definitions[0].clone() };
    Job {
        id: 1,
        definition_id: 1,
        definition: definition.into(),
        data: String::new(),
        created: NOW - 1_000,
        anchor: NOW - 1_000,
        from: NOW - 1_000,
        status: JobStatus::Active,
        modified: None,
        external_id: None,
        version: 1,
        modified_by: None,
    }
}

fn edit(job: &Job, body: &str, mode: EditMode) -> Result<(JobDefinition, Vec<String>), Error> {
    let (input, mut warnings) = (input(body), Warnings::default());
    let edit = edited(&rules(), job, &input, mode, &mut warnings)?;
    Ok((edit.definition, warnings.lines()))
}

#[test]
fn a_schedule_that_is_no_good_is_refused_by_every_way_in() {
    let job = stored("@daily", None);
    for (spec, said) in [
        ("@every 0s", "the period \"0s\" is not valid: it is zero; a period is whole seconds, at"),
        (
            "@every -1m",
            "the period \"-1m\" is not valid: it is negative; a period is whole seconds",
        ),
        ("@every 500ms", "it is shorter than a second; a period is whole seconds, at least 1 s"),
        ("@every 1.9s", "it has a fraction of a second, write 1s or 2s; a period is whole seconds"),
        ("@every 1 month", "months and years have no fixed length"),
        (
            "0 12 * * ? *",
            "month field: \"0 12 * * ? *\" looks like a line with the year at its end",
        ),
        ("? * * * *", "minute field: \"?\": ? stands in the day fields only; write *"),
        ("*-5 * * * *", "minute field: \"*-5\" is not understood; write */5"),
        ("1,,2 * * * *", "minute field: \"1,,2\" has a list item that is empty; write 1,2"),
        ("0 0 * * FRI-MON", "write FRI-SAT,SUN-MON"),
    ] {
        let quoted = format!("{spec:?}");
        let message = format!("message: \"job spec is not valid {spec}\"");
        let list = format!("[{},{}]", with("x", "1"), with("spec", &quoted));
        let created = read(&list, rules()).unwrap_err();
        assert!(told(&created).contains("index: Some(1)"), "{}", told(&created));
        let body = with("spec", &quoted);
        let edits =
            [EditMode::Put, EditMode::Patch, EditMode::Whole].map(|mode| edit(&job, &body, mode));
        for error in edits.into_iter().map(Result::unwrap_err).chain([created]) {
            let told = told(&error);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{told}");
            assert!(told.contains("field: Some(\"spec\")"), "{told}");
            assert!(told.contains(&message) && told.contains(said), "{said} is not in {told}");
        }
    }
}

#[test]
fn a_period_may_be_written_as_a_delay_may() {
    for (spec, period) in [
        ("@every 1d", 86_400_000),
        ("@every 2 mins", 120_000),
        ("@every 1 hour 30 minutes", 5_400_000),
        ("@every PT20M", 1_200_000),
        ("CRON_TZ=Asia/Tokyo @every 1h", 3_600_000),
    ] {
        let (definitions, _) = read(&with("spec", &format!("{spec:?}")), rules()).unwrap();
        assert_eq!(definitions[0].period, Some(period), "{spec}");
    }
}

#[test]
fn a_job_that_has_a_schedule_of_an_older_version_can_be_edited() {
    let job = stored("@every 500ms", Some(1_000));
    let (definition, _) = edit(&job, r#"{"data":"new"}"#, EditMode::Patch).unwrap();
    assert_eq!((definition.spec.as_str(), definition.period), ("@every 500ms", Some(1_000)));
    let (definition, _) = edit(&job, r#"{"spec":"@every 1s"}"#, EditMode::Patch).unwrap();
    assert_eq!((definition.spec.as_str(), definition.period), ("@every 1s", Some(1_000)));
}

#[test]
fn a_step_larger_than_its_field_is_taken_with_a_warning() {
    let said = "job spec: minute field: the step of \"*/90\" is larger than its field, so it means \
                0 alone; for a period of 90m write @every 90m";
    let mut batch = Batch::new(rules());
    let body = format!("[{0},{0},{1}]", with("spec", "\"*/90 * * * *\""), with("x", "1"));
    add_all(&mut batch, &body).unwrap();
    assert_eq!(batch.warnings().lines(), [said]);
    assert_eq!(batch.warnings(), Warnings::default());
    for mode in [EditMode::Put, EditMode::Patch, EditMode::Whole] {
        let body = with("spec", "\"*/90 * * * *\"");
        assert_eq!(edit(&stored("@daily", None), &body, mode).unwrap().1, [said]);
    }
    let kept = edit(&stored("*/90 * * * *", None), r#"{"data":"x"}"#, EditMode::Patch).unwrap();
    assert_eq!(kept.1, Vec::<String>::new(), "nobody wrote it now");
}

#[test]
fn a_zone_is_required_in_so_many_words() {
    for zone in ["null", "\"\""] {
        let told = told(&read(&with("timezone", zone), rules()).unwrap_err());
        assert!(
            told.contains("message: \"job timezone is not valid, provided timezone is \""),
            "{told}"
        );
        let sentence =
            "detail: Some(\"timezone is required, such as UTC\"), field: Some(\"timezone\")";
        assert!(told.contains(sentence), "{told}");
    }
    let local = r#"{"projectId":7,"at":"2026-11-21T09:00","callbackUrl":"http://localhost/"}"#;
    let told = told(&read(local, rules()).unwrap_err());
    assert!(told.contains("detail: Some(\"timezone is required, such as UTC: at is a"), "{told}");
}

#[test]
fn first_and_last_date_are_instants_or_local_times_in_the_zone_of_the_job() {
    // The job of the table is in New York.
    for (given, instant) in [
        ("2027-03-01T09:00:00Z", "2027-03-01T09:00:00Z"),
        ("2027-03-01T09:00:00+01:00", "2027-03-01T08:00:00Z"),
        ("2027-03-01T09:00Z", "2027-03-01T09:00:00Z"),
        ("2027-03-01T09:00", "2027-03-01T14:00:00Z"),
        ("2027-03-01 09:00:00", "2027-03-01T14:00:00Z"),
        ("2027-07-01T09:00:00", "2027-07-01T13:00:00Z"),
        ("2100-07-01T09:00:00", "2100-07-01T13:00:00Z"),
        // In a gap; it bounds from the instant after it on.
        ("2027-03-14T02:30", "2027-03-14T07:00:00Z"),
    ] {
        let (definitions, _) = read(&with("start_date", &format!("{given:?}")), rules()).unwrap();
        assert_eq!(definitions[0].start.map(rfc3339).as_deref(), Some(instant), "{given}");
        let skips = format!("{given:?},\"dst\":{{\"gap\":\"skip\"}}");
        let (definitions, _) = read(&with("end_date", &skips), rules()).unwrap();
        assert_eq!(definitions[0].end.map(rfc3339).as_deref(), Some(instant), "{given}");
    }
    // The zone that an edit names is the one that counts.
    let body = r#"{"timezone":"Europe/Berlin","startDate":"2027-03-01T09:00"}"#;
    let (definition, _) = edit(&stored("@daily", None), body, EditMode::Patch).unwrap();
    assert_eq!(definition.start.map(rfc3339).as_deref(), Some("2027-03-01T08:00:00Z"));
    for field in ["startDate", "endDate"] {
        let error = read(&with(field, "\"tomorrow\""), rules()).unwrap_err();
        let told = told(&error);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            told.contains(&format!("job {field} is not valid: time \"tomorrow\" is")),
            "{told}"
        );
        assert!(told.contains("local date and time as in 2026-03-01T09:00:00"), "{told}");
    }
}

#[test]
fn an_instant_of_a_one_off_needs_no_seconds() {
    for (given, instant) in [
        (r#""at":"2027-03-01T09:00","timezone":"Europe/Berlin""#, "2027-03-01T08:00:00Z"),
        (r#""at":"2027-03-01T09:00Z""#, "2027-03-01T09:00:00Z"),
        (r#""at":"2027-03-01T09:00+05:30""#, "2027-03-01T03:30:00Z"),
        (r#""at":"2100-07-01T12:00:00","timezone":"Europe/Berlin""#, "2100-07-01T10:00:00Z"),
    ] {
        let body = format!(r#"{{"projectId":7,"callbackUrl":"http://localhost/",{given}}}"#);
        let (_, jobs) = read(&body, rules()).expect(given);
        assert_eq!(jobs[0].at.map(rfc3339).as_deref(), Some(instant), "{given}");
    }
}

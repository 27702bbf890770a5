//! The table of what may be wrong with a job, and what is said of it.

use super::super::parse;
use super::*;

fn rules() -> Rules {
    Rules { payload_max: 2_000_000, guard: TargetGuard::default(), dialect: Dialect::Snake }
}

fn read(body: &str, rules: Rules) -> Result<(Vec<JobShape>, Vec<NewJob>), Error> {
    let mut batch = Batch::new(rules);
    parse::each(body.as_bytes(), &mut |_, job| batch.add(job))?;
    Ok((batch.shapes, batch.jobs))
}

/// A good job, with one field put in place of another.
fn with(field: &str, value: &str) -> String {
    let mut fields = vec![
        ("project_id", "7"),
        ("spec", "\"@every 1m\""),
        ("timezone", "\"America/New_York\""),
        ("callback_url", "\"http://localhost:3000/callback\""),
        ("data", "\"{}\""),
    ];
    fields.retain(|(name, _)| *name != field);
    fields.push((field, value));
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

#[test]
fn jobs_alike_share_a_shape() {
    let one = with("data", "\"a\"");
    let two = with("spec", "\"@every 2m\"");
    let body = format!("[{one},{one},{two},{one},{}]", with("status", "\"inactive\""));
    let (shapes, jobs) = read(&body, rules()).unwrap();
    assert_eq!(jobs.iter().map(|j| j.shape).collect::<Vec<_>>(), [0, 0, 1, 0, 0]);
    assert_eq!(shapes.iter().map(|s| s.period).collect::<Vec<_>>(), [Some(60_000), Some(120_000)]);
    assert_eq!((shapes[0].project, shapes[0].execution_type.as_str()), (7, "http"));
    assert_eq!((jobs[4].status, jobs[0].data.as_str()), (JobStatus::Inactive, "a"));
}

#[test]
fn what_is_good() {
    for (field, value) in [
        ("spec", "\"*/5 * * * *\""),
        ("spec", "\"0 */5 * * * *\""),
        ("execution_type", "\"\""),
        ("execution_type", "\"http\""),
        ("data", "null"),
        ("retry_max", "100"),
        ("executor_id", "0"),
        ("start_date", "\"2026-01-01T00:00:00+01:00\""),
        ("end_date", "null"),
        ("callback_url", "\"https://10.1.2.3/x?y=z\""),
        ("dst", "{\"gap\":\"skip\"}"),
        ("status", "\"active\""),
    ] {
        assert!(read(&with(field, value), rules()).is_ok(), "{field} {value}");
    }
}

#[test]
fn what_is_wrong_names_its_field() {
    let long = format!("\"{}\"", "x".repeat(5_000));
    for (field, value, camel, message) in [
        ("project_id", "null", "projectId", "job project_id is required"),
        ("project_id", "0", "projectId", "job project_id must be 1 or more"),
        ("spec", "\"\"", "spec", "job spec is not valid "),
        ("spec", "\"* * *\"", "spec", "job spec is not valid * * *"),
        ("spec", "\"0 0 30 2 *\"", "spec", "job spec is not valid 0 0 30 2 *"),
        ("spec", "\"\\u0000\"", "spec", "job spec is not valid \\0"),
        ("spec", &long, "spec", "job spec is not valid xxx"),
        (
            "timezone",
            "\"Mars/Olympus\"",
            "timezone",
            "job timezone is not valid, provided timezone is Mars/Olympus",
        ),
        ("timezone", "null", "timezone", "job timezone is not valid, provided timezone is "),
        ("timezone", &long, "timezone", "job timezone is not valid, provided timezone is xxx"),
        ("callback_url", "\"\"", "callbackUrl", "job callback_url is required"),
        ("callback_url", "\"nowhere\"", "callbackUrl", "job callback_url is not valid"),
        ("callback_url", "\"ftp://a/b\"", "callbackUrl", "job callback_url is not valid"),
        ("callback_url", "\"http://169.254.169.254/\"", "callbackUrl", "job callback_url is not"),
        ("callback_url", "\"http://[fe80::1]/\"", "callbackUrl", "job callback_url is not"),
        ("callback_url", &long, "callbackUrl", "job callback_url is not valid"),
        ("execution_type", "\"amqp\"", "executionType", "job execution_type amqp is not supp"),
        ("start_date", "\"tomorrow\"", "startDate", "job startDate is not valid"),
        ("end_date", "\"2026-13-01T00:00:00Z\"", "endDate", "job endDate is not valid"),
        ("retry_max", "101", "retryMax", "job retry_max must be at most 100"),
        ("status", "\"asleep\"", "status", "job status must be active or inactive"),
        ("created_by", "\"a\\u0007\"", "createdBy", "createdBy has control characters"),
        ("dst", "{\"gap\":\"sideways\"}", "dst", "job dst is not valid"),
    ] {
        let error = read(&format!("[{},{}]", with("x", "1"), with(field, value)), rules());
        let error = error.expect_err(value);
        assert_eq!(error.status(), 400, "{field} {value}");
        let shown = format!("{error:?}");
        assert!(shown.contains(&format!("message: \"{message}")), "{message} is not in {shown}");
        assert!(shown.contains(&format!("field: Some(\"{camel}\"), index: Some(1)")), "{shown}");
    }
}

#[test]
fn an_end_before_the_start_is_refused() {
    let start = "\"2026-01-02T00:00:00Z\",\"end_date\":";
    let ends = |end: &str| with("start_date", &format!("{start}\"{end}\""));
    assert!(read(&ends("2026-01-02T00:00:01Z"), rules()).is_ok());
    let error = read(&ends("2026-01-02T00:00:00Z"), rules()).unwrap_err();
    assert!(format!("{error:?}").contains("field: Some(\"endDate\")"));
}

#[test]
fn a_job_that_fits_into_no_callback_is_413() {
    let small = Rules { payload_max: 2_000, ..rules() };
    let fits = with("data", &format!("\"{}\"", "x".repeat(1_000)));
    let too_long = with("data", &format!("\"{}\"", "x".repeat(1_900)));
    let escapes = with("data", &format!("\"{}\"", "\\u0001".repeat(350)));
    assert!(read(&fits, small).is_ok());
    for job in [too_long, escapes] {
        let error = read(&format!("[{job}]"), small).unwrap_err();
        assert_eq!(error.status(), 413);
        assert!(format!("{error:?}").contains("field: Some(\"data\"), index: Some(0)"));
    }
}

#[test]
fn an_edit_keeps_what_it_does_not_name() {
    let (shapes, jobs) = read(&with("retry_max", "4"), rules()).unwrap();
    let job = Job {
        id: 1,
        shape_id: 1,
        shape: shapes[0].clone().into(),
        data: jobs[0].data.clone(),
        created: 0,
        anchor: 0,
        from: 0,
        status: JobStatus::Active,
        modified: None,
        external_id: None,
        version: 1,
        modified_by: None,
    };
    let edit = |body: &str| edited(&rules(), &job, parse::one(body.as_bytes()).unwrap().0);
    let same = edit("{\"modified_by\":\"me\"}").unwrap();
    assert_eq!((&same.shape, &same.data, same.status), (&shapes[0], &job.data, job.status));
    assert_eq!(same.by.as_deref(), Some("me"));
    let faster = edit("{\"spec\":\"@every 5s\",\"status\":\"inactive\"}").unwrap();
    assert_eq!((faster.shape.period, faster.status), (Some(5_000), JobStatus::Inactive));
    assert_eq!(faster.shape.callback_url, shapes[0].callback_url);
    assert_eq!(edit("{\"spec\":\"0 0 30 2 *\"}").unwrap_err().status(), 400);
    assert_eq!(edit("{\"timezone\":\"Mars\"}").unwrap_err().status(), 400);
    assert_eq!(edit("{\"end_date\":\"x\"}").unwrap_err().status(), 400);
}

/// The README's client posts bodies like this one. Run it optimised:
/// `cargo test --release --lib read_and_checked -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, for an optimised build"]
fn a_thousand_jobs_are_read_and_checked_fast() {
    let row = |i: usize| {
        format!(
            "{{\"spec\":\"@every 1m\",\"project_id\":7,\"execution_type\":\"http\",\
             \"data\":\"{{\\\"jobId\\\":{i}}}\",\"timezone\":\"America/New_York\",\
             \"callback_url\":\"http://localhost:3000/callback\"}}"
        )
    };
    let alike = format!("[{}]", (0..1_000).map(row).collect::<Vec<_>>().join(","));
    let distinct: Vec<_> =
        (0..1_000).map(|i| row(i).replace("3000/", &format!("3000/{i}"))).collect();
    for (name, body) in [("alike", alike), ("distinct", format!("[{}]", distinct.join(",")))] {
        let mut best = f64::MAX;
        for _ in 0..50 {
            let begun = std::time::Instant::now();
            let (shapes, jobs) = read(&body, rules()).unwrap();
            best = best.min(begun.elapsed().as_secs_f64());
            assert_eq!((jobs.len(), shapes.is_empty()), (1_000, false));
        }
        println!("{name}: {:.0} jobs/s", 1_000.0 / best);
        assert!(best < 0.010, "{name}: {best} s for 1,000 jobs");
    }
}

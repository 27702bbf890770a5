//! The table of what may be wrong with a job, and what is said of it.

use super::super::parse;
use super::*;
use crate::cluster::MAX_COMMAND;
use crate::command::{Command, CreateJobs};
use crate::model::delivery::{Delivery, Overlap};
use crate::model::job::Timing;

/// 2026-11-20T20:00:00Z.
pub(in crate::api::jobs) const NOW: Millis = 1_795_204_800_000;

pub(in crate::api::jobs) fn rules() -> Rules {
    Rules {
        payload_max: 2_000_000,
        guard: TargetGuard::default(),
        casing: Casing::Snake,
        keys: Arc::new(Keys::new(&"5e".repeat(32), "node", "pass").unwrap()),
        now: NOW,
        grace: 60_000,
        max_timeout: Duration::from_mins(5),
    }
}

pub(in crate::api::jobs) fn read(
    body: &str,
    rules: Rules,
) -> Result<(Vec<JobDefinition>, Vec<NewJob>), Error> {
    let mut batch = Batch::new(rules);
    parse::each(body.as_bytes(), &mut |_, job| batch.add(job))?;
    Ok((batch.definitions, batch.jobs))
}

/// A good job, with one field put in place of another.
pub(in crate::api::jobs) fn with(field: &str, value: &str) -> String {
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
fn jobs_alike_share_a_definition() {
    let one = with("data", "\"a\"");
    let two = with("spec", "\"@every 2m\"");
    let body = format!("[{one},{one},{two},{one},{}]", with("status", "\"inactive\""));
    let (definitions, jobs) = read(&body, rules()).unwrap();
    assert_eq!(jobs.iter().map(|j| j.definition).collect::<Vec<_>>(), [0, 0, 1, 0, 0]);
    assert_eq!(
        definitions.iter().map(|s| s.period).collect::<Vec<_>>(),
        [Some(60_000), Some(120_000)]
    );
    assert_eq!((definitions[0].project, definitions[0].execution_type.as_str()), (7, "http"));
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
        ("jitter", "\"30s\""),
        ("misfire", "{\"policy\":\"all\",\"max\":5}"),
        ("retry_delay", "5"),
        ("retryFactor", "1.5"),
        ("retry_max_delay", "\"PT1H\""),
        ("timeout", "\"1m30s\""),
        ("overlap", "\"allow\""),
        ("delete_after_run", "false"),
        ("labels", "{\"team\":\"a\"}"),
        ("external_id", "\"nightly/1\""),
        ("pause_until", "\"2026-11-20T16:00:00\""),
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
        ("jitter", "\"a while\"", "jitter", "jitter is not understood"),
        ("jitter", "\"25h\"", "jitter", "jitter must be from 0s to 24h"),
        ("misfire", "\"all\"", "misfire", "job misfire must be an object"),
        ("misfire", "{\"policy\":\"some\"}", "misfire", "job misfire is not valid"),
        ("misfire", "{\"grace\":-1}", "misfire.grace", "misfire.grace must be from"),
        ("retry_delay", "-1", "retryDelay", "retryDelay must be from"),
        ("retry_factor", "0.5", "retryFactor", "job retryFactor must be a number from 1 to 100"),
        ("timeout", "0", "timeout", "timeout must be from 1ms"),
        ("overlap", "\"wait\"", "overlap", "job overlap must be allow, skip, queue_one"),
        ("delete_after_run", "1", "deleteAfterRun", "job deleteAfterRun must be true or false"),
        ("labels", "[\"a\"]", "labels", "job labels must be an object of texts"),
        ("labels", "{\"a b\":\"\"}", "labels", "labels: the key a b is not valid"),
        ("external_id", "\"a\\u0000\"", "externalId", "externalId has control characters"),
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
    let start = "\"2027-01-02T00:00:00Z\",\"end_date\":";
    let ends = |end: &str| with("start_date", &format!("{start}\"{end}\""));
    assert!(read(&ends("2027-01-02T00:01:01Z"), rules()).is_ok());
    assert!(read(&ends("2027-01-02T00:00:00Z"), rules()).is_ok(), "one run");
    let error = read(&ends("2027-01-01T23:59:59Z"), rules()).unwrap_err();
    assert!(format!("{error:?}").contains("field: Some(\"endDate\")"));
}

#[test]
fn a_new_job_that_would_never_fire_is_refused() {
    // It is 20:00 in UTC, 15:00 in New York.
    for (spec, end, said) in [
        (
            "@every 1m",
            "2026-11-20T19:59:59Z",
            "understood as 2026-11-20T19:59:59Z, which has passed",
        ),
        (
            "@every 1m",
            "2026-11-20T20:00:59Z",
            "before the first occurrence at 2026-11-20T20:01:00Z",
        ),
        ("@every 1m", "2026-11-20T20:01:00Z", ""),
        (
            "0 15 * * *",
            "2026-11-21T19:00:00Z",
            "before the first occurrence at 2026-11-21T20:00:00Z",
        ),
        ("0 15 * * *", "2026-11-21T20:00:00Z", ""),
        ("H 15 * * *", "2026-11-20T20:00:01Z", ""),
    ] {
        let body = with("spec", &format!("\"{spec}\",\"end_date\":\"{end}\""));
        match read(&body, rules()) {
            Ok(_) => assert_eq!(said, "", "{body}"),
            Err(error) => {
                let shown = format!("{error:?}");
                assert_eq!(error.status(), 422, "{shown}");
                assert!(shown.contains("field: Some(\"endDate\")"), "{shown}");
                assert!(!said.is_empty() && shown.contains(said), "{body}: {shown}");
            }
        }
    }
}

#[test]
fn a_job_that_fits_into_no_callback_is_413() {
    let small = Rules { payload_max: 2_000, ..rules() };
    let fits = with("data", &format!("\"{}\"", "x".repeat(1_000)));
    let too_long = with("data", &format!("\"{}\"", "x".repeat(1_900)));
    let escapes = with("data", &format!("\"{}\"", "\\u0001".repeat(350)));
    assert!(read(&fits, small.clone()).is_ok());
    for job in [too_long, escapes] {
        let error = read(&format!("[{job}]"), small.clone()).unwrap_err();
        assert_eq!(error.status(), 413);
        assert!(format!("{error:?}").contains("field: Some(\"data\"), index: Some(0)"));
    }
}

#[test]
fn a_job_may_be_as_large_as_the_log_and_a_call_have_room() {
    let sized = |length: usize| with("data", &format!("\"{}\"", "x".repeat(length)));
    let (definitions, _) = read(&sized(0), rules()).unwrap();
    let most = MOST_BYTES - definition_bytes(&definitions[0]);
    let (definitions, jobs) = read(&sized(most), rules()).unwrap();
    let create = CreateJobs { request: u128::MAX, definitions, jobs, staged: false };
    let command = Box::new(Command::CreateJobs(create));
    let once = Command::Once { key: [255; 32], body: [255; 32], command };
    assert!(once.encode().unwrap().len() < MAX_COMMAND);
    let error = read(&sized(most + 1), rules()).unwrap_err();
    assert_eq!(error.status(), 413);
    let shown = format!("{error:?}");
    let says = format!(
        "job data is too large: with its {} bytes the job has 1000001, at most 1000000 are allowed",
        most + 1
    );
    assert!(shown.contains(&says) && shown.contains("field: Some(\"data\")"), "{shown}");
}

#[test]
fn a_url_with_blanks_control_characters_or_placeholders_is_refused() {
    for (url, says) in [
        (" http://localhost/", "begins or ends with a blank"),
        ("http://localhost/ ", "begins or ends with a blank"),
        ("http://local\\thost/", "control characters"),
        ("http://localhost/\\r\\nX: y", "control characters"),
        ("http://localhost/\\u0000", "control characters"),
        ("http://localhost/a b", "encode them as %20"),
        ("http://localhost/\\u2003", "blank"),
        ("http://local{host}/", "not in its host"),
        ("http://localhost:0/", "port 0"),
        ("http://localhost/{{data}}", "placeholders are for http.url"),
        ("http://{{data}}/", "placeholders are for http.url"),
    ] {
        let error = read(&with("callback_url", &format!("\"{url}\"")), rules()).unwrap_err();
        let shown = format!("{error:?}");
        assert_eq!(error.status(), 400, "{url}");
        assert!(shown.contains(says) && shown.contains("Some(\"callbackUrl\")"), "{url}: {shown}");
        let http = bare(&format!("{SPEC},\"http\":{{\"url\":\"{url}\"}}"));
        if !url.contains("/{{") {
            let shown = format!("{:?}", read(&http, rules()).unwrap_err());
            assert!(shown.contains("Some(\"http.url\")"), "{url}: {shown}");
        }
    }
}

#[test]
fn a_job_whose_request_cannot_be_rendered_is_refused_whatever_its_target_repeats() {
    let repeated = "{{data}}".repeat(17);
    let query: Vec<_> = (0..58).map(|n| format!("\"n{n:02}\":\"{repeated}\"")).collect();
    let query = format!("{{\"url\":\"http://localhost/\",\"query\":{{{}}}}}", query.join(","));
    let header = r#"{"url":"http://localhost/","headers":{"X-A":"{{data}}"}}"#;
    let five = r#"{"url":"http://localhost/","headers":{"a":"{{data}}","b":"{{data}}",
        "c":"{{data}}","d":"{{data}}","e":"{{data}}"}}"#;
    let segment = r#"{"url":"http://localhost/tenants/{{data}}"}"#;
    let small = r#"{"url":"http://localhost/","body":"{{data}}{{data}}"}"#;
    let fragment = r#"{"url":"http://localhost/#{{data}}"}"#;
    let long = |n: usize| "x".repeat(n);
    for (http, data, status, field, says) in [
        (&*query, "é".repeat(450_000), 422, "http.url", "16384"),
        (&query, long(17), 422, "http.url", "16384"),
        (fragment, long(17_000), 422, "http.url", "16384"),
        (header, long(8_190), 422, "http.headers", "8192"),
        (header, "a\\nb".to_owned(), 422, "http.headers", "one line"),
        (five, long(7_000), 422, "http.headers", "32768"),
        (segment, String::new(), 422, "http.url", "empty, . or .."),
        (segment, "..".to_owned(), 422, "http.url", "empty, . or .."),
        (small, long(500_001), 413, "data", "HTTPExecutorPayloadMaxSizeMb allows 1000000"),
    ] {
        let body = bare(&format!("{SPEC},\"http\":{http},\"data\":\"{data}\""));
        let rules = Rules { payload_max: 1_000_000, ..rules() };
        let error = read(&format!("[{body}]"), rules).unwrap_err();
        let shown = format!("{error:?}");
        assert_eq!(error.status(), status, "{shown}");
        assert!(shown.contains(&format!("field: Some(\"{field}\")")), "{field}: {shown}");
        assert!(shown.contains(says), "{says}: {shown}");
        assert!(shown.len() < 1_000, "no message repeats the data");
    }
    for (http, data) in [
        (&*query, "x".to_owned()),
        (header, long(8_189)),
        (segment, "7".to_owned()),
        (small, long(400_000)),
    ] {
        let body = bare(&format!("{SPEC},\"http\":{http},\"data\":\"{data}\""));
        assert!(read(&body, rules()).is_ok(), "{http}");
    }
}

/// A job without a schedule and a target, and what is put beside them.
fn bare(rest: &str) -> String {
    format!("{{\"projectId\":7,{rest}}}")
}

const URL: &str = "\"callbackUrl\":\"http://localhost/\"";
const SPEC: &str = "\"spec\":\"@daily\",\"timezone\":\"UTC\"";

#[test]
fn a_one_off_has_an_instant_and_a_zone() {
    let berlin = "\"timezone\":\"Europe/Berlin\"";
    for (given, at, timing, zone) in [
        ("\"at\":\"2026-11-21T09:00:00+01:00\"", Some(43_200_000), Timing::At, "UTC"),
        (
            &format!("\"at\":\"2026-11-21 09:00\",{berlin}"),
            Some(43_200_000),
            Timing::At,
            "Europe/Berlin",
        ),
        // Within the grace.
        ("\"at\":\"2026-11-20T19:59:00Z\"", Some(-60_000), Timing::At, "UTC"),
        (
            "\"at\":\"2026-11-20T19:00:00Z\",\"misfire\":{\"grace\":\"2h\"}",
            Some(-3_600_000),
            Timing::At,
            "UTC",
        ),
        ("\"after\":\"20m\"", None, Timing::After(1_200_000), "UTC"),
        ("\"after\":\"1 hour 30 minutes\",\"spec\":\"\"", None, Timing::After(5_400_000), "UTC"),
        ("\"after\":\"PT20M\",\"deleteAfterRun\":true", None, Timing::After(1_200_000), "UTC"),
        ("\"after\":\"0\"", None, Timing::After(0), "UTC"),
    ] {
        let (definitions, jobs) = read(&bare(&format!("{URL},{given}")), rules()).expect(given);
        assert_eq!(jobs[0].at, at.map(|at| NOW + at), "{given}");
        assert_eq!((definitions[0].timing, &*definitions[0].timezone), (timing, zone), "{given}");
        assert!(definitions[0].spec.is_empty() && definitions[0].period.is_none(), "{given}");
    }
    let two = [
        bare(&format!("{URL},\"at\":\"2026-11-21T09:00:00Z\"")),
        bare(&format!("{URL},\"at\":\"2026-11-22T09:00:00Z\"")),
    ];
    let (definitions, jobs) = read(&format!("[{}]", two.join(",")), rules()).unwrap();
    assert_eq!(definitions.len(), 1, "instants are the jobs' own");
    assert_eq!(jobs[1].at.unwrap() - jobs[0].at.unwrap(), 86_400_000);
}

#[test]
fn what_does_not_go_together_is_422_and_named() {
    let http = "\"http\":{\"url\":\"http://localhost/\"}";
    let token = "\"http\":{\"url\":\"http://localhost/{{secret}}\"}";
    for (given, status, field, said) in [
        (format!("{URL},{SPEC},\"after\":\"1m\""), 422, "after", "found spec and after"),
        (format!("{URL},\"at\":\"x\",\"after\":\"1m\""), 422, "after", "found at and after"),
        (URL.to_owned(), 400, "spec", "found none of them"),
        (format!("{URL},\"at\":null,\"after\":null"), 400, "spec", "found none of them"),
        (format!("{URL},\"at\":\"soon\""), 422, "at", "write RFC 3339"),
        (format!("{URL},\"at\":\"2026-11-21T09:00:00\""), 400, "timezone", "local time"),
        (
            format!("{URL},\"at\":\"2026-11-20T19:58:59Z\""),
            422,
            "at",
            "understood as 2026-11-20T19:58:59Z, which has passed by more than the grace of 1m",
        ),
        (
            format!(
                "{URL},\"at\":\"2027-03-28T02:30\",\"timezone\":\"Europe/Berlin\",\"dst\":{{\"gap\":\"skip\"}}"
            ),
            422,
            "at",
            "jump over",
        ),
        (
            format!("{URL},\"at\":\"2026-11-21T09:00Z\",\"timezone\":\"Mars\""),
            400,
            "timezone",
            "Mars",
        ),
        (format!("{URL},\"after\":20"), 422, "after", "20 has no unit"),
        (format!("{URL},\"after\":0"), 200, "", ""),
        (format!("{URL},\"after\":\"20\""), 422, "after", "no unit"),
        (format!("{URL},\"after\":\"1 month\""), 422, "after", "months"),
        (format!("{URL},\"after\":{{}}"), 422, "after", "write a duration"),
        (format!("{URL},\"after\":\"2000000h\",\"at\":null"), 200, "", ""),
        (format!("{URL},\"after\":\"-1m\""), 422, "after", "negative"),
        (
            format!("{URL},\"after\":\"1m\",\"endDate\":\"2027-01-01T00:00:00Z\""),
            422,
            "endDate",
            "bounds a spec",
        ),
        (format!("{URL},{SPEC},\"deleteAfterRun\":true"), 422, "deleteAfterRun", "never over"),
        (format!("{URL},{SPEC},\"overlap\":\"skip\""), 422, "overlap", "needs an http target"),
        (format!("{URL},{SPEC},\"runTimeout\":60"), 422, "runTimeout", "needs an http target"),
        (format!("{http},{SPEC},\"overlap\":\"queue_one\",\"heartbeatTimeout\":9"), 200, "", ""),
        (format!("{http},{URL},{SPEC}"), 422, "http", "found callbackUrl and http"),
        (format!("{http},\"executorId\":3,{SPEC}"), 422, "executorId", "found http and executorId"),
        (format!("\"callbackUrl\":\"\",\"executorId\":3,{SPEC}"), 200, "", ""),
        (format!("\"executorId\":0,{SPEC}"), 400, "callbackUrl", "give one of callbackUrl, http"),
        (format!("{token},{SPEC}"), 422, "http.url", "{{secret}}"),
        (format!("\"http\":5,{SPEC}"), 400, "http", "must be an object"),
        (
            format!("\"timeout\":1,\"http\":{{\"url\":\"http://a/\",\"timeout\":2}},{SPEC}"),
            422,
            "timeout",
            "not both",
        ),
        (
            format!("{URL},{SPEC},\"pauseUntil\":\"2026-11-20T20:00:00Z\""),
            422,
            "pauseUntil",
            "has passed",
        ),
        (format!("{URL},{SPEC},\"pauseUntil\":\"later\""), 422, "pauseUntil", "write RFC 3339"),
        (
            format!("{URL},{SPEC},\"externalId\":\"{}\"", "x".repeat(256)),
            400,
            "externalId",
            "longer",
        ),
    ] {
        let body = bare(&given);
        match read(&body, rules()) {
            Ok(_) => assert_eq!(status, 200, "{body}"),
            Err(error) => {
                let shown = format!("{error:?}");
                assert_eq!(error.status(), status, "{body}: {shown}");
                assert!(shown.contains(&format!("field: Some({field:?})")), "{body}: {shown}");
                assert!(shown.contains(said), "{body}: {shown}");
            }
        }
    }
}

#[test]
fn what_few_jobs_have_ends_in_the_definition() {
    let body = bare(&format!(
        "{SPEC},\"http\":{{\"method\":\"put\",\"url\":\"http://localhost/{{{{jobId}}}}\",\"timeout\":\"5s\",\
         \"auth\":{{\"type\":\"bearer\",\"token\":\"s3cret\"}}}},\"jitter\":\"1m\",\"retryDelay\":2,\
         \"retryFactor\":1.5,\"retryMaxDelay\":\"1h\",\"overlap\":\"skip\",\"runTimeout\":\"1h\",\
         \"heartbeatTimeout\":30,\"misfire\":{{\"policy\":\"skip\",\"window\":\"1h\"}},\
         \"labels\":{{\"a\":\"b\"}},\"status\":\"inactive\",\"pauseUntil\":\"2026-11-21T00:00:00Z\",\
         \"externalId\":\"e\""
    ));
    let (definitions, jobs) = read(&format!("[{body}]"), rules()).unwrap();
    let definition = &definitions[0];
    let http = definition.http.as_deref().unwrap();
    assert_eq!((http.method.as_str(), definition.callback_url.as_str()), ("PUT", ""));
    assert!(!format!("{definition:?}").contains("s3cret"), "sealed");
    assert_eq!((definition.jitter, definition.run_timeout), (60_000, Some(3_600_000)));
    let delivery = Delivery {
        retry_max: None,
        retry_delay: Some(2_000),
        retry_factor: Some(1_500),
        retry_max_delay: Some(3_600_000),
        timeout: Some(5_000),
    };
    assert_eq!((definition.delivery, definition.heartbeat_timeout), (delivery, Some(30_000)));
    assert_eq!((definition.overlap, definition.misfire.window), (Overlap::Skip, Some(3_600_000)));
    assert_eq!(definition.labels["a"], "b");
    let paused = (jobs[0].status, jobs[0].pause_until, jobs[0].external_id.as_deref());
    assert_eq!(paused, (JobStatus::Active, Some(NOW + 14_400_000), Some("e")));
    let twice = read(&format!("[{body},{body}]"), rules()).unwrap_err();
    assert!(format!("{twice:?}").contains("field: Some(\"externalId\"), index: Some(1)"));
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
            let (definitions, jobs) = read(&body, rules()).unwrap();
            best = best.min(begun.elapsed().as_secs_f64());
            assert_eq!((jobs.len(), definitions.is_empty()), (1_000, false));
        }
        println!("{name}: {:.0} jobs/s", 1_000.0 / best);
        assert!(best < 0.010, "{name}: {best} s for 1,000 jobs");
    }
}

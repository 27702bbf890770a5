//! The table of what may be wrong with a job, and what is said of it.

use super::*;
use crate::app::error::ErrorKind;
use crate::app::jobs::validate::fixtures::{SPEC, bare, read, rules, with};
use crate::app::jobs::validate::payload::{MOST_BYTES, definition_bytes};
use crate::cluster::MAX_COMMAND;
use crate::command::{Command, CreateJobs, LEVEL};
use crate::model::actor::ActorRef;

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
        ("execution_type", "\"grpc\"", "executionType", "job execution_type grpc is not supp"),
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
        let kind = match value {
            "\"http://169.254.169.254/\"" | "\"http://[fe80::1]/\"" => ErrorKind::TargetNotAllowed,
            _ => ErrorKind::Invalid,
        };
        assert_eq!(error.kind(), kind, "{field} {value}");
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
                assert_eq!(error.kind(), ErrorKind::Unprocessable, "{shown}");
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
        assert_eq!(error.kind(), ErrorKind::TooLarge);
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
    // The actor with the longest names.
    let [issuer, subject, name] = [512, 255, 128].map(|bytes| "x".repeat(bytes));
    let proposal = once.asked_by(ActorRef::Token { issuer, subject, name });
    assert!(proposal.encode(LEVEL).unwrap().len() < MAX_COMMAND);
    let error = read(&sized(most + 1), rules()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let shown = format!("{error:?}");
    let says = format!(
        "job data is too large: with its {} bytes the job has 1000001, at most 1000000 are allowed",
        most + 1
    );
    assert!(shown.contains(&says) && shown.contains("field: Some(\"data\")"), "{shown}");
}

#[test]
fn the_log_has_room_for_a_job_however_its_fields_are_escaped() {
    let control = "\\u0001".repeat(64 * 1_024);
    let sized = |length: usize| {
        let data = "x".repeat(length);
        bare(&format!(
            "{SPEC},\"executorId\":3,\"message\":{{\"body\":\"{control}\"}},\"data\":\"{data}\""
        ))
    };
    let (definitions, _) = read(&sized(0), rules()).unwrap();
    let fields = definition_bytes(&definitions[0]);
    assert!(fields > 6 * 64 * 1_024, "each byte is written as six");
    assert!(read(&sized(MOST_BYTES - fields), rules()).is_ok());
    let error = read(&sized(MOST_BYTES - fields + 1), rules()).unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::TooLarge, Some("data")));
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
        assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
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
    for (http, data, kind, field, says) in [
        (&*query, "é".repeat(450_000), ErrorKind::Unprocessable, "http.url", "16384"),
        (&query, long(17), ErrorKind::Unprocessable, "http.url", "16384"),
        (fragment, long(17_000), ErrorKind::Unprocessable, "http.url", "16384"),
        (header, long(8_190), ErrorKind::Unprocessable, "http.headers", "8192"),
        (header, "a\\nb".to_owned(), ErrorKind::Unprocessable, "http.headers", "one line"),
        (five, long(7_000), ErrorKind::Unprocessable, "http.headers", "32768"),
        (segment, String::new(), ErrorKind::Unprocessable, "http.url", "empty, . or .."),
        (segment, "..".to_owned(), ErrorKind::Unprocessable, "http.url", "empty, . or .."),
        (
            small,
            long(500_001),
            ErrorKind::TooLarge,
            "data",
            "HTTPExecutorPayloadMaxSizeMb allows 1000000",
        ),
    ] {
        let body = bare(&format!("{SPEC},\"http\":{http},\"data\":\"{data}\""));
        let rules = Rules { payload_max: 1_000_000, ..rules() };
        let error = read(&format!("[{body}]"), rules).unwrap_err();
        let shown = format!("{error:?}");
        assert_eq!(error.kind(), kind, "{shown}");
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

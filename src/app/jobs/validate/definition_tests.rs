//! One-offs, fields that do not go together, and the fields that few jobs have.

use crate::app::error::ErrorKind::{Invalid, Unprocessable};
use crate::app::jobs::validate::fixtures::{NOW, SPEC, URL, bare, read, rules};
use crate::model::delivery::{Delivery, Overlap};
use crate::model::job::JobStatus;
use crate::model::job::Timing;
use crate::model::run_terms::RetryOn;

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
fn what_does_not_go_together_is_refused_and_named() {
    let http = "\"http\":{\"url\":\"http://localhost/\"}";
    let token = "\"http\":{\"url\":\"http://localhost/{{secret}}\"}";
    for (given, kind, field, said) in [
        (
            format!("{URL},{SPEC},\"after\":\"1m\""),
            Some(Unprocessable),
            "after",
            "found spec and after",
        ),
        (
            format!("{URL},\"at\":\"x\",\"after\":\"1m\""),
            Some(Unprocessable),
            "after",
            "found at and after",
        ),
        (URL.to_owned(), Some(Invalid), "spec", "found none of them"),
        (format!("{URL},\"at\":null,\"after\":null"), Some(Invalid), "spec", "found none of them"),
        (format!("{URL},\"at\":\"soon\""), Some(Unprocessable), "at", "write RFC 3339"),
        (format!("{URL},\"at\":\"2026-11-21T09:00:00\""), Some(Invalid), "timezone", "local time"),
        (
            format!("{URL},\"at\":\"2026-11-20T19:58:59Z\""),
            Some(Unprocessable),
            "at",
            "understood as 2026-11-20T19:58:59Z, which has passed by more than the grace of 1m",
        ),
        (
            format!(
                "{URL},\"at\":\"2027-03-28T02:30\",\"timezone\":\"Europe/Berlin\",\"dst\":{{\"gap\":\"skip\"}}"
            ),
            Some(Unprocessable),
            "at",
            "jump over",
        ),
        (
            format!("{URL},\"at\":\"2026-11-21T09:00Z\",\"timezone\":\"Mars\""),
            Some(Invalid),
            "timezone",
            "Mars",
        ),
        (format!("{URL},\"after\":20"), Some(Unprocessable), "after", "20 has no unit"),
        (format!("{URL},\"after\":0"), None, "", ""),
        (format!("{URL},\"after\":\"20\""), Some(Unprocessable), "after", "no unit"),
        (format!("{URL},\"after\":\"1 month\""), Some(Unprocessable), "after", "months"),
        (format!("{URL},\"after\":{{}}"), Some(Unprocessable), "after", "write a duration"),
        (format!("{URL},\"after\":\"2000000h\",\"at\":null"), None, "", ""),
        (format!("{URL},\"after\":\"-1m\""), Some(Unprocessable), "after", "negative"),
        (
            format!("{URL},\"after\":\"1m\",\"endDate\":\"2027-01-01T00:00:00Z\""),
            Some(Unprocessable),
            "endDate",
            "bounds a spec",
        ),
        (
            format!("{URL},{SPEC},\"deleteAfterRun\":true"),
            Some(Unprocessable),
            "deleteAfterRun",
            "never over",
        ),
        (
            format!("{URL},{SPEC},\"overlap\":\"skip\""),
            Some(Unprocessable),
            "overlap",
            "needs an http target",
        ),
        (
            format!("{URL},{SPEC},\"runTimeout\":60"),
            Some(Unprocessable),
            "runTimeout",
            "needs an http target",
        ),
        (format!("{http},{SPEC},\"overlap\":\"queue_one\",\"heartbeatTimeout\":9"), None, "", ""),
        (format!("{http},{URL},{SPEC}"), Some(Unprocessable), "http", "found callbackUrl and http"),
        (
            format!("{http},\"executorId\":3,{SPEC}"),
            Some(Unprocessable),
            "executorId",
            "found http and executorId",
        ),
        (format!("\"callbackUrl\":\"\",\"executorId\":3,{SPEC}"), None, "", ""),
        (
            format!("\"executorId\":0,{SPEC}"),
            Some(Invalid),
            "callbackUrl",
            "give one of callbackUrl, http",
        ),
        (format!("{token},{SPEC}"), Some(Unprocessable), "http.url", "{{secret}}"),
        (format!("\"http\":5,{SPEC}"), Some(Invalid), "http", "must be an object"),
        (
            format!("\"timeout\":1,\"http\":{{\"url\":\"http://a/\",\"timeout\":2}},{SPEC}"),
            Some(Unprocessable),
            "timeout",
            "not both",
        ),
        (
            format!("{URL},{SPEC},\"pauseUntil\":\"2026-11-20T20:00:00Z\""),
            Some(Unprocessable),
            "pauseUntil",
            "has passed",
        ),
        (
            format!("{URL},{SPEC},\"pauseUntil\":\"later\""),
            Some(Unprocessable),
            "pauseUntil",
            "write RFC 3339",
        ),
        (
            format!("{URL},{SPEC},\"externalId\":\"{}\"", "x".repeat(256)),
            Some(Invalid),
            "externalId",
            "longer",
        ),
    ] {
        let body = bare(&given);
        match read(&body, rules()) {
            Ok(_) => assert_eq!(kind, None, "{body}"),
            Err(error) => {
                let shown = format!("{error:?}");
                assert_eq!(Some(error.kind()), kind, "{body}: {shown}");
                assert!(shown.contains(&format!("field: Some({field:?})")), "{body}: {shown}");
                assert!(shown.contains(said), "{body}: {shown}");
            }
        }
    }
}

#[test]
fn settings_of_a_kind_are_the_fourth_target() {
    let own = r#""amqp":{"routing_key":"a","password":"hush"}"#;
    let message = r#""message":{"routing_key":"b","headers":{"x_a":1}}"#;
    for (given, kind, field, said) in [
        (format!("{own},{SPEC}"), None, "", ""),
        (format!("{own},{SPEC},\"executionType\":\"amqp\""), None, "", ""),
        (format!("{own},{SPEC},\"executionType\":\"http\""), None, "", ""),
        (format!("\"executorId\":3,{SPEC},\"executionType\":\"amqp\",{message}"), None, "", ""),
        (
            format!("{URL},{SPEC},\"executionType\":\"amqp\""),
            Some(Unprocessable),
            "executionType",
            "does not fit its target",
        ),
        (
            format!("{own},{SPEC},\"executionType\":\"other\""),
            Some(Unprocessable),
            "executionType",
            "give other",
        ),
        (
            format!("{own},{SPEC},\"executionType\":\"pigeon\""),
            Some(Invalid),
            "executionType",
            "use http or amqp",
        ),
        (format!("{own},{URL},{SPEC}"), Some(Unprocessable), "amqp", "callbackUrl and amqp"),
        (
            format!("{own},\"executorId\":3,{SPEC}"),
            Some(Unprocessable),
            "executorId",
            "found amqp and executorId",
        ),
        (SPEC.to_owned(), Some(Invalid), "callbackUrl", "callbackUrl, http, amqp and executorId"),
        (
            format!("\"amqp\":{{\"routingKey\":\"\"}},{SPEC}"),
            Some(Invalid),
            "amqp.routingKey",
            "is required",
        ),
        (
            format!("\"amqp\":{{\"routingKey\":\"a\",\"routing_key\":\"b\"}},{SPEC}"),
            Some(Invalid),
            "amqp",
            "in both casings",
        ),
        (
            format!("{own},{SPEC},\"overlap\":\"skip\""),
            Some(Unprocessable),
            "overlap",
            "the confirm is the end",
        ),
        (
            format!("{own},{SPEC},\"heartbeatTimeout\":1"),
            Some(Unprocessable),
            "heartbeatTimeout",
            "the confirm is the end",
        ),
        (format!("{own},{SPEC},{message}"), Some(Unprocessable), "message", "goes with executorId"),
        (format!("{URL},{SPEC},{message}"), Some(Unprocessable), "message", "goes with executorId"),
        (
            format!("\"executorId\":3,{SPEC},\"message\":5"),
            Some(Invalid),
            "message",
            "must be an object",
        ),
    ] {
        let body = bare(&given);
        match read(&body, rules()) {
            Ok(_) => assert_eq!(kind, None, "{body}"),
            Err(error) => {
                assert_eq!(Some(error.kind()), kind, "{body}: {error:?}");
                assert_eq!(error.field_name(), Some(field), "{body}: {error:?}");
                assert!(error.detail().contains(said), "{body}: {error:?}");
            }
        }
    }
    let (definitions, _) = read(&bare(&format!("{own},{SPEC}")), rules()).unwrap();
    let target = definitions[0].target.as_deref().unwrap();
    assert_eq!((target.kind.as_str(), &target.settings["routingKey"]), ("amqp", &"a".into()));
    assert!(!format!("{definitions:?}").contains("hush"), "sealed");
    let named = format!("\"executorId\":3,{SPEC},{message}");
    let (definitions, _) = read(&bare(&named), rules()).unwrap();
    let message = definitions[0].message.as_deref().unwrap();
    assert_eq!(message.to_string(), r#"{"headers":{"x_a":1},"routingKey":"b"}"#);
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

#[test]
fn fields_of_workers_end_in_the_definition() {
    let queue = "\"executorId\":3";
    let body = bare(&format!(
        "{queue},{SPEC},\"maxQueue\":5,\"overlap\":\"queue\",\"start_timeout\":\"5m\",\
         \"cancelTimeout\":30,\"retryOn\":[\"lost\"],\"workerName\":\"nightly\""
    ));
    let (definitions, _) = read(&body, rules()).unwrap();
    let definition = &definitions[0];
    assert_eq!(definition.overlap, Overlap::Queue { most: 5 });
    assert_eq!((definition.max_queue, definition.start_timeout), (Some(5), Some(300_000)));
    assert_eq!(definition.cancel_timeout, Some(30_000));
    assert_eq!(definition.retry_on, Some(RetryOn { lost: true, ..RetryOn::default() }));
    assert_eq!(definition.worker_name.as_deref(), Some("nightly"));
    for (given, overlap) in [
        ("\"overlap\":\"queue\"", Overlap::Queue { most: 1_000 }),
        ("\"overlap\":\"queue\",\"maxQueue\":0", Overlap::Queue { most: u32::MAX }),
        ("\"allowConcurrentRuns\":false,\"maxQueue\":2", Overlap::Queue { most: 2 }),
        ("\"allow_concurrent_runs\":true,\"maxQueue\":2", Overlap::Allow),
        ("\"maxQueue\":2", Overlap::Allow),
    ] {
        let (definitions, _) = read(&bare(&format!("{queue},{SPEC},{given}")), rules()).unwrap();
        assert_eq!(definitions[0].overlap, overlap, "{given}");
    }
}

#[test]
fn each_wrong_field_of_workers_is_named_with_its_fix() {
    let (queue, http) = ("\"executorId\":3", "\"http\":{\"url\":\"http://localhost/\"}");
    for (target, given, kind, field, said) in [
        (queue, "\"startTimeout\":\"soon\"", Invalid, "startTimeout", "not understood"),
        (queue, "\"startTimeout\":0", Invalid, "startTimeout", "from 1ms"),
        (queue, "\"cancelTimeout\":\"-1s\"", Invalid, "cancelTimeout", ""),
        (queue, "\"retryOn\":\"lost\"", Invalid, "retryOn", "list of lost"),
        (queue, "\"maxQueue\":-1", Invalid, "maxQueue", "0 (no bound)"),
        (queue, "\"workerName\":\"\"", Invalid, "workerName", "1 to 231 bytes"),
        (queue, "\"overlap\":\"wait\"", Invalid, "overlap", "allow, skip, queue_one, queue or"),
        (queue, "\"allowConcurrentRuns\":1", Invalid, "allowConcurrentRuns", "true or false"),
        (
            queue,
            "\"allowConcurrentRuns\":false,\"overlap\":\"queue\"",
            Unprocessable,
            "allowConcurrentRuns",
            "give one of them",
        ),
        (URL, "\"startTimeout\":5", Unprocessable, "startTimeout", "type worker: leave"),
        (http, "\"cancelTimeout\":5", Unprocessable, "cancelTimeout", "type worker: leave"),
        (http, "\"retryOn\":[]", Unprocessable, "retryOn", "type worker: leave"),
        (http, "\"workerName\":\"a\"", Unprocessable, "workerName", "type worker: leave"),
        (http, "\"maxQueue\":5", Unprocessable, "maxQueue", "or overlap queue"),
        (URL, "\"overlap\":\"queue\"", Unprocessable, "overlap", "queue of workers"),
        (
            URL,
            "\"allowConcurrentRuns\":false",
            Unprocessable,
            "allowConcurrentRuns",
            "queue of workers",
        ),
    ] {
        let error = read(&bare(&format!("{target},{SPEC},{given}")), rules()).unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (kind, Some(field)), "{given}: {error:?}");
        assert!(error.detail().contains(said), "{given}: {error:?}");
    }
    let waits = bare(&format!("{http},{SPEC},\"overlap\":\"queue\",\"maxQueue\":5"));
    assert!(read(&waits, rules()).is_ok(), "runs of http targets may wait, too");
}

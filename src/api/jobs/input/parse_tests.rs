//! Requests that are read, and the errors of those that are not.

use super::*;
use crate::app::jobs::{Batch, test_rules};

fn read(body: &str) -> Result<(Vec<JobInput<'_>>, Vec<String>), Error> {
    let mut jobs = Vec::new();
    let unknown = each(body.as_bytes(), &["amqp"], &mut |index, job| {
        assert_eq!(index, jobs.len());
        jobs.push(job);
        Ok(())
    })?;
    Ok((jobs, unknown.lines()))
}

fn message(body: &str) -> String {
    let response = read(body).unwrap_err();
    format!("{} {response:?}", response.status().as_u16())
}

#[test]
fn both_casings_name_the_same_fields() {
    let snake = r#"[{"project_id":1,"spec":"@every 1m","callback_url":"u","execution_type":"http",
        "timezone":"UTC","start_date":"a","end_date":"b","retry_max":2,"executor_id":3,
        "created_by":"c","status":"inactive","data":"{\"jobId\":0}"}]"#;
    let camel = r#"{"projectId":1,"spec":"@every 1m","callbackUrl":"u","executionType":"http",
        "timezone":"UTC","startDate":"a","endDate":"b","retryMax":2,"executorId":3,
        "createdBy":"c","status":"inactive","data":"{\"jobId\":0}"}"#;
    let (one, two) = (read(snake).unwrap(), read(camel).unwrap());
    assert_eq!(one, two);
    assert_eq!(one.0[0].data.as_deref(), Some("{\"jobId\":0}"));
    assert_eq!(one.0[0].definition.project, Some(1));
    assert_eq!(one.0[0].definition.executor, None);
    assert_eq!(one.1, ["job executorId was ignored: callbackUrl is given too, and counts alone"]);
}

#[test]
fn what_few_jobs_have_is_kept_as_it_was_given() {
    let body = r#"{"after":"1m","http":{ "url":"u" },"after":null,"jitter":1,"jitter": 2,
        "at":"x","externalId":"e","end_date":null,"retry_factor":1e999,"executorId":3,
        "callbackUrl":"","labels":null}"#;
    let (jobs, unknown) = read(body).unwrap();
    let rare =
        [(Name::Http, "{ \"url\":\"u\" }"), (Name::Jitter, "2"), (Name::RetryFactor, "1e999")];
    let rare = rare.map(|(name, json)| (name, json.into()));
    assert_eq!((&jobs[0].definition.rare[..], jobs[0].definition.executor), (&rare[..], Some(3)));
    assert!(jobs[0].definition.at && jobs[0].external_id.as_deref() == Some("e"));
    for (name, null) in [
        (Name::EndDate, true),
        (Name::Labels, true),
        (Name::CallbackUrl, false),
        (Name::Spec, false),
    ] {
        assert_eq!(jobs[0].nulls.has(name), null, "{name:?}");
    }
    assert!(unknown.is_empty());
}

#[test]
fn the_settings_of_a_kind_are_read_under_its_name() {
    let body = r#"[{"amqp":{"url":"a"},"Amqp":{"url": "b"}},{"amqp":null},{"worker":{}}]"#;
    let (jobs, unknown) = read(body).unwrap();
    assert_eq!(jobs[0].definition.settings("amqp"), Some(r#"{"url": "b"}"#));
    assert!(jobs[0].definition.names_target() && !jobs[0].nulls.has(Name::Settings));
    assert!(jobs[1].definition.clears_settings("amqp") && jobs[1].nulls.has(Name::Settings));
    assert!(!jobs[1].definition.names_target());
    assert_eq!(unknown, ["unknown fields were ignored: worker"]);
    let shown = format!("{:?}", read(r#"{"amqp":{"url":"hunter2"}}"#).unwrap().0);
    assert!(shown.contains("amqp") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn unknown_names_are_noted_and_our_own_are_not() {
    let (jobs, unknown) =
        read(r#"[{"Spec":"x","colour":[[1]],"id":7,"timezoneOffset":0},{"size":null}]"#).unwrap();
    assert_eq!(jobs[0].definition.spec.as_deref(), Some("x"));
    assert_eq!(unknown, ["unknown fields were ignored: colour, size"]);
}

#[test]
fn data_is_text_or_the_compact_json_of_anything() {
    for (given, wanted) in [
        (r#""plain""#, Some("plain")),
        (r#""""#, Some("")),
        (r#""a\u0000\n""#, Some("a\0\n")),
        ("null", None),
        (r#"{ "b" : [ 1, 2.50 ], "a" : "x \" y" }"#, Some(r#"{"b":[1,2.50],"a":"x \" y"}"#)),
        ("123456789012345678901234567890", Some("123456789012345678901234567890")),
        ("true", Some("true")),
    ] {
        let body = format!("[{{\"data\":{given}}}]");
        assert_eq!(read(&body).unwrap().0[0].data.as_deref(), wanted, "{given}");
    }
}

#[test]
fn wrong_types_are_named_with_index_and_field() {
    let wrong = ["1", "-1", "1.5", "true", "[]", "{}", "\"text\"", "18446744073709551616"];
    for field in [
        "projectId",
        "spec",
        "timezone",
        "callbackUrl",
        "executionType",
        "startDate",
        "endDate",
        "executorId",
        "retryMax",
        "createdBy",
        "status",
        "modifiedBy",
    ] {
        let mut refused = 0;
        for value in wrong {
            let body = format!("[{{}},{{\"{field}\":{value}}}]");
            let Err(error) = read(&body) else { continue };
            refused += 1;
            assert_eq!(error.status(), 400, "{body}");
            let shown = format!("{error:?}");
            assert!(shown.contains(&format!("field: Some(\"{field}\")")), "{body}: {shown}");
            assert!(shown.contains("index: Some(1)"), "{body}: {shown}");
        }
        assert!(refused >= 6, "{field} takes too much");
    }
}

#[test]
fn what_is_no_list_of_jobs_is_refused() {
    let deep = format!("[{{\"data\":{}", "[".repeat(200_000));
    let deep_unknown = format!("[{{\"x\":{}1{}}}]", "[".repeat(50_000), "]".repeat(50_000));
    for (body, status) in [
        ("", 400),
        ("  ", 400),
        ("{", 400),
        ("[{\"spec\":\"a\"},", 400),
        ("[{\"spec\":\"\\ud800\"}]", 400),
        ("[{\"data\":\"\\ud800\"}]", 400),
        ("[{\"data\":\"\u{0}\"}]", 400),
        ("[{\"retryMax\":1e999}]", 400),
        ("[]x", 400),
        ("\"job\"", 422),
        ("5", 422),
        ("[5]", 400),
        ("[[]]", 400),
        ("[null]", 400),
        (deep.as_str(), 400),
    ] {
        let shown: String = body.chars().take(40).collect();
        assert!(message(body).starts_with(&status.to_string()), "{shown}: {}", message(body));
    }
    assert!(each(b"[{\"spec\":\"\xff\"}]", &[], &mut |_, _| Ok(())).is_err());
    let (_, unknown) = read(&deep_unknown).unwrap();
    assert_eq!(
        unknown,
        ["unknown fields were ignored: x"],
        "depth that nobody descends does no harm"
    );
    assert!(message("[{}, 5]").contains("index: Some(1)"));
    assert_eq!(one(b"[]", &[]).unwrap_err().status(), 422);
    assert_eq!(one(b"{\"spec\":1}", &[]).unwrap_err().status(), 400);
    assert_eq!(one(b"{}x", &[]).unwrap_err().status(), 400);
}

#[test]
fn the_first_refusal_ends_the_reading() {
    let mut seen = 0;
    let refused = each(b"[{},{},{},{]", &[], &mut |index, _| {
        seen += 1;
        if index == 1 { Err(Error::invalid("spec", "no")) } else { Ok(()) }
    });
    assert!(format!("{:?}", refused.unwrap_err()).contains("index: Some(1)"));
    assert_eq!(seen, 2);
}

/// The README's client posts bodies like this one. Run it optimised:
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
            let mut batch = Batch::new(test_rules());
            each(body.as_bytes(), &["amqp"], &mut |_, job| Ok(batch.add(job)?)).unwrap();
            let jobs = batch.finish();
            best = best.min(begun.elapsed().as_secs_f64());
            assert!(jobs.is_ok());
        }
        println!("{name}: {:.0} jobs/s", 1_000.0 / best);
        assert!(best < 0.010, "{name}: {best} s for 1,000 jobs");
    }
}

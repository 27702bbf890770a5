//! Whatever bytes a client sends as jobs: they are read or refused, with few words and no panic.
//!
//! A short run goes with the other tests; `SCHEDULER0_FUZZ_SECONDS` makes it go on for as long.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{TestCaseError, TestRunner};

use super::*;

const ROUND: u32 = 500;

const KINDS: [&str; 1] = ["amqp"];

const GOOD: [&str; 6] = [
    r#"[{"project_id":1,"spec":"@every 1m","callback_url":"http://a/b","execution_type":"http","timezone":"UTC","data":"{\"jobId\":0}"}]"#,
    r#"{"projectId":1,"spec":"* * * * *","callbackUrl":"u","retryMax":2,"executorId":3,"createdBy":"c","status":"inactive","startDate":"a","endDate":"b"}"#,
    r#"[{"spec":"x","colour":[[1]],"id":7,"dst":{"gap":"skip","fold":"both"}},{"size":null,"data":[1,2.5,{"a":"\u00e4\n"}]}]"#,
    r#"[{"at":"2026-03-01T09:00:00Z","jitter":"5s","misfire":{"policy":"all","grace":"1m","max":3},"labels":{"a":"b"}},{"after":"20m","deleteAfterRun":true}]"#,
    r#"[{"http":{"method":"POST","url":"http://a","headers":{"x":"y"},"query":{"q":"1"},"body":"{{executionId}}","auth":{"type":"basic","username":"u","password":"p"},"successCodes":[200],"timeout":"5s"}}]"#,
    r#"[{"amqp":{"url":"amqp://u:p@a","exchange":"x","headers":{"a":[1]}}},{"executorId":1,"message":{"body":"{{data}}"}},{"amqp":null}]"#,
];

const PIECES: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "1.5",
    "\\",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "\u{feff}",
    "é",
    " ",
    "\n",
    "{}",
    "[]",
    "\"\"",
    "\"spec\":",
    "\"spec\":{}",
    "\"data\":[",
    "\"dst\":",
    "\"project_id\":\"7\"",
    "\"projectId\":18446744073709551616",
    "\"status\":1",
    "\"http\":",
    "\"labels\":{\"a\":1}",
    "\"at\":0",
    "\"misfire\":[]",
    "{\"a\":",
    "[[[[[[[[[[[[[[[[",
    "\"retryMax\":-0.0",
    "\"SPEC\":\"y\"",
    "\"spec\":\"z\",",
];

/// A change of a body: the place, the new piece, and the length of what it replaces.
type Change = (Index, &'static str, usize);

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), select(&PIECES[..]), 0_usize..4);
    let damaged =
        (select(&GOOD[..]), vec(change, 0..6)).prop_map(|(text, changes): (_, Vec<Change>)| {
            let mut bytes = text.as_bytes().to_vec();
            for (place, piece, gone) in changes {
                let at = place.index(bytes.len() + 1);
                let end = (at + gone).min(bytes.len());
                bytes.splice(at..end, piece.bytes());
            }
            bytes
        });
    let deep = (select(&PIECES[..]), 1_usize..20_000, select(&GOOD[..]))
        .prop_map(|(piece, times, text)| (piece.repeat(times) + text).into_bytes());
    prop_oneof![
        8 => damaged,
        2 => vec(select(&PIECES[..]), 0..40).prop_map(|pieces| pieces.concat().into_bytes()),
        1 => vec(any::<u8>(), 0..300),
        1 => deep,
    ]
}

fn refused_well(error: &Error) -> Result<(), TestCaseError> {
    let status = error.status().as_u16();
    prop_assert!(matches!(status, 400 | 413 | 422), "{status}");
    let said = format!("{error:?}");
    prop_assert!(said.len() <= 2_000, "{} bytes: {said}", said.len());
    Ok(())
}

fn survive(body: &[u8]) -> Result<(), TestCaseError> {
    let begun = Instant::now();
    let mut found = 0;
    let read = each(body, &KINDS, &mut |index, _| {
        assert_eq!(index, found);
        found += 1;
        Ok(())
    });
    match read {
        Ok(_) => prop_assert!(serde_json::from_slice::<IgnoredAny>(body).is_ok()),
        Err(error) => refused_well(&error)?,
    }
    if let Err(error) = one(body, &KINDS) {
        refused_well(&error)?;
    }
    prop_assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    Ok(())
}

#[test]
fn no_bytes_are_too_much_for_the_reader_of_jobs() {
    let seconds = std::env::var("SCHEDULER0_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    let config =
        ProptestConfig { cases: ROUND, failure_persistence: None, ..ProptestConfig::default() };
    let (begun, mut done) = (Instant::now(), 0);
    loop {
        if let Err(failure) = TestRunner::new(config.clone()).run(&bodies(), |body| survive(&body))
        {
            panic!("after {done} cases: {failure}");
        }
        done += u64::from(ROUND);
        let taken = begun.elapsed();
        if taken >= Duration::from_secs(seconds.unwrap_or(0)) {
            let rate = done as f64 / taken.as_secs_f64();
            println!("{done} cases in {taken:.1?}, {rate:.0}/s: nothing found");
            return;
        }
    }
}

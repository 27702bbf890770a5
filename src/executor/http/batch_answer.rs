//! The body of a successful answer to a batch: the jobs that it names as failed. `run` reads each
//! such answer with it; a single call has nothing of the kind.

use serde::Deserialize;
use serde_json::Value;

use crate::delivery::attempt::Acceptance;
use crate::model::attempt::parse_execution_id;

/// The jobs that a successful answer to a batch is about. `flaw` is the reason why `body` is not
/// the whole body, if it is not.
pub(crate) fn acceptance(status: u16, body: &[u8], flaw: Option<String>) -> Acceptance {
    let unclear =
        |why: &str| Acceptance::Unclear(format!("the receiver answered {status}, but {why}"));
    if let Some(flaw) = flaw {
        return unclear(&flaw);
    }
    let named = match BatchAnswer::read(body) {
        BatchAnswer::AllAccepted => return Acceptance::All,
        BatchAnswer::Unclear(why) => return unclear(why),
        BatchAnswer::Failed(named) => named,
    };
    let failed = named.iter().map(|text| parse_execution_id(text)).collect::<Option<_>>();
    failed.map_or_else(|| unclear("its `failed` names what is no execution id"), Acceptance::AllBut)
}

/// The content of a successful answer to a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
enum BatchAnswer {
    /// All jobs are accepted.
    AllAccepted,
    /// The jobs with these execution ids failed, the rest is accepted.
    Failed(Vec<String>),
    /// The answer is not understood, for this reason: no job may count as accepted.
    Unclear(&'static str),
}

impl BatchAnswer {
    /// Reads the body of a successful answer. A JSON object with a list of execution ids under
    /// `failed` names jobs that failed. With no `failed`, `null`, `false`, 0 or an empty list, all
    /// jobs are accepted. Any other value of `failed` is unclear. So is a body that begins as a
    /// JSON object and is not one, as it may have been cut where nothing else tells. With any other
    /// body all jobs are accepted.
    fn read(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Partial {
            #[serde(default)]
            failed: Value,
        }
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        if body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff") {
            return BatchAnswer::Unclear("its body is UTF-16; JSON is UTF-8");
        }
        if body.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
            return BatchAnswer::AllAccepted;
        }
        let Ok(partial) = serde_json::from_slice::<Partial>(body) else {
            return BatchAnswer::Unclear("its body begins as a JSON object and is none");
        };
        let wrong = BatchAnswer::Unclear("its `failed` is not a list of execution ids");
        match partial.failed {
            Value::Null | Value::Bool(false) => BatchAnswer::AllAccepted,
            Value::Number(count) if count.as_u64() == Some(0) => BatchAnswer::AllAccepted,
            Value::Array(ids) if ids.is_empty() => BatchAnswer::AllAccepted,
            Value::Array(ids) => {
                let text = |id| if let Value::String(id) = id { Some(id) } else { None };
                ids.into_iter().map(text).collect::<Option<_>>().map_or(wrong, BatchAnswer::Failed)
            }
            _ => wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_about_all_jobs_about_some_or_unclear() {
        let of = |body: &[u8], flaw: Option<&str>| acceptance(200, body, flaw.map(str::to_owned));
        assert_eq!(of(b"ok", None), Acceptance::All);
        let id = crate::model::attempt::execution_id(0xc1 << 96, 7, 9_000);
        let named = format!("{{\"failed\":[\"{id}\"]}}");
        let occurrence = parse_execution_id(&id).unwrap();
        assert_eq!(of(named.as_bytes(), None), Acceptance::AllBut(vec![occurrence]));
        for (body, flaw, why) in [
            (named.as_str(), Some("its body broke off"), "its body broke off"),
            ("{\"failed\":[\"x\"]}", None, "its `failed` names what is no execution id"),
            ("{\"failed\":2}", None, "its `failed` is not a list of execution ids"),
        ] {
            let unclear = Acceptance::Unclear(format!("the receiver answered 200, but {why}"));
            assert_eq!(of(body.as_bytes(), flaw), unclear);
        }
    }

    #[test]
    fn partial_failures_are_named_absent_or_not_understood() {
        let named = BatchAnswer::Failed(vec!["a-1-2".to_owned(), "a-2-2".to_owned()]);
        for text in [
            " {\"failed\":[\"a-1-2\",\"a-2-2\"],\"x\":1}",
            "\u{feff}{\"failed\":[\"a-1-2\",\"a-2-2\"]}",
        ] {
            assert_eq!(BatchAnswer::read(text.as_bytes()), named, "{text}");
        }
        for all in [
            "",
            "ok",
            "[]",
            "{}",
            "[{\"failed\":[\"a-1-2\"]}]",
            r#"{"failed":[]}"#,
            r#"{"failed":null}"#,
            r#"{"failed":false}"#,
            r#"{"failed":0}"#,
            r#"{"done":5}"#,
        ] {
            assert_eq!(BatchAnswer::read(all.as_bytes()), BatchAnswer::AllAccepted, "{all}");
        }
        for odd in [
            r#"{"failed":true}"#,
            r#"{"failed":2}"#,
            r#"{"failed":"a-1-2"}"#,
            r#"{"failed":[1]}"#,
            r#"{"failed":[{"executionId":"a-1-2"}]}"#,
            r#"{"failed":{"a-1-2":"why"}}"#,
            r#"{"failed":["a-1-2"]} {"failed":[]}"#,
            r#"{"failed":["a-1-2"],"failed":[]}"#,
            "{'failed': ['a-1-2']}",
            "{",
        ] {
            assert!(matches!(BatchAnswer::read(odd.as_bytes()), BatchAnswer::Unclear(_)), "{odd}");
        }
        assert!(matches!(BatchAnswer::read(b"\xff\xfe{\0"), BatchAnswer::Unclear(_)));
        let whole = br#"{"note":"hello","failed":["a-1-2"]}"#;
        for cut in 1..whole.len() {
            assert!(
                matches!(BatchAnswer::read(&whole[..cut]), BatchAnswer::Unclear(_)),
                "cut at {cut}"
            );
        }
    }
}

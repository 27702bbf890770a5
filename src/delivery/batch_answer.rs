//! The body of a successful answer to a batch: the jobs that it names as failed. The worker asks
//! for each such answer; a single call has nothing of the kind.

use serde::Deserialize;
use serde_json::Value;

/// The content of a successful answer to a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchAnswer {
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
    pub fn read(body: &[u8]) -> Self {
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

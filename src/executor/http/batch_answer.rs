//! The body of a successful answer to a batch: the jobs that it names as failed. The worker asks
//! for each such answer; a single call has nothing of the kind.

use serde::Deserialize;
use serde_json::Value;

/// The jobs of a batch that an answer names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// None: all of them are accepted.
    Nobody,
    /// These execution ids failed, the rest is accepted.
    Failed(Vec<String>),
    /// The answer is not understood, for this reason: no job may count as accepted.
    Unclear(&'static str),
}

/// Reads the body of a 2xx answer to a batch. A JSON object with a list of execution ids under
/// `failed` names those. A missing `failed`, `null`, `false`, 0 and an empty list name none. Any
/// other value of `failed` is unclear. So is a body that begins as a JSON object and is not one, as
/// it may have been cut where nothing else tells. Any other body names none.
pub fn failed(body: &[u8]) -> Named {
    #[derive(Deserialize)]
    struct Partial {
        #[serde(default)]
        failed: Value,
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff") {
        return Named::Unclear("its body is UTF-16; JSON is UTF-8");
    }
    if body.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return Named::Nobody;
    }
    let Ok(partial) = serde_json::from_slice::<Partial>(body) else {
        return Named::Unclear("its body begins as a JSON object and is none");
    };
    let wrong = Named::Unclear("its `failed` is not a list of execution ids");
    match partial.failed {
        Value::Null | Value::Bool(false) => Named::Nobody,
        Value::Number(count) if count.as_u64() == Some(0) => Named::Nobody,
        Value::Array(ids) if ids.is_empty() => Named::Nobody,
        Value::Array(ids) => {
            let text = |id| if let Value::String(id) = id { Some(id) } else { None };
            ids.into_iter().map(text).collect::<Option<_>>().map_or(wrong, Named::Failed)
        }
        _ => wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_failures_are_named_absent_or_not_understood() {
        let named = Named::Failed(vec!["a-1-2".to_owned(), "a-2-2".to_owned()]);
        for text in [
            " {\"failed\":[\"a-1-2\",\"a-2-2\"],\"x\":1}",
            "\u{feff}{\"failed\":[\"a-1-2\",\"a-2-2\"]}",
        ] {
            assert_eq!(failed(text.as_bytes()), named, "{text}");
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
            assert_eq!(failed(all.as_bytes()), Named::Nobody, "{all}");
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
            assert!(matches!(failed(odd.as_bytes()), Named::Unclear(_)), "{odd}");
        }
        assert!(matches!(failed(b"\xff\xfe{\0"), Named::Unclear(_)));
        let whole = br#"{"note":"hello","failed":["a-1-2"]}"#;
        for cut in 1..whole.len() {
            assert!(matches!(failed(&whole[..cut]), Named::Unclear(_)), "cut at {cut}");
        }
    }
}

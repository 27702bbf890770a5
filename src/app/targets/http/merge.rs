//! The JSON Merge Patch (RFC 7396) of an `http` object: members that the patch does not name stay
//! as they are shown, and null clears. The edits of jobs and executors call it for `PATCH`. `read`
//! then reads the result like any other object, so that the rules are the same. Secrets are not
//! shown, so the result holds none; they stay for the same user and origin only.

use serde_json::{Map, Value};

use crate::app::error::Error;
use crate::app::fields::canonical;
use crate::app::targets::http::json_merge::{over, same_name, take};
use crate::app::targets::http::{auth, view};
use crate::model::target::HttpTarget;

/// The object that a patch makes of a target, or of none.
pub(crate) fn merged(old: Option<&HttpTarget>, patch: Value) -> Result<Value, Error> {
    // Anything but an object is refused where it is read.
    let Value::Object(patch) = patch else { return Ok(patch) };
    let mut object = match old.map(|old| serde_json::to_value(view::show(old))) {
        Some(Ok(Value::Object(shown))) => shown,
        _ => Map::new(),
    };
    for (name, value) in patch {
        let kept = take(&mut object, |known| same_name(known, &name));
        let value = match (canonical(&name, &mut [0; 24]).unwrap_or_default(), value) {
            ("clientkey", Value::Null) => {
                take(&mut object, |known| same_name(known, "clientKeySet"));
                object.insert("clientKeySet".to_owned(), false.into());
                continue;
            }
            // Secret values are not shown: a patch names the headers that are new, and those that
            // go.
            ("secretheaders", said @ (Value::Null | Value::Object(_))) => {
                let set = take(&mut object, |known| same_name(known, "secretHeadersSet"));
                if let Value::Object(lines) = said {
                    object.extend(secret_headers(set, lines));
                }
                continue;
            }
            (_, Value::Null) => continue,
            ("headers", Value::Object(lines)) => over(kept, lines, str::eq_ignore_ascii_case),
            ("query", Value::Object(lines)) => over(kept, lines, |known, name| known == name),
            ("auth", Value::Object(said)) => auth::merged(kept.as_ref(), said)?,
            (_, value) => value,
        };
        object.insert(name, value);
    }
    Ok(object.into())
}

/// The secret headers after a patch: the names whose values stay, and the new values.
fn secret_headers(set: Option<Value>, patch: Map<String, Value>) -> [(String, Value); 2] {
    let mut kept = set.and_then(|set| set.as_array().cloned()).unwrap_or_default();
    kept.retain(|name| {
        let is_it = |named: &String| name.as_str().is_some_and(|n| n.eq_ignore_ascii_case(named));
        !patch.keys().any(is_it)
    });
    let new = patch.into_iter().filter(|(_, value)| !value.is_null()).collect();
    [
        ("secretHeadersSet".to_owned(), Value::Array(kept)),
        ("secretHeaders".to_owned(), Value::Object(new)),
    ]
}

//! `TargetPolicy` and `AllowedTargets`: where jobs may call. `build` reads them, and the guard of
//! `executor` holds calls to them. Nothing is called or looked up here.

use serde_yaml::Value;

use super::reader::{Reader, describe};
use super::{Error, TargetPolicy};
use crate::model::target_pattern::{MOST_PATTERNS, TargetPattern};

const POLICY: &str = "TargetPolicy";
const ALLOWED: &str = "AllowedTargets";

/// Reads both keys, which must fit each other.
pub(super) fn read(r: &Reader) -> Result<(TargetPolicy, Vec<TargetPattern>), Error> {
    let text = r.text(POLICY)?;
    let policy = match text.to_ascii_lowercase().as_str() {
        "open" => TargetPolicy::Open,
        "public" => TargetPolicy::Public,
        "list" => TargetPolicy::List,
        _ => {
            return Err(r.fail(POLICY, format!("expected open, public or list, found {text:?}")));
        }
    };
    let allowed = patterns(r)?;
    match policy {
        TargetPolicy::Open if !allowed.is_empty() => {
            let message = "it has no meaning with TargetPolicy open, which allows more than it \
                           names: set TargetPolicy to public or list";
            Err(r.fail(ALLOWED, message))
        }
        TargetPolicy::List if allowed.is_empty() => {
            let message = "with list no job could call anything, as AllowedTargets is empty: name \
                           targets there, or set it to public";
            Err(r.fail(POLICY, message))
        }
        policy => Ok((policy, allowed)),
    }
}

/// The patterns: a YAML list, a JSON array, or a text with commas between them.
fn patterns(r: &Reader) -> Result<Vec<TargetPattern>, Error> {
    let (value, _) = r.layers.get(ALLOWED);
    let entries = match value {
        Value::Null => Vec::new(),
        Value::Sequence(entries) => entries.clone(),
        // A network in brackets has its ports behind them.
        Value::String(text) if text.trim().starts_with('[') && text.trim().ends_with(']') => {
            match serde_json::from_str(text) {
                Ok(Value::Sequence(entries)) => entries,
                _ => return Err(r.fail(ALLOWED, "expected a JSON array of texts")),
            }
        }
        Value::String(text) => {
            let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
            texts.map(Value::from).collect()
        }
        other => {
            let message = format!("expected a list of targets, found {}", describe(other));
            return Err(r.fail(ALLOWED, message));
        }
    };
    if entries.len() > MOST_PATTERNS {
        return Err(r.fail(ALLOWED, format!("at most {MOST_PATTERNS} targets")));
    }
    let mut patterns = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let fail = |message: String| Error::Invalid {
            key: format!("{ALLOWED}[{index}]"),
            origin: r.origin(ALLOWED).clone(),
            message,
        };
        let Value::String(text) = entry else {
            return Err(fail(format!("expected a text, found {}", describe(entry))));
        };
        let pattern: TargetPattern = text.parse().map_err(|error| fail(format!("{error}")))?;
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    Ok(patterns)
}

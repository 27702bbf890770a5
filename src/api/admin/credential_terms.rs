//! The terms of a key in requests. The routes of credentials read them here; `app::credentials` has
//! the rules of their values.

use serde_json::Value;

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::app::credentials::{Expiry, LONGEST_NAME, TermsInput};
use crate::app::patch::Patch;

/// The longest text in a list, in bytes: longer than any scope and any network.
const LONGEST_WORD: usize = 64;

/// Reads `{name?, scopes?, expiresInSeconds? | expiresAt?, allowedIps?, projects?,
/// ratePerSecond?}`. Null clears a field.
pub(super) fn read_terms(fields: &mut Fields) -> Result<TermsInput, Error> {
    let name = fields.patch("name", |fields, name| fields.text(name, LONGEST_NAME))?;
    let scopes = fields.patch("scopes", texts)?;
    let allowed = fields.patch("allowedIps", texts)?;
    let projects = fields.patch("projects", ids)?;
    let life = fields.patch("expiresInSeconds", Fields::number)?;
    let expires = match (fields.patch("expiresAt", Fields::instant)?, life) {
        (at, Patch::Keep) => map(at, Expiry::At),
        (Patch::Keep, life) => map(life, Expiry::In),
        _ => {
            let message = "expiresAt and expiresInSeconds say the same: give one of them";
            return Err(Error::invalid("expiresInSeconds", message));
        }
    };
    let rate = fields.patch("ratePerSecond", Fields::number)?;
    Ok(TermsInput { name, scopes, expires, allowed, projects, rate })
}

/// Refuses fields by which a client means to bound a key and that do nothing here: the key would be
/// open to more than was meant.
pub(super) fn refuse_bounds(fields: &mut Fields) -> Result<(), Error> {
    const UNKNOWN: [(&str, &str); 7] = [
        ("projectId", "name projects, a list"),
        ("projectIds", "name projects, a list"),
        ("rateLimit", "name ratePerSecond"),
        ("scope", "name scopes, a list"),
        ("permissions", "name scopes, a list"),
        ("expires", "name expiresAt, or expiresInSeconds"),
        ("ipAllowlist", "name allowedIps, a list"),
    ];
    for (name, fix) in UNKNOWN {
        if fields.take(name).is_some() {
            return Err(Error::invalid(name, format!("there is no field {name}: {fix}")));
        }
    }
    Ok(())
}

/// Refuses a field that is not known: it might be meant to bound the key.
pub(super) fn refuse_unknown(fields: Fields) -> Result<(), Error> {
    match fields.warnings().first_unknown() {
        None => Ok(()),
        Some(name) => {
            let message = format!("there is no field {name}, nothing was changed: leave it out");
            Err(Error::unprocessable(message))
        }
    }
}

fn map<T, R>(patch: Patch<T>, of: impl FnOnce(T) -> R) -> Patch<R> {
    match patch {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(value) => Patch::Set(of(value)),
    }
}

/// A list of texts.
fn texts(fields: &mut Fields, name: &'static str) -> Result<Option<Vec<String>>, Error> {
    let Some(value) = fields.take(name) else { return Ok(None) };
    let wrong = || {
        let message = format!(
            "{name} must be a list of texts of at most {LONGEST_WORD} bytes, such as {}",
            if name == "scopes" { "[\"jobs:read\"]" } else { "[\"10.0.0.0/8\"]" }
        );
        Error::invalid(name, message)
    };
    let Value::Array(values) = value else { return Err(wrong()) };
    let text = |value| match value {
        Value::String(text) if text.len() <= LONGEST_WORD => Some(text),
        _ => None,
    };
    values.into_iter().map(text).collect::<Option<Vec<_>>>().map(Some).ok_or_else(wrong)
}

/// A list of ids.
fn ids(fields: &mut Fields, name: &'static str) -> Result<Option<Vec<u64>>, Error> {
    let Some(value) = fields.take(name) else { return Ok(None) };
    let wrong = || {
        let message = format!("{name} must be a list of ids of projects, such as [1, 2]");
        Error::invalid(name, message)
    };
    let Value::Array(values) = value else { return Err(wrong()) };
    let id = |value: Value| value.as_u64().filter(|id| (1..=i64::MAX.cast_unsigned()).contains(id));
    values.into_iter().map(id).collect::<Option<Vec<_>>>().map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<TermsInput, Error> {
        read_terms(&mut Fields::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn terms_are_read_in_either_casing_and_null_clears() {
        let terms = read(r#"{"allowed_ips":["10.0.0.0/8"],"expires_in_seconds":60,"scopes":null}"#);
        let terms = terms.unwrap();
        assert_eq!(terms.allowed, Patch::Set(vec!["10.0.0.0/8".to_owned()]));
        assert_eq!(terms.expires, Patch::Set(Expiry::In(60)));
        assert_eq!((terms.scopes, terms.name), (Patch::Clear, Patch::Keep));
        assert_eq!(read(r#"{"projects":[2,1]}"#).unwrap().projects, Patch::Set(vec![2, 1]));
        assert_eq!(read(r#"{"projects":null}"#).unwrap().projects, Patch::Clear);
        let rate = |body| read(body).unwrap().rate;
        assert_eq!(rate(r#"{"rate_per_second":5}"#), Patch::Set(5));
        assert_eq!(rate(r#"{"ratePerSecond":null}"#), Patch::Clear);
        let terms = read(r#"{"expiresAt":"2030-01-01","name":"ci"}"#).unwrap();
        assert_eq!(terms.expires, Patch::Set(Expiry::At(1_893_456_000_000)));
        assert_eq!(read(r#"{"expiresAt":null}"#).unwrap().expires, Patch::Clear);
        assert_eq!(read("{}").unwrap(), TermsInput::default());
    }

    #[test]
    fn what_is_no_list_or_names_an_end_twice_is_refused() {
        let long = format!(r#"{{"scopes":["{}"]}}"#, "x".repeat(LONGEST_WORD + 1));
        for body in [
            r#"{"scopes":"jobs:read"}"#,
            r#"{"scopes":[1]}"#,
            r#"{"allowedIps":{}}"#,
            r#"{"projects":1}"#,
            r#"{"projects":["a"]}"#,
            r#"{"projects":[0]}"#,
            r#"{"projects":[1.5]}"#,
            r#"{"projects":[9223372036854775808]}"#,
            r#"{"expiresAt":"tomorrow"}"#,
            r#"{"expiresInSeconds":-1}"#,
            r#"{"ratePerSecond":1.5}"#,
            r#"{"expiresInSeconds":1,"expiresAt":"2030-01-01"}"#,
            r#"{"expiresInSeconds":1,"expiresAt":null}"#,
            &long,
        ] {
            assert_eq!(read(body).unwrap_err().status(), 400, "{body}");
        }
        for name in ["project_ids", "rate_limit", "scope", "permissions", "expires"] {
            let mut fields = Fields::parse(format!(r#"{{"{name}":[1]}}"#).as_bytes()).unwrap();
            assert_eq!(refuse_bounds(&mut fields).unwrap_err().status(), 400, "{name}");
        }
        let misspelled = Fields::parse(br#"{"allowedIp":["10.0.0.1"]}"#).unwrap();
        assert_eq!(refuse_unknown(misspelled).unwrap_err().status(), 422);
    }
}

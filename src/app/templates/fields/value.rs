//! The check of one value by the rule of its field. It says what the payload is to hold, as JSON,
//! or why the value is refused, in words that go behind the name of the field.

use chrono::{DateTime, SecondsFormat};
use chrono_tz::Tz;

use super::numbers::{fits, unfit_number, whole};
use super::ordered::{compact, is_too_deep, quoted, shortened, unquoted};
use super::rule::{Choice, Format, Kind, Limit};
use crate::model::Millis;
use crate::model::time::{parse_rfc3339, rfc3339};
use crate::schedule::{DstRule, Gap, parse_at};

/// The most bytes of a payload, and of a field of type `json`.
pub(crate) const MOST_BYTES: usize = 65_536;

/// The origin of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON: each value has its type.
    Json,
    /// A form: each value is a text, or a list of texts, and an empty text is an absent one.
    Form,
}

/// Checks a value, given as JSON. `now` is the moment of the check.
pub(crate) fn check(
    kind: &Kind,
    json: &str,
    encoding: Encoding,
    now: Millis,
) -> Result<String, String> {
    if let Some(number) = unfit_number(json) {
        return Err(format!("has a number beyond 64 bits: {}", shortened(number)));
    }
    match kind {
        Kind::Whole { min, max, .. } => check_whole(&scalar(json, encoding), *min, *max),
        Kind::Number { min, max } => check_number(&scalar(json, encoding), *min, *max),
        Kind::Text { min, max, pattern, format } => {
            let text = unquoted(json).ok_or_else(|| wrong("text", json))?;
            let length = text.chars().count() as u64;
            if length < *min {
                return Err(format!("must have at least {min} characters, has {length}"));
            }
            if length > *max {
                return Err(format!("must have at most {max} characters, has {length}"));
            }
            if let Some(pattern) = pattern
                && !pattern.is_match(&text)
            {
                let pattern = shortened(pattern.as_str());
                return Err(format!("must match {pattern}, got {}", shortened(&text)));
            }
            match format {
                Some(format) if !has_format(&text, *format) => {
                    let name = format.name();
                    Err(format!("must be of the format {name}, got {}", shortened(&text)))
                }
                _ => Ok(quoted(&text)),
            }
        }
        Kind::Bool => match scalar(json, encoding).as_str() {
            "true" => Ok("true".to_owned()),
            "false" => Ok("false".to_owned()),
            "on" | "1" if encoding == Encoding::Form => Ok("true".to_owned()),
            "off" | "0" if encoding == Encoding::Form => Ok("false".to_owned()),
            _ => Err(wrong("true or false", json)),
        },
        Kind::Options { options, multiple: Some(true) } => check_list(options, json, encoding),
        Kind::Options { options, .. } => choose(options, json, encoding),
        Kind::Instant { zone, not_before, not_after } => {
            check_instant(json, *zone, (*not_before, *not_after), now)
        }
        Kind::Json if encoding == Encoding::Form => {
            let text = unquoted(json).unwrap_or_else(|| json.to_owned());
            let valid = serde_json::from_str::<&serde_json::value::RawValue>(text.trim());
            valid.map_err(|error| format!("is not valid JSON: {error}"))?;
            check(kind, text.trim(), Encoding::Json, now)
        }
        Kind::Json | Kind::Any => {
            if json.len() > MOST_BYTES {
                return Err(format!("has {} bytes, at most {MOST_BYTES}", json.len()));
            }
            if is_too_deep(json) {
                return Err("is nested too deep: at most 32 levels".to_owned());
            }
            Ok(compact(json))
        }
    }
}

/// The text of a single value: of a form that in the text, else the JSON itself.
fn scalar(json: &str, encoding: Encoding) -> String {
    let text = unquoted(json).filter(|_| encoding == Encoding::Form);
    text.map_or_else(|| json.to_owned(), |text| text.trim().to_owned())
}

fn wrong(wanted: &str, json: &str) -> String {
    format!("must be {wanted}, got {}", shortened(json))
}

fn check_whole(text: &str, min: i128, max: i128) -> Result<String, String> {
    let Some(number) = whole(text) else { return Err(wrong("a whole number", text)) };
    if number < min {
        return Err(wrong(&format!("{min} or more"), text));
    }
    if number > max {
        return Err(wrong(&format!("at most {max}"), text));
    }
    Ok(number.to_string())
}

fn check_number(text: &str, min: Option<f64>, max: Option<f64>) -> Result<String, String> {
    let is_json = serde_json::from_str::<serde_json::Number>(text).is_ok();
    let number = text.parse::<f64>().ok().filter(|number| is_json && number.is_finite());
    let Some(number) = number.filter(|_| fits(text)) else { return Err(wrong("a number", text)) };
    // A whole number may have more digits than `number` holds.
    let is_less = |one: (Option<i128>, f64), other: (Option<i128>, f64)| match (one.0, other.0) {
        (Some(one), Some(other)) => one < other,
        _ => one.1 < other.1,
    };
    let bound = |bound: f64| ((bound.fract() == 0.0).then_some(bound as i128), bound);
    let given = (whole(text), number);
    match (min, max) {
        (Some(min), _) if is_less(given, bound(min)) => Err(wrong(&format!("{min} or more"), text)),
        (_, Some(max)) if is_less(bound(max), given) => Err(wrong(&format!("at most {max}"), text)),
        _ => Ok(text.to_owned()),
    }
}

/// Checks an instant. A local time becomes one with the offset of its zone: its receiver does not
/// know the zone.
fn check_instant(
    json: &str,
    zone: Option<Tz>,
    (not_before, not_after): (Option<Limit>, Option<Limit>),
    now: Millis,
) -> Result<String, String> {
    let text = unquoted(json).ok_or_else(|| wrong("an instant as text", json))?;
    let (at, checked) = match (parse_rfc3339(&text), zone) {
        (Some(at), _) => (at, text.clone()),
        (None, None) => return Err(wrong("RFC 3339 such as 2026-11-20T20:18:07Z", json)),
        (None, Some(zone)) => local(&text, zone)?,
    };
    let bound = |limit| match limit {
        Limit::Now => (now, "now".to_owned()),
        Limit::At(at) => (at, rfc3339(at)),
    };
    if let Some((least, shown)) = not_before.map(bound)
        && at < least
    {
        return Err(format!("must not be before {shown}, got {}", shortened(&text)));
    }
    if let Some((latest, shown)) = not_after.map(bound)
        && at > latest
    {
        return Err(format!("must not be after {shown}, got {}", shortened(&text)));
    }
    Ok(quoted(&checked))
}

/// The instant of a local time in a zone, and how it is written with its offset. Of a time that the
/// clocks show twice it is the first one.
fn local(text: &str, zone: Tz) -> Result<(Millis, String), String> {
    let skip = DstRule { gap: Gap::Skip, ..DstRule::default() };
    let Ok(at) = parse_at(text, zone, skip) else {
        if parse_at(text, zone, DstRule::default()).is_ok() {
            let text = shortened(text);
            return Err(format!("must not be {text}: the clocks of {zone} jump over that time"));
        }
        return Err(wrong(&format!("RFC 3339, or local in {zone}"), &quoted(text)));
    };
    let parts = if at % 1_000 == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    let shown = DateTime::from_timestamp_millis(at)
        .map(|instant| instant.with_timezone(&zone).to_rfc3339_opts(parts, true));
    shown.map(|shown| (at, shown)).ok_or_else(|| wrong("an instant up to the year 9999", text))
}

fn choose(options: &[Choice], json: &str, encoding: Encoding) -> Result<String, String> {
    let text = unquoted(json);
    let is_it = |option: &&Choice| match encoding {
        Encoding::Json => {
            option.is(json)
                || text
                    .as_ref()
                    .is_some_and(|text| option.json.starts_with('"') && option.text == *text)
        }
        Encoding::Form => text.as_ref() == Some(&option.text),
    };
    let found = options.iter().find(is_it).map(|option| option.json.clone());
    found.ok_or_else(|| {
        let shown = text.as_deref().unwrap_or(json);
        let given = shortened(shown);
        let near = |option: &Choice| strsim::jaro_winkler(&given, &shortened(&option.text));
        let mut names: Vec<_> =
            options.iter().map(|option| (near(option), option.text.as_str())).collect();
        // The closest first: it is probably the one that was meant.
        names.sort_by(|a, b| b.0.total_cmp(&a.0));
        let names: Vec<_> = names.into_iter().take(10).map(|(_, name)| shortened(name)).collect();
        let more = if options.len() > names.len() { ", ..." } else { "" };
        format!("must be one of {}{more}, got {}", names.join(", "), shortened(shown))
    })
}

fn check_list(options: &[Choice], json: &str, encoding: Encoding) -> Result<String, String> {
    let list: Result<Vec<&serde_json::value::RawValue>, _> = serde_json::from_str(json);
    let list = match &list {
        Ok(list) => list.iter().map(|one| one.get()).collect(),
        // A form with one box ticked.
        Err(_) if encoding == Encoding::Form => vec![json],
        Err(_) => return Err(wrong("a list of options", json)),
    };
    let mut chosen: Vec<String> = Vec::with_capacity(list.len().min(options.len()));
    for one in list {
        let option = choose(options, one, encoding)?;
        if chosen.contains(&option) {
            return Err(format!("has {} twice", shortened(one)));
        }
        chosen.push(option);
    }
    Ok(format!("[{}]", chosen.join(",")))
}

fn has_format(text: &str, format: Format) -> bool {
    match format {
        Format::Email => text.split_once('@').is_some_and(|(local, domain)| {
            let bad = |c: char| c.is_whitespace() || c.is_control() || c == '@';
            let is_plain = |part: &str| !part.is_empty() && !part.contains(bad);
            is_plain(local) && is_plain(domain) && domain.split('.').all(|label| !label.is_empty())
        }),
        Format::Uri => url::Url::parse(text).is_ok(),
        Format::Uuid => text.len() == 36 && uuid::Uuid::try_parse(text).is_ok(),
    }
}

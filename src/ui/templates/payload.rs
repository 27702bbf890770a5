//! The payload that a form has, as JSON: what `app::templates` checks. Numbers and JSON stay as
//! they were entered. `run` calls it; it decides nothing about values.

use chrono_tz::Tz;
use serde_json::Value;

use crate::app::templates::{Choice, Encoding, Schema};
use crate::model::time::rfc3339;
use crate::schedule::{DstRule, names_its_offset, parse_at, parse_zone};
use crate::ui::form::Form;
use crate::ui::templates::controls::{Control, Kind, PREFIX, is_typed};

/// The prefix of the input that says on the clock of which zone an instant was entered.
pub(super) const ZONE: &str = "z.";

/// The payload that was entered, and the way in which it is to be read: what was entered for rules
/// is text, and for a JSON Schema it is JSON by the types of its properties.
pub(super) fn payload(schema: &Schema, controls: &[Control], form: &Form) -> (String, Encoding) {
    match schema {
        Schema::Fields(_) => {
            let field = |one: &Control| Some(member(&one.name, &as_text(one, form)?));
            (object(controls.iter().filter_map(field)), Encoding::Form)
        }
        Schema::Json(_) => {
            let property = |one: &Control| Some(member(&one.name, &as_json(one, form)?));
            (object(controls.iter().filter_map(property)), Encoding::Json)
        }
    }
}

/// The inputs of a payload in a form that no control has: those of fields that the template had
/// when the form was shown.
pub(super) fn unknown<'f>(controls: &[Control], form: &'f Form) -> Option<&'f str> {
    form.names().find(|name| name.starts_with(PREFIX) && !is_known(controls, name))
}

fn is_known(controls: &[Control], name: &str) -> bool {
    controls.iter().any(|one| match &one.kind {
        Kind::Group(inner) => is_known(inner, name),
        _ => one.input == name,
    })
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn member(name: &str, json: &str) -> String {
    format!("{}:{json}", quoted(name))
}

fn object(members: impl Iterator<Item = String>) -> String {
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// The texts of an input. A browser ends the lines of a text area by two characters.
fn entered(control: &Control, form: &Form) -> Vec<String> {
    let texts = form.each(&control.input).map(|text| text.replace("\r\n", "\n"));
    match &control.kind {
        Kind::Options { options, many: true } if is_typed(options) => {
            let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
            lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
        }
        Kind::Instant { local: false, zone, .. } => {
            let named = form.raw(&format!("{ZONE}{}", control.input));
            let zone = named.and_then(|name| parse_zone(name).ok()).unwrap_or(*zone);
            texts.map(|text| instant(&text, zone)).collect()
        }
        _ => texts.collect(),
    }
}

/// An instant that was entered on the clock of a zone; a text that is none stays, for the error of
/// `app`.
fn instant(text: &str, zone: Tz) -> String {
    if names_its_offset(text) {
        return text.to_owned();
    }
    parse_at(text, zone, DstRule::default()).map_or_else(|_| text.to_owned(), rfc3339)
}

/// The value of an input as JSON text, or as a list of texts; `None` where the form lacks it.
fn as_text(control: &Control, form: &Form) -> Option<String> {
    let texts = entered(control, form);
    if matches!(control.kind, Kind::Options { many: true, .. }) {
        let list: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
        return (!list.is_empty()).then(|| format!("[{}]", list.join(",")));
    }
    texts.last().map(|text| quoted(text))
}

/// The value of an input as JSON of its type; `None` where nothing was entered. A text that is no
/// value of the type stays text, for the error of the schema.
fn as_json(control: &Control, form: &Form) -> Option<String> {
    if let Kind::Group(inner) = &control.kind {
        // An object that may be absent is absent while nothing is entered.
        let is_empty = |one: &Control| as_json(one, form).is_none_or(|json| json == "false");
        if !control.required && inner.iter().all(is_empty) {
            return None;
        }
        let property = |one: &Control| Some(member(&one.name, &as_json(one, form)?));
        return Some(object(inner.iter().filter_map(property)));
    }
    let texts = entered(control, form);
    let option = |options: &[Choice], text: &str| {
        let known = options.iter().find(|one| one.text == text);
        known.map_or_else(|| quoted(text), |one| one.json.clone())
    };
    if let Kind::Options { options, many: true } = &control.kind {
        let list: Vec<_> = texts.iter().map(|text| option(options, text)).collect();
        return (!list.is_empty()).then(|| format!("[{}]", list.join(",")));
    }
    let text = texts.last().filter(|text| !text.trim().is_empty())?;
    Some(match &control.kind {
        Kind::Number { .. } | Kind::Flag | Kind::Json => {
            let json = text.trim();
            let is_json = serde_json::from_str::<&serde_json::value::RawValue>(json).is_ok();
            if is_json { json.to_owned() } else { quoted(text) }
        }
        Kind::Options { options, .. } => option(options, text),
        Kind::Text { .. } | Kind::Instant { .. } | Kind::Group(_) => quoted(text),
    })
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;

//! The inputs of a payload: one for each field, by the type of its rule, or for each property of a
//! JSON Schema. `markup` shows them and `payload` reads them. Pure; what a value may be is decided
//! by `app::templates`.

use chrono_tz::Tz;
use serde_json::Value;

use crate::app::templates::fields::ordered::Ordered;
use crate::app::templates::{
    Choice, FormField, Format, JsonSchema, Kind as RuleKind, Limit, Property as TopProperty, Rule,
    Schema, TemplateForm,
};
use crate::model::time::{parse_rfc3339, rfc3339};
use crate::ui::json_text::pretty;
use crate::ui::templates::json::members;
use crate::ui::time::{city, local};

/// The most inputs of a form. A payload of more fields is entered as JSON.
const MOST_INPUTS: usize = 100;
/// The most options that are listed. One of more is entered as text.
const MOST_OPTIONS: usize = 200;
/// The characters from which on a text has several lines.
const LONG: u64 = 200;

/// An input.
#[derive(Clone, Debug)]
pub(super) struct Control {
    /// The field in errors: its name, and for one within an object the names on the way to it,
    /// joined by `/`.
    pub(super) path: String,
    /// The name of the input in the form.
    pub(super) input: String,
    /// The name of the field in the object that it is in.
    pub(super) name: String,
    pub(super) label: String,
    pub(super) help: Option<String>,
    pub(super) required: bool,
    pub(super) kind: Kind,
    /// The texts that the input begins with: several for a list of options.
    pub(super) begins: Vec<String>,
}

/// The kind of an input.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A number, with its bounds as text.
    Number { min: Option<String>, max: Option<String>, whole: bool },
    /// A text; `lines` is set where it may have several.
    Text { lines: bool, format: Option<Format>, bounds: Option<String> },
    /// A truth value.
    Flag,
    /// One of some values, or several.
    Options { options: Vec<Choice>, many: bool },
    /// An instant, on the clock of a zone. `local` is set where the payload takes local times.
    Instant { zone: Tz, local: bool, bounds: Option<String> },
    /// JSON.
    Json,
    /// An object whose members have inputs of their own.
    Group(Vec<Control>),
}

/// The inputs of a template; `None` where its payload is entered as JSON. Instants without a zone
/// of their own are entered on the clock of `zone`.
pub(super) fn controls(form: &TemplateForm, zone: Tz) -> Option<Vec<Control>> {
    let controls: Vec<_> = match &form.schema {
        Schema::Fields(_) => form.fields.iter().map(|field| of_field(field, zone)).collect(),
        Schema::Json(schema) => of_schema(form, schema, zone),
    };
    let is_open = matches!(form.schema, Schema::Json(_)) && controls.is_empty();
    (!is_open && number(&controls) <= MOST_INPUTS).then_some(controls)
}

/// The number of inputs, with those of groups.
fn number(controls: &[Control]) -> usize {
    let of = |one: &Control| match &one.kind {
        Kind::Group(inner) => number(inner),
        _ => 1,
    };
    controls.iter().map(of).sum()
}

/// The name of an input in a form: no other input begins so.
pub(super) const PREFIX: &str = "p.";

fn of_field(field: &FormField, zone: Tz) -> Control {
    let Rule { label, help, .. } = &field.rule;
    let kind = of_rule(&field.rule.kind, zone);
    Control {
        path: field.name.clone(),
        input: format!("{PREFIX}{}", escaped(&field.name)),
        name: field.name.clone(),
        label: label.clone().unwrap_or_else(|| field.name.clone()),
        help: help.clone(),
        required: field.rule.is_required(),
        begins: field.value.as_deref().map(|json| texts(json, &kind)).unwrap_or_default(),
        kind,
    }
}

fn of_rule(rule: &RuleKind, page_zone: Tz) -> Kind {
    match rule {
        RuleKind::Whole { min, max, .. } => {
            let bound =
                |bound: i128, open: [i128; 2]| (!open.contains(&bound)).then(|| bound.to_string());
            Kind::Number {
                min: bound(*min, [i64::MIN.into(), i64::MIN.into()]),
                max: bound(*max, [i64::MAX.into(), u64::MAX.into()]),
                whole: true,
            }
        }
        RuleKind::Number { min, max } => {
            let [min, max] = [min, max].map(|bound| bound.map(|bound| bound.to_string()));
            Kind::Number { min, max, whole: false }
        }
        RuleKind::Text { min, max, pattern, format } => Kind::Text {
            lines: format.is_none() && *max >= LONG,
            format: *format,
            bounds: text_bounds(*min, *max, pattern.as_ref().map(regex::Regex::as_str)),
        },
        RuleKind::Bool => Kind::Flag,
        RuleKind::Options { options, multiple } => {
            Kind::Options { options: options.clone(), many: *multiple == Some(true) }
        }
        RuleKind::Instant { zone, not_before, not_after } => {
            let limit = |words: &str, limit: &Option<Limit>| {
                let limit = match limit.as_ref()? {
                    Limit::Now => "now".to_owned(),
                    Limit::At(at) => rfc3339(*at),
                };
                Some(format!("{words} {limit}"))
            };
            let bounds = [limit("not before", not_before), limit("not after", not_after)];
            let bounds: Vec<_> = bounds.into_iter().flatten().collect();
            Kind::Instant {
                zone: zone.unwrap_or(page_zone),
                local: zone.is_some(),
                bounds: (!bounds.is_empty()).then(|| bounds.join(", ")),
            }
        }
        RuleKind::Json | RuleKind::Any => Kind::Json,
    }
}

/// The bounds of a text in words. The longest text of a rule without one is not worth a word.
fn text_bounds(min: u64, max: u64, pattern: Option<&str>) -> Option<String> {
    const UNBOUNDED: u64 = 4_096;
    let length = match (min, max) {
        (0, UNBOUNDED) => None,
        (0, max) => Some(format!("At most {max} characters.")),
        (min, UNBOUNDED) => Some(format!("At least {min} characters.")),
        (min, max) if min == max => Some(format!("{min} characters.")),
        (min, max) => Some(format!("{min} to {max} characters.")),
    };
    let pattern = pattern.map(|pattern| format!("It must match {pattern}"));
    let all: Vec<_> = [length, pattern].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(" "))
}

fn of_schema(form: &TemplateForm, schema: &JsonSchema, zone: Tz) -> Vec<Control> {
    let control = |one: &TopProperty| {
        let begins = one.default.clone();
        let begins = begins.or_else(|| form.defaults.get(&one.name).map(str::to_owned));
        let property = Property { schema: &one.schema, required: one.required, begins };
        property.control(&[one.name.as_str()], zone)
    };
    schema.properties.iter().map(control).collect()
}

/// A property of a JSON Schema.
struct Property<'a> {
    schema: &'a str,
    required: bool,
    /// The value that its input begins with, as JSON.
    begins: Option<String>,
}

impl Property<'_> {
    /// Its input; `names` lead to it from the top.
    fn control(self, names: &[&str], zone: Tz) -> Control {
        let schema: Value = serde_json::from_str(self.schema).unwrap_or_default();
        let text = |key: &str| schema.get(key).and_then(Value::as_str).map(str::to_owned);
        let kind = self.kind(&schema, names, zone);
        let name = names.last().copied().unwrap_or_default();
        let coded: Vec<_> = names.iter().map(|name| escaped(name)).collect();
        Control {
            path: names.join("/"),
            input: format!("{PREFIX}{}", coded.join("/")),
            name: name.to_owned(),
            label: text("title").unwrap_or_else(|| name.to_owned()),
            help: text("description"),
            required: self.required,
            begins: self.begins.as_deref().map(|json| texts(json, &kind)).unwrap_or_default(),
            kind,
        }
    }

    fn kind(&self, schema: &Value, names: &[&str], zone: Tz) -> Kind {
        let bound =
            |key: &str| schema.get(key).filter(|bound| bound.is_number()).map(Value::to_string);
        let length = |key: &str| schema.get(key).and_then(Value::as_u64);
        let options = |schema: &Value, many: bool| {
            let options = schema.get("enum").and_then(Value::as_array)?;
            let choice = |value: &Value| Choice { text: shown(value), json: value.to_string() };
            Some(Kind::Options { options: options.iter().map(choice).collect(), many })
        };
        if let Some(one_of) = options(schema, false) {
            return one_of;
        }
        match schema.get("type").and_then(Value::as_str) {
            Some(kind @ ("integer" | "number")) => Kind::Number {
                min: bound("minimum"),
                max: bound("maximum"),
                whole: kind == "integer",
            },
            Some("string") => {
                let is_format = |name: &str| schema["format"] == *name;
                if is_format("date-time") {
                    return Kind::Instant { zone, local: false, bounds: None };
                }
                let formats = [Format::Email, Format::Uri, Format::Uuid];
                let format = formats.into_iter().find(|format| is_format(format.name()));
                let max = length("maxLength").unwrap_or(4_096);
                let pattern = schema.get("pattern").and_then(Value::as_str);
                Kind::Text {
                    lines: format.is_none() && max >= LONG,
                    format,
                    bounds: text_bounds(length("minLength").unwrap_or(0), max, pattern),
                }
            }
            Some("boolean") => Kind::Flag,
            Some("array") => options(&schema["items"], true).unwrap_or(Kind::Json),
            Some("object") => self.group(schema, names, zone).unwrap_or(Kind::Json),
            _ => Kind::Json,
        }
    }

    /// The inputs of the members of an object; `None` where its schema names none.
    fn group(&self, schema: &Value, names: &[&str], zone: Tz) -> Option<Kind> {
        let own = members(self.schema);
        let required = schema.get("required").and_then(Value::as_array);
        let begins = self.begins.as_deref().map(members).unwrap_or_default();
        let properties = Ordered::read(own.get("properties")?).ok()?.0;
        if properties.is_empty() {
            return None;
        }
        let control = |(name, inner): (String, &str)| {
            let default = || members(inner).remove("default");
            let property = Property {
                schema: inner,
                required: required.is_some_and(|all| all.iter().any(|one| *one == *name)),
                begins: begins.get(&name).cloned().or_else(default),
            };
            property.control(&[names, &[name.as_str()]].concat(), zone)
        };
        Some(Kind::Group(properties.into_iter().map(control).collect()))
    }
}

/// A name as a part of the name of an input: as in a JSON Pointer, `/` divides parts.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A value as people read it.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The texts that an input has for a value, which is JSON.
fn texts(json: &str, kind: &Kind) -> Vec<String> {
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    match (kind, value) {
        (_, Value::Null) | (Kind::Group(_), _) => Vec::new(),
        (Kind::Json, _) => vec![pretty(json, 9)],
        (Kind::Options { options, .. }, Value::Array(list)) => {
            let chosen: Vec<_> = list.iter().map(shown).collect();
            if is_typed(options) { vec![chosen.join("\n")] } else { chosen }
        }
        (Kind::Number { .. }, _) => vec![json.to_owned()],
        (Kind::Instant { zone, .. }, Value::String(text)) => vec![on_clock(&text, *zone)],
        (_, value) => vec![shown(&value)],
    }
}

/// Says whether an option is entered as text, since there are too many to list.
pub(super) fn is_typed(options: &[Choice]) -> bool {
    options.len() > MOST_OPTIONS
}

/// An instant as an input of the browser has it; a text that is none stays as it is.
fn on_clock(text: &str, zone: Tz) -> String {
    let local = parse_rfc3339(text).and_then(|at| local(at, zone));
    local.map_or_else(|| text.to_owned(), |at| at.format("%Y-%m-%dT%H:%M:%S").to_string())
}

impl Control {
    /// What a value must be, in a sentence or two.
    pub(super) fn rule(&self) -> String {
        match &self.kind {
            Kind::Number { min, max, whole } => {
                let kind = if *whole { "A whole number" } else { "A number" };
                match (min, max) {
                    (Some(min), Some(max)) => format!("{kind} from {min} to {max}."),
                    (Some(min), None) => format!("{kind}, {min} or more."),
                    (None, Some(max)) => format!("{kind}, at most {max}."),
                    (None, None) => format!("{kind}."),
                }
            }
            Kind::Text { format, bounds, .. } => {
                let format = format.map(|format| match format {
                    Format::Email => "An address of mail.",
                    Format::Uri => "A whole address, such as https://example.com/.",
                    Format::Uuid => "A UUID.",
                });
                let parts = format.into_iter().chain(bounds.as_deref());
                parts.collect::<Vec<_>>().join(" ")
            }
            Kind::Instant { zone, bounds, .. } => {
                let bounds = bounds.as_ref().map(|bounds| format!(", {bounds}"));
                format!("Local time in {}{}.", city(zone.name()), bounds.unwrap_or_default())
            }
            Kind::Json => "JSON.".to_owned(),
            Kind::Options { options, many } if is_typed(options) => {
                let some: Vec<_> = options.iter().take(5).map(|one| one.text.as_str()).collect();
                let each = if *many { "Options, each on a line" } else { "One" };
                format!("{each}, of {}: {}, …", options.len(), some.join(", "))
            }
            Kind::Flag | Kind::Options { .. } | Kind::Group(_) => String::new(),
        }
    }

    /// The type of the field in words.
    pub(super) fn type_words(&self) -> &'static str {
        match &self.kind {
            Kind::Number { whole: true, .. } => "whole number",
            Kind::Number { .. } => "number",
            Kind::Text { .. } => "text",
            Kind::Flag => "yes or no",
            Kind::Options { many: true, .. } => "some of",
            Kind::Options { .. } => "one of",
            Kind::Instant { .. } => "instant",
            Kind::Json => "JSON",
            Kind::Group(_) => "object",
        }
    }
}

#[cfg(test)]
#[path = "controls_tests.rs"]
mod tests;

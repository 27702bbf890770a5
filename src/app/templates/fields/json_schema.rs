//! A payload's JSON Schema (2020-12). The crate validates; what it says is sorted by the fields of
//! the payload here. References lead nowhere but into the schema itself, and patterns take linear
//! time, since the crate is built without its resolvers and set to its linear engine. `json_work`
//! bounds its work.

use std::collections::BTreeMap;
use std::thread;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

use super::defaults::Defaults;
use super::errors::FieldErrors;
use super::json_work::{Parts, Work};
use super::numbers::unfit_number;
use super::ordered::{Ordered, is_too_deep, object, shortened, unquoted};
use super::patterns::pattern_size;
use super::value::MOST_BYTES;

/// The longest message of one error, in characters.
const LONGEST_MESSAGE: usize = 300;
/// The stack on which a schema is compiled, in bytes.
const STACK_BYTES: usize = 16 << 20;
/// The error of a schema that is too much work for any payload.
const TOO_MUCH_ALONE: &str = "asks for too much work: its parts refer to each other too often, or \
                              without end";
/// The error of a payload that is too much work.
const TOO_MUCH: &str = "is too much work for its JSON Schema: send less, or let fewer parts of the \
                        schema apply to the same value";
/// The name of errors that belong to no field.
pub(super) const WHOLE: &str = "payload";

/// A schema that compiles.
#[derive(Debug)]
pub struct JsonSchema {
    validator: Validator,
    parts: Parts,
    /// Its properties, in order.
    pub properties: Vec<Property>,
    /// The properties whose own default the schema refuses, each with the reason.
    unfit: Vec<(String, String)>,
}

/// A property at the top of a schema.
#[derive(Clone, Debug)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its schema, as JSON.
    pub schema: String,
    /// The schema requires it.
    pub required: bool,
    /// Its default, as JSON.
    pub default: Option<String>,
    /// The value of the property where a payload lacks it, as JSON: its default, else that of the
    /// template, as far as the schema takes it. One that is required has none.
    pub fill: Option<String>,
}

impl JsonSchema {
    /// Reads a schema. `defaults` are those of the template.
    pub(super) fn read(text: &str, defaults: &Defaults) -> Result<Self, String> {
        if text.len() > MOST_BYTES {
            return Err(format!("has {} bytes, at most {MOST_BYTES}", text.len()));
        }
        let given = Ordered::read(text)?;
        if is_too_deep(text) {
            return Err("is nested too deep: at most 32 levels".to_owned());
        }
        let schema: Value =
            serde_json::from_str(text).map_err(|error| format!("is not valid JSON: {error}"))?;
        let parts = Parts::of(&schema)?;
        if parts.work(&Value::Object(Map::new())) == Work::TooMuch {
            return Err(TOO_MUCH_ALONE.to_owned());
        }
        let size = pattern_size(patterns_in(&schema));
        let validator = with_large_stack(|| validator(&schema, size))?;
        let properties = properties(&given, &schema)?;
        let mut read = Self { validator, parts, properties, unfit: Vec::new() };
        read.set_fills(defaults);
        Ok(read)
    }

    /// Notes which defaults the schema takes.
    fn set_fills(&mut self, defaults: &Defaults) {
        let own =
            self.properties.iter().filter_map(|one| Some((&*one.name, one.default.as_deref()?)));
        let unfit = self.wrong_members(&own.collect::<Vec<_>>());
        let of_template = self.properties.iter().filter(|one| one.default.is_none());
        let of_template =
            of_template.filter_map(|one| Some((&*one.name, defaults.get(&one.name)?)));
        let unfit_there = self.wrong_members(&of_template.collect::<Vec<_>>());
        for property in self.properties.iter_mut().filter(|property| !property.required) {
            let name = property.name.as_str();
            property.fill = match &property.default {
                Some(own) => Some(own.as_str()).filter(|_| !unfit.contains_key(name)),
                None => defaults.get(name).filter(|_| !unfit_there.contains_key(name)),
            }
            .map(str::to_owned);
        }
        self.unfit = unfit.into_iter().collect();
    }

    /// The values of properties that the schema refuses, by name with the first reason.
    fn wrong_members(&self, values: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut wrong = BTreeMap::new();
        if values.is_empty() {
            return wrong;
        }
        let json = object(values.iter().copied());
        let all = |why: &str| {
            values.iter().map(|(name, _)| ((*name).to_owned(), why.to_owned())).collect()
        };
        let fits = unfit_number(&json).is_none() && !is_too_deep(&json);
        let payload = serde_json::from_str::<Value>(&json).ok().filter(|_| fits);
        let Some(payload) = payload else {
            return all("has a number beyond 64 bits, or is nested too deep");
        };
        if self.parts.work(&payload) != Work::Little {
            return all(TOO_MUCH);
        }
        for error in self.validator.iter_errors(&payload) {
            let place = place_of(&error);
            let is_of = |name: &str| {
                place
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if let Some((name, _)) = values.iter().find(|(name, _)| is_of(name)) {
                wrong.entry((*name).to_owned()).or_insert_with(|| told(&error));
            }
        }
        wrong
    }

    /// The properties whose own default the schema refuses, each with the reason.
    pub(in crate::app::templates) fn unfit_defaults(&self) -> &[(String, String)] {
        &self.unfit
    }

    /// All that is wrong with a payload, which is JSON.
    pub(super) fn errors(&self, payload: &str) -> FieldErrors {
        let mut errors = FieldErrors::default();
        if let Some(number) = unfit_number(payload) {
            let message = format!("has a number beyond 64 bits: {}", shortened(number));
            errors.add(WHOLE, message);
            return errors;
        }
        let payload: Value = match serde_json::from_str(payload) {
            Ok(payload) => payload,
            Err(error) => return FieldErrors::one(WHOLE, format!("is not valid JSON: {error}")),
        };
        match self.parts.work(&payload) {
            Work::TooMuch => return FieldErrors::one(WHOLE, TOO_MUCH),
            _ if self.validator.is_valid(&payload) => {}
            Work::Little => {
                for error in self.validator.iter_errors(&payload) {
                    if errors.is_full() {
                        break;
                    }
                    add(&mut errors, &error);
                }
            }
            Work::Much => {
                if let Err(error) = self.validator.validate(&payload) {
                    add(&mut errors, &error);
                }
            }
        }
        errors
    }

    /// The value of a property in a form, as JSON. What cannot be one stays text, and is refused by
    /// the schema.
    pub(super) fn of_form(&self, name: &str, json: &str) -> String {
        let property = self.properties.iter().find(|property| property.name == name);
        let schema: Option<Value> =
            property.and_then(|property| serde_json::from_str(&property.schema).ok());
        let kind = schema.as_ref().and_then(|schema| schema["type"].as_str());
        let Some(text) = unquoted(json) else { return json.to_owned() };
        let text = text.trim();
        let is_json = || serde_json::from_str::<Value>(text).is_ok();
        match (kind, text) {
            (Some("boolean"), "on" | "1" | "true") => "true".to_owned(),
            (Some("boolean"), "off" | "0" | "false") => "false".to_owned(),
            (Some("string"), _) => json.to_owned(),
            _ if is_json() => text.to_owned(),
            _ => json.to_owned(),
        }
    }
}

/// Compiles a schema whose patterns may take so many bytes each.
fn validator(schema: &Value, pattern_size: usize) -> Result<Validator, String> {
    let patterns = PatternOptions::regex().size_limit(pattern_size).dfa_size_limit(pattern_size);
    let options = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(patterns)
        .should_validate_formats(true);
    let built = options.build(schema);
    built.map_err(|error| format!("is no valid JSON Schema: {}", told(&error)))
}

/// Runs what calls itself as deep as a schema's references go.
fn with_large_stack<T: Send>(work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    let failed = || "cannot be read now: try again".to_owned();
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        thread.map_err(|_| failed())?.join().map_err(|_| failed())?
    })
}

/// The properties of a schema, in order.
fn properties(given: &Ordered<'_>, schema: &Value) -> Result<Vec<Property>, String> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let named = given.get("properties").map(Ordered::read).transpose()?;
    let property = |(name, schema): (String, &str)| {
        let own = Ordered::read(schema).ok();
        let default = own.and_then(|own| own.get("default").map(str::to_owned));
        let required = required.contains(&name.as_str());
        Property { name, schema: schema.to_owned(), required, default, fill: None }
    };
    Ok(named.unwrap_or_default().0.into_iter().map(property).collect())
}

/// The number of patterns in a schema, or somewhat more.
fn patterns_in(schema: &Value) -> usize {
    match schema {
        Value::Object(object) => {
            let own = usize::from(object.get("pattern").is_some_and(Value::is_string));
            let named = object.get("patternProperties").and_then(Value::as_object);
            own + named.map_or(0, Map::len) + object.values().map(patterns_in).sum::<usize>()
        }
        Value::Array(list) => list.iter().map(patterns_in).sum(),
        _ => 0,
    }
}

/// The place of an error in the payload: names with slashes between.
fn place_of(error: &ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    path.trim_start_matches('/').replace("~1", "/").replace("~0", "~")
}

/// Adds an error at its field.
fn add(errors: &mut FieldErrors, error: &ValidationError<'_>) {
    let place = place_of(error);
    let of = |name: &str| if place.is_empty() { name.to_owned() } else { place.clone() };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let inner = if place.is_empty() { String::new() } else { format!(": {name}") };
            errors.add(&of(name), format!("is required{inner}"));
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected }
            if place.is_empty() =>
        {
            for name in unexpected {
                errors.add(name, "is no field of this template");
            }
        }
        _ => errors.add(&of(WHOLE), told(error)),
    }
}

/// The words of an error, without the value where it is long.
fn told(error: &ValidationError<'_>) -> String {
    let shown = error.to_string();
    if shown.chars().count() <= LONGEST_MESSAGE {
        return shown;
    }
    error.masked().to_string().chars().take(LONGEST_MESSAGE).collect()
}

//! The schema of a template, read from its text: rules by field, or a JSON Schema. `payload` checks
//! by it, and forms are made of it.

use std::collections::HashSet;
use std::sync::Arc;

use super::defaults::Defaults;
use super::errors::FieldErrors;
use super::json_schema::JsonSchema;
use super::ordered::{Ordered, shortened};
use super::rule::{Kind, Rule};
use super::rule_names::has_pattern;
use super::value::MOST_BYTES;
use crate::model::template::PayloadSchema;

/// The most fields of a schema.
const MOST_FIELDS: usize = 500;
/// The longest name of a field, in bytes.
const LONGEST_NAME: usize = 128;

/// A schema that is valid.
#[derive(Clone, Debug)]
pub enum Schema {
    /// A rule for each field, in order.
    Fields(Vec<Field>),
    /// A JSON Schema.
    Json(Arc<JsonSchema>),
}

/// A field with its rule.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in the payload.
    pub name: String,
    /// Its rule.
    pub rule: Rule,
}

impl Schema {
    /// Reads a schema. `defaults` tell of an `options` field without `multiple` whether it takes a
    /// list, and fill the properties of a JSON Schema. The errors are by the names of the fields.
    pub fn read(text: &PayloadSchema, defaults: &Defaults) -> Result<Self, FieldErrors> {
        match text {
            PayloadSchema::Fields(text) => fields(text, defaults).map(Self::Fields),
            PayloadSchema::Json(text) => JsonSchema::read(text, defaults)
                .map(|schema| Self::Json(Arc::new(schema)))
                .map_err(|error| FieldErrors::one("jsonSchema", error)),
        }
    }
}

fn fields(text: &str, defaults: &Defaults) -> Result<Vec<Field>, FieldErrors> {
    const WHOLE: &str = "payloadSchema";
    if text.len() > MOST_BYTES {
        let message = format!("has {} bytes, at most {MOST_BYTES}", text.len());
        return Err(FieldErrors::one(WHOLE, message));
    }
    let given = Ordered::read(text).map_err(|error| FieldErrors::one(WHOLE, error))?;
    let mut errors = FieldErrors::default();
    if given.0.len() > MOST_FIELDS {
        errors.add(WHOLE, format!("has {} fields, at most {MOST_FIELDS}", given.0.len()));
        return Err(errors);
    }
    let patterns = given.0.iter().filter(|(_, rule)| has_pattern(rule)).count();
    let mut fields: Vec<Field> = Vec::with_capacity(given.0.len());
    let mut names = HashSet::with_capacity(given.0.len());
    for (name, json) in given.0 {
        let place = format!("{WHOLE}.{name}");
        if name.is_empty() || name.len() > LONGEST_NAME {
            let message = format!("must have a name of 1 to {LONGEST_NAME} bytes");
            errors.add(&format!("{WHOLE}.{}", shortened(&name)), message);
            continue;
        }
        if !names.insert(name.clone()) {
            errors.add(&place, "is there twice: give it once");
            continue;
        }
        match Rule::of_schema(json, patterns) {
            Ok(mut rule) => {
                if let Kind::Options { multiple, .. } = &mut rule.kind {
                    let value = rule.default.as_deref().or(defaults.get(&name));
                    let is_list = value.is_some_and(|value| value.starts_with('['));
                    *multiple = Some(multiple.unwrap_or(is_list));
                }
                fields.push(Field { name, rule });
            }
            Err(wrong) => wrong.into_iter().for_each(|wrong| errors.add(&place, wrong)),
        }
    }
    errors.or(fields)
}

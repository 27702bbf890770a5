//! The check of a whole payload: each field by its rule, absent ones filled, unknown ones refused.
//! The result is the data of a job, in the order of the schema; else all errors at once.

use std::collections::{HashMap, HashSet};

use super::defaults::Defaults;
use super::errors::FieldErrors;
use super::json_schema::{JsonSchema, WHOLE};
use super::ordered::{
    Ordered, closest, compact, doubled_name, is_too_deep, object, quoted, shortened,
};
use super::rule::{Kind, Rule};
use super::schema::{Field, Schema};
use super::value::{Encoding, MOST_BYTES, check};
use crate::model::Millis;

/// A field with the rule null that is filled with the template's type.
const JOB_TYPE: &str = "job_type";
/// The most names of fields in an error.
const MOST_NAMED: usize = 20;
/// The most unknown fields whose error names the known ones, the closest first.
const MOST_HINTS: usize = 10;
/// The most bytes of a payload that is read, without the spaces between its parts: escapes and
/// numbers may become shorter.
const MOST_GIVEN: usize = 4 * MOST_BYTES;

/// What a payload is checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PayloadRules<'a> {
    /// The schema of the template.
    pub schema: &'a Schema,
    /// The values for absent fields.
    pub defaults: &'a Defaults,
    /// The type of the template.
    pub kind: &'a str,
    /// The moment of the check.
    pub now: Millis,
}

/// The fields of a payload.
struct Given<'a> {
    /// In the order of the payload.
    list: &'a Ordered<'a>,
    /// By name; the last one of equal names.
    by_name: HashMap<&'a str, &'a str>,
}

impl<'a> Given<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.by_name.get(name).copied()
    }
}

impl PayloadRules<'_> {
    /// Checks a payload, given as JSON, and gives the data of a job.
    pub(crate) fn check(&self, payload: &str, encoding: Encoding) -> Result<String, FieldErrors> {
        // The result is measured below. What is far larger is not read at all.
        let size = compact(payload).len();
        if size > MOST_GIVEN {
            return Err(FieldErrors::one(WHOLE, too_large(size)));
        }
        let list = Ordered::read(payload).map_err(|error| FieldErrors::one(WHOLE, error))?;
        if is_too_deep(payload) {
            return Err(FieldErrors::one(WHOLE, "is nested too deep: at most 32 levels"));
        }
        let mut errors = FieldErrors::default();
        let mut given = Given { by_name: HashMap::with_capacity(list.0.len()), list: &list };
        for (name, json) in &list.0 {
            if given.by_name.insert(name, json).is_some() {
                errors.add(name, "is there twice: give it once");
            } else if let Some(inner) = doubled_name(json) {
                errors.add(name, format!("has {} twice: give it once", shortened(&inner)));
            }
        }
        let data = match self.schema {
            Schema::Fields(fields) => self.fields(fields, &given, encoding, &mut errors),
            Schema::Json(schema) => Self::json(schema, &given, encoding, &mut errors),
        };
        if data.len() > MOST_BYTES {
            errors.add(WHOLE, too_large(data.len()));
        }
        errors.or(data)
    }

    fn fields(
        &self,
        fields: &[Field],
        given: &Given<'_>,
        encoding: Encoding,
        errors: &mut FieldErrors,
    ) -> String {
        let known: HashSet<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let mut hints = MOST_HINTS;
        for (name, _) in given.list.0.iter().filter(|(name, _)| !known.contains(name.as_str())) {
            if errors.is_full() {
                break;
            }
            errors.add(name, unknown(name, fields, hints > 0));
            hints = hints.saturating_sub(1);
        }
        let mut out: Vec<(&str, String)> = Vec::with_capacity(fields.len());
        for Field { name, rule } in fields {
            let value = given.get(name).filter(|json| !is_absent(rule, json, encoding));
            let checked = if is_type_of_job(name, rule) {
                self.type_of_job(value).map(Some)
            } else if let Some(json) = value {
                check(&rule.kind, json, encoding, self.now).map(Some)
            } else if rule.is_required() {
                Err("is required".to_owned())
            } else {
                Ok(self.filled(name, rule))
            };
            match checked {
                Ok(Some(json)) => out.push((name, json)),
                Ok(None) => {}
                Err(error) => errors.add(name, error),
            }
        }
        object(out.iter().map(|(name, json)| (*name, json.as_str())))
    }

    /// The value of an absent field: the default of its rule, or of the template where that fits.
    fn filled(&self, name: &str, rule: &Rule) -> Option<String> {
        check(&rule.kind, self.default_of(name, rule)?, Encoding::Json, self.now).ok()
    }

    /// The default of a field as it was written, where it fits.
    pub(crate) fn fitting_default(&self, name: &str, rule: &Rule) -> Option<String> {
        let value = self.default_of(name, rule)?;
        check(&rule.kind, value, Encoding::Json, self.now).is_ok().then(|| value.to_owned())
    }

    fn default_of<'r>(&'r self, name: &str, rule: &'r Rule) -> Option<&'r str> {
        rule.default.as_deref().or_else(|| self.defaults.get(name))
    }

    fn type_of_job(&self, value: Option<&str>) -> Result<String, String> {
        let own = quoted(self.kind);
        match value {
            None | Some("\"\"" | "null") => Ok(own),
            Some(given) if given == own => Ok(own),
            Some(_) => Err(format!("is filled with {}: leave it out", self.kind)),
        }
    }

    fn json(
        schema: &JsonSchema,
        given: &Given<'_>,
        encoding: Encoding,
        errors: &mut FieldErrors,
    ) -> String {
        let mut out: Vec<(&str, String)> = Vec::new();
        for property in &schema.properties {
            let value = given.get(&property.name);
            let value = value.filter(|json| *json != "\"\"" || encoding == Encoding::Json);
            match value {
                Some(json) if encoding == Encoding::Form => {
                    out.push((&property.name, schema.of_form(&property.name, json)));
                }
                Some(json) => out.push((&property.name, compact(json))),
                None => {
                    let filled = property.fill.as_ref();
                    out.extend(filled.map(|json| (property.name.as_str(), compact(json))));
                }
            }
        }
        // What the schema does not name is its own to judge.
        let named: HashSet<&str> =
            schema.properties.iter().map(|property| property.name.as_str()).collect();
        for (name, json) in given.list.0.iter().filter(|(name, _)| !named.contains(&**name)) {
            out.push((name, compact(json)));
        }
        let data = object(out.iter().map(|(name, json)| (*name, json.as_str())));
        for (field, error) in schema.errors(&data).iter() {
            errors.add(field, error);
        }
        data
    }
}

/// Says whether a field is filled with the type of the template.
pub(crate) fn is_type_of_job(name: &str, rule: &Rule) -> bool {
    name == JOB_TYPE && matches!(rule.kind, Kind::Any)
}

/// Says whether a value stands for none.
fn is_absent(rule: &Rule, json: &str, encoding: Encoding) -> bool {
    let is_open = matches!(rule.kind, Kind::Json | Kind::Any);
    (json == "null" && !is_open) || (json == "\"\"" && encoding == Encoding::Form)
}

fn too_large(bytes: usize) -> String {
    format!("has {bytes} bytes, at most {MOST_BYTES}")
}

/// Says that there is no such field, and, with a hint, which there are.
fn unknown(name: &str, fields: &[Field], with_hint: bool) -> String {
    let names = || fields.iter().map(|field| field.name.as_str());
    if fields.is_empty() {
        return "is no field of this template, which has none".to_owned();
    }
    if !with_hint {
        return "is no field of this template".to_owned();
    }
    let near = closest(name, names());
    let hint = near.map_or_else(|| ".".to_owned(), |near| format!(": did you mean {near}?"));
    let rest: Vec<_> = names().filter(|name| Some(*name) != near).collect();
    let known: Vec<_> = near.into_iter().chain(rest).take(MOST_NAMED).collect();
    format!("is no field of this template{hint} It has {}", known.join(", "))
}

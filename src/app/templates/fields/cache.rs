//! Schemas that were read lately. To read one compiles its patterns, which takes longer than most
//! checks; the same few templates are used again and again. The texts are the key, so that nothing
//! has to be forgotten when a template changes.

use std::sync::{Mutex, PoisonError};

use super::defaults::Defaults;
use super::errors::FieldErrors;
use super::schema::Schema;
use crate::model::template::PayloadSchema;

/// The most schemas that are held.
const MOST: usize = 8;

/// What was read, the latest use at the end.
static LATELY: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// A schema with the texts that it was read from.
struct Entry {
    schema: PayloadSchema,
    payload: String,
    read: (Schema, Defaults),
}

/// The schema and the defaults of a template, from their texts.
pub(crate) fn read(
    schema: &PayloadSchema,
    payload: &str,
) -> Result<(Schema, Defaults), FieldErrors> {
    if let Some(known) = look_up(schema, payload) {
        return Ok(known);
    }
    let defaults = Defaults::read(payload).map_err(|error| FieldErrors::one("payload", error))?;
    let read = (Schema::read(schema, &defaults)?, defaults);
    let mut lately = LATELY.lock().unwrap_or_else(PoisonError::into_inner);
    if lately.len() >= MOST {
        lately.remove(0);
    }
    let (schema, payload) = (schema.clone(), payload.to_owned());
    lately.push(Entry { schema, payload, read: read.clone() });
    Ok(read)
}

fn look_up(schema: &PayloadSchema, payload: &str) -> Option<(Schema, Defaults)> {
    let mut lately = LATELY.lock().unwrap_or_else(PoisonError::into_inner);
    let is_it = |one: &Entry| one.schema == *schema && one.payload == payload;
    let place = lately.iter().position(is_it)?;
    let found = lately.remove(place);
    let read = found.read.clone();
    lately.push(found);
    Some(read)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_schema_is_read_once_for_the_same_texts() {
        let schema = |n: u32| PayloadSchema::Json(format!("{{\"title\":\"once {n}\"}}"));
        let json = |schema: &PayloadSchema, payload: &str| match read(schema, payload).unwrap().0 {
            Schema::Json(read) => read,
            Schema::Fields(_) => panic!("a JSON Schema"),
        };
        // Tests beside this one use the same few places.
        let same = (0..100).any(|n| Arc::ptr_eq(&json(&schema(n), ""), &json(&schema(n), "")));
        assert!(same);
        let other = json(&schema(1), "{}");
        assert!(!Arc::ptr_eq(&other, &json(&schema(1), "")), "defaults count");
        for n in 0..100 {
            json(&schema(n), "");
        }
        assert!(LATELY.lock().unwrap().len() <= MOST);
        assert!(read(&PayloadSchema::Json("[]".into()), "").is_err());
    }
}

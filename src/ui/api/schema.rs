//! Schemas of the document as tables of fields. A schema that is named is shown once on a page, and
//! linked from wherever it is meant.

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde_json::Value;

use crate::api::openapi::document;
use crate::ui::parts::table;

/// The name of a schema that another one refers to.
pub(crate) fn named(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

fn get(name: &str) -> &'static Value {
    &document().json["components"]["schemas"][name]
}

/// The type of a schema in words, with a link to what it refers to.
pub(crate) fn kind(schema: &Value) -> Markup {
    if let Some(name) = named(schema) {
        return match get(name)["properties"].as_object() {
            Some(_) => html! { a href={ "#schema-" (name) } { (name) } },
            None => kind(get(name)),
        };
    }
    for several in ["oneOf", "anyOf"] {
        if let Some(all) = schema[several].as_array() {
            return html! { @for (at, one) in all.iter().enumerate() { @if at > 0 { " or " } (kind(one)) } };
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        return html! {
            @for (at, value) in values.iter().filter_map(Value::as_str).enumerate() {
                @if at > 0 { ", " } code { (value) }
            }
        };
    }
    if schema["type"] == "array" {
        return html! { "list of " (kind(&schema["items"])) };
    }
    let words = match (&schema["type"], schema["format"].as_str()) {
        (_, Some("date-time")) => "instant".to_owned(),
        (Value::String(one), _) => words_of(one).to_owned(),
        (Value::Array(several), _) => {
            let all: Vec<_> = several.iter().filter_map(Value::as_str).map(words_of).collect();
            all.join(" or ")
        }
        _ => "any JSON".to_owned(),
    };
    html! { (words) }
}

fn words_of(kind: &str) -> &str {
    match kind {
        "string" => "text",
        "integer" => "whole number",
        "boolean" => "true or false",
        other => other,
    }
}

/// The named schemas that some schemas lead to, in the order in which they are come upon.
pub(crate) fn reached(schemas: &[&Value]) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Value> = schemas.iter().rev().copied().collect();
    while let Some(schema) = open.pop() {
        if let Some(name) = named(schema) {
            let known = document().json["components"]["schemas"].as_object();
            let Some((name, schema)) = known.and_then(|known| known.get_key_value(name)) else {
                continue;
            };
            if seen.insert(name.as_str()) {
                if schema["properties"].is_object() {
                    found.push(name.as_str());
                }
                open.push(schema);
            }
            continue;
        }
        match schema {
            Value::Object(fields) => open.extend(fields.values()),
            Value::Array(list) => open.extend(list),
            _ => {}
        }
    }
    found
}

/// A named schema as a table of its fields, which can be opened.
pub(crate) fn folded(name: &str, is_open: bool) -> Markup {
    let schema = get(name);
    let about = schema["description"].as_str().unwrap_or_default();
    let required: BTreeSet<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let rows = html! {
        @for (field, one) in schema["properties"].as_object().into_iter().flatten() {
            tr {
                td.lead data-label="Field" { code { (field) } }
                td data-label="Type" { (kind(one)) @if required.contains(field.as_str()) { span.muted { ", always" } } }
                td data-label="Meaning" { (words(one["description"].as_str().unwrap_or_default())) }
            }
        }
    };
    html! {
        details.card.folded #{ "schema-" (name) } open[is_open] {
            summary { (name) span.muted { (words(about)) } }
            (table(name, &["Field", "Type", "Meaning"], rows))
        }
    }
}

/// A text of the document, with what stands between backticks as code.
pub(crate) fn words(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_leads_to_all_that_it_is_made_of() {
        let of = |name: &str| serde_json::json!({"$ref": format!("#/components/schemas/{name}")});
        let reached = reached(&[&of("Explanation")]);
        for name in ["Explanation", "Account", "ExplainedAttempt", "WorkerRun", "Misfire"] {
            assert_eq!(reached.iter().filter(|one| **one == name).count(), 1, "{reached:?}");
        }
        let shown = folded("Job", true).0;
        assert!(shown.contains("schema-Job") && shown.contains("#schema-HttpTarget"), "{shown}");
        assert_eq!(words("a `b` c").0, "a <code>b</code> c");
    }
}

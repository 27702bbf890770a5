//! One operation of the document: parameters, body, answers, who may call it. `document` calls it
//! for each route.

use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::errors;
use super::source::{AnswerSource, BodySource, Common, ExampleSource, OperationSource};
use crate::api::http::query;
use crate::app::Action;
use crate::model::scope::{Scope, Scopes};

/// A route, with what is known of it.
pub(super) struct Described<'a> {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// The action that a caller must be allowed to take; `None` for everybody.
    pub(super) action: Option<Action>,
    pub(super) tag: &'a str,
    pub(super) source: &'a OperationSource,
}

impl Described<'_> {
    /// The operation as the document has it.
    pub(super) fn json(&self, common: &Common) -> Value {
        let source = self.source;
        let mut shown = json!({
            "operationId": source.id,
            "tags": [self.tag],
            "summary": source.summary,
            "parameters": self.parameters(common),
            "responses": self.responses(),
            "security": self.security(),
        });
        if let Some(about) = &source.about {
            shown["description"] = about.as_str().into();
        }
        let scopes = self.action.map_or(Scopes::NONE, Action::scopes);
        if !scopes.is_empty() {
            let names: Vec<_> = scopes.iter().map(Scope::name).collect();
            shown["x-required-scopes"] = names.into();
        }
        if source.stream {
            shown["x-stream"] = true.into();
        }
        if self.path == "/" {
            // A prefix has no slash at its end.
            shown["servers"] = json!([{"url": "/"}]);
        }
        if let Some(body) = &source.body {
            let schema = match body {
                BodySource::Named(name) => reference(name),
                BodySource::Whole(schema) => schema.clone(),
            };
            let mut media = json!({"schema": schema});
            if let Some(example) = &source.example.body {
                media["example"] = example.clone();
            }
            shown["requestBody"] = json!({"content": {"application/json": media}});
        }
        shown
    }

    fn parameters(&self, common: &Common) -> Vec<Value> {
        let (source, example) = (self.source, &self.source.example);
        let mut all: Vec<_> = path_names(self.path).map(|name| path(name, example)).collect();
        let given: Vec<(String, String)> =
            form_urlencoded::parse(example.query.as_deref().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        for name in query::parameters_of(self.method, self.path) {
            let mut schema = common.parameters.get(name).cloned().unwrap_or(Value::Null);
            let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            if name == "orderBy" && !source.orders.is_empty() {
                schema["enum"] = json!(source.orders);
            }
            if query::may_repeat(name, self.path) {
                schema = json!({"type": "array", "items": schema});
            }
            let mut shown = json!({"name": name, "in": "query", "schema": schema});
            if source.needs.iter().any(|needed| needed == name) {
                shown["required"] = true.into();
            }
            if let Some(about) = about {
                shown["description"] = about;
            }
            if let Some((_, value)) = given.iter().find(|(known, _)| known == name) {
                shown["example"] = example_of(&shown["schema"], value);
            }
            all.push(shown);
        }
        all.extend(self.headers());
        all
    }

    fn headers(&self) -> Vec<Value> {
        let (source, is_read) = (self.source, self.method == "GET");
        let mut names: Vec<&str> = source.headers.iter().map(String::as_str).collect();
        if source.idempotent {
            names.push("Idempotency-Key");
        }
        if source.conditional {
            names.push("If-None-Match");
            if !is_read {
                names.push("If-Match");
            }
        }
        let header = |name: &str| {
            let mut shown = json!({
                "name": name, "in": "header", "schema": {"type": "string"},
                "description": header_words(name),
            });
            let given =
                source.example.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            if let Some((_, value)) = given {
                shown["example"] = value.as_str().into();
            }
            shown
        };
        names.into_iter().map(header).collect()
    }

    fn responses(&self) -> Map<String, Value> {
        let source = self.source;
        let mut all = Map::new();
        for (status, answer) in &source.answers {
            all.insert(status.to_string(), self.response(*status, answer));
        }
        for status in self.errors() {
            let reference =
                json!({"$ref": format!("#/components/responses/{}", errors::name(status))});
            all.entry(status.to_string()).or_insert(reference);
        }
        if source.conditional && self.method == "GET" {
            let about = "Nothing has changed since the version of `If-None-Match`.";
            all.insert("304".to_owned(), json!({"description": about}));
        }
        all
    }

    fn response(&self, status: u16, answer: &AnswerSource) -> Value {
        if answer.error {
            return json!({"$ref": format!("#/components/responses/{}", errors::name(status))});
        }
        let default = match status {
            201 => "Created.",
            202 => "Accepted.",
            204 => "Done. There is no body.",
            _ => "Done.",
        };
        let mut shown = json!({"description": answer.about.as_deref().unwrap_or(default)});
        if let Some(media) = &answer.media {
            shown["content"] = json!({media.as_str(): {"schema": {"type": "string"}}});
        } else if let Some(data) = data(answer) {
            shown["content"] = json!({"application/json": {"schema": envelope(&data)}});
        }
        if self.source.conditional && answer.data.is_some() {
            let about = "The version of the record, for `If-Match`.";
            let tag = json!({"description": about, "schema": {"type": "string"}});
            shown["headers"] = json!({"ETag": tag});
        }
        shown
    }

    /// The statuses of errors that the route may answer with.
    fn errors(&self) -> Vec<u16> {
        let source = self.source;
        let (is_read, has_body) = (self.method == "GET", source.body.is_some());
        if source.open {
            return if self.path == "/readyz" { vec![503] } else { Vec::new() };
        }
        let mut all = vec![400, 401, 403, 429, 500, 503];
        if self.path.contains('{') {
            all.push(404);
        }
        if has_body {
            all.extend([408, 413, 415, 422]);
        }
        if !is_read {
            all.extend([409, 507]);
        }
        if source.conditional && !is_read {
            all.push(412);
        }
        all
    }

    fn security(&self) -> Vec<Value> {
        let Some(action) = self.action else { return Vec::new() };
        let key_pair = json!({"ApiKey": [], "SecretKey": []});
        let operator = json!({"Operator": [], "Peer": []});
        let mut all = vec![key_pair, operator, json!({"AccessToken": []}), json!({"Session": []})];
        if is_for_operators(action) {
            all.swap(0, 1);
        }
        all
    }
}

/// True for an action that a key is not enough for, unless it was given scopes beyond the usual.
pub(super) fn is_for_operators(action: Action) -> bool {
    !action.scopes().without(Scopes::OF_KEYS).is_empty()
}

/// A schema by its name.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The names in a path.
fn path_names(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn path(name: &str, example: &ExampleSource) -> Value {
    let default = if name == "external" { "nightly-backup" } else { "1" };
    let value = example.path.get(name).map_or(default, String::as_str);
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let kind = if is_number { "integer" } else { "string" };
    let schema = json!({"type": kind});
    let value = example_of(&schema, value);
    json!({"name": name, "in": "path", "required": true, "schema": schema, "example": value})
}

/// The value of an example in the type of its schema.
fn example_of(schema: &Value, text: &str) -> Value {
    match schema["type"].as_str() {
        Some("integer") => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
        Some("boolean") => (text == "true").into(),
        Some("array") => json!([text]),
        _ => text.into(),
    }
}

fn header_words(name: &str) -> &'static str {
    match name {
        "Idempotency-Key" => "A request that is sent twice with the same key is carried out once.",
        "If-Match" => "The `ETag` of the version that is to be changed; 412 where it has another.",
        "If-None-Match" => {
            "The `ETag` of a version that the client has. `*`: only where there is none."
        }
        "Prefer" => "`return=representation` asks for the records instead of a receipt.",
        _ => "The id of the last event that was seen; it goes before `after`.",
    }
}

/// The schema of the `data` of an answer; `None` where there is no body.
fn data(answer: &AnswerSource) -> Option<Value> {
    let list = |name: &String| json!({"type": "array", "items": reference(name)});
    if let Some(name) = &answer.data {
        return Some(reference(name));
    }
    if let Some(name) = &answer.list_of {
        return Some(list(name));
    }
    if let (Some(name), Some(of)) = (&answer.list, &answer.of) {
        return Some(json!({
            "type": "object",
            "required": ["total", "offset", "limit", name],
            "properties": {
                "total": {"type": "integer"},
                "totalIsEstimate": {"type": "boolean"},
                "offset": {"type": "integer"},
                "limit": {"type": "integer"},
                name.as_str(): list(of),
                "next": {"type": "string", "description": "The `after` of the next page, if there is one."},
            },
        }));
    }
    answer.schema.clone()
}

fn envelope(data: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["data", "success"],
        "properties": {
            "data": data,
            "success": {"const": true},
            "warnings": {"type": "array", "items": {"type": "string"}},
        },
    })
}

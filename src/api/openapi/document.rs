//! The whole document, made once from the tables and files that the head of this folder names.
//! `serve` sends it, and the web UI shows it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::errors;
use super::operation::{Described, is_for_operators};
use super::source::{OperationSource, Source, common, sources};
use crate::api::closed_routes::closed_routes;
use crate::app::Action;

/// The routes that need no credentials. Documents and the target for first steps are no part of
/// the API.
const OPEN: [&str; 7] =
    ["/", "/openapi.json", "/auth/config", "/healthcheck", "/livez", "/readyz", "/metrics"];

const ABOUT: &str = "\
A cluster that calls URLs, publishes messages and gives runs to workers when they are due.

**Three prefixes, two casings.** Every route is there under `/api/v1` and `/v1` with names in \
camelCase (`projectId`), as in this document, and under no prefix with names in snake_case \
(`project_id`), in requests and answers alike. In requests either form is understood under every \
prefix, also in queries. `timezoneOffset` is written so everywhere. Names of the client's own \
(labels, headers) are never changed.

**Answers** are `{\"data\": ..., \"success\": true}`, with `warnings` where something was ignored. \
Fields that have no value are left out. Clients must expect further fields.

**Errors** are `{\"data\": MESSAGE, \"success\": false, \"error\": {\"code\", \"message\", \"field\", \
\"index\"}}`. Repeat 408, 429, 503 and 504 after `Retry-After`, with the same `Idempotency-Key`.

**Lists** go on with `after`, which is the `next` of the page before.

**Instants** are RFC 3339 in UTC. **Durations** are texts such as `90s` or `1h30m`.";

/// The document.
#[derive(Debug)]
pub(crate) struct Document {
    /// As JSON.
    pub(crate) json: Value,
    /// As text, as it is served and kept in `docs/openapi.json`.
    pub(crate) text: String,
    /// The operations, by path.
    pub(crate) operations: Vec<Operation>,
}

/// One operation, as far as a page needs it beside the JSON.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) summary: String,
    pub(crate) tag: String,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// The action that a caller must be allowed to take; `None` for everybody.
    pub(crate) action: Option<Action>,
    /// Its answer may be without end.
    pub(crate) is_stream: bool,
}

impl Operation {
    /// Its part of the document.
    pub(crate) fn json(&self) -> &'static Value {
        &document().json["paths"][self.path][self.method.to_ascii_lowercase()]
    }

    /// True where the key pair of a client is not enough.
    pub(crate) fn is_for_operators(&self) -> bool {
        self.action.is_some_and(is_for_operators)
    }
}

impl Document {
    /// The operation of an id.
    pub(crate) fn operation(&self, id: &str) -> Option<&Operation> {
        self.operations.iter().find(|one| one.id == id)
    }
}

/// The document of this program.
pub(crate) fn document() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let sources = sources();
        let json = whole(&sources);
        Document { text: format!("{json:#}\n"), json, operations: operations(&sources) }
    })
}

fn operations(sources: &[Source]) -> Vec<Operation> {
    let operation = |(method, path, action)| {
        let (tag, source) = described(sources, method, path)?;
        let (id, summary) = (source.id.clone(), source.summary.clone());
        let (tag, is_stream) = (tag.to_owned(), source.stream);
        Some(Operation { id, summary, tag, method, path, action, is_stream })
    };
    let mut all: Vec<_> = routes().into_iter().filter_map(operation).collect();
    all.sort_by_key(|one| one.path);
    all
}

fn whole(sources: &[Source]) -> Value {
    let common = common();
    let mut schemas: Map<String, Value> = Map::new();
    let all = sources.iter().map(|source| &source.schemas).chain([&common.schemas]);
    schemas.extend(all.flatten().map(|(name, schema)| (name.clone(), schema.clone())));
    schemas.insert("Error".to_owned(), errors::schema());
    let tags: Vec<_> = sources
        .iter()
        .map(|source| json!({"name": source.tag, "description": source.about}))
        .collect();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (method, path, action) in routes() {
        // A test of the routes fails where a route has no description.
        if let Some((tag, source)) = described(sources, method, path) {
            let described = Described { method, path, action, tag, source };
            let method = method.to_ascii_lowercase();
            paths.entry(path).or_default().insert(method, described.json(&common));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Scheduler0",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {"url": "/api/v1", "description": "Names in camelCase, as in this document."},
            {"url": "/v1", "description": "Names in camelCase."},
            {"url": "/", "description": "Names in snake_case."},
        ],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": errors::responses(),
            "securitySchemes": schemes(),
        },
    })
}

/// Every route with its method, and what its callers must be allowed to do.
fn routes() -> Vec<(&'static str, &'static str, Option<Action>)> {
    let closed = closed_routes();
    let rows = closed.routes().iter().map(|row| (row.method, row.path, Some(row.action)));
    rows.chain(OPEN.map(|path| ("GET", path, None))).collect()
}

/// The entry of a route in the files, with its group.
fn described<'s>(
    sources: &'s [Source],
    method: &str,
    path: &str,
) -> Option<(&'s str, &'s OperationSource)> {
    let name = format!("{method} {path}");
    sources.iter().find_map(|source| Some((source.tag.as_str(), source.operations.get(&name)?)))
}

fn schemes() -> Value {
    json!({
        "ApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The key of a client's key pair."},
        "SecretKey": {"type": "apiKey", "in": "header", "name": "x-secret-key", "description": "The secret of that key pair."},
        "Operator": {"type": "http", "scheme": "basic", "description": "`AuthUsername` and `AuthPassword`."},
        "Peer": {"type": "apiKey", "in": "header", "name": "x-peer", "description": "`cmd`: it says that an operator asks, and no page in a browser."},
        "AccessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The access token of an identity provider, see docs/oidc.md. It needs the scopes of the route. A key pair may be sent so, too: `Bearer KEY.SECRET`."},
        "Session": {"type": "apiKey", "in": "cookie", "name": "s0_…", "description": "The session of the web UI. Its name ends with digits of the cluster."},
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_every_description_has_a_route() {
        let served: BTreeSet<_> =
            routes().into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        let sources = sources();
        let told: BTreeSet<_> =
            sources.iter().flat_map(|source| source.operations.keys().cloned()).collect();
        let missing: Vec<_> = served.difference(&told).collect();
        let gone: Vec<_> = told.difference(&served).collect();
        assert!(missing.is_empty(), "src/api/openapi/*.yaml lack {missing:?}");
        assert!(gone.is_empty(), "src/api/openapi/*.yaml describe {gone:?}, which nobody serves");
    }

    #[test]
    fn every_parameter_and_every_reference_is_known() {
        let document = document();
        let mut unknown = Vec::new();
        let mut references = Vec::new();
        each(&document.json, &mut |value| {
            if value["in"] == "query" && value["description"].is_null() {
                unknown.push(value["name"].clone());
            }
            references.extend(value["$ref"].as_str().map(str::to_owned));
        });
        assert!(unknown.is_empty(), "common.yaml lacks the parameters {unknown:?}");
        assert!(references.len() > 200);
        let dead = |name: &String| document.json.pointer(name.trim_start_matches('#')).is_none();
        let dead: Vec<_> = references.iter().filter(|name| dead(name)).collect();
        assert!(dead.is_empty(), "{dead:?}");
    }

    #[test]
    fn every_schema_is_used() {
        let document = document();
        let mut used = BTreeSet::new();
        each(&document.json, &mut |value| {
            let name = value["$ref"].as_str().and_then(|name| name.rsplit('/').next());
            used.extend(name.map(str::to_owned));
        });
        let schemas = document.json["components"]["schemas"].as_object().unwrap();
        let unused: Vec<_> = schemas.keys().filter(|name| !used.contains(*name)).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    fn each(value: &Value, see: &mut impl FnMut(&Value)) {
        see(value);
        match value {
            Value::Object(fields) => fields.values().for_each(|one| each(one, see)),
            Value::Array(list) => list.iter().for_each(|one| each(one, see)),
            _ => {}
        }
    }
}

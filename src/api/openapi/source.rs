//! The YAML files of this folder: words and schemas of routes, which no other table knows.
//! `document` reads them once.
//!
//! An operation is named by its method and path. Of its answers, by status: `data` is a schema in
//! the envelope, `list` a page of records `of` a schema under that name, `list_of` a plain list of
//! a schema, `schema` a schema that is written out, `media` an answer that is no JSON, and `error`
//! an error. `conditional` routes take `If-Match` and show an `ETag`, `idempotent` ones take an
//! `Idempotency-Key`, and a `stream` is too long to be tried out on a page.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The files, each with the routes and schemas of some nouns.
const FILES: [&str; 8] = [
    include_str!("jobs.yaml"),
    include_str!("projects.yaml"),
    include_str!("executors.yaml"),
    include_str!("templates.yaml"),
    include_str!("history.yaml"),
    include_str!("runs.yaml"),
    include_str!("accounts.yaml"),
    include_str!("cluster.yaml"),
];
const COMMON: &str = include_str!("common.yaml");

/// A file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    /// The group of its operations.
    pub(super) tag: String,
    pub(super) about: String,
    pub(super) operations: BTreeMap<String, OperationSource>,
    pub(super) schemas: BTreeMap<String, Value>,
}

/// The part that all files have in common.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Common {
    /// Schemas of query parameters, by name, each with its description.
    pub(super) parameters: BTreeMap<String, Value>,
    pub(super) schemas: BTreeMap<String, Value>,
}

/// One operation.
#[expect(clippy::struct_excessive_bools, reason = "they are independent flags of the source")]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationSource {
    pub(super) id: String,
    pub(super) summary: String,
    pub(super) about: Option<String>,
    /// The values of `orderBy`.
    #[serde(default)]
    pub(super) orders: Vec<String>,
    /// Headers of the request beside those that follow from the flags.
    #[serde(default)]
    pub(super) headers: Vec<String>,
    /// Query parameters that are required.
    #[serde(default)]
    pub(super) needs: Vec<String>,
    #[serde(default)]
    pub(super) idempotent: bool,
    #[serde(default)]
    pub(super) conditional: bool,
    /// It needs no credentials.
    #[serde(default)]
    pub(super) open: bool,
    #[serde(default)]
    pub(super) stream: bool,
    pub(super) body: Option<BodySource>,
    pub(super) answers: BTreeMap<u16, AnswerSource>,
    pub(super) example: ExampleSource,
}

/// The body of a request: the name of a schema, or a schema.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum BodySource {
    Named(String),
    Whole(Value),
}

/// An answer; see the head of this file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerSource {
    pub(super) data: Option<String>,
    pub(super) list: Option<String>,
    pub(super) of: Option<String>,
    pub(super) list_of: Option<String>,
    pub(super) schema: Option<Value>,
    pub(super) media: Option<String>,
    #[serde(default)]
    pub(super) error: bool,
    pub(super) about: Option<String>,
}

/// A request that can be sent as it is. A parameter of the path that it does not name is `1`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExampleSource {
    #[serde(default)]
    pub(super) path: BTreeMap<String, String>,
    pub(super) query: Option<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Option<Value>,
}

/// The files of all nouns.
pub(super) fn sources() -> Vec<Source> {
    // The files are part of the program, and a test below reads them.
    FILES.iter().map(|text| serde_yaml::from_str(text).expect("the file is valid")).collect()
}

/// The common file.
pub(super) fn common() -> Common {
    // It is part of the program, and a test below reads it.
    serde_yaml::from_str(COMMON).expect("the file is valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_valid_and_no_name_is_there_twice() {
        let (sources, common) = (sources(), common());
        let schemas = sources.iter().map(|one| &one.schemas).chain([&common.schemas]);
        let mut names: Vec<_> = schemas.flat_map(BTreeMap::keys).collect();
        let operations = sources.iter().flat_map(|one| one.operations.values());
        let mut ids: Vec<_> = operations.map(|operation| &operation.id).collect();
        assert!(names.len() > 80 && ids.len() > 70, "{} {}", names.len(), ids.len());
        for all in [&mut names, &mut ids] {
            all.sort();
            let twice = all.windows(2).find(|pair| pair[0] == pair[1]);
            assert_eq!(twice, None);
        }
    }
}

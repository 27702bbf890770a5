//! The answers of errors, by status, with their codes. They are read from `docs/errors.md`, which a
//! test holds against the code. `document` and `operation` call it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const PAGE: &str = include_str!("../../../docs/errors.md");

/// An error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) name: &'static str,
    pub(super) status: u16,
    pub(super) meaning: &'static str,
}

/// All codes, in the order of the page.
pub(super) fn codes() -> Vec<Code> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    let code = |line: &'static str| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let name = cells.next()?.trim_matches('`');
        Some(Code { name, status: cells.next()?.parse().ok()?, meaning: cells.next()? })
    };
    rows.filter_map(code).collect()
}

/// The name of the answer of a status among the components.
pub(super) fn name(status: u16) -> String {
    format!("Error{status}")
}

/// The answers of all statuses, by name.
pub(super) fn responses() -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes() {
        by_status.entry(code.status).or_default().push(code);
    }
    let response = |(status, codes): (u16, Vec<Code>)| {
        let told: Vec<_> =
            codes.iter().map(|code| format!("`{}`: {}", code.name, code.meaning)).collect();
        let schema = json!({"$ref": "#/components/schemas/Error"});
        let content = json!({"application/json": {"schema": schema}});
        (name(status), json!({"description": told.join(" "), "content": content}))
    };
    by_status.into_iter().map(response).collect()
}

/// The schema of an error.
pub(super) fn schema() -> Value {
    let names: Vec<_> = codes().iter().map(|code| code.name).collect();
    json!({
        "type": "object",
        "description": "An error. Programs decide by the status and the code, and never by the text.",
        "required": ["data", "success", "error"],
        "properties": {
            "data": {"type": "string", "description": "The message that the clients of the original know."},
            "success": {"const": false},
            "missing_scopes": {"type": "array", "items": {"$ref": "#/components/schemas/Scope"}, "description": "With the code `missing_scopes`: the scopes that the caller lacks. The name is the same in both casings."},
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": {"type": "string", "enum": names},
                    "message": {"type": "string", "description": "It names the field and the fix."},
                    "field": {"type": "string", "description": "The field, in the casing of the request."},
                    "index": {"type": "integer", "description": "The place in the list of the request, from 0."},
                    "state": {"type": "string", "description": "The state of the run that the error is about."},
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_read_from_the_page() {
        let codes = codes();
        assert!(codes.len() > 20, "{codes:?}");
        assert!(codes.iter().any(|code| code.name == "stale" && code.status == 412), "{codes:?}");
        assert!(responses()["Error503"]["description"].as_str().unwrap().contains("`busy`: "));
    }
}

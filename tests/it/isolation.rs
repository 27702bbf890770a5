//! Isolation: two keys that are bound to a project each, on a node with one of everything on either
//! side. What is on the other side does not exist: it is absent from lists and sums, and a request
//! that names it gets, byte for byte, the answer of an id that never was.
//!
//! The cases come from the table of the routes, by the OpenAPI document that is made of it: a route
//! without a row in [`table`] fails the test.

mod bodies;
mod keys;
mod table;
mod world;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use scheduler0::model::time::parse_rfc3339;
use serde_json::Value;

use self::table::{Case, Row, row};
use self::world::{Ids, World};
use crate::harness::Answer;

/// The operations of the document, as "METHOD /path".
async fn operations(world: &World) -> BTreeSet<String> {
    let document = world.api.send_bare("GET", "/openapi.json", &[], "").await.json;
    let paths = document["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    all.collect()
}

/// The status and the body of an answer, in which the ids of a side are masked, and what differs
/// from one moment to the next.
fn masked(answer: &Answer, ids: &Ids) -> String {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let parts = text.split('"').map(|part| match parse_rfc3339(part) {
        Some(_) => "INSTANT",
        // The short form of the id of a run.
        None if part.len() == 24 && part.chars().all(|c| c.is_ascii_hexdigit()) => "RUN",
        None => part,
    });
    let mut text = parts.collect::<Vec<_>>().join("\"");
    for (id, _) in ids.all() {
        text = replace_whole(&text, &id, "ID");
    }
    format!("{} {text}", answer.status)
}

/// Replaces a word where no letter, digit or dash is beside it.
fn replace_whole(text: &str, word: &str, by: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '-';
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let joined = before.chars().next_back().or(out.chars().next_back()).is_some_and(is_part)
            || after.chars().next().is_some_and(is_part);
        out.push_str(before);
        out.push_str(if joined { word } else { by });
        rest = after;
    }
    out + rest
}

/// The answer without instants, which differ between two requests.
fn without_instants(answer: &Answer) -> Value {
    fn clean(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let of_time = ["at", "from", "until", "begin", "date", "Date", "At", "time"];
                    if of_time.iter().any(|end| name.ends_with(end)) {
                        *value = Value::Null;
                    }
                    clean(value);
                }
            }
            Value::Array(all) => all.iter_mut().for_each(clean),
            _ => {}
        }
    }
    let mut json = answer.json.clone();
    clean(&mut json);
    json
}

/// Each route has a row, and the row says what its cases are.
#[tokio::test]
async fn the_other_side_does_not_exist() {
    let world = World::new().await;
    let never = world.never();
    let operations = operations(&world).await;
    assert!(operations.len() > 80, "{}", operations.len());
    let before = world.seen_by_the_other().await;
    let mut failed = Vec::new();
    for operation in &operations {
        let (method, path) = operation.split_once(' ').unwrap();
        let Some(row) = row(operation) else {
            failed.push(format!("{operation}: a route without a row in the table of isolation"));
            continue;
        };
        match row {
            Row::Nobody | Row::OfAccount => {}
            Row::Refused(body) => {
                let path = world.other.in_path(path);
                let answer = world.own_key.send(&world.api, method, &path, body).await;
                if answer.status != 403 {
                    failed.push(format!("{operation}: {} {}", answer.status, answer.json));
                }
            }
            Row::Named(cases) => {
                let checks = cases.iter().map(|case| named(&world, &never, method, path, case));
                failed.extend(join_all(checks).await.into_iter().flatten());
            }
            Row::Found(queries, cases) => {
                for query in queries {
                    failed.extend(found(&world, path, query).await);
                }
                let checks = cases.iter().map(|case| named(&world, &never, method, path, case));
                failed.extend(join_all(checks).await.into_iter().flatten());
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // What asks for all gets all of its own side.
    for (path, body) in [
        ("/dead-letters/purge", r#"{"all":true}"#),
        ("/jobs/edit", r#"{"filter":{"status":"active"},"set":{"retryMax":1}}"#),
        ("/jobs/pause", r#"{"filter":{"status":"active"}}"#),
        ("/jobs/delete", r#"{"filter":{"timezone":"UTC"}}"#),
    ] {
        let answer = world.own_key.send(&world.api, "POST", &format!("/api/v1{path}"), body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.json);
    }
    let left = world.own_key.send(&world.api, "GET", "/api/v1/jobs", "").await;
    assert_eq!(left.json["data"]["total"], 0, "{}", left.json);
    assert_eq!(world.seen_by_the_other().await, before, "nothing of the other side has changed");
}

/// A request that names a record of the other side, and the same with ids that never were.
async fn named(
    world: &World,
    never: &Ids,
    method: &str,
    path: &str,
    case: &Case,
) -> Option<String> {
    let send = async |ids: &Ids| {
        let path = format!("/api/v1{}{}", ids.in_path(path), ids.fill(case.query));
        let body = ids.fill(case.body);
        world.own_key.send(&world.api, method, &path, &body).await
    };
    let (other, nobody) = (send(&world.other).await, send(never).await);
    let (other, nobody) = (masked(&other, &world.other), masked(&nobody, never));
    let (query, body) = (case.query, case.body);
    if other != nobody {
        return Some(format!(
            "{method} {path}{query} {body}\n   other: {other}\n   never: {nobody}"
        ));
    }
    // Where the route names the record itself, that is 404 and never 403.
    let refused = other.starts_with("403") && !case.may_be_refused;
    refused.then(|| format!("{method} {path}{query} {body}\n   {other}"))
}

/// A list or a sum: the same as an operator sees of the own project alone.
async fn found(world: &World, path: &str, query: &str) -> Option<String> {
    let all = format!("/api/v1{path}{query}");
    let bound = world.own_key.send(&world.api, "GET", &all, "").await;
    let joint = if query.is_empty() { '?' } else { '&' };
    let of_project = format!("{all}{joint}projectId={}", world.own.project);
    let alone = world.api.get(&of_project).await;
    let text = String::from_utf8_lossy(&bound.body).into_owned();
    if bound.status != 200 || text.contains("bravo") {
        return Some(format!("GET {all}: {} {text}", bound.status));
    }
    let (bound, alone) = (without_instants(&bound), without_instants(&alone));
    (bound != alone).then(|| format!("GET {all}\n   bound: {bound}\n   alone: {alone}"))
}

//! The OpenAPI document: the kept copy is that of the program, its examples run, and no field of an
//! answer or a request is missing in it.
//!
//! `SCHEDULER0_WRITE_OPENAPI=1 cargo test --test it openapi` writes `docs/openapi.json` anew.

mod examples;
mod fields;
mod requests;
mod schema;

use std::fs;
use std::path::Path;

use crate::harness::ApiFixture;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn the_kept_document_is_that_of_the_program() {
    let api = ApiFixture::build().await;
    let served = api.send_bare("GET", "/openapi.json", &[], "").await;
    assert_eq!(served.status, 200);
    assert_eq!(served.header("content-type"), "application/json");
    let text = String::from_utf8(served.body).unwrap();
    for prefix in ["/v1", "/api/v1"] {
        let other = api.send_bare("GET", &format!("{prefix}/openapi.json"), &[], "").await;
        assert_eq!(other.body, text.as_bytes(), "{prefix}");
    }
    let path = root().join("docs/openapi.json");
    if std::env::var_os("SCHEDULER0_WRITE_OPENAPI").is_some() {
        fs::write(path, text).unwrap();
        return;
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).find(|(kept, served)| kept != served);
    assert_eq!(differs, None, "write docs/openapi.json anew: see tests/it/api/openapi.rs");
    assert_eq!(kept, text, "write docs/openapi.json anew: see tests/it/api/openapi.rs");
}

/// Each path in a `route` call of the API is in the document. Documents, and the target for first
/// steps, are no part of it.
#[tokio::test]
async fn every_route_in_the_sources_is_in_the_document() {
    let api = ApiFixture::build().await;
    let document = api.send_bare("GET", "/openapi.json", &[], "").await.json;
    let mut routes = Vec::new();
    for path in fields::sources("src/api") {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices(".route(") {
            let rest = text[at + ".route(".len()..].trim_start();
            let literal = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
            routes.extend(literal.map(str::to_owned));
        }
    }
    assert!(routes.len() > 60, "{routes:?}");
    let known = |route: &String| !document["paths"][route.as_str()].is_null();
    let missing: Vec<_> =
        routes.iter().filter(|route| !known(route) && *route != "/dev/echo").collect();
    assert!(missing.is_empty(), "{missing:?}");
}

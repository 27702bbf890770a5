//! What a caller with a token may do, by its scopes.

use std::time::Duration;

use scheduler0::clock::Clock as _;
use scheduler0::config::OidcIssuer;
use serde_json::{Value, json};

use super::fixture::Fixture;
use crate::harness::Answer;

impl Fixture {
    /// Sends a request with a token of these scopes.
    async fn send(&self, scope: &str, method: &str, path: &str, body: &Value) -> Answer {
        self.send_with(scope, method, path, &[], body).await
    }

    async fn send_with(
        &self,
        scope: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let bearer = format!("Bearer {}", self.token(&json!({"scope": scope})));
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.api.send_bare(method, path, &all, body).await
    }
}

#[tokio::test]
async fn scopes_that_are_missing_are_named() {
    let oidc = Fixture::new().await;
    let job = json!({"projectId": 1, "after": "1h", "callbackUrl": "https://example.com/"});
    for path in ["/jobs", "/v1/jobs"] {
        let refused = oidc.send("jobs:read runs:write", "POST", path, &job).await;
        assert_eq!(refused.status, 403);
        assert_eq!(
            refused.json,
            json!({
                "data": "missing required scopes: jobs:write",
                "success": false,
                "missing_scopes": ["jobs:write"],
                "error": {
                    "code": "missing_scopes",
                    "message": "missing required scopes: jobs:write: use an api key that has them, \
                                or the node's username and password",
                },
            })
        );
        let challenge = refused.header("www-authenticate");
        assert_eq!(challenge, "Bearer error=\"insufficient_scope\", scope=\"jobs:write\"");
    }
    let both = oidc.send("", "GET", "/events", &Value::Null).await;
    assert_eq!(both.json["missing_scopes"], json!(["jobs:read", "runs:read"]));
    let challenge = both.header("www-authenticate");
    assert_eq!(challenge, "Bearer error=\"insufficient_scope\", scope=\"jobs:read runs:read\"");
}

#[tokio::test]
async fn a_token_writes_and_its_requests_are_carried_out_once() {
    let oidc = Fixture::new().await;
    let project = json!({"name": "of a token", "description": "x"});
    let scope = "projects:write projects:read";
    let made = oidc.send(scope, "POST", "/projects", &project).await;
    assert_eq!(made.status, 201, "{:?}", made.json);
    let job = json!({"projectId": 1, "after": "1h", "callbackUrl": "https://example.com/"});
    let once = [("idempotency-key", "k")];
    let first = oidc.send_with("write", "POST", "/jobs", &once, &job).await;
    let again = oidc.send_with("write", "POST", "/jobs", &once, &job).await;
    assert_eq!((first.status.as_u16(), &first.body), (202, &again.body), "{:?}", first.json);
    // Another subject has keys of its own.
    let claims = oidc.claims(&json!({"scope": "write", "sub": "f:2"}));
    let bearer = format!("Bearer {}", oidc.signer.token(&claims, &json!({})));
    let headers = [("authorization", bearer.as_str()), once[0]];
    let other = oidc.api.send_bare("POST", "/jobs", &headers, job.to_string()).await;
    assert_ne!(other.body, first.body);
    let listed = oidc.send("jobs:read", "GET", "/jobs", &Value::Null).await;
    assert_eq!(listed.json["data"]["total"], 2);
}

#[tokio::test]
async fn a_token_writes_nothing_that_older_nodes_cannot_read() {
    let oidc = Fixture::at_level(5, |terms| terms).await;
    let project = json!({"name": "of a token", "description": "x"});
    let refused = oidc.send("projects:write", "POST", "/projects", &project).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json["error"]["code"]),
        (409, &json!("upgrade_pending"))
    );
    let read = oidc.send("projects:read", "GET", "/projects", &Value::Null).await;
    assert_eq!(read.json["data"]["total"], 0, "it reads, and nothing was written");
    assert_eq!(oidc.api.post("/projects", project).await.status, 201, "the operator writes");
}

#[tokio::test]
async fn a_token_makes_no_key_that_may_do_more_than_itself() {
    let oidc = Fixture::new().await;
    for scope in ["credentials:write", "credentials:write jobs:read", "read write"] {
        let refused = oidc.send(scope, "POST", "/credentials", &json!({})).await;
        assert_eq!(refused.json["error"]["code"], "missing_scopes", "{scope}");
    }
    let refused = oidc.send("admin", "POST", "/credentials", &json!({})).await;
    assert_eq!(refused.json["missing_scopes"], json!(["cluster:read", "cluster:admin"]));
    let open = Fixture::with(|terms| OidcIssuer { allow_cluster: true, ..terms }).await;
    let all = "admin cluster:read cluster:admin";
    let made = open.send(all, "POST", "/credentials", &json!({})).await;
    assert_eq!(made.status, 201, "{:?}", made.json);
    let own = open.send(all, "POST", "/sessions/end", &json!({})).await;
    assert_eq!((own.status.as_u16(), &own.json["error"]["field"]), (400, &json!("credential_id")));
}

#[tokio::test]
async fn the_cluster_is_for_tokens_only_where_the_issuer_may() {
    let scope = "admin cluster:read cluster:admin";
    let closed = Fixture::new().await;
    for (method, path) in [
        ("GET", "/cluster/status"),
        ("POST", "/cluster/checksum"),
        ("POST", "/executions/cleanup-old-logs"),
    ] {
        let refused = closed.send(scope, method, path, &json!({})).await;
        assert_eq!(refused.json["error"]["code"], "missing_scopes", "{path}");
    }
    let open = Fixture::with(|terms| OidcIssuer { allow_cluster: true, ..terms }).await;
    let status = open.send("cluster:read", "GET", "/cluster/status", &Value::Null).await;
    assert_eq!(status.status, 200, "{:?}", status.json);
    let refused = open.send("admin", "GET", "/cluster/status", &Value::Null).await;
    assert_eq!(refused.json["missing_scopes"], json!(["cluster:read"]));
}

#[tokio::test]
async fn the_issuers_are_told_to_everybody() {
    let oidc = Fixture::with(|terms| OidcIssuer {
        client_id: Some("simple-scheduler-cli".to_owned()),
        ..terms
    })
    .await;
    let issuer = oidc.provider.issuer();
    for (path, name) in [("/auth/config", "client_id"), ("/api/v1/auth/config", "clientId")] {
        let answer = oidc.api.send_bare("GET", path, &[], "").await;
        assert_eq!(answer.status, 200);
        let wanted = json!([{"issuer": issuer, name: "simple-scheduler-cli"}]);
        assert_eq!(answer.json["data"]["issuers"], wanted);
    }
}

/// The realm of docs/oidc.md: its client signs in as the command line does, and each of its scopes
/// means something here.
#[test]
fn the_realm_of_the_documents_fits() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/oidc/realm.json");
    let realm: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let [client] = &realm["clients"].as_array().unwrap()[..] else { panic!("one client") };
    assert_eq!(client["clientId"], "simple-scheduler-cli");
    assert_eq!(client["redirectUris"], json!(["http://localhost:5556/callback"]));
    assert_eq!(
        (&client["publicClient"], &client["fullScopeAllowed"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(client["attributes"]["pkce.code.challenge.method"], "S256");
    let words = json!(["read", "write", "execute", "admin"]);
    assert_eq!(client["optionalClientScopes"], words);
    let names = |list: &Value, field: &str| {
        list.as_array().unwrap().iter().map(|one| one[field].clone()).collect::<Value>()
    };
    assert_eq!(names(&realm["clientScopes"], "name"), words);
    assert_eq!(names(&realm["scopeMappings"], "clientScope"), words);
    let mapper = &client["protocolMappers"][0];
    assert_eq!(mapper["config"]["included.custom.audience"], "scheduler0");
    let page = include_str!("../../../docs/oidc.md");
    assert!(
        page.contains("Audiences: [scheduler0]") && page.contains("ClientId: simple-scheduler-cli")
    );
}

#[tokio::test]
async fn a_session_does_not_stand_in_for_a_token_that_is_refused() {
    let oidc = Fixture::new().await;
    oidc.clock.advance(Duration::from_secs(1));
    let form = "name=node&secret=pass";
    let headers =
        [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    let signed_in = oidc.api.send_bare("POST", "/ui/sign-in", &headers, form).await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let session = [("cookie", cookie.as_str())];
    assert_eq!(oidc.api.send_bare("GET", "/projects", &session, "").await.status, 200);
    let expired = oidc.token(&json!({"exp": oidc.clock.wall() / 1_000 - 60}));
    let bearer = format!("Bearer {expired}");
    let both = [("cookie", cookie.as_str()), ("authorization", &bearer)];
    assert_eq!(oidc.api.send_bare("GET", "/projects", &both, "").await.status, 401);
}

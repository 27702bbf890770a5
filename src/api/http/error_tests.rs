//! The bodies and headers of errors, in both casings.

use super::*;
use crate::app::Denied;

#[test]
fn an_error_names_message_code_field_and_index() {
    let error =
        app::Error::invalid("callbackUrl", "job callback_url is not valid").because("no host");
    let error = Error::from(error).at(3);
    let response = error.render(Casing::Snake);
    assert_eq!(response.status(), 400);
    let body =
        futures_util::FutureExt::now_or_never(axum::body::to_bytes(response.into_body(), 10_000));
    assert_eq!(
        body.unwrap().unwrap(),
        r#"{"data":"job callback_url is not valid","success":false,"error":{"code":"invalid","message":"job callback_url is not valid: no host","field":"callback_url","index":3}}"#
    );
    assert!(Error::unavailable("x").render(Casing::Camel).headers().contains_key("retry-after"));
}

#[test]
fn missing_scopes_are_named_in_body_and_header_alike_in_both_casings() {
    let scopes = [Scope::RunsRead, Scope::JobsRead].into_iter().collect();
    let error = Error::from(app::Error::from(Denied { missing: scopes }));
    for casing in [Casing::Camel, Casing::Snake] {
        let response = error.render(casing);
        assert_eq!(response.status(), 403);
        assert_eq!(
            response.headers()[header::WWW_AUTHENTICATE],
            r#"Bearer error="insufficient_scope", scope="jobs:read runs:read""#
        );
        let body = futures_util::FutureExt::now_or_never(axum::body::to_bytes(
            response.into_body(),
            10_000,
        ));
        assert_eq!(
            body.unwrap().unwrap(),
            r#"{"data":"missing required scopes: jobs:read, runs:read","success":false,"missing_scopes":["jobs:read","runs:read"],"error":{"code":"missing_scopes","message":"missing required scopes: jobs:read, runs:read: use an api key that has them, or the node's username and password"}}"#
        );
    }
}

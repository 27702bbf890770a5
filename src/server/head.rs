//! The rules for a request's head: the `Host` of RFC 9112, and the answers to heads that hyper
//! cannot read. `serve` calls it.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{StatusCode, Version, header};
use axum::response::{IntoResponse, Response};

use super::body;
use crate::api;

/// The length of a first line that leaves no room for headers in the 64 kB of `Bounds::head_bytes`:
/// then the line, and not the headers, made the head too large.
const LONG_LINE: usize = 48 * 1_024;

/// Answers 400 to a request that does not name its host exactly once (RFC 9112, 3.2), and handles
/// the rest of the request's body.
pub(super) async fn enter<F>(request: Request, route: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let wrong = wrong_host(&request);
    let (request, remainder) = body::lend(request);
    let response = match wrong {
        None => route(request).await,
        Some(message) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            let body = api::refusal("bad_request", message);
            (StatusCode::BAD_REQUEST, kind, body).into_response()
        }
    };
    match remainder {
        None => response,
        Some(remainder) => remainder.finish(response).await,
    }
}

fn wrong_host(request: &Request) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let Some(host) = hosts.next() else {
        let needs = request.version() == Version::HTTP_11;
        return needs.then_some("the header Host is missing: HTTP/1.1 requires it");
    };
    if hosts.next().is_some() {
        return Some("the header Host is there twice");
    }
    let text = host.as_bytes();
    let sound =
        text.is_empty() || Authority::try_from(text).is_ok_and(|host| !host.as_str().contains('@'));
    (!sound).then_some("the header Host is not valid: expected a name and, maybe, a port")
}

/// The answer to a head that hyper refused without an answer of its own; `None` where nothing
/// should be sent. `line` is the length of the first line.
pub(super) fn unreadable(error: &hyper::Error, line: usize) -> Option<Vec<u8>> {
    let (status, code, message) = if error.is_parse_too_large() {
        if line < LONG_LINE {
            let message = "the request's head has more than 100 headers or 64 KB: send less";
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", message)
        } else {
            (StatusCode::URI_TOO_LONG, "uri_too_long", "the URI is longer than 64 KB")
        }
    } else if error.is_parse_version_h2() {
        (StatusCode::BAD_REQUEST, "bad_request", "this port speaks HTTP/1.1, not HTTP/2")
    } else if error.is_parse() {
        let message = "the request's head is not valid HTTP/1.1: its first line, or the name or \
                       value of a header, has characters that may not be there";
        (StatusCode::BAD_REQUEST, "bad_request", message)
    } else {
        return None;
    };
    let body = api::refusal(code, message);
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {reason}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        status.as_u16(),
        body.len()
    );
    Some([head.into_bytes(), body].concat())
}

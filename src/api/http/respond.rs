//! Responses of handlers: the envelope `{"data", "success"}` in the casing of the prefix, and the
//! warnings beside it.
//!
//! The walk of a warning: whoever reads or checks a request adds it to the request's `Warnings`;
//! the handler calls [`warn`] with them, which puts them into the header; `middleware` puts them
//! into the body by [`with_warnings`].

use axum::BoxError;
use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;

use crate::api::http::casing;
use crate::app::warnings::Warnings;
use crate::model::job::Casing;

/// The header that carries the warnings, a line each.
pub(crate) const WARNING: &str = "x-scheduler0-warning";

#[derive(Serialize)]
struct Envelope<'a, T: ?Sized> {
    data: &'a T,
    success: bool,
}

/// The body of a success.
pub(crate) fn envelope<T: Serialize + ?Sized>(data: &T, casing: Casing) -> Vec<u8> {
    casing::to_json(&Envelope { data, success: true }, casing)
}

/// 200 with data.
pub(crate) fn ok<T: Serialize + ?Sized>(data: &T, casing: Casing) -> Response {
    json(StatusCode::OK, envelope(data, casing))
}

/// 201 with data.
pub(crate) fn created<T: Serialize + ?Sized>(data: &T, casing: Casing) -> Response {
    json(StatusCode::CREATED, envelope(data, casing))
}

/// 204.
pub(crate) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A response with a finished JSON body.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}

/// Adds warnings, if any, to a response: to its header, and for [`with_warnings`].
pub(crate) fn warn(mut response: Response, warnings: &Warnings) -> Response {
    let lines = warnings.lines();
    for line in &lines {
        if let Ok(value) = HeaderValue::from_str(&ascii(line)) {
            response.headers_mut().append(WARNING, value);
        }
    }
    if !lines.is_empty() {
        response.extensions_mut().insert(Lines(lines));
    }
    response
}

/// The warnings of a response, on their way into its body.
#[derive(Clone, Debug)]
struct Lines(Vec<String>);

/// Adds `"warnings": [...]` to the envelope of a success that has some.
pub(crate) async fn with_warnings(mut response: Response) -> Response {
    let Some(Lines(lines)) = response.extensions_mut().remove() else { return response };
    let (mut parts, body) = response.into_parts();
    if !parts.status.is_success() {
        return (parts, body).into_response();
    }
    let warnings = casing::to_json(&lines, Casing::Camel);
    let end = [b",\"warnings\":", &warnings[..], b"}"].concat();
    parts.headers.remove(header::CONTENT_LENGTH);
    if body.size_hint().exact().is_none() {
        let body = Body::from_stream(ending_with(body.into_data_stream(), end));
        return (parts, body).into_response();
    }
    // The body was made as a whole: reading it does not wait and cannot fail.
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    match body.strip_suffix(b"}") {
        Some(envelope) => (parts, [envelope, &end].concat()).into_response(),
        None => (parts, body).into_response(),
    }
}

/// The pieces of an envelope with another end. One piece is held back, since only the last one ends
/// the envelope.
fn ending_with(
    pieces: BodyDataStream,
    end: Vec<u8>,
) -> impl Stream<Item = Result<Bytes, BoxError>> {
    stream::unfold((pieces, None, Some(end)), |(mut pieces, held, end)| async move {
        let mut held: Option<Bytes> = held;
        end.as_ref()?;
        loop {
            match pieces.next().await {
                Some(Ok(piece)) => {
                    if let Some(before) = held.replace(piece) {
                        return Some((Ok(before), (pieces, held, end)));
                    }
                }
                Some(Err(error)) => return Some((Err(error.into()), (pieces, None, None))),
                None => {
                    let last = held.unwrap_or_default();
                    let envelope = last.strip_suffix(b"}");
                    let whole = envelope.zip(end.as_ref()).map(|(one, end)| [one, end].concat());
                    let last = whole.map_or_else(|| last.clone(), Bytes::from);
                    return Some((Ok(last), (pieces, None, None)));
                }
            }
        }
    })
}

/// A warning as a header can carry it.
fn ascii(line: &str) -> String {
    line.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// Forbids caches to keep a response that shows a secret.
pub(crate) fn no_store(response: &mut Response) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_few_and_fit_for_a_header() {
        let mut warnings = Warnings::default();
        for name in ["colour", "colour", "a\r\nb: c", "\u{e4}"] {
            warnings.unknown_field(name);
        }
        (0..100).for_each(|i| warnings.unknown_field(&format!("{i}{}", "x".repeat(1_000))));
        let response = warn(no_content(), &warnings);
        let text = response.headers()[WARNING].to_str().unwrap();
        assert!(text.starts_with("unknown fields were ignored: colour, a??b:?c, ?, 0x"), "{text}");
        assert!(text.len() < 400);
    }

    #[tokio::test]
    async fn warnings_stand_in_header_and_body_each_once() {
        let mut warnings = Warnings::default();
        warnings.unknown_field("colour");
        let mut more = Warnings::default();
        more.unknown_field("colour");
        more.say("job spec 5/70: \u{201e}70\u{201c} is more than the field\nhas");
        warnings.merge(more);
        let response = warn(created(&[1], Casing::Snake), &warnings);
        let header: Vec<_> = response.headers().get_all(WARNING).iter().collect();
        assert_eq!(header[0], "unknown fields were ignored: colour");
        assert_eq!(header[1], "job spec 5/70: ?70? is more than the field has");
        let response = with_warnings(response).await;
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        assert_eq!(
            text,
            "{\"data\":[1],\"success\":true,\"warnings\":[\"unknown fields were ignored: \
             colour\",\"job spec 5/70: \u{201e}70\u{201c} is more than the field has\"]}"
        );

        let response = with_warnings(warn(no_content(), &warnings)).await;
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        assert!(body.is_empty());
        let response = warn(json(StatusCode::OK, b"{}".to_vec()), &Warnings::default());
        assert!(!response.headers().contains_key(WARNING));
    }
}

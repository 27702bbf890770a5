//! Answers: the envelope `{"data", "success"}` in the casing of the mount. Every handler ends here.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::casing;
use crate::model::job::Dialect;

/// The header that names the fields of a request which were not understood.
pub(super) const WARNING: &str = "x-scheduler0-warning";

#[derive(Serialize)]
struct Envelope<'a, T: ?Sized> {
    data: &'a T,
    success: bool,
}

/// The body of a success.
pub(super) fn envelope<T: Serialize + ?Sized>(data: &T, dialect: Dialect) -> Vec<u8> {
    casing::to_json(&Envelope { data, success: true }, dialect)
}

/// 200 with data.
pub(super) fn ok<T: Serialize + ?Sized>(data: &T, dialect: Dialect) -> Response {
    json(StatusCode::OK, envelope(data, dialect))
}

/// 201 with data.
pub(super) fn created<T: Serialize + ?Sized>(data: &T, dialect: Dialect) -> Response {
    json(StatusCode::CREATED, envelope(data, dialect))
}

/// 204.
pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A finished body.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}

/// Names the fields that were ignored, if any, in a header of the answer.
pub(super) fn warn(mut response: Response, unknown: &Unknown) -> Response {
    if let Some(text) = unknown.text()
        && let Ok(value) = HeaderValue::from_str(&text)
    {
        response.headers_mut().insert(WARNING, value);
    }
    response
}

/// Names of fields that a request carried and nobody knows: the first few, each once.
#[derive(Debug, Default)]
pub(super) struct Unknown(pub(super) Vec<String>);

impl Unknown {
    const MOST: usize = 8;
    const LONGEST: usize = 40;

    /// Notes a name.
    pub(super) fn note(&mut self, name: &str) {
        if self.0.len() >= Self::MOST {
            return;
        }
        let shown: String = name
            .chars()
            .take(Self::LONGEST)
            .map(|c| if c.is_ascii_graphic() { c } else { '?' })
            .collect();
        if !self.0.contains(&shown) {
            self.0.push(shown);
        }
    }

    fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| format!("unknown fields were ignored: {}", self.0.join(", ")))
    }
}

/// Nobody on the way keeps it: it shows a secret.
pub(super) fn forget(response: &mut Response) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_few_and_fit_for_a_header() {
        let mut unknown = Unknown::default();
        for name in ["colour", "colour", "a\r\nb: c", "ä"] {
            unknown.note(name);
        }
        (0..100).for_each(|i| unknown.note(&format!("{i}{}", "x".repeat(1_000))));
        let response = warn(no_content(), &unknown);
        let text = response.headers()[WARNING].to_str().unwrap();
        assert!(text.starts_with("unknown fields were ignored: colour, a??b:?c, ?, 0x"), "{text}");
        assert!(text.len() < 400);
    }
}

//! Postcard bodies on the server's side: an extractor and a response, for every peer route.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;

/// A message in postcard form: take it as a handler's argument, return it as its answer.
#[derive(Debug)]
pub struct Postcard<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Postcard<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|e| Refusal::new(StatusCode::BAD_REQUEST, e.body_text()))?;
        postcard::from_bytes(&body).map(Postcard).map_err(|e| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                format!("the message cannot be decoded ({e}): do all nodes run the same version?"),
            )
        })
    }
}

impl<T: Serialize> IntoResponse for Postcard<T> {
    fn into_response(self) -> Response {
        match postcard::to_allocvec(&self.0) {
            Ok(body) => {
                let kind = HeaderValue::from_static("application/octet-stream");
                ([(CONTENT_TYPE, kind)], body).into_response()
            }
            Err(e) => Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the answer cannot be encoded: {e}"),
            )
            .into_response(),
        }
    }
}

//! Path parameters: the `{id}` of a route, as text or as a number. Handlers take them as
//! extractors.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use crate::api::http::error::Error;

/// The text in a route's `{id}`.
#[derive(Debug)]
pub(crate) struct IdText(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for IdText {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::bad_request("the path is not valid UTF-8"))?;
        let found = params.iter().find(|(name, _)| *name == "id");
        found
            .map(|(_, text)| Self(text.to_owned()))
            .ok_or_else(|| Error::not_found("this route needs an id"))
    }
}

/// The number in a route's `{id}`. A number that no record can have becomes 0, which no record has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id(pub(crate) u64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let IdText(text) = IdText::from_request_parts(parts, state).await?;
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::invalid("id", "id in the path must be a number"));
        }
        let id = text.parse().ok().filter(|id: &u64| i64::try_from(*id).is_ok());
        Ok(Self(id.unwrap_or(0)))
    }
}

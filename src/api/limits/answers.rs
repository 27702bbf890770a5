//! The memory that answers take until their clients have taken them: a budget of bytes, half of it
//! for one client. `http::middleware` counts every answer, and `jobs::stream` every piece of one.
//! How long a client may take is bounded by `crate::listen`.
//!
//! An answer is counted from when it is made until its last byte has been written to the socket:
//! the share goes back with the memory itself.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Method;
use axum::response::{IntoResponse, Response};

use super::budget::{Budget, Share};
use crate::api::http::error::Error;
use crate::app::Actor;
use crate::listen::Principal;
use crate::metrics::Metrics;

/// All answers that are not taken yet, in bytes.
const TOTAL: usize = 128 << 20;
/// Answers up to this many bytes are not counted: there is one a connection at most.
const UNCOUNTED: usize = 16 * 1_024;

/// The answers of a node that are not taken yet.
#[derive(Debug)]
pub(crate) struct Answers(Arc<Budget>);

impl Default for Answers {
    fn default() -> Self {
        Self(Arc::new(Budget::new(TOTAL as u64)))
    }
}

/// The bytes of an answer with their share of the budget.
struct Counted {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Answers {
    /// Counts bytes for as long as anybody has them; `None` when there is no room. Bytes that are
    /// `owed`, since they answer something that was done already, are counted even without room.
    pub(crate) fn hold(&self, principal: Principal, bytes: Bytes, owed: bool) -> Option<Bytes> {
        if bytes.len() <= UNCOUNTED {
            return Some(bytes);
        }
        let mut share = self.0.share(Some(principal));
        if owed {
            share.force(bytes.len() as u64);
        } else {
            share.grow(bytes.len() as u64).ok()?;
        }
        Some(Bytes::from_owner(Counted { bytes, _share: share }))
    }

    /// Counts an answer that was made as a whole.
    ///
    /// # Errors
    ///
    /// 503 when there is no room for the answer to a read.
    pub(crate) async fn count(
        &self,
        metrics: &Metrics,
        method: &Method,
        response: Response,
    ) -> Result<Response, Error> {
        let exact = response.body().size_hint().exact();
        let asked = response.extensions().get::<Actor>().map(|actor| actor.principal);
        let Some(principal) = asked else {
            return Ok(response);
        };
        if exact.is_none_or(|bytes| bytes <= UNCOUNTED as u64) {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        // The body was made as a whole: reading it does not wait and cannot fail.
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let owed = !matches!(*method, Method::GET | Method::HEAD);
        let held = self.hold(principal, bytes, owed).ok_or_else(|| no_room(metrics))?;
        Ok((parts, Body::from(held)).into_response())
    }
}

/// 503: the answers of this client, or of all clients, are not taken.
pub(crate) fn no_room(metrics: &Metrics) -> Error {
    metrics.read_refused("held");
    Error::busy(
        "too many answers of this node wait to be taken by their clients: take them, or ask for less \
         at once, such as a lower limit",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Caller;
    use crate::model::scope::Scopes;

    #[test]
    fn one_client_has_half_of_the_budget_until_its_bytes_are_gone() {
        let answers = Answers::default();
        let scopes = Scopes::NONE;
        let client = |root| Caller::client_of_all(root, root, scopes).principal();
        let (a, b, c) = (client(1), client(2), Caller::Operator.principal());
        let piece = Bytes::from(vec![0; TOTAL / 4]);
        let hold = |reader| answers.hold(reader, piece.clone(), false);
        let first = hold(a).unwrap();
        let copy = first.clone();
        let second = hold(a).unwrap();
        assert!(hold(a).is_none(), "half is taken");
        let others = [hold(b).unwrap(), hold(c).unwrap()];
        assert!(hold(b).is_none(), "all is taken");
        assert!(answers.hold(b, piece.clone(), true).is_some(), "it is owed");
        drop(first);
        assert!(hold(a).is_none(), "somebody still has it");
        drop(copy);
        assert!(hold(a).is_some());
        assert!(answers.hold(a, Bytes::from(vec![0; UNCOUNTED]), false).is_some());
        drop((second, others));
        assert!(hold(a).is_some() && hold(a).is_some(), "all of it is free again");
    }
}

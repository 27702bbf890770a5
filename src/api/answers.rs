//! How much memory the answers of clients take until they are taken: a budget of bytes, half of it at
//! most for one client (`reads::Reader`). `super::around` counts every answer by it, `stream` every
//! piece of one. Who writes the bytes to the socket, and how long that may take, is `server`'s.
//!
//! An answer is counted from when it is made until its last byte has been handed to the socket: the
//! share goes back with the memory itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Method;
use axum::response::{IntoResponse, Response};

use super::error::Error;
use super::reads::Reader;
use super::state::AppState;

/// All answers that are not taken yet, in bytes.
const MOST: usize = 128 << 20;
/// Answers up to this are not counted: there is one a connection at most.
const SMALL: usize = 16 * 1_024;

/// What is held, by whose it is.
#[derive(Debug, Default)]
pub(super) struct Answers(Arc<Mutex<HashMap<Reader, usize>>>);

/// A share of the budget, with the bytes that it is for.
struct Held {
    bytes: Bytes,
    answers: Arc<Mutex<HashMap<Reader, usize>>>,
    reader: Reader,
}

impl Answers {
    /// The bytes, counted for as long as anybody has them; `None` when there is no room, unless they
    /// are `owed`: the answer to something that was done already.
    pub(super) fn hold(&self, reader: Reader, bytes: Bytes, owed: bool) -> Option<Bytes> {
        if bytes.len() <= SMALL || reader == Reader::Nobody {
            return Some(bytes);
        }
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (own, all) = (held.get(&reader).copied().unwrap_or(0), held.values().sum::<usize>());
        if !owed && (own + bytes.len() > MOST / 2 || all + bytes.len() > MOST) {
            return None;
        }
        held.insert(reader, own + bytes.len());
        drop(held);
        let answers = Arc::clone(&self.0);
        Some(Bytes::from_owner(Held { bytes, answers, reader }))
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = held.get_mut(&self.reader) {
            *own = own.saturating_sub(self.bytes.len());
            if *own == 0 {
                held.remove(&self.reader);
            }
        }
    }
}

/// Counts an answer that was made as a whole; 503 when there is no room for it.
pub(super) async fn count(
    app: &AppState,
    method: &Method,
    response: Response,
) -> Result<Response, Error> {
    let exact = response.body().size_hint().exact();
    let Some(reader) = response.extensions().get::<Reader>().copied() else { return Ok(response) };
    if exact.is_none_or(|bytes| bytes <= SMALL as u64) {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    // The body was made as a whole: nothing is waited for, and nothing can fail.
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let owed = !matches!(*method, Method::GET | Method::HEAD);
    let held = app.answers.hold(reader, bytes, owed).ok_or_else(|| no_room(app))?;
    Ok((parts, Body::from(held)).into_response())
}

/// 503: the answers of this client, or of all, are not taken.
pub(super) fn no_room(app: &AppState) -> Error {
    app.metrics.read_refused("held");
    Error::busy(
        "too many answers of this node wait to be taken by their clients: take them, or ask for less \
         at once, such as a lower limit",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_has_half_of_the_budget_until_its_bytes_are_gone() {
        let answers = Answers::default();
        let (a, b, c) = (Reader::Client(1), Reader::Client(2), Reader::Operator);
        let piece = Bytes::from(vec![0; MOST / 4]);
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
        assert!(answers.hold(a, Bytes::from(vec![0; SMALL]), false).is_some());
        drop((second, others));
        assert!(answers.0.lock().unwrap().is_empty());
    }
}

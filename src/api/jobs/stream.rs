//! Answers with the jobs of one request, perhaps a hundred thousand. They are read and written
//! piece by piece, the next one when the client has taken the one before. A short answer is sent as
//! a whole. `history::async_tasks` and `POST /jobs` with `Prefer: return=representation` use it.
//!
//! A client that takes no more causes no more reads. A piece that cannot be read breaks the answer
//! off, and the client sees that it is not whole.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::{casing, respond};
use crate::api::jobs::view::JobView;
use crate::api::limits::answers;
use crate::api::state::AppState;
use crate::app::jobs::JobsLeft;
use crate::listen::Principal;
use crate::model::job::Casing;

/// The size at which a piece ends. The job that crosses it is the last of its piece.
const PIECE: usize = 256 * 1_024;

/// The jobs of a request, on their way into an answer.
pub(crate) struct Jobs {
    state: Arc<AppState>,
    principal: Principal,
    left: JobsLeft,
    any: bool,
    casing: Casing,
    /// `true` if the jobs are JSON within a JSON text.
    quoted: bool,
    tail: Vec<u8>,
    done: bool,
}

impl Jobs {
    /// The jobs as a JSON array, or as a text that holds one.
    pub(crate) fn new(
        state: &Arc<AppState>,
        context: &RequestContext,
        left: JobsLeft,
        quoted: bool,
    ) -> Self {
        let (principal, casing) = (context.actor.principal, context.casing());
        Self {
            state: Arc::clone(state),
            principal,
            left,
            any: false,
            casing,
            quoted,
            tail: Vec::new(),
            done: false,
        }
    }

    /// Answers with `head`, the jobs, and `tail`.
    pub(crate) async fn answer(
        mut self,
        status: StatusCode,
        head: Vec<u8>,
        tail: Vec<u8>,
    ) -> Result<Response, Error> {
        let mut first = head;
        first.push(b'[');
        self.tail = [&b"]"[..], &tail].concat();
        self.piece(&mut first).await?;
        if self.done {
            return Ok(respond::json(status, first));
        }
        let owed = status != StatusCode::OK;
        let Some(first) = self.state.answers.hold(self.principal, first.into(), owed) else {
            return Err(answers::no_room(&self.state.app.metrics));
        };
        let rest = stream::unfold((Some(first), self), |(first, mut jobs)| async move {
            if let Some(first) = first {
                return Some((Ok(first), (None, jobs)));
            }
            if jobs.done {
                return None;
            }
            let piece = jobs.next().await;
            jobs.done |= piece.is_err();
            Some((piece, (None, jobs)))
        });
        let kind = HeaderValue::from_static("application/json");
        Ok((status, [(header::CONTENT_TYPE, kind)], Body::from_stream(rest)).into_response())
    }

    /// The next piece of an answer that has begun. An error can only break the answer off.
    async fn next(&mut self) -> io::Result<Bytes> {
        let mut out = Vec::new();
        let read = self.piece(&mut out).await;
        let held = read.and_then(|()| {
            let held = self.state.answers.hold(self.principal, out.into(), false);
            held.ok_or_else(|| answers::no_room(&self.state.app.metrics))
        });
        held.map_err(|error| {
            tracing::debug!(?error, "an answer was broken off");
            io::Error::other("the rest of the answer could not be read")
        })
    }

    /// Reads some jobs and adds them to `out`, with the tail when none are left.
    async fn piece(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let (casing, app) = (self.casing, Arc::clone(&self.state.app));
        let add = move |(text, any): &mut (Vec<u8>, bool), record| {
            if *any {
                text.push(b',');
            }
            *any = true;
            casing::write_json(text, &JobView::of(record, &app), casing);
            text.len() < PIECE
        };
        let begun = (Vec::new(), self.any);
        let (text, any) = self.state.app.read_piece(&mut self.left, begun, add).await?;
        self.any = any;
        if self.quoted {
            // JSON as it is written here is text: the quotes around it are those of the whole.
            let quoted = serde_json::Value::from(String::from_utf8_lossy(&text)).to_string();
            out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
        } else {
            out.extend_from_slice(&text);
        }
        if self.left.is_empty() {
            out.extend_from_slice(&self.tail);
            self.done = true;
        }
        Ok(())
    }
}

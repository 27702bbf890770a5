//! Answers with the jobs of one request, perhaps a hundred thousand. They are read and written
//! piece by piece, the next one when the client has taken the one before. A short answer is sent as
//! a whole. `history::async_tasks` and `POST /jobs` with `Prefer: return=representation` use it.
//!
//! Each piece is a read of its own: a job is shown as it is when its piece is read, and a job that
//! was deleted before is not shown. A client that takes no more causes no more reads. A piece that
//! cannot be read breaks the answer off, and the client sees that it is not whole.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::api::http::error::Error;
use crate::api::http::{casing, respond};
use crate::api::jobs::view::Views;
use crate::api::limits::answers;
use crate::api::limits::reader::Reader;
use crate::api::state::AppState;
use crate::app::reads::ReadPhase;
use crate::model::job::Casing;
use crate::model::{JobId, Millis};
use crate::store::jobs;

/// The size at which a piece ends. The job that crosses it is the last of its piece.
const PIECE: usize = 256 * 1_024;

/// The jobs of a request, on their way into an answer.
pub(crate) struct Jobs {
    app: Arc<AppState>,
    reader: Reader,
    /// The jobs that are left, as (first id, how many), in order.
    left: Vec<(JobId, u64)>,
    any: bool,
    now: Millis,
    casing: Casing,
    /// `true` if the jobs are JSON within a JSON text.
    quoted: bool,
    tail: Vec<u8>,
    done: bool,
}

impl Jobs {
    /// The jobs of these ranges as a JSON array, or as a text that holds one.
    pub(crate) fn new(
        app: &Arc<AppState>,
        ranges: &[(JobId, u64)],
        casing: Casing,
        quoted: bool,
    ) -> Self {
        Self {
            app: Arc::clone(app),
            reader: Reader::current(),
            left: ranges.to_vec(),
            any: false,
            now: app.time.now(),
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
        let Some(first) = self.app.answers.hold(self.reader, first.into(), owed) else {
            return Err(answers::no_room(&self.app.metrics));
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
            let held = self.app.answers.hold(self.reader, out.into(), false);
            held.ok_or_else(|| answers::no_room(&self.app.metrics))
        });
        held.map_err(|error| {
            tracing::debug!(?error, "an answer was broken off");
            io::Error::other("the rest of the answer could not be read")
        })
    }

    /// Reads some jobs and adds them to `out`, with the tail when none are left.
    async fn piece(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let (now, casing) = (self.now, self.casing);
        let retry_max = self.app.config.job_execution_retry_max;
        let mut left = std::mem::take(&mut self.left);
        let mut any = self.any;
        let read = move |conn: &rusqlite::Connection| {
            let mut views = Views::new(conn, now, retry_max)?;
            let mut text = Vec::new();
            while let Some((first, n)) = left.first().copied() {
                let mut last = None;
                jobs::each_of_range(conn, first, n, |job| {
                    if any {
                        text.push(b',');
                    }
                    any = true;
                    last = Some(job.id);
                    casing::write_json(&mut text, &views.job(job)?, casing);
                    Ok(text.len() < PIECE)
                })?;
                match last.filter(|_| text.len() >= PIECE) {
                    // The next piece begins behind the last job.
                    Some(id) if id + 1 < first + n => left[0] = (id + 1, first + n - id - 1),
                    _ => {
                        left.remove(0);
                    }
                }
                if text.len() >= PIECE {
                    break;
                }
            }
            Ok((text, left, any))
        };
        let (text, left, any) = self.app.read_for(self.reader, ReadPhase::AfterWrite, read).await?;
        (self.left, self.any) = (left, any);
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

//! The rest of a request's body after its answer: a refusal may come before the whole body was
//! read. A small rest is read and dropped, so that the connection can go on. Otherwise the answer
//! says that it is the last one, and `crate::listen` closes in stages.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::{CONNECTION, EXPECT};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// The most bytes that are read and dropped before an answer goes out.
const MAX_DRAINED: usize = 256 * 1_024;
/// The longest time that the answer waits for them.
const WAIT: Duration = Duration::from_millis(500);

/// Shares the body of a request, so that its rest is still there when the reader is gone; `None`
/// where the request has no body.
pub(super) fn lend(request: Request) -> (Request, Option<Remainder>) {
    if request.body().is_end_stream() {
        return (request, None);
    }
    // A client that waits for "100 Continue" has sent nothing yet, and is not asked to.
    let waits = is_waiting(request.headers());
    let (parts, body) = request.into_parts();
    let lent = SharedBody(Arc::new(Mutex::new(Inner { body, ended: false })));
    let request = Request::from_parts(parts, Body::new(lent.clone()));
    (request, Some(Remainder { lent, waits }))
}

/// The rest of a body when its request is answered.
pub(super) struct Remainder {
    lent: SharedBody,
    waits: bool,
}

impl Remainder {
    /// Reads and drops the rest. Says in the answer that it is the last one where that was not all.
    pub(super) async fn finish(self, mut response: Response) -> Response {
        let ended = self.lent.is_ended() || (!self.waits && self.lent.drain().await);
        if !ended {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn is_waiting(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|e| e.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// A body that outlives its reader.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Inner>>);

struct Inner {
    body: Body,
    ended: bool,
}

impl SharedBody {
    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_ended(&self) -> bool {
        self.with(|held| held.ended || held.body.is_end_stream())
    }

    /// Reads and drops the rest. Returns whether that was all of it.
    async fn drain(mut self) -> bool {
        let all = async {
            let mut left = MAX_DRAINED;
            loop {
                let next = std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await;
                match next {
                    None => return true,
                    Some(Err(_)) => return false,
                    Some(Ok(frame)) => {
                        let length = frame.data_ref().map_or(0, Bytes::len);
                        if length > left {
                            return false;
                        }
                        left -= length;
                    }
                }
            }
        };
        tokio::time::timeout(WAIT, all).await.unwrap_or(false)
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|held| {
            let next = Pin::new(&mut held.body).poll_frame(cx);
            held.ended |= matches!(next, Poll::Ready(None));
            next
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|held| held.body.size_hint())
    }
}

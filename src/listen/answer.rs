//! The body of an answer while hyper writes it: the request is under way until the body was
//! written. `serve` makes one for each answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::connection::ActiveRequest;

/// A body that is being written.
pub(super) struct Answer {
    body: Body,
    _request: ActiveRequest,
}

impl Answer {
    /// The same response, whose request is under way until its body was written.
    pub(super) fn of(response: Response, request: ActiveRequest) -> hyper::Response<Self> {
        response.map(|body| Self { body, _request: request })
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! The body of an answer while hyper writes it: until it has gone the request is under way.
//! `super::serve` makes one for each answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::connection::UnderWay;

/// A body that is being written.
pub(super) struct Answer {
    body: Body,
    _under_way: UnderWay,
}

impl Answer {
    /// The same response, whose request is under way until its body has gone.
    pub(super) fn of(response: Response, under_way: UnderWay) -> hyper::Response<Self> {
        response.map(|body| Self { body, _under_way: under_way })
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

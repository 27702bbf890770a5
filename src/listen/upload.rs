//! The body of a request while it comes in: its client has to keep a least speed. `serve` wraps
//! each body, and its reader gets [`Slow`] as an error. It holds no bytes, and bounds no length.

use std::error::Error as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::bounds::{BODY_GRACE, BODY_SILENCE, LEAST_SPEED};

/// The error of a body that comes in below the least speed.
#[derive(Debug, thiserror::Error)]
#[error("the body comes in too slowly")]
pub struct Slow;

/// Whether reading a body failed because it came in too slowly.
pub fn is_slow(error: &axum::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<Slow>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The times that a reader waits for a body.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// The total time before the least speed counts.
    grace: Duration,
    /// The time for one piece.
    silence: Duration,
}

const PACE: Pace = Pace { grace: BODY_GRACE, silence: BODY_SILENCE };

impl Pace {
    /// The time that the reader waits for the next piece, after it got `bytes` and has waited for
    /// `waited` in all.
    fn patience(self, bytes: u64, waited: Duration) -> Duration {
        let earned = Duration::from_millis(bytes.saturating_mul(1_000) / LEAST_SPEED);
        self.grace.saturating_add(earned).saturating_sub(waited).min(self.silence)
    }
}

/// A body that comes in. Time counts only while its reader waits for it.
pub(super) struct Upload<B = Incoming> {
    body: B,
    pace: Pace,
    bytes: u64,
    waited: Duration,
    waits_since: Option<Instant>,
    /// The timer; made when the reader waits for the first time.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    /// The body of a request, as handlers take it.
    pub(super) fn wrap(body: Incoming) -> Body {
        if body.is_end_stream() { Body::empty() } else { Body::new(Upload::new(body, PACE)) }
    }
}

impl<B> Upload<B> {
    fn new(body: B, pace: Pace) -> Self {
        Self { body, pace, bytes: 0, waited: Duration::ZERO, waits_since: None, alarm: None }
    }

    /// Whether the reader has waited for too long. If not, its task is woken when that will be so.
    fn poll_slow(&mut self, cx: &mut Context<'_>) -> bool {
        if self.waits_since.is_none() {
            let now = Instant::now();
            self.waits_since = Some(now);
            let deadline = now + self.pace.patience(self.bytes, self.waited);
            match &mut self.alarm {
                Some(alarm) => alarm.as_mut().reset(deadline),
                None => self.alarm = Some(Box::pin(sleep_until(deadline))),
            }
        }
        self.alarm.as_mut().is_some_and(|alarm| alarm.as_mut().poll(cx).is_ready())
    }
}

impl<B> HttpBody for Upload<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(cx) else {
            return if self.poll_slow(cx) {
                Poll::Ready(Some(Err(Slow.into())))
            } else {
                Poll::Pending
            };
        };
        if let Some(since) = self.waits_since.take() {
            self.waited += since.elapsed();
        }
        if let Some(Ok(frame)) = &next {
            self.bytes += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
        }
        Poll::Ready(next.map(|next| next.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    type Piece = Result<Bytes, axum::Error>;

    const PIECE: Piece = Ok(Bytes::from_static(b"x"));

    #[test]
    fn a_client_has_ten_seconds_and_then_64_kb_a_second_and_is_never_silent_for_half_a_minute() {
        for (bytes, waited, patience) in [
            (0, 0, 10),
            (0, 9, 1),
            (0, 10, 0),
            (640_000, 12, 8),
            (640_000, 25, 0),
            (64_000_000, 0, 30),
            (64_000_000, 1_000, 10),
        ] {
            let left = PACE.patience(bytes, Duration::from_secs(waited));
            assert_eq!(left.as_secs(), patience, "{bytes} bytes in {waited} s");
        }
    }

    #[tokio::test]
    async fn a_body_that_stops_is_given_up_as_slow() {
        let pieces = stream::iter([PIECE, PIECE]).chain(stream::pending());
        let pace = Pace { grace: Duration::from_millis(20), silence: BODY_SILENCE };
        let body = Upload::new(Body::from_stream(pieces), pace);
        let mut read = Body::new(body).into_data_stream();
        for _ in 0..2 {
            assert_eq!(read.next().await.unwrap().unwrap().len(), 1);
        }
        assert!(is_slow(&read.next().await.unwrap().unwrap_err()));
    }

    #[tokio::test]
    async fn the_time_in_which_nobody_reads_does_not_count() {
        let pace = Pace { grace: Duration::from_millis(1), silence: BODY_SILENCE };
        let pieces = stream::iter([PIECE, PIECE, PIECE]);
        let body = Upload::new(Body::from_stream(pieces), pace);
        let mut read = Body::new(body).into_data_stream();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(read.next().await.unwrap().is_ok());
        }
        assert!(read.next().await.is_none());
    }
}

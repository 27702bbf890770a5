//! Reading a body: bounded in length, in time and in how many large ones there are at once. The
//! content type is not looked at: whatever curl calls it, it must be JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use futures_util::StreamExt;
use tokio::sync::OwnedSemaphorePermit;

use super::error::Error;
use super::state::AppState;

/// The longest body of an ordinary route, in bytes.
pub(super) const SMALL: usize = 1 << 20;
/// The longest body of `POST /jobs`, in bytes.
pub(super) const BULK: usize = 64 << 20;

/// The longest silence of a client that is sending.
const IDLE: Duration = Duration::from_secs(30);
/// The longest time that a body may take altogether.
const WHOLE: Duration = Duration::from_mins(5);
/// How long a large body waits for its turn.
const WAIT: Duration = Duration::from_mins(1);

/// The right to have a large body in memory: kept for as long as the request is worked on.
pub(super) type Turn = Option<OwnedSemaphorePermit>;

/// The body of a write, at most `MAX` bytes long. Refused, before it is read, while the node is
/// short of memory or disk.
#[derive(Debug)]
pub(super) struct Input<const MAX: usize>(pub(super) Bytes, pub(super) Turn);

impl<const MAX: usize> FromRequest<Arc<AppState>> for Input<MAX> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<AppState>) -> Result<Self, Error> {
        app.admit_write()?;
        let (body, turn) = read(app, request, MAX).await?;
        Ok(Self(body, turn))
    }
}

/// The whole body of a request.
pub(super) async fn read(
    app: &AppState,
    request: Request,
    max: usize,
) -> Result<(Bytes, Turn), Error> {
    let headers = request.headers();
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut codings = codings.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    let plain = |c: &[u8]| c.is_empty() || c.eq_ignore_ascii_case(b"identity");
    if codings.any(|coding| !plain(coding.trim_ascii())) {
        return Err(Error::unsupported_encoding());
    }
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(too_large(max));
    }
    // A body of unknown length counts as large.
    let turn = if announced.unwrap_or(max) > SMALL {
        let turn = tokio::time::timeout(WAIT, app.large_bodies.clone().acquire_owned()).await;
        let busy = || Error::unavailable("too many large requests at once: try again");
        Some(turn.ok().and_then(Result::ok).ok_or_else(busy)?)
    } else {
        None
    };
    let whole = tokio::time::timeout(WHOLE, collect(request, announced, max));
    Ok((whole.await.map_err(|_| Error::slow())??, turn))
}

async fn collect(request: Request, announced: Option<usize>, max: usize) -> Result<Bytes, Error> {
    let mut stream = request.into_body().into_data_stream();
    let mut body: Vec<u8> = Vec::new();
    loop {
        let next = tokio::time::timeout(IDLE, stream.next()).await.map_err(|_| Error::slow())?;
        let Some(piece) = next else { return Ok(body.into()) };
        let piece = piece.map_err(|_| Error::bad_request("the request's body broke off"))?;
        if piece.len() > max - body.len() {
            return Err(too_large(max));
        }
        if body.is_empty() {
            if announced.is_some_and(|length| length == piece.len()) {
                return Ok(piece);
            }
            // Reserved for what is announced, but not for more than has any chance to be true.
            body.reserve(announced.unwrap_or(0).min(8 << 20).max(piece.len()));
        }
        body.extend_from_slice(&piece);
    }
}

fn too_large(max: usize) -> Error {
    Error::too_large(format!("the request's body is longer than {max} bytes: send less at once"))
}

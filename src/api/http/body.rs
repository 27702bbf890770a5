//! Reading of a request's body. A body is bounded in length and in time; large bodies are bounded
//! in number, and all bodies together in memory. The content type is not checked: whatever it says,
//! the body must be JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::api::http::error::Error;
use crate::api::limits::bodies::Bodies;
use crate::api::limits::budget::{Full, LARGEST_BODY, Share};
use crate::api::state::AppState;
use crate::app::reads::permits::Permit;
use crate::auth::Caller;
use crate::listen;

/// The longest body of an ordinary route, in bytes.
pub(crate) const SMALL: usize = 1 << 20;
/// The longest body of `POST /jobs`, in bytes.
pub(crate) const BULK: usize = LARGEST_BODY;

/// The longest time of a whole body, in which the wait for a permit does not count. `crate::listen`
/// bounds silence and the least speed.
const WHOLE: Duration = Duration::from_mins(5);
/// The most bytes that are reserved for an announced length before they have come.
const RESERVED: usize = 8 << 20;

/// Bodies up to this many bytes are not counted: there is one a connection at most.
const UNCOUNTED: usize = 4_096;
/// A body of unknown length above this many bytes gets room for all that it may have without a
/// permit.
const STEADY: usize = 64 * 1_024;

/// The resources that a body holds while its request is worked on: its share of the memory, and a
/// permit where the body is large.
#[derive(Debug)]
pub(crate) struct Hold {
    _permit: Option<Permit>,
    _share: Share,
}

/// The body of a write, at most `MAX` bytes long. The extractor refuses it unread while the node is
/// short of memory or disk.
#[derive(Debug)]
pub(crate) struct JsonBody<const MAX: usize>(pub(crate) Bytes, pub(crate) Hold);

impl<const MAX: usize> FromRequest<Arc<AppState>> for JsonBody<MAX> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &Arc<AppState>) -> Result<Self, Error> {
        state.app.admit_write()?;
        let (body, hold) = read(&state.bodies, request, MAX).await?;
        Ok(Self(body, hold))
    }
}

/// Reads the whole body of a request. The caller keeps the [`Hold`] for as long as the body, or
/// what was made of it, is in memory.
///
/// # Errors
///
/// 408 when the body comes too slowly; 413 when it is longer than `max`, or than one client's share
/// of this node's memory; 415 when it is compressed; 503 when there is no permit or no memory for
/// it.
pub(crate) async fn read(
    bodies: &Bodies,
    request: Request,
    max: usize,
) -> Result<(Bytes, Hold), Error> {
    let headers = request.headers();
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut codings = codings.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    let plain = |c: &[u8]| c.is_empty() || c.eq_ignore_ascii_case(b"identity");
    if codings.any(|coding| !plain(coding.trim_ascii())) {
        return Err(Error::unsupported_encoding());
    }
    let max = max.min(usize::try_from(bodies.budget.largest()).unwrap_or(max));
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(too_large(max));
    }
    collect(bodies, request, announced, max).await
}

async fn collect(
    bodies: &Bodies,
    request: Request,
    announced: Option<usize>,
    max: usize,
) -> Result<(Bytes, Hold), Error> {
    let of = request.extensions().get().map(Caller::principal);
    let (mut permit, mut share) = (None, bodies.budget.share(of));
    let mut deadline = Instant::now() + WHOLE;
    let mut stream = request.into_body().into_data_stream();
    let mut body: Vec<u8> = Vec::new();
    let whole = loop {
        let next = tokio::time::timeout_at(deadline, stream.next()).await;
        let Some(piece) = next.map_err(|_| Error::slow())? else { break body.into() };
        let piece = piece.map_err(|error| {
            if listen::is_slow(&error) {
                Error::slow()
            } else {
                Error::bad_request("the request's body broke off")
            }
        })?;
        let length = body.len() + piece.len();
        if length > max {
            return Err(too_large(max));
        }
        if length > UNCOUNTED {
            share.grow(piece.len() as u64).map_err(|full| no_room(bodies, full, piece.len()))?;
        }
        if length > SMALL && permit.is_none() {
            let asked = Instant::now();
            let busy = || Error::unavailable("too many large requests at once: try again");
            permit = Some(bodies.permits.acquire(of).await.ok_or_else(busy)?);
            deadline += asked.elapsed();
        }
        if body.is_empty() {
            if announced == Some(piece.len()) {
                break piece;
            }
            // Reserves the announced length, but no more than a small body has: the header may lie.
            body.reserve(announced.unwrap_or(0).min(SMALL).max(piece.len()));
        } else if permit.is_none() && length > STEADY && body.capacity() < SMALL {
            // Reserved at once, not doubled each time: moving a growing body leaves holes in the
            // heap. Reserved pages that are not filled take no memory.
            body.reserve_exact(SMALL - body.len());
        } else if permit.is_some() {
            let left = announced.unwrap_or(0).saturating_sub(body.len());
            body.reserve(left.min(RESERVED).max(piece.len()));
        }
        body.extend_from_slice(&piece);
    };
    Ok((whole, Hold { _permit: permit, _share: share }))
}

/// 503: all clients, or this one, hold as many bytes of bodies as they may.
fn no_room(bodies: &Bodies, full: Full, bytes: usize) -> Error {
    if let Some(unsaid) = bodies.budget.log.admit(()) {
        let Full { all, own, budget } = full;
        tracing::warn!(
            used = all,
            most = budget,
            own,
            bytes,
            unsaid,
            "a body was refused: as many bytes of bodies are in memory as may be, or half of them of \
             one client"
        );
    }
    Error::unavailable("this node holds as many bytes of requests as it may: try again")
}

fn too_large(max: usize) -> Error {
    Error::too_large(format!("the request's body is longer than {max} bytes: send less at once"))
}

//! Reading a body: bounded in length, in time, in how many large ones there are at once, and in what
//! all of them hold of the memory. The content type is not looked at: whatever curl calls it, it must
//! be JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::api::http::error::Error;
use crate::api::limits::budget::{Full, LARGEST_BODY, Share};
use crate::api::limits::permits::Permit;
use crate::api::state::AppState;
use crate::auth::Caller;
use crate::listen;

/// The longest body of an ordinary route, in bytes.
pub(crate) const SMALL: usize = 1 << 20;
/// The longest body of `POST /jobs`, in bytes.
pub(crate) const BULK: usize = LARGEST_BODY;

/// The longest time that a body may take altogether, its turn not counted. Silence and the least
/// speed are bounded by `crate::listen`.
const WHOLE: Duration = Duration::from_mins(5);
/// The most that is reserved for what is announced, and has not come.
const RESERVED: usize = 8 << 20;

/// Bodies up to this many bytes are not counted: there is one a connection at most.
const UNCOUNTED: usize = 4_096;
/// A body of unknown length above this, in bytes, gets room for all that it may have without a turn.
const STEADY: usize = 64 * 1_024;

/// What a body holds while its request is worked on: its share of the memory, and, where it is large,
/// a turn.
#[derive(Debug)]
pub(crate) struct Hold {
    _permit: Option<Permit>,
    _share: Share,
}

/// The body of a write, at most `MAX` bytes long. Refused, before it is read, while the node is
/// short of memory or disk.
#[derive(Debug)]
pub(crate) struct JsonBody<const MAX: usize>(pub(crate) Bytes, pub(crate) Hold);

impl<const MAX: usize> FromRequest<Arc<AppState>> for JsonBody<MAX> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<AppState>) -> Result<Self, Error> {
        app.admit_write()?;
        let (body, hold) = read(app, request, MAX).await?;
        Ok(Self(body, hold))
    }
}

/// The whole body of a request. Keep what is beside it for as long as the body, or what was made of
/// it, is in memory.
///
/// # Errors
///
/// 408 when it comes too slowly; 413 when it is longer than `max`, or than what one client may have
/// of this node's memory; 415 when it is compressed; 503 when there is no turn or no memory for it.
pub(crate) async fn read(
    app: &AppState,
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
    let max = max.min(usize::try_from(app.budget.largest()).unwrap_or(max));
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(too_large(max));
    }
    collect(app, request, announced, max).await
}

async fn collect(
    app: &AppState,
    request: Request,
    announced: Option<usize>,
    max: usize,
) -> Result<(Bytes, Hold), Error> {
    let of = request.extensions().get().copied().map(Caller::principal);
    let (mut permit, mut share) = (None, app.budget.share(of));
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
            share.grow(piece.len() as u64).map_err(|full| no_room(app, full, piece.len()))?;
        }
        if length > SMALL && permit.is_none() {
            let asked = Instant::now();
            let busy = || Error::unavailable("too many large requests at once: try again");
            permit = Some(app.body_permits.acquire(of).await.ok_or_else(busy)?);
            deadline += asked.elapsed();
        }
        if body.is_empty() {
            if announced == Some(piece.len()) {
                break piece;
            }
            // For what is announced, but not for more than has any chance to be true.
            body.reserve(announced.unwrap_or(0).min(SMALL).max(piece.len()));
        } else if permit.is_none() && length > STEADY && body.capacity() < SMALL {
            // At once, and not twofold each time: what is moved while it grows leaves holes behind.
            // What is not filled takes no memory.
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
fn no_room(app: &AppState, full: Full, bytes: usize) -> Error {
    if let Some(unsaid) = app.budget.log.admit(()) {
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

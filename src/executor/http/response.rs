//! The reading of an answer: its status, the headers that matter, and as much of the body as is
//! kept, with its content coding undone. `run` reads each answer with it, also one that is still
//! coming when the time of the call is up. It never judges what an answer means.

use std::io::Read as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use hyper::header::{CONTENT_ENCODING, HeaderName, RETRY_AFTER};

use super::client::Response;
use super::retry_after::retry_after;
use crate::model::Millis;

/// The bytes that are kept of the answer to a request for a single occurrence.
pub const MAX_BODY: usize = 64 * 1024;
/// The bytes that are kept of the answer to a batch; the length of the request's body if that is
/// more, because the answer may name any of the jobs in it.
pub const MAX_BATCH_BODY: usize = 256 * 1024;
/// The bytes beyond those that are read and dropped to keep the connection; a longer answer ends
/// it.
const DRAIN: usize = 256 * 1024;

/// The header by which a receiver that answers 202 says that it reports later (`true`).
const ASYNC: HeaderName = HeaderName::from_static("scheduler-async");

/// The bytes that are kept of an answer, on the wire and after inflation alike.
pub(super) fn room(batch: bool, request: usize) -> usize {
    if batch { MAX_BATCH_BODY.max(request) } else { MAX_BODY }
}

/// An answer, as far as it was read.
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// Whether the receiver goes on working and reports later.
    pub(super) accepted_async: bool,
    /// Whether nobody is to read it, as it may be that of an internal host.
    pub(super) is_hidden: bool,
    coding: String,
    room: usize,
    body: BytesMut,
    end: End,
}

/// The end of a body.
enum End {
    /// The body is still coming.
    Open,
    /// The whole body was read.
    Whole,
    /// The body is longer than what is kept.
    TooLong,
    /// The body broke off: fewer bytes than announced, a chunk without its end, a lost connection.
    Broken(String),
}

/// The most bytes that are read of a body of which `room` are kept.
pub(super) fn longest(room: usize) -> u64 {
    (room + DRAIN) as u64
}

/// Reads an answer into `received`. What was read stays there when the future is dropped.
pub(super) async fn read(
    mut response: Response<'_>,
    room: usize,
    now: Millis,
    received: &mut Option<Received>,
) {
    let line = |name: &HeaderName| response.headers().get(name).and_then(|v| v.to_str().ok());
    let received = received.insert(Received {
        status: response.status(),
        retry_after: line(&RETRY_AFTER).and_then(|value| retry_after(value, now)),
        accepted_async: line(&ASYNC).is_some_and(|value| value.eq_ignore_ascii_case("true")),
        is_hidden: response.is_hidden,
        coding: line(&CONTENT_ENCODING).unwrap_or_default().trim().to_ascii_lowercase(),
        room,
        body: BytesMut::new(),
        end: End::Open,
    });
    let mut dropped = 0;
    loop {
        let part = match response.piece().await {
            Some(Ok(part)) => part,
            None => {
                received.end = if dropped > 0 { End::TooLong } else { End::Whole };
                response.give_back();
                return;
            }
            Some(Err(why)) => {
                received.end = End::Broken(why);
                return;
            }
        };
        let kept = part.len().min(room - received.body.len());
        received.body.extend_from_slice(&part[..kept]);
        dropped += part.len() - kept;
        if dropped > DRAIN {
            received.end = End::TooLong;
            return;
        }
    }
}

impl Received {
    /// The body with its coding undone, and the reason why it is not the whole body if it is not.
    pub(super) fn into_body(self, timeout: Duration) -> (Bytes, Option<String>) {
        let (bytes, room) = (self.body.len(), self.room);
        let flaw = match self.end {
            End::Whole => None,
            End::Open => Some(format!("its body was not complete within {timeout:?}")),
            End::TooLong => Some(too_long(room)),
            End::Broken(why) => Some(format!("its body broke off after {bytes} bytes: {why}")),
        };
        let body = self.body.freeze();
        if body.is_empty() || matches!(self.coding.as_str(), "" | "identity") {
            return (body, flaw);
        }
        if !matches!(self.coding.as_str(), "gzip" | "x-gzip") {
            let known = if self.is_hidden { "unknown" } else { self.coding.as_str() };
            let coding: String = known.chars().take(40).collect();
            let unread = format!("its Content-Encoding is {coding}; gzip and none are read");
            return (Bytes::new(), flaw.or(Some(unread)));
        }
        match inflate(&body, room) {
            Ok(body) => (body, flaw),
            Err(why) => (Bytes::new(), flaw.or(Some(why))),
        }
    }
}

fn too_long(room: usize) -> String {
    format!("its body is longer than the {room} bytes that are read")
}

/// Undoes gzip, up to a length: a small body may expand to gigabytes.
fn inflate(body: &[u8], room: usize) -> Result<Bytes, String> {
    let mut plain = Vec::new();
    let mut inflating = MultiGzDecoder::new(body).take(room as u64 + 1);
    inflating
        .read_to_end(&mut plain)
        .map_err(|error| format!("its body is not the gzip that it says it is: {error}"))?;
    if plain.len() > room {
        return Err(too_long(room));
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(plain).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn gzip_is_undone_up_to_the_room_and_a_cut_one_is_an_error() {
        let packed = gzip(b"{\"failed\": []}");
        assert_eq!(inflate(&packed, 100).unwrap(), &b"{\"failed\": []}"[..]);
        for cut in 0..packed.len() {
            let shown = inflate(&packed[..cut], 100);
            // An empty body is an empty stream, which `into_body` does not inflate.
            assert!(shown.is_err() || cut == 0, "{cut}: {shown:?}");
        }
        let bomb = gzip(&vec![b' '; 50_000_000]);
        assert!(bomb.len() < 60_000);
        assert_eq!(inflate(&bomb, MAX_BODY), Err(too_long(MAX_BODY)));
    }
}

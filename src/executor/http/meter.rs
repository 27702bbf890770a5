//! A stream that counts the bytes that a receiver sends, and ends where they are more than an
//! answer may take.
//!
//! An HTTP client reads informational answers (1xx, RFC 9110 15.2) until the final one comes, and a
//! TLS client reads records that carry no data, as session tickets. Neither has a bound of its own.
//! A receiver that sends them without end would take a processor for as long as the call may last.
//! So the connector puts a stream of this kind around the TCP connection and another one around
//! TLS. The connection says where a request begins and where the head of its answer was complete.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes of an answer that are read up to the end of its head, informational answers
/// included. One more read of at most as many may be made before the call ends.
pub(super) const MAX_HEAD: u64 = 64 * 1_024;

/// The same below TLS, where certificates, session tickets and the framing of records are added.
const MAX_HEAD_TLS: u64 = 4 * MAX_HEAD;

/// The most bytes below TLS for each byte of a body, as each may come in a record and a chunk of
/// its own.
const TLS_PER_BYTE: u64 = 64;

/// The bytes that one stream has brought since a request began, and their limit.
#[derive(Debug)]
struct Count {
    read: AtomicU64,
    limit: AtomicU64,
}

impl Count {
    fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { read: AtomicU64::new(0), limit: AtomicU64::new(limit) })
    }

    // The channels between a call and the task of its connection order these stores; no other
    // memory depends on them.
    fn restart(&self, limit: u64) {
        self.read.store(0, Ordering::Relaxed);
        self.limit.store(limit, Ordering::Relaxed);
    }

    fn is_spent(&self) -> bool {
        self.read.load(Ordering::Relaxed) >= self.limit.load(Ordering::Relaxed)
    }
}

/// The counts of a connection.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    /// The bytes that HTTP reads.
    plain: Arc<Count>,
    /// The bytes over TCP where the connection is encrypted.
    tls: Option<Arc<Count>>,
}

impl Meter {
    /// A meter around the TCP stream of a connection that is not encrypted.
    pub(super) fn over<S>(tcp: S) -> (Metered<S>, Self) {
        let plain = Count::new(MAX_HEAD);
        (Metered { inner: tcp, count: Arc::clone(&plain) }, Self { plain, tls: None })
    }

    /// A meter below TLS, from the handshake on.
    pub(super) fn below_tls<S>(tcp: S) -> (Metered<S>, BelowTls) {
        let count = Count::new(MAX_HEAD_TLS);
        (Metered { inner: tcp, count: Arc::clone(&count) }, BelowTls(count))
    }

    /// Notes that a request begins, or that none is under way: the next answer may have as much
    /// again.
    pub(super) fn restart(&self) {
        self.plain.restart(MAX_HEAD);
        if let Some(tls) = &self.tls {
            tls.restart(MAX_HEAD_TLS);
        }
    }

    /// Notes that the head is complete. From here on the reader of the body counts up to `body`
    /// bytes.
    pub(super) fn head_is_complete(&self, body: u64) {
        self.plain.limit.store(u64::MAX, Ordering::Relaxed);
        if let Some(tls) = &self.tls {
            tls.restart(MAX_HEAD_TLS.saturating_add(body.saturating_mul(TLS_PER_BYTE)));
        }
    }

    /// Whether a byte of the answer came.
    pub(super) fn has_begun(&self) -> bool {
        self.plain.read.load(Ordering::Relaxed) > 0
    }

    /// Whether the receiver sent more than it may.
    pub(super) fn is_spent(&self) -> bool {
        self.plain.is_spent() || self.tls.as_ref().is_some_and(|tls| tls.is_spent())
    }
}

/// The count below TLS. The one above is added when the handshake is over.
pub(super) struct BelowTls(Arc<Count>);

impl BelowTls {
    /// The stream within TLS, and the counts of both streams.
    pub(super) fn above<S>(self, tls: S) -> (Metered<S>, Meter) {
        let (stream, meter) = Meter::over(tls);
        (stream, Meter { tls: Some(self.0), ..meter })
    }
}

/// A stream whose bytes are counted as they are read.
pub(super) struct Metered<S> {
    inner: S,
    count: Arc<Count>,
}

/// The receiver sent more than an answer may take.
#[derive(Debug, thiserror::Error)]
#[error("the receiver sends without an end of its answer")]
struct Endless;

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.count.is_spent() {
            return Poll::Ready(Err(io::Error::other(Endless)));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let read = (buf.filled().len() - before) as u64;
        this.count.read.fetch_add(read, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    /// How many bytes are read before the stream ends.
    async fn taken<S: AsyncRead + Unpin>(stream: &mut Metered<S>) -> u64 {
        let mut piece = [0; 1_000];
        let mut taken = 0;
        loop {
            match stream.read(&mut piece).await {
                Ok(read) => taken += read as u64,
                Err(error) => {
                    assert!(error.to_string().contains("without an end"), "{error}");
                    return taken;
                }
            }
        }
    }

    #[tokio::test]
    async fn bytes_below_tls_are_bounded_before_each_head_and_by_the_body() {
        let least = |bound: u64| bound..bound + 1_000;
        // From the handshake on.
        let (mut tcp, below) = Meter::below_tls(tokio::io::repeat(b'x'));
        assert!(least(MAX_HEAD_TLS).contains(&taken(&mut tcp).await));
        // It carries no data.
        let (_, meter) = below.above(tokio::io::empty());
        for _ in 0..2 {
            meter.restart();
            assert!(!meter.is_spent());
            assert!(least(MAX_HEAD_TLS).contains(&taken(&mut tcp).await));
            assert!(meter.is_spent() && !meter.has_begun());
        }
        meter.restart();
        meter.head_is_complete(1_000);
        assert!(least(MAX_HEAD_TLS + 64_000).contains(&taken(&mut tcp).await));
    }

    #[tokio::test]
    async fn a_head_is_bounded_and_a_body_is_counted_by_its_reader() {
        let (mut stream, meter) = Meter::over(tokio::io::repeat(b'x'));
        assert!((MAX_HEAD..MAX_HEAD + 1_000).contains(&taken(&mut stream).await));
        meter.restart();
        assert!(!meter.has_begun());
        meter.head_is_complete(1);
        let mut body = vec![0; 10 * MAX_HEAD as usize];
        stream.read_exact(&mut body).await.unwrap();
        assert!(meter.has_begun() && !meter.is_spent());
    }
}

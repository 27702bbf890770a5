//! The stream below a connection to a broker: TCP, or TLS over it. `connector` makes it, and the
//! client library reads and writes it on a thread of its own. It can be cut at any moment, after
//! which not a byte leaves it, whatever the library still has in its buffers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::frames::FrameFilter;

/// The most bytes that are taken over before they are written.
const ROOM: usize = 64 << 10;

/// A stream to a broker.
pub(super) enum Stream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream with its filter.
pub(super) struct Transport {
    stream: Stream,
    filter: FrameFilter,
    /// The bytes that passed the filter, of which the first `written` are written.
    passed: Vec<u8>,
    written: usize,
    cut: Arc<Cut>,
}

/// Cuts a transport.
#[derive(Debug, Default)]
pub(super) struct Cut {
    done: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Cut {
    /// Ends the stream: reading and writing fail from now on.
    pub(super) fn cut(&self) {
        self.done.store(true, Ordering::SeqCst);
        self.reader.wake();
        self.writer.wake();
    }

    /// Whether the stream was cut.
    pub(super) fn is_cut(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    /// Fails if the stream was cut; `waker` is woken when it is.
    fn check(&self, waker: &AtomicWaker, cx: &Context<'_>) -> io::Result<()> {
        waker.register(cx.waker());
        if self.is_cut() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl Transport {
    /// A transport over a stream.
    pub(super) fn new(stream: Stream, cut: Arc<Cut>) -> Self {
        let (filter, passed) = (FrameFilter::default(), Vec::with_capacity(ROOM));
        Self { stream, filter, passed, written: 0, cut }
    }

    /// Writes what has passed the filter.
    fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.passed.len() {
            let rest = &self.passed[self.written..];
            let wrote = match &mut self.stream {
                Stream::Plain(stream) => Pin::new(stream).poll_write(cx, rest),
                Stream::Tls(stream) => Pin::new(stream).poll_write(cx, rest),
            };
            match ready!(wrote)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                wrote => self.written += wrote,
            }
        }
        self.passed.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.cut.check(&self.cut.reader, cx)?;
        let mut into = ReadBuf::new(into);
        ready!(match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, &mut into),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, &mut into),
        })?;
        Poll::Ready(Ok(into.filled().len()))
    }
}

impl AsyncWrite for Transport {
    /// Takes bytes over as soon as those before them are written, and begins to write them.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.cut.check(&this.cut.writer, cx)?;
        ready!(this.poll_passed(cx))?;
        let bytes = &bytes[..bytes.len().min(ROOM)];
        this.filter.pass(bytes, &mut this.passed);
        match this.poll_passed(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What is not written yet is written by the next call or flush.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.cut.check(&this.cut.writer, cx)?;
        ready!(this.poll_passed(cx))?;
        match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

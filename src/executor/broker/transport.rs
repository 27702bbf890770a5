//! The stream below a connection to a broker: TCP, or TLS over it. `connector` makes it, and the
//! client library reads and writes it on a thread of its own. All bytes pass `frames` or `inbound`.
//! It can be cut at any moment, after which not a byte leaves it, whatever the library still has in
//! its buffers, and the connection is reset, so that the kernel sends nothing more either.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::frames::FrameFilter;
use super::inbound::{InboundFilter, Refused};
use super::places::ConnectionPlace;
use super::returns::Returns;
use super::role::Role;

/// The most bytes that are taken over before they are written.
const ROOM: usize = 64 << 10;
/// The most bytes that are read at a time.
const READ: usize = 16 << 10;

/// A stream to a broker.
pub(crate) enum Stream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream with its filters.
pub(crate) struct Transport {
    stream: Stream,
    inbound: InboundFilter,
    /// The bytes that were read and passed, of which the library has the first `taken`.
    read: Vec<u8>,
    taken: usize,
    filter: FrameFilter,
    /// The bytes that passed the filter, of which the first `written` are written.
    passed: Vec<u8>,
    written: usize,
    cut: Arc<Cut>,
    returns: Arc<Returns>,
    /// Held as long as the thread of the library that uses this.
    _place: ConnectionPlace,
}

/// Cuts a transport.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    done: AtomicBool,
    /// What the broker sent that it may not, if it was cut over that.
    refused: OnceLock<Refused>,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Cut {
    /// Ends the stream: reading and writing fail from now on.
    pub(crate) fn cut(&self) {
        self.done.store(true, Ordering::SeqCst);
        self.reader.wake();
        self.writer.wake();
    }

    /// What the broker sent that it may not, if the stream was cut over that.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused.get().copied()
    }

    /// Whether the stream was cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    /// Fails if the stream was cut; `waker` is woken when it is.
    fn check(&self, waker: &AtomicWaker, cx: &Context<'_>) -> io::Result<()> {
        waker.register(cx.waker());
        if self.is_cut() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl Stream {
    /// Reads once, as [`tokio::io::AsyncRead`] says.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        ready!(match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, &mut into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, &mut into),
        })?;
        Poll::Ready(Ok(into.filled().len()))
    }

    /// Makes the close a reset: what the kernel has not sent yet is dropped.
    fn reset(&self) {
        let tcp = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        // Fails where the connection is gone already.
        let _ = tcp.set_zero_linger();
    }
}

impl Transport {
    /// A transport over a stream, which puts the returned messages into `returns`.
    pub(crate) fn new(
        stream: Stream,
        role: Role,
        (cut, returns): (Arc<Cut>, Arc<Returns>),
        place: ConnectionPlace,
    ) -> Self {
        Self {
            stream,
            inbound: InboundFilter::new(role),
            read: Vec::new(),
            taken: 0,
            filter: FrameFilter::default(),
            passed: Vec::with_capacity(ROOM),
            written: 0,
            cut,
            returns,
            _place: place,
        }
    }

    /// Reads until something has passed the filter; `false` at the end of the stream.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut bytes = [0; READ];
        self.read.clear();
        self.taken = 0;
        while self.read.is_empty() {
            self.cut.check(&self.cut.reader, cx)?;
            let count = ready!(self.stream.poll_read(cx, &mut bytes))?;
            if count == 0 {
                return Poll::Ready(Ok(false));
            }
            let passed = self.inbound.pass(&bytes[..count], &mut self.read, &self.returns);
            if let Err(refused) = passed {
                let _ = self.cut.refused.set(refused);
                self.cut.cut();
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refused)));
            }
        }
        Poll::Ready(Ok(true))
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
        let this = &mut *self;
        this.cut.check(&this.cut.reader, cx)?;
        if this.taken == this.read.len() && !ready!(this.poll_more(cx))? {
            return Poll::Ready(Ok(0));
        }
        let rest = &this.read[this.taken..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        this.taken += count;
        Poll::Ready(Ok(count))
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
        this.filter.pass(bytes, &mut this.passed, &this.returns);
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
        if self.cut.is_cut() {
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        if self.cut.is_cut() {
            self.stream.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::super::places::ConnectionPlaces;
    use super::*;

    async fn write(transport: &mut Transport, bytes: &[u8]) -> Result<usize, io::ErrorKind> {
        let written = poll_fn(|cx| Pin::new(&mut *transport).poll_write(cx, bytes)).await;
        written.map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn a_transport_that_was_cut_sends_nothing_and_is_reset_and_any_other_one_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for is_cut in [true, false] {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut server = listener.accept().await.unwrap().0;
            let cut = Arc::new(Cut::default());
            let place = ConnectionPlaces::default().take(1).unwrap();
            let stream = Stream::Plain(stream);
            let ends = (Arc::clone(&cut), Arc::default());
            let mut transport = Transport::new(stream, Role::Publisher, ends, place);
            assert_eq!(write(&mut transport, b"AMQP\0\0\x09\x01").await, Ok(8));
            server.read_exact(&mut [0; 8]).await.unwrap();
            if is_cut {
                cut.cut();
                let aborted = Err(io::ErrorKind::ConnectionAborted);
                assert_eq!(write(&mut transport, b"\x08\0\0\0\0\0\0\xce").await, aborted);
                let mut into = [0; 8];
                let read = poll_fn(|cx| Pin::new(&mut transport).poll_read(cx, &mut into)).await;
                assert_eq!(read.map_err(|error| error.kind()), aborted);
                // There is nothing to wait for.
                poll_fn(|cx| Pin::new(&mut transport).poll_close(cx)).await.unwrap();
            }
            drop(transport);
            let read = server.read(&mut [0; 8]).await.map_err(|error| error.kind());
            let expected = if is_cut { Err(io::ErrorKind::ConnectionReset) } else { Ok(0) };
            assert_eq!(read, expected, "cut: {is_cut}");
        }
    }
}

//! The stream of one connection, which `serve` keeps while hyper reads and writes it.
//!
//! While the system takes no more of an answer, nothing is read, so that a client that does not
//! take its answers cannot cause new ones. hyper answers a head that it cannot read without a body;
//! that answer is left out. When hyper is done, [`Socket::finish`] sends the answer of the port to
//! such a head. Then it closes the connection in stages (RFC 9112, 9.6): first this side, and the
//! other one when the client has read the answer or a bound is reached. If it closed both at once,
//! the kernel of the client would drop an answer that was not read yet.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::connection::Connection;

/// The most bytes that are read and dropped after the last answer, 16 kB at a time.
const LINGER_BYTES: usize = 16 << 20;
/// The longest silence while they are.
const LINGER_SILENCE: Duration = Duration::from_secs(1);
/// The longest time for all of that.
const LINGER: Duration = Duration::from_secs(5);

/// A stream shared by hyper and the task of its connection. They never use it at the same time.
pub(super) struct Socket<S = TcpStream>(Arc<Mutex<Shared<S>>>);

impl<S> Clone for Socket<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Shared<S> {
    stream: S,
    connection: Connection,
    /// Whether bytes were read since the last answer began.
    unanswered: bool,
    /// The length of the first line of those, in bytes.
    line: usize,
    /// Whether that line is complete.
    whole: bool,
    /// Whether the system takes no more of an answer.
    refused: bool,
    /// The reader that waits meanwhile.
    reader: Option<Waker>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) fn new(stream: S, connection: Connection) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            stream,
            connection,
            unanswered: false,
            line: 0,
            whole: false,
            refused: false,
            reader: None,
        })))
    }

    fn shared(&self) -> MutexGuard<'_, Shared<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The length of the first line of a request that has begun and has no answer, in bytes.
    pub(super) fn unanswered(&self) -> Option<usize> {
        let shared = self.shared();
        shared.unanswered.then_some(shared.line)
    }

    /// Sends a last answer, if there is one, and closes the connection in stages.
    pub(super) async fn finish(mut self, last: Option<Vec<u8>>) {
        let closing = async {
            if let Some(answer) = last {
                // What is written from here on is not from hyper.
                self.shared().unanswered = false;
                self.write_all(&answer).await?;
            }
            std::future::poll_fn(|cx| {
                let shared = &mut *self.shared();
                Pin::new(&mut shared.stream).poll_shutdown(cx)
            })
            .await?;
            self.drain().await
        };
        // In any case the connection ends now.
        let _ = tokio::time::timeout(LINGER, closing).await;
    }

    /// Reads and drops the bytes that still come.
    async fn drain(&mut self) -> io::Result<()> {
        let mut dropped = vec![0; 16 * 1_024];
        let mut left = LINGER_BYTES;
        while left > 0 {
            let read = tokio::time::timeout(LINGER_SILENCE, self.read(&mut dropped)).await;
            match read {
                Ok(Ok(0)) | Err(_) => break,
                Ok(read) => left = left.saturating_sub(read?),
            }
        }
        Ok(())
    }
}

impl<S> Shared<S> {
    /// Notes the bytes that were read.
    fn note(&mut self, read: &[u8]) {
        if !read.is_empty() && !self.unanswered {
            self.unanswered = true;
            self.connection.head_begins();
        }
        if !self.whole {
            let end = read.iter().position(|b| *b == b'\n');
            self.line += end.unwrap_or(read.len());
            self.whole = end.is_some();
        }
    }

    /// Whether hyper is about to write its own answer to a head that was no request.
    fn is_hypers_own(&self) -> bool {
        self.unanswered && !self.connection.has_begun()
    }

    /// Notes that a part of an answer is about to be written.
    fn answer(&mut self) {
        if self.unanswered {
            self.connection.answer_begins();
        }
        (self.unanswered, self.line, self.whole) = (false, 0, false);
    }

    /// Notes the bytes that the system took of it.
    fn wrote(&mut self, wrote: &Poll<io::Result<usize>>) {
        match wrote {
            Poll::Pending if !self.refused => {
                self.refused = true;
                self.connection.refused();
            }
            Poll::Ready(taken) => {
                self.connection.taken(*taken.as_ref().unwrap_or(&0));
                if self.refused {
                    self.refused = false;
                    self.connection.taken_again();
                    // The stream would not wake it, as it was not asked for bytes.
                    if let Some(reader) = self.reader.take() {
                        reader.wake();
                    }
                }
            }
            Poll::Pending => {}
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let shared = &mut *self.shared();
        if shared.refused {
            shared.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut shared.stream).poll_read(cx, buffer);
        shared.note(&buffer.filled()[before..]);
        if read.is_pending() {
            shared.connection.finds_empty();
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let shared = &mut *self.shared();
        if shared.is_hypers_own() {
            return Poll::Ready(Ok(bytes.len()));
        }
        shared.answer();
        let wrote = Pin::new(&mut shared.stream).poll_write(cx, bytes);
        shared.wrote(&wrote);
        wrote
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let shared = &mut *self.shared();
        if shared.is_hypers_own() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        shared.answer();
        let wrote = Pin::new(&mut shared.stream).poll_write_vectored(cx, slices);
        shared.wrote(&wrote);
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.shared().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &mut *self.shared();
        Pin::new(&mut shared.stream).poll_flush(cx)
    }

    /// Flushes only: hyper closes also where it has not answered, and [`Socket::finish`] may
    /// answer.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn nothing_is_read_while_a_write_is_refused_and_the_reader_is_woken_after_it() {
        let (near, far) = tokio::io::duplex(16);
        let mut far = Box::pin(far);
        let connection = Connection::new("192.0.2.7:1".parse().unwrap());
        let mut socket = Box::pin(Socket::new(near, connection));
        let woken = Arc::new(Woken::default());
        let waker = woken.clone().into();
        let silent = Waker::noop();
        let (cx, other) = (&mut Context::from_waker(&waker), &mut Context::from_waker(silent));
        let mut space = [0; 32];

        assert!(far.as_mut().poll_write(other, b"more").is_ready());
        assert!(matches!(socket.as_mut().poll_write(cx, &[1; 32]), Poll::Ready(Ok(16))));
        assert!(socket.as_mut().poll_write(cx, &[1; 16]).is_pending());
        assert!(socket.as_mut().poll_read(cx, &mut ReadBuf::new(&mut space)).is_pending());
        let mut taken = ReadBuf::new(&mut space);
        assert!(far.as_mut().poll_read(other, &mut taken).is_ready());
        let by_stream = woken.0.load(Ordering::SeqCst);
        assert!(socket.as_mut().poll_write(cx, &[1; 16]).is_ready());
        assert_eq!(woken.0.load(Ordering::SeqCst), by_stream + 1, "the reader");
        let mut read = ReadBuf::new(&mut space);
        assert!(socket.as_mut().poll_read(cx, &mut read).is_ready());
        assert_eq!(read.filled(), b"more");
    }
}

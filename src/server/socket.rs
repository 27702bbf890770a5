//! The stream of one connection, which `super` keeps while hyper reads and writes it. When hyper is
//! done, what it could not answer is answered here, and the connection is closed in stages (RFC
//! 9112, 9.6): first our side, then, when the client has read the answer or a bound is reached, all
//! of it. A close at once would make the client's kernel drop an answer that it has not read yet.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// The most bytes that are read and dropped after the last answer.
const LINGER_BYTES: usize = 16 << 20;
/// The longest silence while they are.
const LINGER_SILENCE: Duration = Duration::from_secs(1);
/// The longest time that it may take.
const LINGER: Duration = Duration::from_secs(5);

/// A stream, shared by hyper and the task of its connection. They never use it at the same time.
#[derive(Clone)]
pub(super) struct Socket(Arc<Mutex<Shared>>);

struct Shared {
    stream: TcpStream,
    /// Something was read since the last answer began.
    unanswered: bool,
    /// How much of it is the first line, in bytes.
    line: usize,
    /// That line is whole.
    whole: bool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(Shared { stream, unanswered: false, line: 0, whole: false })))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The length, in bytes, of the first line of a request that has begun and has no answer.
    pub(super) fn unanswered(&self) -> Option<usize> {
        let shared = self.shared();
        shared.unanswered.then_some(shared.line)
    }

    /// Sends a last answer, if there is one, and closes in stages.
    pub(super) async fn finish(mut self, last: Option<Vec<u8>>) {
        let closing = async {
            if let Some(answer) = last {
                self.write_all(&answer).await?;
            }
            std::future::poll_fn(|cx| {
                let shared = &mut *self.shared();
                Pin::new(&mut shared.stream).poll_shutdown(cx)
            })
            .await?;
            self.drain().await
        };
        // Whatever comes of it, the connection ends now.
        let _ = tokio::time::timeout(LINGER, closing).await;
    }

    /// Reads and drops what still comes.
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

impl Shared {
    /// Notes what was read.
    fn note(&mut self, read: &[u8]) {
        self.unanswered |= !read.is_empty();
        if !self.whole {
            let end = read.iter().position(|b| *b == b'\n');
            self.line += end.unwrap_or(read.len());
            self.whole = end.is_some();
        }
    }

    /// Notes that an answer has begun.
    fn answer(&mut self) {
        (self.unanswered, self.line, self.whole) = (false, 0, false);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let shared = &mut *self.shared();
        let before = buffer.filled().len();
        let read = Pin::new(&mut shared.stream).poll_read(cx, buffer);
        shared.note(&buffer.filled()[before..]);
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let shared = &mut *self.shared();
        shared.answer();
        Pin::new(&mut shared.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let shared = &mut *self.shared();
        shared.answer();
        Pin::new(&mut shared.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.shared().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &mut *self.shared();
        Pin::new(&mut shared.stream).poll_flush(cx)
    }

    /// Nothing yet: hyper closes also where it has not answered, and [`Socket::finish`] may.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

//! Receivers that misbehave: they hang, are slow, or answer without an end.
//! `crate::harness::Receiver` only fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::harness::PATIENCE;

/// The behavior in each call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Misbehavior {
    /// Accepts the connection and sends nothing.
    Hangs,
    /// Answers 200 after this time.
    Slow(Duration),
    /// Sends `HTTP/1.1 100 Continue` over and over, as fast as it is read.
    Continues,
    /// Sends header lines without an end.
    EndlessHead,
    /// Sends 200 and a chunked body without an end.
    EndlessBody,
    /// Sends 200 and a byte of the body after each interval.
    Drips(Duration),
}

/// The receiver; dropping it closes all of its connections.
pub(crate) struct BadReceiver {
    port: u16,
    open: Arc<AtomicUsize>,
    calls: Arc<watch::Sender<usize>>,
    task: JoinHandle<()>,
}

/// Counts a connection while it is open.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl BadReceiver {
    /// Starts it on a free port of the loopback.
    pub(crate) async fn start(misbehavior: Misbehavior) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, calls) = (Arc::<AtomicUsize>::default(), Arc::new(watch::Sender::new(0)));
        let (now, all) = (open.clone(), calls.clone());
        let task = tokio::spawn(async move {
            let mut served = tokio::task::JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                now.fetch_add(1, Ordering::SeqCst);
                let counted = Counted(now.clone());
                let all = all.clone();
                served.spawn(async move {
                    // An error means that the node has closed the connection.
                    let _ = serve(stream, misbehavior, &all).await;
                    drop(counted);
                });
                while served.try_join_next().is_some() {}
            }
        });
        Self { port, open, calls, task }
    }

    /// Starts `count` of them.
    pub(crate) async fn many(misbehavior: Misbehavior, count: usize) -> Vec<Self> {
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(Self::start(misbehavior).await);
        }
        all
    }

    /// The URL of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The number of open connections.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// The number of requests so far.
    pub(crate) fn calls(&self) -> usize {
        *self.calls.borrow()
    }

    /// Waits until `times` requests have come; panics when they do not within a minute.
    pub(crate) async fn called(&self, times: usize) {
        let mut calls = self.calls.subscribe();
        let came = tokio::time::timeout(PATIENCE, calls.wait_for(|calls| *calls >= times)).await;
        assert!(came.is_ok(), "{} calls instead of {times}", self.calls());
    }
}

impl Drop for BadReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    misbehavior: Misbehavior,
    calls: &watch::Sender<usize>,
) -> std::io::Result<()> {
    loop {
        request(&mut stream).await?;
        calls.send_modify(|calls| *calls += 1);
        match misbehavior {
            // A read of nothing means that the node has closed the connection.
            Misbehavior::Hangs => while stream.read(&mut [0; 1_024]).await? > 0 {},
            Misbehavior::Slow(time) => {
                tokio::time::sleep(time).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
                continue;
            }
            Misbehavior::Continues => loop {
                stream.write_all(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(64)).await?;
            },
            Misbehavior::EndlessHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
                loop {
                    stream.write_all(b"x-more: and more and more and more\r\n").await?;
                }
            }
            Misbehavior::EndlessBody => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
                loop {
                    stream.write_all(b"8\r\nno end. \r\n").await?;
                }
            }
            Misbehavior::Drips(ticker) => {
                let mut ticker = tokio::time::interval(ticker);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n").await?;
                loop {
                    ticker.tick().await;
                    stream.write_all(b".").await?;
                }
            }
        }
        return Ok(());
    }
}

/// Reads a request with a body of known length; the error is the end of the connection.
async fn request(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(())
}

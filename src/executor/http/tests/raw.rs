//! Receivers on threads of their own that run a script with each connection, byte by byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// A stream of a connection, encrypted or not.
pub(super) trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// One connection that a receiver has taken.
pub(super) struct Taken {
    pub(super) stream: Box<dyn Stream>,
    /// The TCP connection below.
    tcp: TcpStream,
    seen: Arc<Mutex<Vec<(usize, String)>>>,
    number: usize,
    runtime: tokio::runtime::Handle,
}

impl Taken {
    /// Reads and records one request, head and body; false at the end of the connection.
    pub(super) fn read(&mut self) -> bool {
        let Some(request) = read_request(&mut self.stream) else { return false };
        self.seen.lock().unwrap().push((self.number, request));
        true
    }

    /// Sends bytes; false when the other side takes them no more.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Reads requests and answers each with 200 until the connection ends.
    pub(super) fn serve(&mut self) {
        while self.read() && self.send(OK) {}
    }

    /// Makes the connection end with a reset.
    pub(super) fn reset(&self) {
        let _within = self.runtime.enter();
        let tcp = self.tcp.try_clone().unwrap();
        tcp.set_nonblocking(true).unwrap();
        tokio::net::TcpStream::from_std(tcp).unwrap().set_zero_linger().unwrap();
    }
}

pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 65_536];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
        match stream.read(&mut piece) {
            Ok(length) if length > 0 => bytes.extend_from_slice(&piece[..length]),
            _ => return None,
        }
    }
}

/// A receiver.
pub(super) struct Receiver {
    pub(super) port: u16,
    /// The requests that it has read, each with the number of its connection.
    seen: Arc<Mutex<Vec<(usize, String)>>>,
}

impl Receiver {
    /// A receiver that runs `script` with each connection and its number, on a thread of its own;
    /// with TLS where that is given.
    pub(super) fn start(
        tls: Option<ServerConfig>,
        script: impl Fn(usize, Taken) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let runtime = tokio::runtime::Handle::current();
        let (all, script, tls) = (Arc::clone(&seen), Arc::new(script), tls.map(Arc::new));
        thread::spawn(move || {
            for (number, tcp) in listener.incoming().enumerate() {
                let tcp = tcp.unwrap();
                let (seen, script, tls) = (Arc::clone(&all), Arc::clone(&script), tls.clone());
                let runtime = runtime.clone();
                thread::spawn(move || {
                    let own = tcp.try_clone().unwrap();
                    let stream: Box<dyn Stream> = match tls {
                        None => Box::new(tcp),
                        Some(tls) => {
                            let session = ServerConnection::new(tls).unwrap();
                            Box::new(StreamOwned::new(session, tcp))
                        }
                    };
                    script(number, Taken { stream, tcp: own, seen, number, runtime });
                });
            }
        });
        Self { port, seen }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Takes the requests read so far.
    pub(super) fn seen(&self) -> Vec<(usize, String)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// A signal from a test to the thread of a receiver. The test waits until the thread has done it.
#[derive(Clone)]
pub(super) struct Signal(mpsc::SyncSender<mpsc::SyncSender<()>>);

impl Signal {
    pub(super) fn new() -> (Self, mpsc::Receiver<mpsc::SyncSender<()>>) {
        let (tell, told) = mpsc::sync_channel(1);
        (Self(tell), told)
    }

    pub(super) fn give(&self) {
        let (done, is_done) = mpsc::sync_channel(1);
        self.0.send(done).unwrap();
        // An error says that the thread has ended, which is enough.
        let _ = is_done.recv();
    }
}

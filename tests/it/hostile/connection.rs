//! Raw connections to a node: a test writes bytes fast, slowly, or without reading.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{PATIENCE, TestCluster};

/// The time after which a node that takes no byte counts as one that will take none.
const STALLED: Duration = Duration::from_secs(2);
/// The receive buffer of [`RawConnection::narrow`] in bytes, the smallest one that systems allow.
const NARROW_BUFFER: u32 = 2_048;

/// A port of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Port {
    /// The port of the API.
    Api,
    /// The port for other nodes.
    Raft,
}

impl Port {
    /// The address of the port on a node.
    pub(crate) fn of(self, cluster: &TestCluster, node: u64) -> SocketAddr {
        let (api, raft) = cluster.addresses(node);
        let address = match self {
            Self::Api => api.trim_start_matches("http://").to_owned(),
            Self::Raft => raft,
        };
        address.parse().unwrap()
    }
}

/// A connection.
pub(crate) struct RawConnection(TcpStream);

impl RawConnection {
    /// Connects.
    pub(crate) async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Connects with the smallest receive buffer, so that unread answers soon block the node.
    pub(crate) async fn narrow(to: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(NARROW_BUFFER)?;
        Ok(Self(socket.connect(to).await?))
    }

    /// Connects from another address of the loopback network.
    pub(crate) async fn from(host: [u8; 4], to: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((host, 0).into())?;
        Ok(Self(socket.connect(to).await?))
    }

    /// Opens `count` connections, or fewer when the node or the system takes no more.
    pub(crate) async fn many(to: SocketAddr, count: usize) -> Vec<Self> {
        let mut open = Vec::with_capacity(count);
        for _ in 0..count {
            match tokio::time::timeout(STALLED, Self::open(to)).await {
                Ok(Ok(connection)) => open.push(connection),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        open
    }

    /// Writes all bytes.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(bytes.as_ref()).await
    }

    /// Writes a piece over and over without reading, at most `most` bytes. Returns the number of
    /// bytes that the node took before it took no more or closed.
    pub(crate) async fn push(&mut self, piece: &[u8], most: usize) -> usize {
        let mut taken = 0;
        while taken < most {
            let from = taken % piece.len();
            match tokio::time::timeout(STALLED, self.0.write(&piece[from..])).await {
                Ok(Ok(bytes)) => taken += bytes,
                Ok(Err(_)) | Err(_) => break,
            }
        }
        taken
    }

    /// Writes a byte at each tick, until all are sent or the node closes.
    pub(crate) async fn drip(&mut self, bytes: &[u8], ticker: Duration) -> io::Result<()> {
        let mut ticker = tokio::time::interval(ticker);
        for byte in bytes {
            ticker.tick().await;
            self.0.write_all(&[*byte]).await?;
        }
        Ok(())
    }

    /// Reads until the node closes the connection. Panics when it does not within a minute.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut said)).await;
        // A reset is an end, too.
        let _ = read.expect("the node closes the connection");
        said
    }

    /// The status of the next answer; `None` when the connection ends without one. The bytes after
    /// the first line stay unread.
    pub(crate) async fn status(&mut self) -> Option<u16> {
        let mut line = Vec::new();
        let read = async {
            while !line.ends_with(b"\n") {
                line.push(self.0.read_u8().await.ok()?);
            }
            Some(())
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an answer or an end")?;
        String::from_utf8_lossy(&line).split(' ').nth(1)?.parse().ok()
    }
}

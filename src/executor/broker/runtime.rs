//! The runtime that the client library is given: tasks and timers of tokio, and a transport of our
//! own. `connection` asks for it. It opens no socket: the library gets one that is connected.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream;

use super::transport::Transport;

/// Timers of tokio, and [`Transport`] as the type of streams.
#[derive(Clone, Debug)]
pub(crate) struct Timers(Tokio);

/// Tasks and timers.
pub(crate) type Kit = RuntimeParts<Tokio, Timers>;

/// The runtime of the present task.
pub(crate) fn current() -> Runtime<Kit> {
    Runtime::new(RuntimeParts::new(Tokio::current(), Timers(Tokio::current())))
}

impl Reactor for Timers {
    type TcpStream = Transport;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Transport, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.0.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(time)
    }

    fn tcp_connect_addr(
        &self,
        _: SocketAddr,
    ) -> impl Future<Output = io::Result<Transport>> + Send + 'static {
        ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

//! A proxy of TCP between a client and a broker, which cuts and swallows as the test says. The unit
//! tests of `executor::amqp` and `bus` include this file, too, and so does `chaos`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the proxy does with what the broker sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backward {
    /// It hands it on.
    Passes,
    /// It keeps it, and never hands it on.
    IsSwallowed,
}

/// A proxy.
pub(crate) struct TcpProxy {
    address: SocketAddr,
    backward: watch::Sender<Backward>,
    /// Raised to cut all connections.
    cuts: watch::Sender<usize>,
    connections: Arc<AtomicUsize>,
}

impl TcpProxy {
    /// A proxy to a port of the loopback.
    pub(crate) async fn start(to: u16) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, to).await
    }

    /// A proxy at an address of this machine, to a port of the loopback.
    pub(crate) async fn start_at(address: Ipv4Addr, to: u16) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (backward, passes) = watch::channel(Backward::Passes);
        let (cuts, cut) = watch::channel(0);
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (passes, cut) = (passes.clone(), cut.clone());
                tokio::spawn(forward(client, to, passes, cut));
            }
        });
        Self { address, backward, cuts, connections }
    }

    /// The port of the proxy.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The connections that were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Says what happens to what the broker sends from now on.
    pub(crate) fn backward(&self, backward: Backward) {
        self.backward.send_replace(backward);
    }

    /// Cuts all connections that are open.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn forward(
    mut client: TcpStream,
    to: u16,
    passes: watch::Receiver<Backward>,
    mut cut: watch::Receiver<usize>,
) {
    cut.mark_unchanged();
    let Ok(mut broker) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_broker, mut to_broker) = broker.split();
    let forth = tokio::io::copy(&mut from_client, &mut to_broker);
    let back = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from_broker.read(&mut bytes).await {
            let handed_on = *passes.borrow() == Backward::Passes;
            if handed_on && to_client.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = forth => {}
        () = back => {}
        _ = cut.changed() => {}
    }
}

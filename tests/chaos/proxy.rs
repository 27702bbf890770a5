//! The proxies between the nodes. The other nodes reach a node through its proxy, which passes
//! bytes on, late or not at all. A link leads from one node to another. Where nodes are no hosts,
//! the proxy does not know the caller, and only the links to a node can be told apart. `inject`
//! sets the faults of the links. A proxy never reads what it carries.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::net::Net;

/// A fault of some links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkFault {
    /// The sending node; `None` for all.
    pub(crate) from: Option<u64>,
    /// The receiving node; `None` for all.
    pub(crate) to: Option<u64>,
    /// The delay of all bytes, each way. With `None` connections are cut and new ones refused.
    pub(crate) delay: Option<Duration>,
}

impl LinkFault {
    fn is_on(&self, from: Option<u64>, to: u64) -> bool {
        let sender = self.from.is_none() || from.is_none() || self.from == from;
        sender && self.to.is_none_or(|own| own == to)
    }
}

/// All links with their present faults.
#[derive(Debug)]
pub(crate) struct Links {
    faults: Mutex<Vec<(u64, LinkFault)>>,
    next: AtomicU64,
    changed: watch::Sender<()>,
    cut: AtomicU64,
}

impl Links {
    /// Adds a fault; the returned number removes it.
    pub(crate) fn add(&self, fault: LinkFault) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.faults.lock().unwrap().push((number, fault));
        self.changed.send_replace(());
        number
    }

    /// Removes faults by their numbers.
    pub(crate) fn remove(&self, numbers: &[u64]) {
        self.faults.lock().unwrap().retain(|(own, _)| !numbers.contains(own));
    }

    /// The number of connections that were cut or refused so far.
    pub(crate) fn cuts(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    fn is_cut(&self, from: Option<u64>, to: u64) -> bool {
        let faults = self.faults.lock().unwrap();
        faults.iter().any(|(_, t)| t.delay.is_none() && t.is_on(from, to))
    }

    fn delay(&self, from: Option<u64>, to: u64) -> Duration {
        let faults = self.faults.lock().unwrap();
        let here = faults.iter().filter(|(_, t)| t.is_on(from, to));
        here.filter_map(|(_, t)| t.delay).max().unwrap_or_default()
    }
}

/// The proxies of all nodes; dropping it ends them.
pub(crate) struct Proxies {
    /// The addresses of the proxies, by node.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The links.
    pub(crate) links: Arc<Links>,
    _tasks: JoinSet<()>,
}

impl Proxies {
    /// Starts a proxy for each node.
    pub(crate) async fn start(net: &Arc<Net>, nodes: u64) -> anyhow::Result<Self> {
        let links = Arc::new(Links {
            faults: Mutex::default(),
            next: AtomicU64::new(1),
            changed: watch::Sender::new(()),
            cut: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        let mut addresses = Vec::new();
        for to in 1..=nodes {
            let listener = TcpListener::bind((net.proxy_address(to), 0)).await?;
            addresses.push(listener.local_addr()?);
            tasks.spawn(listen(listener, Arc::clone(net), Arc::clone(&links), to));
        }
        Ok(Self { addresses, links, _tasks: tasks })
    }
}

async fn listen(listener: TcpListener, net: Arc<Net>, links: Arc<Links>, to: u64) {
    let mut carried = JoinSet::new();
    loop {
        while carried.try_join_next().is_some() {}
        let Ok((stream, peer)) = listener.accept().await else { continue };
        let from = net.node_at(peer);
        if links.is_cut(from, to) {
            links.cut.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let (net, links) = (Arc::clone(&net), Arc::clone(&links));
        carried.spawn(async move { carry(stream, &net, &links, from, to).await });
    }
}

/// Carries a connection until either end closes it or the link is cut.
async fn carry(near: TcpStream, net: &Net, links: &Links, from: Option<u64>, to: u64) {
    let mut changed = links.changed.subscribe();
    let Ok(socket) = TcpSocket::new_v4() else { return };
    // Bytes of a node come from its proxy address, so that a host can drop them by their sender.
    if let Some(from) = from
        && socket.bind((net.proxy_address(from), 0).into()).is_err()
    {
        return;
    }
    let Ok(Ok(far)) =
        tokio::time::timeout(Duration::from_secs(5), socket.connect(net.raft(to))).await
    else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let there = pump(near_read, far_write, || links.delay(from, to));
    let back = pump(far_read, near_write, || links.delay(from, to));
    let cut = async {
        while changed.changed().await.is_ok() {
            if links.is_cut(from, to) {
                links.cut.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(there, back) } => {}
        () = cut => {}
    }
}

/// Passes bytes on after the delay that holds when they come.
async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    delay: impl Fn() -> Duration,
) {
    let (queue, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(256);
    let read = async {
        let mut buffer = vec![0; 64 << 10];
        // The drop at the end ends the writing half.
        let queue = queue;
        while let Ok(n) = from.read(&mut buffer).await
            && n > 0
        {
            if queue.send((Instant::now() + delay(), buffer[..n].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let write = async {
        while let Some((due, bytes)) = waiting.recv().await {
            if due > Instant::now() {
                sleep_until(due).await;
            }
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
        drop(waiting);
    };
    tokio::join!(read, write);
}

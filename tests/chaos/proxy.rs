//! What stands between the nodes: each node is known to the others by a proxy, which passes bytes on,
//! later or not at all. A link is from one node to another; where nodes are no hosts of their own,
//! the proxy can't tell who calls, and only links to a node can be told apart. `inject` sets what
//! happens on them. It never looks into what it carries.

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

/// What happens on some links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkFault {
    /// Who sends; `None`: everybody.
    pub(crate) from: Option<u64>,
    /// Who is reached; `None`: everybody.
    pub(crate) to: Option<u64>,
    /// Bytes take so much longer, each way; `None`: connections are cut, and new ones refused.
    pub(crate) delay: Option<Duration>,
}

impl LinkFault {
    fn is_on(&self, from: Option<u64>, to: u64) -> bool {
        let sender = self.from.is_none() || from.is_none() || self.from == from;
        sender && self.to.is_none_or(|own| own == to)
    }
}

/// All links, and what is wrong with them now.
#[derive(Debug)]
pub(crate) struct Links {
    troubles: Mutex<Vec<(u64, LinkFault)>>,
    next: AtomicU64,
    changed: watch::Sender<()>,
    cut: AtomicU64,
}

impl Links {
    /// Adds a trouble; its number takes it back.
    pub(crate) fn add(&self, trouble: LinkFault) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.troubles.lock().unwrap().push((number, trouble));
        self.changed.send_replace(());
        number
    }

    /// Takes some back.
    pub(crate) fn remove(&self, numbers: &[u64]) {
        self.troubles.lock().unwrap().retain(|(own, _)| !numbers.contains(own));
    }

    /// How many connections were cut or refused so far.
    pub(crate) fn cuts(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    fn is_cut(&self, from: Option<u64>, to: u64) -> bool {
        let troubles = self.troubles.lock().unwrap();
        troubles.iter().any(|(_, t)| t.delay.is_none() && t.is_on(from, to))
    }

    fn delay(&self, from: Option<u64>, to: u64) -> Duration {
        let troubles = self.troubles.lock().unwrap();
        let here = troubles.iter().filter(|(_, t)| t.is_on(from, to));
        here.filter_map(|(_, t)| t.delay).max().unwrap_or_default()
    }
}

/// The proxies of all nodes; they end when dropped.
pub(crate) struct Proxies {
    /// Where the others find each node, by id.
    pub(crate) addresses: Vec<SocketAddr>,
    /// What is wrong.
    pub(crate) links: Arc<Links>,
    _tasks: JoinSet<()>,
}

impl Proxies {
    /// Starts one for each node.
    pub(crate) async fn start(net: &Arc<Net>, nodes: u64) -> anyhow::Result<Self> {
        let links = Arc::new(Links {
            troubles: Mutex::default(),
            next: AtomicU64::new(1),
            changed: watch::Sender::new(()),
            cut: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        let mut addresses = Vec::new();
        for to in 1..=nodes {
            let listener = TcpListener::bind((net.face(to), 0)).await?;
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
        let from = net.whose(peer);
        if links.is_cut(from, to) {
            links.cut.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let (net, links) = (Arc::clone(&net), Arc::clone(&links));
        carried.spawn(async move { carry(stream, &net, &links, from, to).await });
    }
}

/// Carries one connection until either end is done with it or the link is cut.
async fn carry(near: TcpStream, net: &Net, links: &Links, from: Option<u64>, to: u64) {
    let mut changed = links.changed.subscribe();
    let Ok(socket) = TcpSocket::new_v4() else { return };
    // What comes from a node comes from its face, so that a host can drop it by its sender.
    if let Some(from) = from
        && socket.bind((net.face(from), 0).into()).is_err()
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

/// Passes bytes on, each after the delay that holds when it comes.
async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    delay: impl Fn() -> Duration,
) {
    let (queue, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(256);
    let read = async {
        let mut buffer = vec![0; 64 << 10];
        // Dropped at the end, which tells the writer.
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

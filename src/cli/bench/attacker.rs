//! The attacks of `bench --beside`: the main ones of docs/reliability.md, made by a client with a
//! key pair and a project of its own, or by a client without any. `run` prepares an attack before
//! the window and begins it at half time. It attacks only nodes that `run` has started, and ends
//! when it is dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::beside::Attack;
use super::cluster::Cluster;
use super::load::Api;

/// Receivers that hang, and jobs `@every 1s` to each.
const HANGING: (usize, usize) = (16, 40);
/// Receivers that are slow, and jobs `@every 1s` to each.
const SLOW: (usize, usize) = (50, 20);
/// The time that a slow receiver takes: near to the period of its jobs.
const SLOW_ANSWER_TIME: Duration = Duration::from_millis(900);
/// Jobs that there are to be read, and what each of them carries.
const ROW_COUNT: usize = 20_000;
const ROW_BYTES: usize = 100;
/// Reads under way at once, of one client.
const READS: usize = 16;
/// Tasks without credentials, for each port: idle connections, connections that send requests and
/// read nothing, and requests with a wrong key.
const IDLE: usize = 200;
const UNREAD: usize = 8;
const WRONG_KEYS: usize = 8;
/// The receive buffer of a connection that reads nothing, and the most bytes of requests that it
/// sends.
const RECEIVE_BUFFER_BYTES: u32 = 2_048;
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// The pause after an error of the system, such as too many open files.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Counts of the attack's requests.
#[derive(Debug, Default)]
struct Tally {
    made: AtomicU64,
    refused: AtomicU64,
}

impl Tally {
    fn count(&self, refused: bool) {
        self.made.fetch_add(1, Ordering::Relaxed);
        self.refused.fetch_add(u64::from(refused), Ordering::Relaxed);
    }
}

/// An attack that can begin.
pub(super) struct Attacker {
    attack: Attack,
    /// The attacker's client for each node, and its project.
    apis: Vec<Api>,
    project: u64,
    /// The paths of its reads.
    reads: Vec<String>,
    /// The addresses of the receivers of its jobs.
    receivers: Vec<SocketAddr>,
    /// The ports of all nodes.
    ports: Vec<SocketAddr>,
    tally: Arc<Tally>,
    tasks: JoinSet<()>,
}

impl Attacker {
    /// Makes everything that the attack needs, and waits until it is there.
    pub(super) async fn prepare(attack: Attack, cluster: &Cluster) -> anyhow::Result<Self> {
        // Both ends of each connection are on this machine: this process needs as many descriptors
        // as the nodes.
        let most = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
        let pair = cluster.api(0)?.pair().await?;
        let apis = cluster.apis(&pair)?;
        let project = apis[0].project().await?;
        let mut attacker = Self {
            attack,
            apis,
            project,
            reads: Vec::new(),
            receivers: Vec::new(),
            ports: cluster.ports(),
            tally: Arc::default(),
            tasks: JoinSet::new(),
        };
        match attack {
            Attack::Hang => attacker.listen(HANGING.0, None).await?,
            Attack::Slow => attacker.listen(SLOW.0, Some(SLOW_ANSWER_TIME)).await?,
            Attack::Reads => attacker.make_rows().await?,
            Attack::Flood => {}
        }
        Ok(attacker)
    }

    /// Begins. The attack ends when this is dropped.
    pub(super) async fn begin(&mut self) -> anyhow::Result<()> {
        match self.attack {
            Attack::Hang => self.make_jobs(HANGING.1).await?,
            Attack::Slow => self.make_jobs(SLOW.1).await?,
            Attack::Reads => self.read(),
            Attack::Flood => self.flood(),
        }
        Ok(())
    }

    /// The kind of the attack.
    pub(super) fn attack(&self) -> Attack {
        self.attack
    }

    /// The number of calls to the attack's receivers or of its own requests, and how many of its
    /// requests a node refused, by an answer or by closing the connection.
    pub(super) fn tally(&self) -> (u64, u64) {
        (self.tally.made.load(Ordering::Relaxed), self.tally.refused.load(Ordering::Relaxed))
    }

    /// Receivers that answer after some time, or never.
    async fn listen(&mut self, count: usize, after: Option<Duration>) -> anyhow::Result<()> {
        for _ in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            self.receivers.push(listener.local_addr()?);
            let tally = self.tally.clone();
            let router = Router::new().fallback(async move || {
                tally.count(false);
                match after {
                    Some(time) => tokio::time::sleep(time).await,
                    None => std::future::pending().await,
                }
                StatusCode::OK
            });
            self.tasks.spawn(async move {
                // `serve` ends with its task; the error of one connection does not end it.
                let _ = axum::serve(listener, router).await;
            });
        }
        Ok(())
    }

    /// Creates `each` jobs for each receiver, with a call each.
    async fn make_jobs(&self, each: usize) -> anyhow::Result<()> {
        let job = |address: &SocketAddr| {
            json!({
                "projectId": self.project, "spec": "@every 1s", "timezone": "UTC", "data": "{}",
                "http": {"url": format!("http://{address}/")},
            })
        };
        let jobs = self.receivers.iter().flat_map(|address| (0..each).map(move |_| job(address)));
        self.apis[0].create_all(&jobs.collect()).await.map(|_| ())
    }

    /// Jobs that are never due here, in one request, so that there is one long receipt.
    async fn make_rows(&mut self) -> anyhow::Result<()> {
        let data = "x".repeat(ROW_BYTES);
        let row = |n: usize| {
            json!({
                "projectId": self.project, "spec": "0 0 1 1 *", "timezone": "UTC", "data": data,
                "externalId": format!("row-{n}"), "callbackUrl": "http://127.0.0.1:9/",
            })
        };
        let receipt = self.apis[0].create_all(&(0..ROW_COUNT).map(row).collect()).await?;
        let base = "/api/v1";
        let (deep, page) = (ROW_COUNT - 1_000, "status=active&limit=1000");
        self.reads = vec![
            receipt,
            format!("{base}/jobs?{page}&orderBy=dateModified&offset={deep}"),
            format!("{base}/jobs?{page}&projectId={}&offset={deep}", self.project),
            format!("{base}/executions?limit=1000&offset={deep}"),
        ];
        Ok(())
    }

    /// Reads over and over, on all nodes.
    fn read(&mut self) {
        for n in 0..READS {
            let (api, tally) = (self.apis[n % self.apis.len()].clone(), self.tally.clone());
            let paths = self.reads.clone();
            self.tasks.spawn(async move {
                for path in paths.iter().cycle().skip(n) {
                    let answer = api.get_status(path).await;
                    tally.count(!answer.is_ok_and(|status| status.is_success()));
                }
            });
        }
    }

    /// Does what a client without credentials can do.
    fn flood(&mut self) {
        for port in self.ports.clone() {
            for _ in 0..IDLE {
                let tally = self.tally.clone();
                self.tasks.spawn(async move {
                    loop {
                        tally.count(!hold_idle(port).await);
                        tokio::time::sleep(ERROR_PAUSE).await;
                    }
                });
            }
            for _ in 0..UNREAD {
                let tally = self.tally.clone();
                self.tasks.spawn(async move {
                    loop {
                        tally.count(!send_without_reading(port).await);
                        tokio::time::sleep(ERROR_PAUSE).await;
                    }
                });
            }
            for _ in 0..WRONG_KEYS {
                let tally = self.tally.clone();
                self.tasks.spawn(async move {
                    loop {
                        let Ok(mut stream) = TcpStream::connect(port).await else {
                            tally.count(true);
                            tokio::time::sleep(ERROR_PAUSE).await;
                            continue;
                        };
                        while send_wrong_key(&mut stream).await.is_ok() {
                            tally.count(true);
                        }
                    }
                });
            }
        }
    }
}

/// Connects and says nothing until the node closes; whether it let us in.
async fn hold_idle(port: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(port).await else { return false };
    // A reset also ends the connection.
    let _ = stream.read(&mut [0; 64]).await;
    true
}

/// Sends requests for long answers and reads none of them, until the node closes or the limit is
/// reached. Returns whether the node let it in.
async fn send_without_reading(port: SocketAddr) -> bool {
    let piece = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let Ok(socket) = TcpSocket::new_v4() else { return false };
    if socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).is_err() {
        return false;
    }
    let Ok(mut stream) = socket.connect(port).await else { return false };
    let mut asked = 0;
    while asked < MAX_REQUEST_BYTES && stream.write_all(&piece).await.is_ok() {
        asked += piece.len();
    }
    true
}

/// Sends a request with a wrong key, and reads once.
async fn send_wrong_key(stream: &mut TcpStream) -> std::io::Result<()> {
    let request =
        b"GET /api/v1/jobs HTTP/1.1\r\nhost: x\r\nx-api-key: none\r\nx-secret-key: none\r\n\r\n";
    stream.write_all(request).await?;
    match stream.read(&mut [0; 4_096]).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

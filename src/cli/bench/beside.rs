//! What `bench --beside` does to the nodes while their firing is measured: the main attacks of
//! docs/reliability.md, by a client with a key pair and a project of its own, or by somebody without
//! any. `super` prepares one before the window and lets it begin at half time. It attacks nodes that
//! `super` has started and no others, and ends when it is dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use clap::ValueEnum;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::cluster::Cluster;
use super::load::Api;

/// Receivers that hang, and jobs `@every 1s` to each.
const HANGING: (usize, usize) = (16, 40);
/// Receivers that are slow, and jobs `@every 1s` to each.
const SLOW: (usize, usize) = (50, 20);
/// How long a slow one takes: near to the period of its jobs.
const SLOWNESS: Duration = Duration::from_millis(900);
/// Jobs that there are to be read, and what each of them carries.
const ROWS: usize = 20_000;
const ROW_BYTES: usize = 100;
/// Reads under way at once, of one client.
const READS: usize = 16;
/// Without credentials, for each port: connections that only stand there, connections that ask and
/// read nothing, and tasks that ask with a wrong key.
const IDLE: usize = 200;
const DEAF: usize = 8;
const REFUSED: usize = 8;
/// What a connection that reads nothing lets in, and how much it asks for at most, in bytes.
const NARROW: u32 = 2_048;
const ASKED_MOST: usize = 64 << 20;
/// After an error of the system's, such as too many open files.
const BREATH: Duration = Duration::from_millis(50);

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Attack {
    /// Calls that hang: 640 jobs `@every 1s` to 16 receivers that never answer
    Hang,
    /// Slow receivers: 1,000 jobs `@every 1s` to 50 receivers that take 0.9 s
    Slow,
    /// Expensive reads: 16 at a time of long pages, deep offsets and whole receipts of 20,000 jobs
    Reads,
    /// Strangers: idle connections, requests whose answers nobody reads, and wrong keys, on all ports
    Flood,
}

impl Attack {
    /// As it is said on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hang => "hang",
            Self::Slow => "slow",
            Self::Reads => "reads",
            Self::Flood => "flood",
        }
    }
}

/// How much of the attack there was.
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
    /// What it reads.
    reads: Vec<String>,
    /// Where the receivers of its jobs are.
    receivers: Vec<SocketAddr>,
    /// The ports of all nodes.
    ports: Vec<SocketAddr>,
    tally: Arc<Tally>,
    tasks: JoinSet<()>,
}

impl Attacker {
    /// Makes everything that the attack needs, and waits until it is there.
    pub(super) async fn prepare(attack: Attack, cluster: &Cluster) -> anyhow::Result<Self> {
        // Both ends of each connection are on this machine: this process needs as many as the nodes.
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
            Attack::Slow => attacker.listen(SLOW.0, Some(SLOWNESS)).await?,
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

    /// Which it is.
    pub(super) fn attack(&self) -> Attack {
        self.attack
    }

    /// Calls that came to the attack's receivers, or requests that it made; and of its requests those
    /// that a node refused, or closed the connection on.
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
                // It ends with its task; a single connection's error is not its end.
                let _ = axum::serve(listener, router).await;
            });
        }
        Ok(())
    }

    /// So many jobs for each receiver, with a call each.
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
        let receipt = self.apis[0].create_all(&(0..ROWS).map(row).collect()).await?;
        let base = "/api/v1";
        let (deep, page) = (ROWS - 1_000, "status=active&limit=1000");
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

    /// What somebody without credentials can do.
    fn flood(&mut self) {
        for port in self.ports.clone() {
            for _ in 0..IDLE {
                let tally = self.tally.clone();
                self.tasks.spawn(async move {
                    loop {
                        tally.count(!stand(port).await);
                        tokio::time::sleep(BREATH).await;
                    }
                });
            }
            for _ in 0..DEAF {
                let tally = self.tally.clone();
                self.tasks.spawn(async move {
                    loop {
                        tally.count(!ask_deaf(port).await);
                        tokio::time::sleep(BREATH).await;
                    }
                });
            }
            for _ in 0..REFUSED {
                let tally = self.tally.clone();
                self.tasks.spawn(async move {
                    loop {
                        let Ok(mut stream) = TcpStream::connect(port).await else {
                            tally.count(true);
                            tokio::time::sleep(BREATH).await;
                            continue;
                        };
                        while ask_wrong(&mut stream).await.is_ok() {
                            tally.count(true);
                        }
                    }
                });
            }
        }
    }
}

/// Connects and says nothing until the node closes; whether it let us in.
async fn stand(port: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(port).await else { return false };
    // A reset is an end as well.
    let _ = stream.read(&mut [0; 64]).await;
    true
}

/// Asks for long answers and reads none of them, until the node closes, or as much as is asked at
/// most; whether it let us in.
async fn ask_deaf(port: SocketAddr) -> bool {
    let piece = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let Ok(socket) = TcpSocket::new_v4() else { return false };
    if socket.set_recv_buffer_size(NARROW).is_err() {
        return false;
    }
    let Ok(mut stream) = socket.connect(port).await else { return false };
    let mut asked = 0;
    while asked < ASKED_MOST && stream.write_all(&piece).await.is_ok() {
        asked += piece.len();
    }
    true
}

/// Asks with a key that nobody has, and reads the answer as far as one look goes.
async fn ask_wrong(stream: &mut TcpStream) -> std::io::Result<()> {
    let request =
        b"GET /api/v1/jobs HTTP/1.1\r\nhost: x\r\nx-api-key: none\r\nx-secret-key: none\r\n\r\n";
    stream.write_all(request).await?;
    match stream.read(&mut [0; 4_096]).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// What the jobs that are measured saw in one part of the window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    /// Occurrences that were planned.
    pub(super) planned: u64,
    /// Of these, came at least once.
    pub(super) fired: u64,
    /// p50, p99 and the maximum, in milliseconds.
    pub(super) lag_ms: [u64; 3],
}

/// What came of the jobs that are measured, before the attack and beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    /// The attack.
    pub(super) attack: Attack,
    /// How much of it there was: see [`Attacker::tally`].
    pub(super) made: (u64, u64),
    /// Before it, and beside it.
    pub(super) parts: [Part; 2],
}

impl Beside {
    /// The titles of [`Beside::rows`].
    pub(super) const TITLES: [&str; 7] =
        ["", "planned", "fired", "missed", "p50 ms", "p99 ms", "max ms"];

    /// For people.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let row = |(name, part): (String, Part)| {
            let [p50, p99, max] = part.lag_ms;
            let numbers = [part.planned, part.fired, part.planned - part.fired, p50, p99, max];
            std::iter::once(name).chain(numbers.map(|n| n.to_string())).collect()
        };
        let names = ["before".to_owned(), format!("beside {}", self.attack.name())];
        names.into_iter().zip(self.parts).map(row).collect()
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let [before, during] = self.parts.map(|part| {
            let [p50, p99, max] = part.lag_ms;
            json!({
                "planned": part.planned, "fired": part.fired, "missed": part.planned - part.fired,
                "lag_ms": {"p50": p50, "p99": p99, "max": max},
            })
        });
        json!({
            "attack": self.attack.name(), "made": self.made.0, "refused": self.made.1,
            "before": before, "during": during,
        })
    }
}

//! The twelve attacks. Each goes on until it is dropped, whatever the answers are, and counts its
//! actions.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::super::fixture::calls;
use super::super::{Attacker, BadReceiver, Misbehavior, Port, RawConnection, Victim};
use crate::harness::{TestCluster, client_of};

/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// The bytes that are pushed into a connection without reading, at most.
const MAX_PUSHED: usize = 16 << 20;

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
type Attack = fn(Arc<Arsenal>, Arc<AtomicU64>) -> Running;

/// All attacks by name.
pub(super) const ATTACKS: [(&str, Attack); 12] = [
    ("calls that hang", |f, n| Box::pin(f.own(|f| &f.hangs, 20, json!({}), n))),
    ("calls that take 0.9 s", |f, n| Box::pin(f.own(|f| &f.slow, 10, json!({}), n))),
    ("answers that begin with 100 for ever", |f, n| {
        Box::pin(f.own(|f| &f.continues, 2, json!({"timeout": "30s"}), n))
    }),
    ("timeouts of 1 ms at the victim's receiver", |f, n| Box::pin(f.hasty(n))),
    ("templates that grow", |f, n| Box::pin(f.amplify(n))),
    ("expensive reads", |f, n| Box::pin(f.reads(n))),
    ("long answers that nobody reads", |f, n| Box::pin(f.deaf(n))),
    ("metrics that nobody reads", |f, n| Box::pin(f.pipelines(n))),
    ("bulk bodies that drip", |f, n| Box::pin(f.drips(n))),
    ("idle connections, on both ports", |f, n| Box::pin(f.idles(n))),
    ("wrong passwords", |f, n| Box::pin(f.guesses(n))),
    ("forged messages between nodes", |f, n| Box::pin(f.forges(n))),
];

/// The attackers, their receivers and their targets.
pub(super) struct Arsenal {
    attackers: Vec<Attacker>,
    next: AtomicUsize,
    apis: Vec<SocketAddr>,
    rafts: Vec<SocketAddr>,
    victims: String,
    hangs: Vec<BadReceiver>,
    slow: Vec<BadReceiver>,
    continues: Vec<BadReceiver>,
    /// A factor of the number of actions.
    force: usize,
    rows: usize,
}

impl Arsenal {
    /// Starts the receivers, and creates rows to be read.
    pub(super) async fn prepare(
        cluster: &TestCluster,
        victim: &Victim,
        attackers: Vec<Attacker>,
        force: usize,
    ) -> Self {
        let of = |port: Port| (1..=3).map(|id| port.of(cluster, id)).collect();
        let arsenal = Self {
            apis: of(Port::Api),
            rafts: of(Port::Raft),
            victims: victim.at("/hasty"),
            hangs: BadReceiver::many(Misbehavior::Hangs, 8 * force).await,
            slow: BadReceiver::many(Misbehavior::Slow(Duration::from_millis(900)), 8 * force).await,
            continues: BadReceiver::many(Misbehavior::Continues, force).await,
            rows: 5_000 * force,
            next: AtomicUsize::new(0),
            attackers,
            force,
        };
        for from in (0..arsenal.rows).step_by(1_000) {
            let attacker = &arsenal.attackers[0];
            let mut rows = calls(attacker.project, "http://127.0.0.1:9/", 1_000, &json!({}));
            for (n, row) in rows.as_array_mut().unwrap().iter_mut().enumerate() {
                row["spec"] = json!("0 0 1 1 *");
                row["externalId"] = json!(format!("row-{}", from + n));
                row["data"] = json!("x".repeat(200));
            }
            attacker.jobs(&rows).await;
        }
        arsenal
    }

    /// The attackers in turn.
    fn attacker(&self) -> &Attacker {
        &self.attackers[self.next.fetch_add(1, Ordering::Relaxed) % self.attackers.len()]
    }

    /// Sends a request; any outcome counts.
    async fn tries(&self, method: &str, path: &str, body: &Value, tally: &AtomicU64) {
        let attacker = self.attacker();
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = attacker.http().request(method, attacker.url(path));
        if !body.is_null() {
            request = request.json(body);
        }
        if let Ok(mut answer) = request.send().await {
            while let Ok(Some(_)) = answer.chunk().await {}
        }
        tally.fetch_add(1, Ordering::Relaxed);
    }

    /// Creates jobs `@every 1s`, `each` for each of the attack's own receivers.
    async fn own(
        self: Arc<Self>,
        receivers: fn(&Self) -> &[BadReceiver],
        each: usize,
        more: Value,
        tally: Arc<AtomicU64>,
    ) {
        for receiver in receivers(&self) {
            let jobs = calls(self.attacker().project, &receiver.at("/x"), each, &more);
            self.tries("POST", "/api/v1/jobs", &jobs, &tally).await;
        }
        std::future::pending::<()>().await;
    }

    async fn hasty(self: Arc<Self>, tally: Arc<AtomicU64>) {
        let more = json!({"timeout": "1ms", "retryMax": 0});
        let jobs = calls(self.attacker().project, &self.victims, 20 * self.force, &more);
        self.tries("POST", "/api/v1/jobs", &jobs, &tally).await;
        std::future::pending::<()>().await;
    }

    async fn amplify(self: Arc<Self>, tally: Arc<AtomicU64>) {
        let query: Value = (0..58)
            .map(|n| (format!("q{n}"), Value::from("{{data}}".repeat(17))))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let job = json!({
            "projectId": self.attacker().project, "after": 0, "data": "é".repeat(400_000),
            "http": {"method": "POST", "url": "http://127.0.0.1:9/", "query": query},
        });
        let jobs = json!([job]);
        loop {
            self.tries("POST", "/api/v1/jobs", &jobs, &tally).await;
            tokio::time::sleep(PAUSE * 20).await;
        }
    }

    async fn reads(self: Arc<Self>, tally: Arc<AtomicU64>) {
        let deep = self.rows - 1_000;
        let page = "limit=1000&status=active";
        let names: Vec<String> = (0..10_000).map(|n| format!("row-{n}")).collect();
        let filter = json!({"filter": {"externalIds": names}, "dryRun": true});
        let asks = [
            ("POST", "/api/v1/jobs/pause".to_owned(), filter),
            ("GET", format!("/api/v1/jobs?{page}&orderBy=dateModified&offset={deep}"), Value::Null),
            ("GET", format!("/api/v1/jobs?{page}&offset={deep}"), Value::Null),
            ("GET", "/api/v1/executions?limit=1000".to_owned(), Value::Null),
            ("GET", "/api/v1/async-tasks?limit=1000".to_owned(), Value::Null),
        ];
        let ask = |n: usize| {
            let (method, path, body) = &asks[n % asks.len()];
            self.tries(method, path, body, &tally)
        };
        stream::iter(0..)
            .map(ask)
            .buffer_unordered(4 * self.force)
            .for_each(|()| std::future::ready(()))
            .await;
    }

    /// Acts again and again over `each` connections to each of some ports.
    async fn over<T: Future<Output = bool> + Send>(
        to: &[SocketAddr],
        each: usize,
        act: impl Fn(SocketAddr) -> T + Sync,
        tally: &AtomicU64,
    ) {
        let act = &act;
        let ports = to.iter().flat_map(|port| std::iter::repeat_n(*port, each));
        let acts = ports.map(|port| async move {
            loop {
                let done = act(port).await;
                tally.fetch_add(u64::from(done), Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        });
        let _: Vec<()> = futures_util::future::join_all(acts).await;
    }

    async fn pushes(to: &[SocketAddr], each: usize, piece: &[u8], tally: &AtomicU64) {
        let act = |port| async move {
            match RawConnection::narrow(port).await {
                Ok(mut connection) => connection.push(piece, MAX_PUSHED).await > 0,
                Err(_) => false,
            }
        };
        Self::over(to, each, act, tally).await;
    }

    async fn deaf(self: Arc<Self>, tally: Arc<AtomicU64>) {
        let lines = self.attackers[0].lines();
        let piece = format!("GET /api/v1/jobs?limit=1000 HTTP/1.1\r\n{lines}\r\n").repeat(50);
        Self::pushes(&self.apis, 2 * self.force, piece.as_bytes(), &tally).await;
    }

    async fn pipelines(self: Arc<Self>, tally: Arc<AtomicU64>) {
        let piece = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(500);
        Self::pushes(&self.apis, 2 * self.force, &piece, &tally).await;
    }

    async fn drips(self: Arc<Self>, tally: Arc<AtomicU64>) {
        let head = format!(
            "POST /api/v1/jobs HTTP/1.1\r\n{}content-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n",
            self.attackers[0].lines()
        );
        let bytes = b"1\r\n[\r\n".repeat(1_000);
        let (head, bytes, begun) = (&head, &bytes, &tally);
        let act = |port| async move {
            let Ok(mut connection) = RawConnection::open(port).await else { return false };
            let sent = connection.send(head).await.is_ok();
            // It counts at its beginning, because it may outlast the test.
            begun.fetch_add(u64::from(sent), Ordering::Relaxed);
            // It goes on until the node closes.
            let _ = connection.drip(bytes, PAUSE * 10).await;
            false
        };
        Self::over(&self.apis, 4, act, &tally).await;
    }

    async fn idles(self: Arc<Self>, tally: Arc<AtomicU64>) {
        let all: Vec<SocketAddr> = self.apis.iter().chain(&self.rafts).copied().collect();
        let begun = &tally;
        let act = |port| async move {
            let Ok(mut connection) = RawConnection::open(port).await else { return false };
            begun.fetch_add(1, Ordering::Relaxed);
            // A byte at a time, until the node closes.
            let _ = connection.drip(b"GET /livez HTTP/1.1\r\nhost: x\r\nx: ", PAUSE * 20).await;
            false
        };
        Self::over(&all, 50 * self.force, act, &tally).await;
    }

    async fn guesses(self: Arc<Self>, tally: Arc<AtomicU64>) {
        let http = client_of(&[("x-peer", "cmd"), ("authorization", "Basic YWRtaW46d3Jvbmc=")]);
        let http = &http;
        let act = |port| async move {
            http.get(format!("http://{port}/api/v1/jobs")).send().await.is_ok()
        };
        Self::over(&self.apis, 2 * self.force, act, &tally).await;
    }

    async fn forges(self: Arc<Self>, tally: Arc<AtomicU64>) {
        let message = b"POST /raft/append HTTP/1.1\r\nhost: x\r\nauthorization: Bearer no\r\n\
                        content-length: 4\r\n\r\nabcd";
        let act = |port| async move {
            let Ok(mut connection) = RawConnection::open(port).await else { return false };
            for _ in 0..100 {
                if connection.send(message).await.is_err() || connection.status().await.is_none() {
                    break;
                }
            }
            true
        };
        Self::over(&self.rafts, 2 * self.force, act, &tally).await;
    }
}

//! Calls to forbidden addresses, and misbehaving receivers: all spellings of the loopback, answers
//! without an end.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::fixture::calls;
use super::super::{Attacker, BadReceiver, Misbehavior, Peak, Victim, memory_mb};
use crate::harness::{PATIENCE, TestCluster};

/// The loopback as a host of a URL: decimal, octal, hexadecimal, short, mixed, full-width, mapped
/// and embedded into IPv6.
const SPELLINGS: [&str; 50] = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "127.0.0.2",
    "2130706433",
    "2130706433.",
    "0x7f000001",
    "0x7F000001",
    "0x7f.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.0.0.01",
    "0177.1",
    "017700000001",
    "00000177.0.0.1",
    "127.0x0.0.1",
    "127.00.00.01",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "127.0.0.%31",
    "１２７.0.0.1",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "127．0．0．1",
    "127｡0｡0｡1",
    "１２７。０。０。１",
    "0",
    "0.0.0.0",
    "0.0.0.1",
    "00",
    "0x0",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::0001]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2002:7f00:0001::1]",
    "[::ffff:0.0.0.0]",
    "[::1%25lo]",
];
/// Names of the loopback: refused when they are called, if the machine resolves them.
const NAMES: [&str; 4] = ["localhost", "LOCALHOST", "localhost.", "a.localhost"];

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_the_loopback_is_called_where_it_is_refused() {
    let strict = [("SCHEDULER0_REFUSE_LOOPBACK_TARGETS", "true")];
    let cluster = TestCluster::start_with(1, &strict).await;
    let attacker = Attacker::new(&cluster, 1, "spellings").await;
    let trap = BadReceiver::start(Misbehavior::Hangs).await;
    let port = trap.at("").rsplit(':').next().unwrap().to_owned();
    let url = |host: &str| format!("http://{host}:{port}/");
    for host in SPELLINGS {
        let jobs = calls(attacker.project, &url(host), 1, &json!({}));
        let (status, body) = attacker.post("/api/v1/jobs", &jobs).await;
        assert!((400..500).contains(&status), "{status} for {host}: {body}");
    }
    for host in NAMES {
        let job = json!({
            "projectId": attacker.project, "after": 0, "data": host, "retryMax": 0,
            "http": {"method": "POST", "url": url(host)},
        });
        attacker.jobs(&json!([job])).await;
    }
    cluster
        .wait_until("the names are dead-lettered", async |c: &TestCluster| {
            let page = c.get(1, "/api/v1/executions?status=dead").await;
            (page["total"].as_u64()? as usize >= NAMES.len()).then_some(())
        })
        .await;
    assert_eq!((trap.calls(), trap.open()), (0, 0));
}

/// Bytes that are no answer; the receiver closes the connection after them.
const NONSENSE: [&[u8]; 8] = [
    b"",
    b"HTTP/0.9 200\r\n\r\n",
    b"HTTP/1.1 999999 X\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
    b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
];

/// A receiver that sends the next of these on each connection.
async fn nonsense() -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        for said in NONSENSE.iter().cycle() {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut request = [0; 4_096];
            // Errors do not matter: the node may have closed the connection.
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(said).await;
        }
    });
    (url, task)
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn receivers_without_manners_cost_neither_memory_nor_anybodys_firings() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, 20).await;
    let attacker = Attacker::new(&cluster, 1, "manners").await;
    let (before, peak) = (memory_mb(&cluster, 1), Peak::of(&cluster, 1));
    let mut bad_receivers = Vec::new();
    for misbehavior in [
        Misbehavior::Hangs,
        Misbehavior::EndlessHead,
        Misbehavior::EndlessBody,
        Misbehavior::Slow(Duration::from_millis(900)),
        Misbehavior::Drips(Duration::from_millis(50)),
    ] {
        let receiver = BadReceiver::start(misbehavior).await;
        let more = json!({"timeout": "2s", "retryMax": 0});
        attacker.jobs(&calls(attacker.project, &receiver.at("/x"), 5, &more)).await;
        bad_receivers.push((misbehavior, receiver));
    }
    let (url, noise) = nonsense().await;
    let more = json!({"timeout": "2s", "retryMax": 0});
    attacker.jobs(&calls(attacker.project, &url, 5, &more)).await;
    let lags = victim.watch(8).await;
    assert!(lags.quantile(1_000) < 10_000, "{lags}");
    for (misbehavior, receiver) in &bad_receivers {
        assert!(receiver.calls() > 0, "{misbehavior:?} was not called");
    }
    // Each call without an answer has failed.
    let failed = async |c: &TestCluster| {
        let path = format!("/api/v1/executions?projectId={}&status=dead", attacker.project);
        (c.get(1, &path).await["total"].as_u64()? > 20).then_some(())
    };
    tokio::time::timeout(PATIENCE, cluster.wait_until("they are dead-lettered", failed))
        .await
        .unwrap();
    let grown = peak.mb() - before;
    assert!(grown < 150.0, "{grown} MB more than {before} MB");
    noise.abort();
}

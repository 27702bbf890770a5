//! Attacks by connections, with and without a key: answers that are not read, idle connections,
//! bodies that do not end.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;

use super::{Attacker, Peak, Port, RawConnection, Victim, memory_mb};
use crate::harness::TestCluster;

/// A request without a credential.
fn stranger(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// Creates `count` jobs with `bytes` bytes of data each.
async fn store(client: &Attacker, count: usize, bytes: usize) {
    let job = json!({
        "projectId": client.project, "spec": "@every 24h", "timezone": "UTC",
        "callbackUrl": "http://127.0.0.1:1/", "data": "x".repeat(bytes),
    });
    client.jobs(&vec![job; count].into()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn requests_whose_answers_nobody_takes_fill_no_memory() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, 4).await;
    let attacker = Attacker::new(&cluster, 1, "unread").await;
    store(&attacker, 200, 1_000).await;
    let to = Port::Api.of(&cluster, 1);
    let listing = format!("GET /api/v1/jobs?limit=1000 HTTP/1.1\r\n{}\r\n", attacker.lines());
    for request in [stranger("/metrics"), stranger("/api/v1/jobs"), stranger("/nowhere"), listing] {
        let (before, peak) = (memory_mb(&cluster, 1), Peak::of(&cluster, 1));
        let piece = request.repeat(500);
        let mut connections = Vec::new();
        for _ in 0..4 {
            let mut connection = RawConnection::narrow(to).await.unwrap();
            connection.push(piece.as_bytes(), 4_000_000).await;
            connections.push(connection);
        }
        let grown = peak.mb() - before;
        assert!(grown < 50.0, "{grown} MB for {}", request.lines().next().unwrap());
    }
    victim.watch(1).await;
}

/// Opens 4,400 connections of strangers; `host` gives the address of the n-th one. A third of them
/// sends nothing, a third begins a request, a third has an answer. Then a probe, a client and the
/// victim must be served.
async fn idle_strangers(host: impl Fn(usize) -> [u8; 4]) {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, 4).await;
    let client = Attacker::new(&cluster, 1, "client").await;
    let to = Port::Api.of(&cluster, 1);
    let mut strangers = Vec::new();
    for n in 0..4_400 {
        let connected = RawConnection::from(host(n), to);
        let connected = tokio::time::timeout(Duration::from_secs(5), connected).await;
        let mut connection = connected.expect("a newcomer is let in").unwrap();
        match n % 3 {
            0 => {}
            1 => connection.send("GET / HT").await.unwrap(),
            _ => {
                connection.send(stranger("/livez")).await.unwrap();
                let answered =
                    tokio::time::timeout(Duration::from_secs(5), connection.status()).await;
                assert_eq!(answered, Ok(Some(200)), "stranger {n}");
            }
        }
        strangers.push(connection);
    }
    for path in ["/livez", "/readyz", "/livez", "/readyz"] {
        let mut probe = RawConnection::open(to).await.unwrap();
        probe.send(stranger(path)).await.unwrap();
        let answered = tokio::time::timeout(Duration::from_secs(5), probe.status()).await;
        assert_eq!(answered, Ok(Some(200)), "{path}");
    }
    assert_eq!(client.get("/api/v1/jobs").await.0, 200);
    victim.watch(1).await;
    drop(strangers);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn idle_connections_of_one_address_shut_nobody_out() {
    idle_strangers(|_| [127, 0, 0, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn idle_connections_of_many_addresses_shut_nobody_out() {
    idle_strangers(|n| [127, 1, 0, (n / 40) as u8 + 1]).await;
}

/// Begins `count` requests `POST /jobs`, with a body that stops after `bytes` bytes.
async fn begin_bodies(
    client: &Attacker,
    cluster: &TestCluster,
    count: usize,
    bytes: usize,
) -> Vec<RawConnection> {
    let head = format!("POST /api/v1/jobs HTTP/1.1\r\n{}", client.lines());
    let begun = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n[{}\r\n",
        bytes + 1,
        " ".repeat(bytes)
    );
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = RawConnection::open(Port::Api.of(cluster, 1)).await.unwrap();
        // A refused request is not read as a whole.
        let _ = connection.send(&begun).await;
        connections.push(connection);
    }
    connections
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_go_on_hold_up_no_other_client() {
    let cluster = TestCluster::start(1).await;
    let attacker = Attacker::new(&cluster, 1, "dripping").await;
    let client = Attacker::new(&cluster, 1, "client").await;
    let _small = begin_bodies(&attacker, &cluster, 8, 10).await;
    store(&client, 14, 100_000).await;
    let _large = begin_bodies(&attacker, &cluster, 8, 1_100_000).await;
    store(&client, 14, 100_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_body_that_does_not_go_on_is_answered_408() {
    let cluster = TestCluster::start(1).await;
    let attacker = Attacker::new(&cluster, 1, "dripping").await;
    let mut connections = begin_bodies(&attacker, &cluster, 1, 10).await;
    assert_eq!(connections[0].status().await, Some(408));
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_bodies_of_one_client_fill_no_memory_and_no_others_share() {
    let cluster = TestCluster::start(1).await;
    let attacker = Attacker::new(&cluster, 1, "unfinished").await;
    let client = Attacker::new(&cluster, 1, "client").await;
    let (before, peak) = (memory_mb(&cluster, 1), Peak::of(&cluster, 1));
    let head = format!("POST /api/v1/jobs HTTP/1.1\r\n{}", attacker.lines());
    let begun = format!("{head}content-length: 1048576\r\n\r\n[{}", " ".repeat(1_000_000));
    let mut connections = Vec::new();
    for _ in 0..1_000 {
        let mut connection = RawConnection::open(Port::Api.of(&cluster, 1)).await.unwrap();
        // A refused request is not read as a whole.
        let _ = connection.send(&begun).await;
        connections.push(connection);
    }
    store(&client, 5, 100_000).await;
    // Half of the budget for bodies (136 MB), and what the allocator keeps of those that were
    // begun and refused: 240 to 420 MB, more on a busy machine. All of them are 1,000 MB.
    let grown = peak.mb() - before;
    assert!(grown < 600.0, "{grown} MB");
    // Some were refused, whichever: on a busy machine the first ones are given up as too slow (408)
    // before the last ones come.
    let mut statuses: FuturesUnordered<_> =
        connections.iter_mut().map(RawConnection::status).collect();
    while let Some(status) = statuses.next().await {
        assert!(matches!(status, None | Some(408 | 503)), "{status:?}");
        if status == Some(503) {
            return;
        }
    }
    panic!("none was refused for want of room");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn answers_that_nobody_reads_fill_no_memory_and_no_others_share() {
    let cluster = TestCluster::start(1).await;
    let attacker = Attacker::new(&cluster, 1, "unread").await;
    let client = Attacker::new(&cluster, 1, "client").await;
    store(&attacker, 70, 100_000).await;
    let listing = format!("GET /api/v1/jobs?limit=1000 HTTP/1.1\r\n{}\r\n", attacker.lines());
    let (before, peak) = (memory_mb(&cluster, 1), Peak::of(&cluster, 1));
    let mut connections = Vec::new();
    for _ in 0..60 {
        let mut connection = RawConnection::narrow(Port::Api.of(&cluster, 1)).await.unwrap();
        connection.send(&listing).await.unwrap();
        // One after the other, so that finished answers wait, and not their construction.
        connection.status().await.unwrap();
        connections.push(connection);
    }
    assert_eq!(client.get("/api/v1/jobs?limit=1000").await.0, 200);
    let grown = peak.mb() - before;
    assert!(grown < 128.0 + 100.0, "{grown} MB");
}

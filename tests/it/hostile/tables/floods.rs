//! Floods of connections, of refused requests and of jobs. The victim misses no firing, and the
//! memory stays bounded.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;

use super::super::fixture::calls;
use super::super::{Attacker, Peak, Port, RawConnection, Victim, memory_mb, metric};
use crate::harness::{TestCluster, now};

/// The firings that are due while `attack` goes on, and a second more.
async fn beside(cluster: &TestCluster, victim: &Victim, attack: impl Future<Output = ()>) {
    let (before, peak, begin) = (memory_mb(cluster, 1), Peak::of(cluster, 1), now());
    attack.await;
    let lags = victim.watch_since(begin, now() + 1_000).await;
    assert!(lags.quantile(1_000) < 15_000, "{lags}");
    let grown = peak.mb() - before;
    assert!(grown < 300.0, "{grown} MB more than {before} MB");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn floods_of_connections_and_refusals_pass() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, 20).await;
    for port in [Port::Api, Port::Raft] {
        let to = port.of(&cluster, 1);
        // Connections that come and go.
        beside(&cluster, &victim, async {
            let open = |_| async move { drop(RawConnection::open(to).await) };
            stream::iter(0..4_000).map(open).buffer_unordered(64).collect::<Vec<_>>().await;
        })
        .await;
        // Bytes that are no request, and requests without credentials.
        beside(&cluster, &victim, async {
            let sent: [&[u8]; 4] = [
                b"\0\0\0\0\r\n\r\n",
                b"GET /api/v1/jobs HTTP/1.1\r\nhost: x\r\n\r\n",
                b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n",
                b"POST /raft/append HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nabcd",
            ];
            let ask = |n: usize| async move {
                let Ok(mut connection) = RawConnection::open(to).await else { return };
                for _ in 0..10 {
                    if connection.send(sent[n % sent.len()]).await.is_err() {
                        return;
                    }
                    // One answer at a time; an end is one as well.
                    if connection.status().await.is_none() {
                        return;
                    }
                }
            };
            stream::iter(0..400).map(ask).buffer_unordered(32).collect::<Vec<_>>().await;
        })
        .await;
    }
    // They have all been closed.
    cluster
        .wait_until("the descriptors are free again", async |c: &TestCluster| {
            (metric(c, 1, "scheduler0_process_open_fds").await < 200.0).then_some(())
        })
        .await;
    // Heads that come a byte at a time.
    let to = Port::Api.of(&cluster, 1);
    beside(&cluster, &victim, async {
        let mut slow = RawConnection::many(to, 200).await;
        assert_eq!(slow.len(), 200);
        for connection in &mut slow {
            // Refused sooner or later: that is the node's right.
            let _ = connection.drip(b"GET /livez", Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_load_of_many_jobs_stops_nobodys_firings() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, 20).await;
    let attacker = Arc::new(Attacker::new(&cluster, 1, "load").await);
    let mut jobs = calls(attacker.project, "http://127.0.0.1:9/", 1_000, &json!({}));
    for job in jobs.as_array_mut().unwrap() {
        job["spec"] = json!("0 0 1 1 *");
        job["data"] = json!("x".repeat(100));
    }
    beside(&cluster, &victim, async {
        let (attacker, jobs) = (&attacker, &jobs);
        let load = |_| async move { attacker.jobs(jobs).await };
        stream::iter(0..20).map(load).buffer_unordered(4).collect::<Vec<_>>().await;
    })
    .await;
    // And all of them changed at once, and deleted.
    let all = json!({"filter": {"projectId": attacker.project}});
    beside(&cluster, &victim, async {
        for act in ["pause", "delete"] {
            let (status, body) = attacker.post(&format!("/api/v1/jobs/{act}"), &all).await;
            assert!(status < 300, "{act}: {status} {body}");
        }
    })
    .await;
}

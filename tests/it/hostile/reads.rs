//! Reads of one client: bursts without a reader, pages with a large offset, answers that are not
//! read. The victim's jobs fire on, other clients read on, and the memory of a node is bounded.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::{Attacker, Peak, Port, RawConnection, Victim, memory_mb};
use crate::harness::{TestCluster, client_of, now};

/// The greatest lag of a firing beside an attack, in milliseconds.
const MAX_LAG_MS: i64 = 5_000;

/// Sends `count` requests, each over a connection of its own that is closed after the write.
async fn fire_and_forget(cluster: &TestCluster, request: &[u8], count: usize) {
    let to = Port::Api.of(cluster, 1);
    let send = |_| async move {
        let Ok(mut connection) = RawConnection::open(to).await else { return };
        // The node may close before it has read all.
        let _ = connection.send(request).await;
    };
    stream::iter(0..count).map(send).buffer_unordered(50).collect::<Vec<()>>().await;
}

fn get(attacker: &Attacker, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\n{}\r\n", attacker.lines()).into_bytes()
}

fn post(attacker: &Attacker, path: &str, body: &Value) -> Vec<u8> {
    let (lines, body) = (attacker.lines(), body.to_string());
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\n{lines}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// GET that is repeated while it is answered 503, because the machine may be busy for a while.
async fn get_patiently(client: &Attacker, path: &str) -> Value {
    for _ in 0..20 {
        let (status, shown) = client.get(path).await;
        if status == 200 {
            return shown;
        }
        assert_eq!(status, 503, "{}", shown["error"]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{path} is refused again and again");
}

/// Creates 2,000 projects.
async fn many_projects(attacker: &Attacker) {
    let make = |n: usize| async move {
        let project = json!({"name": format!("p{n}"), "description": "one of many"});
        let (status, made) = attacker.post("/api/v1/projects", &project).await;
        assert_eq!(status, 201, "{made}");
    };
    stream::iter(0..2_000).map(make).buffer_unordered(64).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn bursts_of_reads_that_nobody_waits_for_delay_no_firing() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, 20).await;
    let attacker = Attacker::new(&cluster, 1, "attacker").await;
    let other = Attacker::new(&cluster, 1, "other").await;
    many_projects(&attacker).await;
    let names: Vec<_> = (0..10_000).map(|n| format!("name-{n}")).collect();
    // External ids belong to a project: without one the request is refused before anything is read.
    let everywhere = json!({"filter": {"externalIds": names}, "dryRun": true});
    let (status, refused) = attacker.post("/api/v1/jobs/pause", &everywhere).await;
    assert_eq!((status, &refused["error"]["field"]), (400, &json!("projectId")), "{refused}");
    let within = json!({
        "filter": {"externalIds": names, "projectId": attacker.project}, "dryRun": true
    });
    let (status, found) = attacker.post("/api/v1/jobs/pause", &within).await;
    assert_eq!((status, &found["data"]["matched"]), (200, &json!(0)), "{found}");
    // Each label is searched in each of the projects.
    let labels: Vec<_> = (0..60).map(|n| format!("label=key{n}%3Dvalue{n}")).collect();
    let labels = format!("/api/v1/jobs?limit=1000&orderBy=dateModified&{}", labels.join("&"));

    let begin = now();
    let pauses = [post(&attacker, "/api/v1/jobs/pause", &everywhere), {
        post(&attacker, "/api/v1/jobs/pause", &within)
    }];
    for burst in [&pauses[0], &pauses[1], &get(&attacker, &labels)] {
        fire_and_forget(&cluster, burst, 200).await;
        // Reads of another client and probes are answered.
        let (status, shown) = other.get(&format!("/api/v1/projects/{}", other.project)).await;
        assert_eq!(status, 200, "{shown}");
        let ready = client_of(&[]).get(cluster.url(1, "/readyz")).send().await.unwrap();
        assert_eq!(ready.status(), 200);
    }
    let lags = victim.watch_since(begin, now() + 3_000).await;
    assert!(lags.quantile(1_000) < MAX_LAG_MS, "{lags}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn answers_that_nobody_takes_have_a_bounded_part_of_memory() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, 20).await;
    let attacker = Attacker::new(&cluster, 1, "attacker").await;
    let job = |data: &str| {
        json!({
            "projectId": attacker.project, "spec": "0 0 1 1 *", "timezone": "UTC", "data": data,
            "callbackUrl": victim.at("/never"),
        })
    };
    let small: Vec<_> = (0..30_000).map(|_| job("\"quoted\"")).collect();
    let (status, task) = attacker.post("/api/v1/jobs", &json!(small)).await;
    assert_eq!(status, 202, "{task}");
    let task = format!("/api/v1/async-tasks/{}", task["data"].as_str().unwrap());
    let large = "\u{e4}".repeat(450_000);
    for _ in 0..60 {
        attacker.jobs(&json!([job(&large)])).await;
    }
    let page = "/api/v1/jobs?limit=1000&orderByDirection=desc";
    let to = Port::Api.of(&cluster, 1);
    // The memory of the load settles first, so that only the answers are measured.
    victim.watch(3).await;
    for (path, connections) in [(page, 6), (task.as_str(), 30), (page, 60)] {
        let (before, peak, begin) = (memory_mb(&cluster, 1), Peak::of(&cluster, 1), now());
        let mut unread = Vec::new();
        for _ in 0..connections {
            let mut connection = RawConnection::narrow(to).await.unwrap();
            connection.send(get(&attacker, path)).await.unwrap();
            unread.push(connection);
        }
        let lags = victim.watch_since(begin, begin + 5_000).await;
        assert!(lags.quantile(1_000) < MAX_LAG_MS, "{lags}");
        drop(unread);
        let grown = peak.mb() - before;
        println!("{connections} x {path}: {before:.0} MB, {grown:.0} MB more, {lags}");
        // 64 MB of waiting answers of one client, six of 8 MB under way, and the memory to build
        // them.
        assert!(grown < 200.0, "{connections} x {path}: {grown} MB more than {before} MB");
    }
    // A client that reads gets all of it.
    let (mut found, mut after) = (0, String::new());
    loop {
        let shown = get_patiently(&attacker, &format!("{page}{after}")).await;
        found += shown["data"]["jobs"].as_array().unwrap().len();
        let Some(next) = shown["data"]["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    // The victim's twenty jobs are included.
    assert_eq!(found, 30_080);
    let shown = get_patiently(&attacker, &task).await;
    let output: Value = serde_json::from_str(shown["data"]["output"].as_str().unwrap()).unwrap();
    assert_eq!(output.as_array().unwrap().len(), 30_000);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn pages_far_behind_are_refused_and_slow_lists_delay_no_firing() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, 20).await;
    let attacker = Attacker::new(&cluster, 1, "attacker").await;
    let job = json!({
        "projectId": attacker.project, "spec": "0 0 1 1 *", "timezone": "UTC", "data": "",
        "callbackUrl": victim.at("/never"),
    });
    for _ in 0..4 {
        attacker.jobs(&json!(vec![&job; 25_000])).await;
    }
    let list = "/api/v1/jobs?status=active&orderBy=dateModified&limit=1000";
    let (status, refused) = attacker.get(&format!("{list}&offset=399000")).await;
    assert_eq!((status, &refused["error"]["field"]), (400, &json!("offset")), "{refused}");
    let begin = now();
    let path = format!("{list}&offset=99000");
    let ask = |_| async {
        let (status, shown) = attacker.get(&path).await;
        assert!(status == 200 || status == 503, "{shown}");
        if status == 503 {
            let code = shown["error"]["code"].as_str().unwrap();
            assert!(["too_slow", "busy"].contains(&code), "{shown}");
        }
    };
    stream::iter(0..64).map(ask).buffer_unordered(16).collect::<Vec<()>>().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let lags = victim.watch_since(begin, now()).await;
    assert!(lags.quantile(1_000) < MAX_LAG_MS, "{lags}");
}

//! Requests that a target and its data make: templates that amplify, occurrences that kill a
//! process, and the cluster's own ports as targets.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Attacker, Peak, Victim, memory_mb};
use crate::harness::{PATIENCE, Receiver, TestCluster};

/// The memory that an attack may cost, in units of 10^6 bytes.
const MAX_GROWTH_MB: f64 = 50.0;

/// A target with 58 parameters of 17 placeholders each: 0.9 MB of data that is not ASCII make 2.6
/// GB of URL.
fn amplifier(url: &str) -> Value {
    let value = "{{data}}".repeat(17);
    let query = (0..58).map(|n| (format!("n{n:02}"), value.clone().into()));
    json!({"url": url, "query": Value::Object(query.collect())})
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_template_that_amplifies_is_refused_and_one_that_was_let_in_is_a_dead_letter() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, 20).await;
    let attacker = Attacker::new(&cluster, 1, "amplifier").await;
    let (url, data) = (victim.at("/amplified"), "é".repeat(450_000));
    let job = |target: Value| {
        let mut job = json!({
            "projectId": attacker.project, "spec": "@every 1s", "timezone": "UTC", "data": data,
        });
        job.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
        job
    };
    let refused = |(status, body): (u16, Value), field: &str| {
        assert_eq!((status, &body["error"]["field"]), (422, &json!(field)), "{body}");
        assert!(body.to_string().len() < 2_000, "the data is not repeated");
        let message = body["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains("16384"), "{message}");
    };
    let http = amplifier(&url);
    refused(attacker.post("/api/v1/jobs", &job(json!({"http": http}))).await, "http.url");

    // The data comes first and the target later, through an executor of many jobs.
    let plain = json!({"name": "later", "http": {"url": url}});
    let (status, made) = attacker.post("/api/v1/executors", &plain).await;
    assert_eq!(status, 201, "{made}");
    let executor = made["data"]["id"].as_u64().unwrap();
    let by_executor = job(json!({"executorId": executor}));
    attacker.jobs(&json!([by_executor])).await;
    let path = format!("/api/v1/executors/{executor}");
    let (before, peak) = (memory_mb(&cluster, 1), Peak::of(&cluster, 1));
    let (status, body) = attacker.ask("PUT", &path, &json!({"http": http})).await;
    assert_eq!(status, 200, "{body}");
    refused(attacker.post("/api/v1/jobs", &job(json!({"executorId": executor}))).await, "data");
    let path = format!("/api/v1/dead-letters?projectId={}", attacker.project);
    let letters = cluster
        .wait_until("its firings are dead-lettered", async |c: &TestCluster| {
            let page = c.get(1, &path).await;
            let letters = page["deadLetters"].as_array()?.clone();
            (letters.len() >= 3).then_some(letters)
        })
        .await;
    for letter in &letters {
        let error = letter["error"].as_str().unwrap_or_default();
        assert!(error.contains("http.url would have more than 16384 bytes"), "{letter}");
    }
    let lags = victim.watch(3).await;
    assert!(lags.quantile(1_000) < 10_000, "{lags}");
    let grown = peak.mb() - before;
    assert!(grown < MAX_GROWTH_MB, "{grown} MB more than {before} MB");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_talks_to_the_raft_port_of_a_member() {
    let cluster = TestCluster::start(3).await;
    let attacker = Attacker::new(&cluster, 1, "inside").await;
    let ports: Vec<String> = (1..=3)
        .map(|node| cluster.addresses(node).1.rsplit(':').next().unwrap().to_owned())
        .collect();
    let job = |host: &str, port: &str| {
        json!({
            "projectId": attacker.project, "after": 0, "data": host, "retryMax": 0,
            "http": {"method": "POST", "url": format!("http://{host}:{port}/raft/vote")},
        })
    };
    let named = ["127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]", "[::127.0.0.1]"];
    for port in &ports {
        for host in named.iter().chain(&["localhost", "LOCALHOST.", "[64:ff9b::7f00:1]"]) {
            let (status, body) = attacker.post("/api/v1/jobs", &job(host, port)).await;
            assert_eq!(
                (status, &body["error"]["field"]),
                (400, &json!("http.url")),
                "{host} {body}"
            );
            assert!(body.to_string().contains("Raft address of a member"), "{host}: {body}");
        }
        let url = format!("http://localhost:{port}/");
        let batch = json!({"projectId": attacker.project, "after": 0, "callbackUrl": url});
        let (status, body) = attacker.post("/api/v1/jobs", &batch).await;
        assert_eq!((status, &body["error"]["field"]), (400, &json!("callbackUrl")), "{body}");
        let executor = json!({"name": "inside", "webhookUrl": url});
        let (status, body) = attacker.post("/api/v1/executors", &executor).await;
        assert_eq!((status, &body["error"]["field"]), (400, &json!("webhookUrl")), "{body}");
    }
    // Other addresses of the machine, on which the member listens too; only the call shows it.
    let sly = ["127.0.0.2", "127.255.255.254", "[::ffff:127.0.0.3]", "[::1]", "a.localhost"];
    for port in &ports {
        for host in sly {
            attacker.jobs(&json!([job(host, port)])).await;
        }
    }
    let path = format!("/api/v1/executions?projectId={}&status=dead&limit=100", attacker.project);
    let dead = cluster
        .wait_until("none of them was called", async |c: &TestCluster| {
            let page = c.get(1, &path).await;
            let dead = page["executions"].as_array()?.clone();
            (dead.len() == sly.len() * ports.len()).then_some(dead)
        })
        .await;
    for execution in &dead {
        let error = execution["error"].as_str().unwrap_or_default();
        // Not every machine resolves the name.
        let kept = ["Raft address of a member", "failed to lookup", "not known"];
        assert!(kept.iter().any(|why| error.contains(why)), "{execution}");
        assert_eq!(execution["httpCode"].as_u64().unwrap_or(0), 0, "{execution}");
    }
    let said = dead.iter().filter(|e| e.to_string().contains("Raft address of a member")).count();
    assert!(said >= 4 * ports.len(), "{said} of {}", dead.len());
}

/// The number of occurrences in each mark of a node's register at this moment. A slot has 4,096
/// bytes; the number follows its checksum, and is 0 in a free slot.
fn marked(data_dir: &Path) -> Vec<u16> {
    let bytes = std::fs::read(data_dir.join("rendering/marks")).unwrap_or_default();
    let slots = bytes.chunks(4_096).filter_map(|slot| slot.get(4..6)?.try_into().ok());
    slots.map(u16::from_le_bytes).filter(|count| *count > 0).collect()
}

/// Kills node 1 while it has a wanted mark. Returns false when the mark was gone at its death,
/// because the node was faster.
async fn killed_while(cluster: &mut TestCluster, wanted: impl Fn(u16) -> bool) -> bool {
    let dir = cluster.data_dir(1);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !marked(&dir).into_iter().any(&wanted) && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    cluster.kill(1);
    marked(&dir).into_iter().any(&wanted)
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn an_occurrence_that_killed_two_processes_is_poison() {
    const JOBS: usize = 40;
    let mut cluster = TestCluster::start(1).await;
    let receiver = Receiver::start().await;
    let project = cluster.project(1, "poison").await;
    let data = "\"".repeat(200_000);
    let mut dead = None;
    // Not every try kills the node at the right moment, but most of them do.
    for _ in 0..10 {
        let job = json!({
            "projectId": project, "after": "2s", "timezone": "UTC", "data": data,
            "callbackUrl": receiver.url(),
        });
        let made = cluster.jobs(1, &vec![job; JOBS].into()).await;
        let ids: BTreeSet<u64> = made.iter().map(|job| job["id"].as_u64().unwrap()).collect();
        let first = killed_while(&mut cluster, |count| count > 1).await;
        cluster.spawn(1);
        // The next process renders these occurrences one by one.
        let second = first && killed_while(&mut cluster, |count| count == 1).await;
        if second {
            cluster.spawn(1);
        }
        cluster.ready(1).await;
        let path = format!("/api/v1/dead-letters?projectId={project}");
        let ended = cluster
            .wait_until("all of them have come to an end", async |c: &TestCluster| {
                let letters = c.get(1, &path).await["deadLetters"].as_array()?.clone();
                let arrivals = receiver.arrivals();
                let came: BTreeSet<u64> =
                    arrivals.iter().map(|a| a.job).filter(|job| ids.contains(job)).collect();
                (came.len() + letters.len() == JOBS).then_some((came, letters))
            })
            .await;
        match ended {
            (_, letters) if letters.is_empty() => {}
            ended => {
                dead = Some((ids, ended));
                break;
            }
        }
    }
    let (ids, (came, letters)) = dead.expect("one of ten times");
    assert_eq!(letters.len(), 1, "the neighbours of poison are delivered: {letters:?}");
    let letter = &letters[0];
    assert!(letter["error"].as_str().unwrap().starts_with("poison: 2 processes"), "{letter}");
    let job = letter["members"][0]["jobId"].as_u64().unwrap();
    assert_eq!(ids.difference(&came).copied().collect::<Vec<_>>(), [job]);
    let at = letter["scheduledAt"].as_str().unwrap();
    let explained = cluster.get(1, &format!("/api/v1/jobs/{job}/explain?at={at}")).await;
    assert!(explained.to_string().contains("poison: 2 processes"), "{explained}");

    // A replay is sent, because nothing kills the node this time.
    let filter = json!({"projectId": project});
    let (status, body) = cluster.post(1, "/api/v1/dead-letters/replay", &filter).await;
    assert!((200..300).contains(&status), "{body}");
    receiver
        .wait_until("the replay", PATIENCE, |arrivals| arrivals.iter().any(|a| a.job == job))
        .await;
}

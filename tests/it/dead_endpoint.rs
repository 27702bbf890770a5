//! A dead endpoint and a healthy one: the breaker stops the calls to the dead one, and the jobs of
//! the healthy one miss nothing.

use serde_json::{Value, json};

use crate::harness::{PATIENCE, Receiver, TestCluster, now, respond};

/// Jobs `* * * * * *` with a request of their own for each occurrence.
fn jobs(project: u64, url: &str, count: usize) -> Value {
    let job = |n: usize| {
        json!({"projectId": project, "spec": "* * * * * *", "timezone": "UTC", "data": n.to_string(),
            "http": {"method": "POST", "url": url}})
    };
    (0..count).map(job).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_dead_endpoint_is_left_alone_and_the_healthy_one_misses_nothing() {
    let (dead, live) = (Receiver::start().await, Receiver::start().await);
    dead.script(|_| Some(respond(503)));
    let cluster =
        TestCluster::start_with(1, &[("SCHEDULER0_JOB_EXECUTION_RETRY_DELAY", "1")]).await;
    let project = cluster.project(1, "two endpoints").await;
    cluster.jobs(1, &jobs(project, &dead.at("/dead"), 50)).await;
    cluster.jobs(1, &jobs(project, &live.at("/live"), 50)).await;
    let failing = cluster
        .wait_until("status names it", async |c: &TestCluster| {
            let status = c.get(1, "/api/v1/cluster/status").await;
            status["nodes"][0]["failing"].get(0).cloned()
        })
        .await;
    let destination = failing["destination"].as_str().unwrap();
    assert!(dead.url().starts_with(destination), "{failing}");
    assert!(failing["failures"].as_u64().unwrap() >= 5 && failing["nextProbe"].is_string());
    let metrics = cluster.http().get(cluster.url(1, "/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let gauge = format!("scheduler0_breaker_open{{destination=\"{destination}\"}} 1");
    assert!(metrics.contains(&gauge), "{metrics}");

    // From here on 50 requests a second would be sent there.
    let (since, before) = (now(), dead.requests().len());
    live.wait_until("ten seconds of the healthy ones", PATIENCE, |arrivals| {
        arrivals.iter().filter(|a| a.scheduled > since).count() >= 500
    })
    .await;
    let probes = dead.requests().len() - before;
    assert!(probes <= 8, "probes only, a few of those that were on their way: {probes}");

    // It works again, and what waited is sent.
    dead.script(|_| None);
    let back = now();
    dead.wait_until("its jobs are accepted again", PATIENCE * 2, |arrivals| {
        let fine = arrivals.iter().filter(|a| a.accepted);
        fine.clone().any(|a| a.scheduled < back)
            && fine.filter(|a| a.scheduled > back).count() > 100
    })
    .await;
    let seen = live.arrivals();
    let (first, last) = (seen.first().unwrap().scheduled, seen.last().unwrap().scheduled);
    for instant in (first + 1_000..last).step_by(1_000) {
        let came = seen.iter().filter(|a| a.scheduled == instant).count();
        assert_eq!(came, 50, "the healthy ones of {instant}");
    }
}

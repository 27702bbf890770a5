//! Results by the minute on real nodes: all of them count the same, also one that was killed and
//! reads them anew.

use serde_json::{Value, json};

use crate::harness::{PATIENCE, Receiver, TestCluster, poll_interval};

/// The results of each minute of a range at a node.
async fn rates(cluster: &TestCluster, node: u64, range: &str) -> Value {
    cluster.get(node, &format!("/v1/rates?{range}")).await
}

fn delivered(data: &Value) -> u64 {
    let points = data["points"].as_array().unwrap().iter();
    points.filter_map(|point| point["results"]["delivered"].as_u64()).sum()
}

/// Waits until a node knows so many deliveries and every minute; its answer.
async fn counted(cluster: &TestCluster, node: u64, range: &str, count: u64) -> Value {
    let found = async {
        loop {
            let data = rates(cluster, node, range).await;
            let points = data["points"].as_array().unwrap();
            let is_whole = points.iter().all(|point| point["results"].is_object());
            if is_whole && delivered(&data) == count {
                return data;
            }
            assert!(delivered(&data) <= count, "a result is counted twice: {data}");
            poll_interval().await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("node {node}: {count}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_count_the_same_and_so_does_one_that_was_killed() {
    let mut cluster = TestCluster::start(3).await;
    let receiver = Receiver::start().await;
    let mut ids = Vec::new();
    for name in ["a", "b"] {
        let project = cluster.project(1, name).await;
        let once = json!({
            "projectId": project, "after": "1s", "executionType": "http", "timezone": "UTC",
            "callbackUrl": receiver.url(),
        });
        cluster.jobs(1, &Value::from(vec![once; 20])).await;
        ids.push(project);
    }
    let mut first = Value::Null;
    for node in 1..=3 {
        first = counted(&cluster, node, "", 40).await;
        let projects = first["projects"].as_array().unwrap();
        let counts: Vec<_> =
            projects.iter().map(|one| (&one["projectId"], &one["delivered"])).collect();
        let twenty = json!(20);
        assert_eq!(counts, [(&json!(ids[0]), &twenty), (&json!(ids[1]), &twenty)], "node {node}");
    }
    // A range whose minutes are over, or nearly: no more results come.
    let range = format!(
        "from={}&until={}",
        first["points"][60]["at"].as_str().unwrap(),
        first["until"].as_str().unwrap()
    );
    cluster.kill(2);
    cluster.restart(2).await;
    let own = counted(&cluster, 2, &range, 40).await;
    let other = counted(&cluster, 3, &range, 40).await;
    let same = |data: &Value| {
        let points = data["points"].as_array().unwrap().clone();
        points
            .into_iter()
            .filter(|point| point["results"]["delivered"] != json!(0))
            .collect::<Vec<_>>()
    };
    assert_eq!(same(&own), same(&other));
    assert_eq!(own["projects"], other["projects"]);
    let project = format!("projectId={}&{range}", ids[1]);
    counted(&cluster, 2, &project, 20).await;
}

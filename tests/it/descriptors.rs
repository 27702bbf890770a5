//! Limits of a node's process: it takes all file descriptors that the system allows, warns when
//! these are few, and writes no core dump.

use crate::harness::{TestCluster, start_under};

/// The limit of file descriptors that a node shows.
async fn most(cluster: &TestCluster) -> u64 {
    let metrics = cluster.http().get(cluster.url(1, "/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("scheduler0_process_max_fds "));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_soft_limit_is_raised_to_the_hard_one() {
    let cluster = start_under("ulimit -Sn 200; ulimit -Hn 9000").await;
    assert_eq!(most(&cluster).await, 9_000);
    let log = cluster.log(1);
    assert!(log.contains("9000") && !log.contains("are few"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_low_hard_limit_is_warned_of() {
    let cluster = start_under("ulimit -n 300").await;
    assert_eq!(most(&cluster).await, 300);
    let log = cluster.log(1);
    assert!(log.contains("300 file descriptors are few") && log.contains("need 8192"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_writes_no_core_dump() {
    let cluster = start_under("ulimit -Sc unlimited").await;
    let limits = format!("/proc/{}/limits", cluster.process(1));
    let limits = std::fs::read_to_string(limits).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let words: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(words, ["0", "0"], "{core}");
}

//! Recovery from the loss of a quorum: one survivor goes on, and old members are refused.

use super::{command, join, members};
use crate::harness::{FiringCluster, TOLERANCE, TestCluster, every_job_again, judge, now};

#[tokio::test(flavor = "multi_thread")]
async fn one_survivor_of_three_goes_on_and_the_old_members_are_refused() {
    let fixture = FiringCluster::start(512).await;
    let FiringCluster { receiver, mut cluster, leader, others, jobs } = fixture;

    let (survivor, old) = (others[0], others[1]);
    let (code, _, said) = cluster.cli(survivor, &["cluster", "recover"]).await;
    assert!(code == 1 && said.contains("in use by another running node"), "{code} {said}");
    cluster.kill_all();
    let (code, shown, said) = cluster.cli(survivor, &["cluster", "recover"]).await;
    assert!(code == 2 && said.contains("What may be lost"), "{code} {said}");
    assert!(shown["lastLogIndex"].as_u64() > Some(5) && shown["recovered"] == false, "{shown}");
    assert_eq!(shown["members"].as_array().map(Vec::len), Some(3), "{shown}");
    let (code, shown, said) =
        cluster.cli(survivor, &["cluster", "recover", "--i-understand"]).await;
    assert!(code == 0 && shown["recovered"] == true, "{code} {said}");
    let (code, _, said) = cluster.cli(survivor, &["cluster", "recover", "--i-understand"]).await;
    assert!(code == 1 && said.contains("the only voter already"), "{code} {said}");

    cluster.restart(survivor).await;
    assert_eq!(members(&cluster, survivor, "voter").await, [survivor]);
    let page = cluster.get(survivor, "/api/v1/jobs?limit=1").await;
    assert_eq!(page["total"], 512);
    cluster.settled(survivor, &[survivor]).await;
    // An old member is refused, and neither leads nor follows.
    cluster.spawn(old);
    cluster
        .wait_until("the old member is refused", async |c: &TestCluster| {
            let logs = format!("{}{}", c.log(survivor), c.log(old));
            logs.contains("after `cluster recover`").then_some(())
        })
        .await;
    assert_eq!(cluster.leader(survivor).await, Some(survivor));
    // It knows no leader but the old one.
    assert_eq!(cluster.leader(old).await.filter(|id| *id != leader), None);
    cluster.kill(old);
    std::fs::remove_dir_all(cluster.data_dir(old)).unwrap();
    join(&mut cluster, survivor, old, &["--replace"]).await;
    let mut both = vec![survivor, old];
    both.sort_unstable();
    assert_eq!(members(&cluster, old, "voter").await, both);
    command(&cluster, old, &["cluster", "checksum"]).await;
    cluster.project(old, "goes on").await;

    let until = every_job_again(&receiver, &jobs, now() + 1_000).await;
    // What was sent and not collected is sent again under the same id.
    judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE).assert_sound();
}

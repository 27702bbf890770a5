//! Nodes whose processes run under limits of the system (`ulimit`), which a shell sets before it
//! becomes the node.

use std::process::{Command, Stdio};

use super::TestCluster;

/// Starts a node's process under limits, which are shell commands such as `ulimit -n 300`.
pub(crate) fn spawn_under(cluster: &mut TestCluster, id: u64, limits: &str) {
    let node = cluster.command(id);
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &format!("{limits}; exec \"$0\" start --weak")])
        .arg(node.get_program())
        .env_clear()
        .envs(node.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(cluster.folder());
    let log = std::fs::File::create(cluster.folder().join(format!("node{id}.log"))).unwrap();
    cluster.adopt(id, shell.stdout(Stdio::null()).stderr(log).spawn().unwrap());
}

/// Starts a single node under limits and waits until it is ready.
pub(crate) async fn start_under(limits: &str) -> TestCluster {
    let mut cluster = TestCluster::start_some(1, 0, &[]).await;
    spawn_under(&mut cluster, 1, limits);
    cluster.ready(1).await;
    cluster
}

//! Signals to a running node: those that stop it, SIGHUP, and those that it ignores.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{PATIENCE, TestCluster};

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_level_again_others_are_ignored_and_sigquit_stops_in_order() {
    let cluster = TestCluster::start_some(1, 0, &[]).await;
    let config = cluster.folder().join("level.yml");
    std::fs::write(&config, "LogLevel: ERROR\n").unwrap();
    let log = cluster.folder().join("signals.log");
    let mut command = cluster.command(1);
    command.arg("--config").arg(&config).args(["start", "--weak"]);
    command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
    let mut process = command.spawn().unwrap();
    let pid = Pid::from_child(&process);
    let said = || std::fs::read_to_string(&log).unwrap();
    let ready = async |c: &TestCluster| {
        let answer = c.http().get(c.url(1, "/readyz")).send().await.ok()?;
        answer.status().is_success().then_some(())
    };
    cluster.wait_until("it is ready", ready).await;
    assert_eq!(said(), "", "nothing is wrong");

    std::fs::write(&config, "LogLevel: DEBUG\n").unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    let again =
        async |_: &TestCluster| said().contains("SIGHUP: the configuration was read").then_some(());
    cluster.wait_until("it reads its configuration", again).await;
    std::fs::write(&config, "LogLevel: LOUD\n").unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    let refused = async |_: &TestCluster| said().contains("all stays as it was").then_some(());
    cluster.wait_until("it refuses what is wrong", refused).await;

    for ignored in [Signal::USR1, Signal::USR2, Signal::ALARM, Signal::PROF] {
        kill_process(pid, ignored).unwrap();
    }
    cluster.wait_until("it goes on", ready).await;
    kill_process(pid, Signal::QUIT).unwrap();
    let process = std::cell::RefCell::new(&mut process);
    let over = async |_: &TestCluster| process.borrow_mut().try_wait().unwrap();
    let status = cluster.wait_until("it ends", over).await;
    assert!(status.success(), "{status}: {}", said());
    assert!(said().contains("stopped"), "{}", said());
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn sighup_stops_dev_in_order_for_its_terminal_is_gone() {
    use tokio::io::AsyncBufReadExt as _;

    let folder = tempfile::tempdir().unwrap();
    let mut dev = tokio::process::Command::new(env!("CARGO_BIN_EXE_scheduler0"))
        .args(["dev", "--port", "0", "--raft-address", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(dev.stdout.take().unwrap()).lines();
    let shown = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a line").unwrap();
    assert!(shown.is_some(), "dev runs on");
    let pid = Pid::from_raw(dev.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    let status = tokio::time::timeout(PATIENCE, dev.wait()).await.expect("it ends").unwrap();
    assert!(status.success(), "{status}");
}

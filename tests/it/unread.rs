//! Output that nothing reads: a full pipe and a closed one, for the log of a node and the output of
//! `dev`. Neither may keep the node from firing or from ending.

use std::io::{PipeReader, PipeWriter, Write};
use std::process::Stdio;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::harness::{PATIENCE, Receiver, TestCluster, every};

/// A pipe of 4 KB, the smallest one that the system makes.
fn pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, 4_096).unwrap();
    (reader, writer)
}

/// Waits until a write into a pipe would block.
async fn full(writer: &PipeWriter) {
    let mut ticker = tokio::time::interval(Duration::from_millis(20));
    let full = async {
        loop {
            ticker.tick().await;
            let mut polled = [PollFd::new(writer, PollFlags::OUT)];
            if poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 0 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, full).await.expect("the pipe is full");
}

/// Waits for 60 more calls.
async fn fires_on(receiver: &Receiver) {
    let before = receiver.arrivals().len();
    receiver.wait_until("it fires on", PATIENCE, |seen| seen.len() > before + 60).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_log_that_nobody_reads_keeps_a_node_from_nothing() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start_some(1, 0, &[("RUST_LOG", "debug")]).await;
    let (reader, writer) = pipe();
    cluster.spawn_to(1, "start", Stdio::null(), writer.try_clone().unwrap().into());
    cluster.ready(1).await;
    let project = cluster.project(1, "unread").await;
    cluster.jobs(1, &every("@every 1s", project, &receiver.url(), 20)).await;
    full(&writer).await;
    fires_on(&receiver).await;
    for path in ["/livez", "/readyz"] {
        assert!(
            cluster.http().get(cluster.url(1, path)).send().await.unwrap().status().is_success()
        );
    }
    let metrics = cluster.http().get(cluster.url(1, "/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("\nscheduler0_log_lines_dropped_total "), "{metrics}");
    assert_eq!(cluster.stop(1).await, Some(0), "nor from ending");
    drop(reader);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_closed_stderr_ends_no_node() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start_some(1, 0, &[("RUST_LOG", "debug")]).await;
    let (reader, writer) = pipe();
    cluster.spawn_to(1, "start", Stdio::null(), writer.into());
    drop(reader);
    cluster.ready(1).await;
    let project = cluster.project(1, "closed").await;
    cluster.jobs(1, &every("@every 1s", project, &receiver.url(), 20)).await;
    fires_on(&receiver).await;
    assert_eq!(cluster.stop(1).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_go_on_ends_though_nobody_reads_why() {
    let mut cluster = TestCluster::start_some(1, 0, &[]).await;
    let (reader, mut writer) = pipe();
    writer.write_all(&[b'x'; 4_096]).unwrap();
    let (url, _) = cluster.addresses(1);
    let taken = std::net::TcpListener::bind(url.strip_prefix("http://").unwrap()).unwrap();
    cluster.spawn_to(1, "start", Stdio::null(), writer.into());
    assert_eq!(cluster.ended(1).await, Some(1));
    drop((reader, taken));
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_terminal_that_nobody_reads_keeps_dev_from_nothing() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start_some(1, 0, &[]).await;
    let (shown, stdout) = pipe();
    let (said, stderr) = pipe();
    cluster.spawn_to(1, "dev", stdout.try_clone().unwrap().into(), stderr.into());
    cluster.ready(1).await;
    let project = cluster.project(1, "shown").await;
    cluster.jobs(1, &every("@every 1s", project, &receiver.url(), 40)).await;
    full(&stdout).await;
    fires_on(&receiver).await;
    assert_eq!(cluster.stop(1).await, Some(0));
    drop((shown, said));
}

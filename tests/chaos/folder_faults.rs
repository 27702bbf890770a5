//! The faults of a node's folder and of its stderr: a copy is started beside it, an older copy is
//! put back, a reader stalls. `inject` calls them; the error says what the node should have done.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::hosts::Hosts;
use crate::net::run_command;

/// The time between two looks at a process.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The time that a node may take to end: it must reach a leader, which may be a new one.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    // Files may come and go during the copy: any result of it is as good as another.
    let _ = fs::remove_dir_all(to);
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).output()?;
    ensure!(to.join("identity").exists(), "{}", String::from_utf8_lossy(&copied.stderr));
    Ok(())
}

/// Waits until a process has ended by itself and returns its exit code; kills it when the time is
/// over.
async fn ended(process: &mut Child, within: Duration) -> anyhow::Result<Option<i32>> {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if let Some(status) = process.try_wait()? {
            return Ok(status.code());
        }
        sleep(POLL_INTERVAL).await;
    }
    process.kill()?;
    process.wait()?;
    bail!("it did not end within {within:?}");
}

/// Starts a copy of a node's folder at other ports of its host. The copy must end and log the
/// reason.
pub(crate) async fn copy_beside(hosts: &Hosts, id: u64, length: Duration) -> anyhow::Result<()> {
    let node_home = &hosts.node_home;
    let folder = node_home.folder.join(format!("copy{id}"));
    copy(&node_home.disk(id).join("data"), &folder)?;
    let mut command = node_home.node(id)?;
    let list = command.get_envs().find(|(name, _)| *name == "SCHEDULER0_REPLICAS");
    let list = list.and_then(|(_, value)| value?.to_str()).context("Replicas")?.to_owned();
    let mut list: Value = serde_json::from_str(&list)?;
    let (api, raft) = (node_home.net.api(id).port() + 1, node_home.net.raft(id).port() + 1);
    let host = node_home.net.api(id).ip();
    for entry in list.as_array_mut().into_iter().flatten() {
        if entry["nodeId"] == id {
            entry["address"] = format!("http://{host}:{api}").into();
            entry["raft_address"] = format!("{host}:{raft}").into();
        }
    }
    let log = node_home.folder.join(format!("copy{id}.log"));
    command
        .env("SCHEDULER0_DATA_DIR", &folder)
        .env("SCHEDULER0_PORT", api.to_string())
        .env("SCHEDULER0_RAFT_ADDRESS", format!("0.0.0.0:{raft}"))
        .env("SCHEDULER0_REPLICAS", list.to_string())
        .stderr(fs::File::create(&log)?);
    let code = ended(&mut command.spawn()?, ENDS_WITHIN.max(length)).await.context("a copy")?;
    let said = fs::read_to_string(&log)?;
    ensure!(code == Some(1) && said.contains("copy of this data folder"), "{code:?}: {said}");
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// The term and its leader, as the other nodes see them.
async fn leader(hosts: &Hosts, but: u64) -> Option<(u64, u64)> {
    for id in hosts.ids().filter(|id| *id != but) {
        if let Some(status) = hosts.status(id).await {
            return status["term"].as_u64().zip(status["leader"].as_u64());
        }
    }
    None
}

/// Puts an older copy of a node's folder back. The node must end and log the reason; then it is
/// started on its newest folder.
///
/// Only a leader that has received acknowledgements of the node can know that the copy is old. So
/// nothing is put back when the leader has changed meanwhile, or when the node leads itself. When
/// the leader changes while the node should end, the node may run on.
pub(crate) async fn put_back(hosts: &Hosts, id: u64, length: Duration) -> anyhow::Result<()> {
    let node_home = &hosts.node_home;
    let data = node_home.disk(id).join("data");
    let (old, newest) =
        (node_home.folder.join(format!("old{id}")), node_home.disk(id).join("newest"));
    hosts.kill(&[id]);
    copy(&data, &old)?;
    hosts.spawn(id)?;
    // The node must take part again, or it acknowledges nothing that it could forget.
    let _ = hosts.ready(id, length).await;
    let before = leader(hosts, id).await.filter(|(_, leader)| *leader != id);
    sleep(length).await;
    hosts.kill(&[id]);
    if before.is_none() || leader(hosts, id).await != before {
        eprintln!("node {id} is not put back: it leads, or the leader has changed");
        return hosts.spawn(id);
    }
    fs::rename(&data, &newest)?;
    run_command(Command::new("cp").arg("-a").arg(&old).arg(&data))?;
    let mut process = node_home.node(id)?.spawn()?;
    let code = ended(&mut process, ENDS_WITHIN.max(length)).await;
    let known = leader(hosts, id).await == before;
    fs::remove_dir_all(&data)?;
    fs::rename(&newest, &data)?;
    fs::remove_dir_all(old)?;
    hosts.spawn(id)?;
    match code {
        Err(error) if !known => {
            eprintln!("node {id} goes on, the leader has changed: {error}");
            Ok(())
        }
        code => {
            let code = code.context("on an older copy")?;
            let said = hosts.log(id).contains("put back to an older copy");
            ensure!(said && code == Some(1), "on an older copy it ended with {code:?}");
            Ok(())
        }
    }
}

/// Runs a node that logs much while nothing reads its log. It must go on answering.
pub(crate) async fn stall(hosts: &Hosts, id: u64, length: Duration) -> anyhow::Result<()> {
    let (mut reader, writer) = std::io::pipe()?;
    let mut command = hosts.node_home.node(id)?;
    command.env("SCHEDULER0_LOGLEVEL", "DEBUG").stderr(Stdio::from(writer));
    hosts.kill(&[id]);
    hosts.spawn_as(id, command)?;
    let mut log = OpenOptions::new().append(true).open(hosts.node_home.log(id))?;
    let (read, stalled) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        // The read returns when the fault or the run is over.
        let _ = stalled.recv();
        let mut some = vec![0_u8; 64 << 10];
        while let Ok(count @ 1..) = reader.read(&mut some) {
            if log.write_all(&some[..count]).is_err() {
                return;
            }
        }
    });
    sleep(length).await;
    let answers = hosts.ready(id, ENDS_WITHIN).await;
    drop(read);
    // The restarted node logs into its file again.
    hosts.kill(&[id]);
    hosts.spawn(id)?;
    ensure!(answers, "it is not ready while nothing reads its log");
    Ok(())
}

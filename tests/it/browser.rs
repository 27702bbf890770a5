//! The web UI in a real browser: the stories of `tests/ui` against a cluster of three, whose nodes
//! they kill and start.
//!
//! The test needs Node 20 or later, Chromium (`SCHEDULER0_CHROMIUM`, else `chromium` of Debian),
//! and what `npm ci` in `tests/ui` installs. Without one of them the test prints that it is
//! skipped, and fails with `CI` set. Pictures of all pages are kept in `target/tmp/ui`, to be
//! looked at.

mod pictures;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::harness::TestCluster;

const NODES: u64 = 3;

/// The folder of the stories.
fn stories() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui")
}

fn chromium() -> String {
    std::env::var("SCHEDULER0_CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned())
}

/// The major version of Node, if there is one.
fn node_version() -> Option<u32> {
    let told = Command::new("node").arg("--version").output().ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    told.trim_start_matches('v').split('.').next()?.parse().ok()
}

/// What the test needs and does not find.
fn missing() -> Vec<&'static str> {
    let mut missing = Vec::new();
    if node_version().is_none_or(|version| version < 20) {
        missing.push("node 20 or later");
    }
    if !Path::new(&chromium()).exists() {
        missing.push("chromium");
    }
    if !stories().join("node_modules/playwright-core").is_dir() {
        missing.push("what `npm ci` in tests/ui installs");
    }
    missing
}

/// Does what a story asks of the nodes.
async fn obey(cluster: &mut TestCluster, words: &str) {
    let (verb, node) = words.split_once(' ').expect("a verb and a node");
    let node = node.parse().expect("the number of a node");
    match verb {
        "kill" => cluster.kill(node),
        "start" => cluster.restart(node).await,
        other => panic!("a story asks for {other}"),
    }
}

/// The first line that a script reads: the nodes, and the folder of `target/tmp` for what it makes.
fn settings(nodes: &[Value], folder: &str) -> Value {
    json!({
        "nodes": nodes,
        "name": "admin",
        "password": "admin-password",
        "chromium": chromium(),
        "artefacts": Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder),
        "only": std::env::var("SCHEDULER0_UI_STORY").ok(),
    })
}

/// Runs a script of `tests/ui` to its end, and does what it asks for. Panics when it fails.
async fn play(script: &str, settings: &Value, mut does: impl AsyncFnMut(&str)) {
    let mut run = tokio::process::Command::new("node")
        .arg(script)
        .current_dir(stories())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = run.stdin.take().unwrap();
    stdin.write_all(format!("{settings}\n").as_bytes()).await.unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        match line.strip_prefix("? ") {
            Some(words) => {
                does(words).await;
                stdin.write_all(b"done\n").await.unwrap();
            }
            None => println!("{line}"),
        }
    }
    let status = run.wait().await.unwrap();
    assert!(status.success(), "{script} says what does not hold, see above");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn every_story_of_the_web_ui_holds_in_a_browser() {
    let missing = missing();
    if !missing.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "the stories need {}", missing.join(", "));
        eprintln!("SKIPPED: the stories of the web UI need {}", missing.join(", "));
        return;
    }
    let mut cluster = TestCluster::start(NODES).await;
    let leader = cluster.leader(1).await.expect("a ready node knows its leader");
    let owners: Vec<u64> = (1..=NODES).filter(|id| *id != leader).collect();
    cluster.settled(leader, &owners).await;
    let nodes: Vec<_> =
        (1..=NODES).map(|id| json!({"id": id, "url": cluster.url(id, "")})).collect();
    let settings = settings(&nodes, "ui");
    play("run.mjs", &settings, async |words: &str| obey(&mut cluster, words).await).await;
}

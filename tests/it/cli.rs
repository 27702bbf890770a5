//! The command line as people and scripts use it: the real binary in an empty folder, against a
//! small server that answers as a node would and records the requests.

mod config;
mod credentials;
mod dev;
mod fake;
mod first_steps;
mod job_edits;
mod login;
mod next;
mod requests;
mod templates;

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use self::fake::{Node, code, ok, scheduler0, stderr, stdout, with_input};

#[test]
fn version_goes_to_stdout() {
    let folder = tempfile::tempdir().unwrap();
    let said = scheduler0(folder.path(), &["version", "-o", "table"]);
    assert!(stdout(&said).starts_with(concat!("scheduler0 ", env!("CARGO_PKG_VERSION"))));
    let said = scheduler0(folder.path(), &["version", "--json"]);
    let json: Value = serde_json::from_str(&stdout(&said)).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn exit_codes_tell_failures_apart() {
    let node = Node::start(|_| (503, json!({"data": "no leader", "success": false})));
    let said = node.run(&["status"]);
    assert_eq!(code(&said), 1);
    assert!(stderr(&said).contains("no leader (HTTP 503)"), "{}", stderr(&said));

    let node = Node::start(|_| (401, json!({"data": "unauthorized requests", "success": false})));
    let said = node.run(&["status"]);
    assert_eq!(code(&said), 3);
    assert!(stderr(&said).contains(".scheduler0"), "{}", stderr(&said));

    let folder = tempfile::tempdir().unwrap();
    let said = scheduler0(folder.path(), &["status"]);
    assert_eq!(code(&said), 2, "no credentials");
    assert!(stderr(&said).contains("credential init"), "{}", stderr(&said));

    // A port that was free a moment ago, and that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    scheduler0(folder.path(), &["credential", "init", "--yes"]);
    let said = scheduler0(folder.path(), &["status", "--set", &format!("Port={}", free.port())]);
    assert_eq!(code(&said), 4);
    assert!(stderr(&said).contains(&format!("http://{free}")), "{}", stderr(&said));
}

#[test]
fn reset_raft_asks_and_leaves_everything_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("raft")).unwrap();
    fs::write(data.join("state.db"), "x").unwrap();
    fs::write(data.join("mine.txt"), "x").unwrap();
    let said = with_input(folder.path(), &["reset", "raft"], "no\n");
    assert_eq!(code(&said), 2);
    assert!(data.join("state.db").exists() && stderr(&said).contains("state.db"));
    let said = with_input(folder.path(), &["reset", "raft"], "yes\n");
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert!(!data.join("state.db").exists() && !data.join("raft").exists());
    assert!(data.join("mine.txt").exists());
    let said = scheduler0(folder.path(), &["reset", "raft", "--force"]);
    assert!(stderr(&said).contains("nothing to do"), "{}", stderr(&said));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let node = Node::start(|_| {
        let projects: Vec<_> =
            (0..1000).map(|i| json!({"id": i, "name": "n".repeat(500)})).collect();
        ok(&json!({"total": 1000, "offset": 0, "limit": 1000, "projects": projects}))
    });
    let folder = tempfile::tempdir().unwrap();
    scheduler0(folder.path(), &["credential", "init", "--yes"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_scheduler0"))
        .args(["--server", &node.url, "list", "projects"])
        .current_dir(folder.path())
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let said = child.wait_with_output().unwrap();
    assert_eq!((code(&said), stderr(&said).as_str()), (0, ""));
}

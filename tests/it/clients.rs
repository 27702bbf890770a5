//! Programs that were written for the original, unchanged: one with the published Python client,
//! and one in Go with the bodies of the published Go client.
//!
//! The first needs a Python with the package `scheduler0` (1.2.0 of `PyPI`), named by
//! `SCHEDULER0_CLIENT_PYTHON` (`python3` otherwise), the second `go` (1.19 or later). Without them
//! the tests print that they are skipped, and fail with `CI` set.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{PATIENCE, Receiver, TestCluster};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Whether a command succeeds. Without it the test is skipped, and says so; with `CI` set it fails.
fn is_there(what: &str, command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_there = status.is_ok_and(|status| status.success());
    if !is_there {
        assert!(std::env::var_os("CI").is_none(), "the test needs {what}");
        eprintln!("SKIPPED: the test needs {what}; see tests/it/clients.rs");
    }
    is_there
}

/// Runs a program against a new node; it must print these steps.
async fn run(mut program: Command, steps: &[&str]) {
    let receiver = Receiver::start().await;
    // A second account needs a rule of where jobs may call.
    let settings =
        [("SCHEDULER0_TARGET_POLICY", "public"), ("SCHEDULER0_ALLOWED_TARGETS", "127.0.0.0/8:*")];
    let cluster = TestCluster::start_with(1, &settings).await;
    program
        .env("NODE", cluster.url(1, ""))
        .env("RECEIVER", receiver.url())
        .env("USERNAME", "admin")
        .env("PASSWORD", "admin-password")
        .env("NO_PROXY", "127.0.0.1");
    let program = tokio::process::Command::from(program).kill_on_drop(true).output();
    let output = tokio::time::timeout(3 * PATIENCE, program).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told.lines().collect::<Vec<_>>(), steps);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_the_published_python_client_works_unchanged() {
    let python = std::env::var("SCHEDULER0_CLIENT_PYTHON").unwrap_or_else(|_| "python3".into());
    let check = "import importlib.metadata as m; assert m.version('scheduler0') == '1.2.0'";
    let what = "a Python with the package scheduler0 1.2.0 (SCHEDULER0_CLIENT_PYTHON)";
    if !is_there(what, Command::new(&python).args(["-c", check])) {
        return;
    }
    let mut program = Command::new(python);
    program.arg(folder().join("published.py"));
    let steps = [
        "credentials",
        "projects",
        "executors",
        "jobs",
        "executions",
        "the node",
        "the end of all",
        "accounts",
    ];
    run(program, &steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_the_bodies_of_the_published_go_client_works_unchanged() {
    if !is_there("go 1.19 or later", Command::new("go").arg("version")) {
        return;
    }
    let built = tempfile::tempdir().unwrap();
    let file = built.path().join("client");
    let output = Command::new("go")
        .args(["build", "-buildvcs=false", "-o", file.to_str().unwrap(), "."])
        .current_dir(folder().join("go"))
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .env("GOTOOLCHAIN", "local")
        .env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let steps = [
        "credentials",
        "projects",
        "executors",
        "jobs",
        "executions",
        "the end of all",
        "accounts",
    ];
    run(Command::new(file), &steps).await;
}

//! Runs that are to stop: cancelled, over, unanswered, and at the end of the worker.

use std::path::{Path, PathBuf};

use super::stub::{Fixture, made, run};
use crate::cli::Failure;
use crate::cli::worker::stops::LifeStage;

/// Files by which commands and tests tell each other something.
struct Marks(tempfile::TempDir);

impl Marks {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A script with `DIR` for the folder.
    fn script(&self, text: &str) -> String {
        text.replace("DIR", &self.0.path().display().to_string())
    }
}

/// Waits until the process whose number a file has is gone. One whose parent has not asked for its
/// end is.
async fn is_gone(file: &Path) {
    let id = std::fs::read_to_string(file).unwrap();
    let status = format!("/proc/{}/status", id.trim());
    let is_running = || {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
    };
    while is_running() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_cancelled_command_gets_the_time_to_end() {
    let marks = Marks::new();
    let script = marks.script(
        "trap 'sleep 0.2; touch DIR/cleaned; exit 0' TERM; touch DIR/begun; while :; do sleep 0.05; done",
    );
    let fixture = Fixture::start(&script, 1, vec![run("a", "", "1m")]).await;
    made(&marks.path("begun")).await;
    fixture.stub.set(|known| {
        known.cancel.insert("a".to_owned());
    });
    assert_eq!(fixture.reported("a").await["state"], "cancelled");
    assert!(marks.path("cleaned").exists());
    // Each answer comes at once meanwhile. That is no reason to ask without end.
    let heartbeats = fixture.stub.known().heartbeats.len();
    assert!(heartbeats < 30, "{heartbeats} heartbeats");
}

/// A command that ignores SIGTERM, and a process of its own that does.
#[tokio::test]
async fn a_command_that_does_not_end_is_killed_with_all_its_processes() {
    let marks = Marks::new();
    let script = marks.script(
        "trap '' TERM; sh -c 'echo $$ > DIR/child.new; mv DIR/child.new DIR/child; sleep 600' & wait; sleep 600",
    );
    let fixture = Fixture::start(&script, 1, vec![run("a", "", "1m")]).await;
    made(&marks.path("child")).await;
    fixture.stub.set(|known| {
        known.cancel.insert("a".to_owned());
    });
    assert_eq!(fixture.reported("a").await["state"], "cancelled");
    is_gone(&marks.path("child")).await;
}

#[tokio::test]
async fn a_run_that_is_over_is_stopped_and_not_reported() {
    let marks = Marks::new();
    let script =
        marks.script("cat > DIR/in; [ -s DIR/in ] || exit 0; trap 'touch DIR/told; exit 0' TERM; touch DIR/begun; while :; do sleep 0.05; done");
    let fixture = Fixture::start(&script, 1, vec![run("a", "long", "1m")]).await;
    made(&marks.path("begun")).await;
    fixture.stub.set(|known| {
        known.gone.insert("a".to_owned());
    });
    made(&marks.path("told")).await;
    // The place is free again, and the worker goes on.
    fixture.stub.set(|known| known.offers.push_back(run("b", "", "1m")));
    assert_eq!(fixture.reported("b").await["state"], "completed");
    assert_eq!(fixture.stub.states("a"), Vec::<String>::new());
}

/// The first heartbeat is never answered, and that of a run that was heard before is not any more.
#[tokio::test]
async fn a_run_without_answered_heartbeats_is_killed_and_not_reported() {
    for is_heard in [false, true] {
        let marks = Marks::new();
        let script =
            marks.script("trap '' TERM; echo $$ > DIR/p.new; mv DIR/p.new DIR/p; sleep 600");
        let fixture = Fixture::start_with(&script, 1, &[], |known| {
            known.is_deaf = !is_heard;
            known.offers.push_back(run("a", "", "1s"));
        })
        .await;
        made(&marks.path("p")).await;
        if is_heard {
            fixture.stub.until("heartbeats", |known| known.heartbeats.len() > 3).await;
            fixture.stub.set(|known| known.is_deaf = true);
        }
        is_gone(&marks.path("p")).await;
        // With its nodes back the worker claims again, but has nothing to say about the run.
        fixture.stub.set(|known| {
            known.is_deaf = false;
            known.claims.clear();
        });
        fixture.stub.until("a claim", |known| !known.claims.is_empty()).await;
        assert_eq!(fixture.stub.states("a"), Vec::<String>::new(), "heard: {is_heard}");
    }
}

#[tokio::test]
async fn a_worker_that_stops_waits_for_its_runs() {
    let marks = Marks::new();
    let script =
        marks.script("touch DIR/begun; while [ ! -e DIR/go ]; do sleep 0.05; done; echo ok");
    let mut fixture = Fixture::start(&script, 2, vec![run("a", "", "1m")]).await;
    made(&marks.path("begun")).await;
    fixture.stage.send_replace(LifeStage::Stopping);
    // A claim that comes after that finds nobody who claims.
    fixture
        .stub
        .until("the last claim", |known| {
            known.claims.last().is_some_and(|claim| claim["wait"] == "0ms")
        })
        .await;
    std::fs::write(marks.path("go"), "").unwrap();
    fixture.ended().await.unwrap();
    let known = fixture.stub.known();
    assert_eq!(known.reports.len(), 1);
    assert_eq!(known.reports[0]["result"], "ok");
}

/// The claim was answered while the worker gave it up.
#[tokio::test]
async fn what_a_stopping_worker_is_given_goes_back() {
    let mut fixture = Fixture::start_with("exit 0", 1, &[], |known| {
        known.claim_delay = std::time::Duration::from_hours(1);
        known.offers.push_back(run("a", "", "1m"));
    })
    .await;
    fixture.stub.until("the claim", |known| known.offers.is_empty()).await;
    fixture.stub.set(|known| known.claim_delay = std::time::Duration::ZERO);
    fixture.stage.send_replace(LifeStage::Stopping);
    fixture.ended().await.unwrap();
    assert_eq!(fixture.stub.states("a"), ["released"]);
    let known = fixture.stub.known();
    assert_eq!(known.claims[0]["key"], known.claims[1]["key"]);
}

#[tokio::test]
async fn told_twice_a_worker_kills_its_commands_and_reports_that() {
    let marks = Marks::new();
    let script = marks.script("trap '' TERM; echo $$ > DIR/p.new; mv DIR/p.new DIR/p; sleep 600");
    let mut fixture = Fixture::start(&script, 1, vec![run("a", "", "1m")]).await;
    made(&marks.path("p")).await;
    fixture.stage.send_replace(LifeStage::Killing);
    let error = fixture.ended().await.unwrap_err();
    assert!(error.to_string().contains("killed"), "{error}");
    assert_eq!(Failure::code(&error), 1);
    assert_eq!(fixture.stub.states("a"), ["failed"]);
    is_gone(&marks.path("p")).await;
}

//! What a command gets, and what becomes of what it says.

use super::stub::{Fixture, run};

#[tokio::test]
async fn each_run_is_performed_once_with_its_data_and_variables() {
    let offers = (0..40).map(|n| run(&format!("r{n}"), &format!("data {n}"), "1m")).collect();
    let script = "cat; echo \" $S0_EXECUTION_ID $S0_RUN_ID $S0_ATTEMPT $S0_WORKER_ID\"";
    let fixture = Fixture::start(script, 4, offers).await;
    for n in 0..40 {
        let report = fixture.reported(&format!("r{n}")).await;
        assert_eq!((&report["state"], &report["attempt"]), (&"completed".into(), &1.into()));
        let id = format!("r{n}");
        assert_eq!(report["result"], format!("data {n} {id} {id:0>24} 1 w 1"));
    }
    let known = fixture.stub.known();
    assert_eq!(known.reports.len(), 40);
    // No claim asks for more than can begin.
    assert!(known.claims.iter().all(|claim| (1..=4).contains(&claim["max"].as_u64().unwrap())));
    assert_eq!(known.claims[0]["queues"], serde_json::json!(["emails"]));
    assert_eq!(
        (&known.claims[0]["workerId"], &known.claims[0]["order"]),
        (&"w 1".into(), &"fair".into())
    );
}

#[tokio::test]
async fn a_failure_says_its_exit_code_and_the_last_of_its_standard_error() {
    let script = "echo out; echo progress 40 text >&2; seq 1 500 >&2; echo the end >&2; exit 3";
    let fixture = Fixture::start(script, 1, vec![run("a", "", "1m")]).await;
    let report = fixture.reported("a").await;
    let error = report["error"].as_str().unwrap();
    assert_eq!((&report["state"], report.get("result")), (&"failed".into(), None));
    assert!(error.starts_with("exit code 3: ") && error.ends_with("500\nthe end"), "{error}");
    assert!(!error.contains("progress"), "{error}");
}

#[tokio::test]
async fn progress_is_in_the_heartbeats() {
    let script = "echo progress 40 copying >&2; while [ ! -e \"$(cat)\" ]; do sleep 0.05; done";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    // The script reads its data once: the name of the file that it waits for.
    let script = script.replace("$(cat)", &file.display().to_string());
    let fixture = Fixture::start(&script, 1, vec![run("a", "", "1m")]).await;
    let told = |known: &super::stub::Known| {
        let runs = known.heartbeats.iter().filter_map(|beat| beat["runs"].as_array());
        runs.flatten().any(|run| run["progress"] == 40 && run["message"] == "copying")
    };
    fixture.stub.until("progress", told).await;
    std::fs::write(&file, "").unwrap();
    assert_eq!(fixture.reported("a").await["state"], "completed");
}

/// A command that does not read its input, and one that leaves a process behind which keeps its
/// output open, have ended when they have ended.
#[tokio::test]
async fn neither_unread_input_nor_a_process_left_behind_delays_the_end() {
    let script = "sleep 600 & echo left $! && exit 0";
    let data = "x".repeat(1 << 20);
    let fixture = Fixture::start(script, 1, vec![run("a", &data, "1m")]).await;
    let report = fixture.reported("a").await;
    let result = report["result"].as_str().unwrap();
    let left = result.strip_prefix("left ").unwrap().parse().unwrap();
    // It still runs: the worker kills what is left only where the run was to stop.
    let left = rustix::process::Pid::from_raw(left).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    assert_eq!(report["state"], "completed");
}

#[tokio::test]
async fn output_without_end_is_read_and_bounded() {
    let script = "head -c 5000000 /dev/zero | tr '\\0' x; head -c 5000000 /dev/zero >&2; exit 1";
    let fixture = Fixture::start(script, 1, vec![run("a", "", "1m")]).await;
    let report = fixture.reported("a").await;
    assert!(report["error"].as_str().unwrap().len() <= crate::model::attempt::MAX_ERROR);
    let script = "head -c 5000000 /dev/zero | tr '\\0' x";
    let fixture = Fixture::start(script, 1, vec![run("a", "", "1m")]).await;
    let report = fixture.reported("a").await;
    assert_eq!(report["result"].as_str().unwrap().len(), crate::model::attempt::MAX_RESPONSE);
}

#[tokio::test]
async fn runs_are_shown_to_programs_and_what_commands_say_to_people() {
    let script = "echo 'a \u{1b}[2J b' >&2; echo progress 1 >&2; echo ok";
    let fixture = Fixture::start(script, 1, vec![run("a", "", "1m")]).await;
    fixture.reported("a").await;
    let (talk, events) = fixture.written();
    let id = format!("{:0>24}", "a");
    let lines: Vec<_> = talk.lines().skip(1).collect();
    assert_eq!(lines, [format!("{id}: a \\u{{1b}}[2J b")], "{talk}");
    let events: Vec<serde_json::Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&events[0]["event"], &events[0]["jobId"]), (&"begun".into(), &7.into()));
    assert_eq!((&events[1]["event"], &events[1]["runId"]), (&"ended".into(), &id.into()));
    assert_eq!((&events[1]["state"], &events[1]["result"]), (&"completed".into(), &"ok".into()));
    assert_eq!(events.len(), 2);
}

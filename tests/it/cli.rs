//! The command line as people and scripts use it: the real binary in an empty folder, against a
//! small server that answers as a node would and remembers what it was asked.

mod dev;
mod fake;
mod first_steps;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use axum::http::Method;
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
fn config_init_writes_what_was_answered_and_never_overwrites_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    let said = with_input(folder.path(), &["config", "init"], "7\n\n\n9191\n/srv/s0\n");
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let text = fs::read_to_string(&file).unwrap();
    for line in
        ["NodeId: 7", "# Host: 127.0.0.1", "Port: 9191", "DataDir: /srv/s0", "# MaxWorkers: 64"]
    {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
    let said = scheduler0(folder.path(), &["config", "init", "--yes"]);
    assert_eq!(code(&said), 2, "as credential init and backup say it");
    assert!(stderr(&said).contains("--force"), "{}", stderr(&said));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    fs::write(&file, "RaftAddress: 127.0.0.1:7072\nMaxQueue: 3\n").unwrap();
    let said = scheduler0(folder.path(), &["config", "init", "--yes", "--force", "--port", "1"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let text = fs::read_to_string(&file).unwrap();
    let keys: Vec<_> =
        text.lines().filter(|l| !l.is_empty() && !l.starts_with(['#', ' '])).collect();
    assert_eq!(keys, ["Port: 1"], "nothing of the old file is left");
}

#[test]
fn config_init_asks_for_no_port_that_the_list_of_nodes_has() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = "1,http://127.0.0.1:9091,127.0.0.1:7071 2,http://127.0.0.1:9092,127.0.0.1:7072";
    let answers = format!("2\n{nodes}\n\n./two\n");
    let said = with_input(folder.path(), &["config", "init"], &answers);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let text = fs::read_to_string(folder.path().join("config.yml")).unwrap();
    for line in ["NodeId: 2", "Port: 9092", "Bootstrap: false", "DataDir: ./two"] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
}

#[test]
fn config_init_gives_each_node_of_a_list_its_own_port_and_one_of_them_the_founding() {
    for (id, port, bootstrap) in [(3, 9093, "false"), (2, 9092, "true"), (5, 80, "false")] {
        let folder = tempfile::tempdir().unwrap();
        let said = scheduler0(
            folder.path(),
            &[
                "config",
                "init",
                "--yes",
                "--node-id",
                &id.to_string(),
                "--replica",
                "3,http://127.0.0.1:9093,127.0.0.1:7073",
                "--replica",
                "2,http://127.0.0.1:9092,127.0.0.1:7072",
                "--replica",
                "5,http://node5,node5:7071",
            ],
        );
        assert_eq!(code(&said), 0, "{}", stderr(&said));
        let text = fs::read_to_string(folder.path().join("config.yml")).unwrap();
        assert!(text.contains("\"NodeId\":3"), "a number: {text}");
        let said = scheduler0(folder.path(), &["config", "show", "--json"]);
        assert_eq!(code(&said), 0, "{}", stderr(&said));
        let shown: Value = serde_json::from_str(&stdout(&said)).unwrap();
        let settings = shown["data"]["settings"].as_array().unwrap();
        let of = |key: &str| settings.iter().find(|s| s["key"] == key).unwrap()["value"].clone();
        assert_eq!((of("Port"), of("Bootstrap").to_string()), (json!(port), bootstrap.to_owned()));
        assert_eq!((of("NodeId"), of("Replicas").as_array().unwrap().len()), (json!(id), 3));
        assert_eq!(
            of("RaftAddress"),
            json!(format!(
                "{}:707{}",
                if id == 5 { "node5" } else { "127.0.0.1" },
                if id == 5 { 1 } else { id }
            ))
        );
    }
}

#[test]
fn config_show_and_check_say_what_a_node_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let said = scheduler0(folder.path(), &["config", "check"]);
    assert_eq!(code(&said), 2, "no secrets");
    assert!(stderr(&said).contains("SecretKey is not set"), "{}", stderr(&said));
    let made = scheduler0(
        folder.path(),
        &["credential", "init", "--generate", "--username", "op", "--password", "hunter2-hunter2-"],
    );
    assert_eq!(code(&made), 0);
    let said = scheduler0(folder.path(), &["config", "check", "--json"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let said = scheduler0(folder.path(), &["config", "show", "-o", "table", "--set", "Port=1"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let table = stdout(&said);
    let row = |key: &str| table.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(row("Port").contains("from a flag"), "{table}");
    assert!(row("AuthPassword").contains("(set)") && row("AuthPassword").contains(".scheduler0"));
    assert!(!table.contains("hunter2"), "{table}");
    fs::write(folder.path().join("config.yml"), "Prot: 1").unwrap();
    for command in ["check", "show"] {
        let said = scheduler0(folder.path(), &["config", command]);
        assert_eq!(code(&said), 2);
        assert!(stderr(&said).contains("did you mean Port?"), "{}", stderr(&said));
    }
}

#[test]
fn config_init_refuses_what_a_node_could_not_start_with() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, part) in [
        (&["--port", "many"][..], "Port (from a flag)"),
        (&["--set", "Prot=1"], "did you mean Port?"),
        (&["--replica", "2,http://a:1,a:2"], "Replicas"),
        (&["--replica", "nonsense"], "ID,ADDRESS,RAFT_ADDRESS"),
    ] {
        let mut arguments = vec!["config", "init", "--yes"];
        arguments.extend(flags);
        let said = scheduler0(folder.path(), &arguments);
        assert_eq!(code(&said), 2, "{flags:?}");
        assert!(stderr(&said).contains(part), "{flags:?}: {}", stderr(&said));
    }
    let said = scheduler0(folder.path(), &["config", "init"]);
    assert_eq!(code(&said), 2, "stdin at its end is no answer");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn credential_init_writes_a_private_file_and_show_reveals_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".scheduler0");
    let said = with_input(folder.path(), &["credential", "init"], "ops\ns3cret-word-of-ops\n\n");
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let stored: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        (stored["authUsername"].as_str(), stored["authPassword"].as_str()),
        (Some("ops"), Some("s3cret-word-of-ops"))
    );
    assert_eq!(stored["secretKey"].as_str().unwrap().len(), 64);
    assert!(
        !stderr(&said).contains("s3cret-word-of-ops")
            && !stdout(&said).contains("s3cret-word-of-ops")
    );

    let said = scheduler0(folder.path(), &["credential", "show", "-o", "table"]);
    assert!(stdout(&said).contains("ops") && !stdout(&said).contains("s3cret-word-of-ops"));
    let said = scheduler0(folder.path(), &["credential", "show", "--reveal", "--json"]);
    let shown: Value = serde_json::from_str(&stdout(&said)).unwrap();
    assert_eq!(
        (&shown["authPassword"], &shown["secretKey"]),
        (&stored["authPassword"], &stored["secretKey"])
    );

    let said = scheduler0(folder.path(), &["credential", "init", "--generate"]);
    assert_eq!(code(&said), 2);
    assert!(stderr(&said).contains("--force"), "{}", stderr(&said));
    let short = ["credential", "init", "--force", "--generate", "--password", "hunter2"];
    let said = scheduler0(folder.path(), &short);
    assert_eq!(code(&said), 2);
    assert!(stderr(&said).contains("AuthPassword has 7 characters"), "{}", stderr(&said));
    assert!(!stderr(&said).contains("hunter2"), "{}", stderr(&said));
    let said = scheduler0(
        folder.path(),
        &["credential", "init", "--force", "--generate", "--secret-key", "abc"],
    );
    assert_eq!(code(&said), 2);
    assert!(stderr(&said).contains("SecretKey must be 64 hex"), "{}", stderr(&said));
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap(), stored);
}

#[test]
fn the_nodes_warnings_go_to_stderr() {
    let node = Node::start(|_| {
        let warnings = ["unknown fields were ignored: retries", "job spec \u{1b}[2J"];
        (201, json!({"data": [{"id": 4}], "success": true, "warnings": warnings}))
    });
    let job = ["create", "job", "--project", "1", "--spec", "@daily", "--url", "http://x"];
    let said = node.run(&[&job[..], &["--timezone", "UTC"]].concat());
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let lines = "warning: unknown fields were ignored: retries\nwarning: job spec \\u{1b}[2J\n";
    assert_eq!(stderr(&said), lines);
    assert_eq!(stdout(&said), "ID\n4\n");
}

#[test]
fn executions_are_listed_by_the_apis_own_words() {
    let node = Node::start(|_| ok(&json!({"total": 0, "executions": []})));
    for (state, until, wanted) in [
        ("dead", "--until", "dead"),
        ("delivered", "--until", "delivered"),
        ("success", "--to", "delivered"),
        ("failed", "--to", "failed"),
        ("scheduled", "--until", "scheduled"),
    ] {
        let (from, to) = ("2026-01-01", "2026-01-02");
        let asked = ["list", "executions", "--state", state, "--from", from, until, to];
        let said = node.run(&asked);
        assert_eq!(code(&said), 0, "{}", stderr(&said));
        let uri = node.last().uri.to_string();
        let query = format!("state={wanted}&from={from}&until={to}&limit=50");
        assert!(uri.contains(&query), "{uri}");
    }
}

#[test]
fn create_credential_prints_exactly_the_envelope_in_both_casings() {
    let node = Node::start(|_| {
        let pair = json!({"id": 4, "apiKey": "s0_k", "apiSecret": "hush"});
        (201, json!({"data": pair, "success": true}))
    });
    for arguments in [&["create", "credential", "--json"][..], &["create", "credential"]] {
        let said = node.run(arguments);
        assert_eq!(code(&said), 0, "{}", stderr(&said));
        let envelope: Value = serde_json::from_str(&stdout(&said)).unwrap();
        let pair = json!({
            "id": 4, "apiKey": "s0_k", "api_key": "s0_k", "apiSecret": "hush", "api_secret": "hush",
        });
        assert_eq!(envelope, json!({"data": pair, "success": true}));
    }
    let asked = node.last();
    assert_eq!((asked.method, asked.uri.path()), (Method::POST, "/api/v1/credentials"));
    assert_eq!(asked.headers["x-peer"], "cmd");
    assert_eq!(asked.headers["authorization"], "Basic b3A6cHc=");
    let said = node.run(&["create", "credential", "-o", "table"]);
    assert!(stdout(&said).contains("s0_k") && stdout(&said).contains("hush"));
    assert!(!stderr(&said).contains("hush"));
}

#[test]
fn a_job_is_created_from_flags() {
    let node = Node::start(|asked| {
        let mut job = asked.body[0].clone();
        job["id"] = 9.into();
        (201, json!({"data": [job], "success": true}))
    });
    let said = node.run(&[
        "create",
        "job",
        "--project",
        "1",
        "--spec",
        "@every 5s",
        "--url",
        "http://x/y",
        "--data",
        "{\"a\":1}",
        "-o",
        "table",
    ]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let table = stdout(&said);
    assert!(table.starts_with("ID") && table.contains("@every 5s"), "{table}");
    let asked = node.last();
    assert_eq!(asked.headers["prefer"], "return=representation");
    assert_eq!(asked.body[0]["projectId"], 1);
    assert_eq!(
        (&asked.body[0]["timezone"], &asked.body[0]["data"]),
        (&json!("UTC"), &json!("{\"a\":1}"))
    );
    let default = "timezone UTC, by default: --timezone names another\n";
    assert!(stderr(&said).contains(default), "{}", stderr(&said));
    for (spec, zone) in
        [("@daily", &["--timezone", "Asia/Tokyo"][..]), ("TZ=Asia/Tokyo @daily", &[])]
    {
        let job = ["create", "job", "--project", "1", "--url", "http://x/y", "--spec", spec];
        let said = node.run(&[&job[..], zone].concat());
        assert!(!stderr(&said).contains("by default"), "{}", stderr(&said));
    }
}

#[test]
fn lists_are_tables_or_the_envelope_as_it_came() {
    let node = Node::start(|_| {
        let job = json!({"id": 3, "projectId": 1, "spec": "@daily", "status": "active"});
        ok(&json!({"total": 120, "offset": 0, "limit": 50, "jobs": [job]}))
    });
    let said =
        node.run(&["list", "jobs", "--project", "1", "--order-by", "id", "--desc", "-o", "table"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert!(stdout(&said).contains("@daily") && stderr(&said).contains("--offset 1"));
    let query = node.last_at("/api/v1/jobs").uri.query().unwrap().to_owned();
    assert_eq!(query, "projectId=1&limit=50&offset=0&orderBy=id&orderByDirection=desc");
    // Text in a pipe stays text: JSON is for those who ask for it.
    assert!(stdout(&node.run(&["list", "jobs"])).starts_with("ID"));
    let said = node.run(&["list", "jobs", "--json"]);
    let envelope: Value = serde_json::from_str(&stdout(&said)).unwrap();
    assert_eq!(envelope["data"]["total"], 120);
    assert_eq!(stderr(&said), "");
}

#[test]
fn things_are_deleted_one_by_one() {
    let node = Node::start(|asked| {
        let gone = asked.uri.path().ends_with("/3");
        let missing = json!({"data": "job cannot be found", "success": false});
        if gone { (404, missing) } else { (204, Value::Null) }
    });
    let said = node.run(&["delete", "job", "1", "2"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert_eq!(
        (node.last().method, node.last().uri.path().to_owned()),
        (Method::DELETE, "/api/v1/jobs/2".into())
    );
    let said = node.run(&["delete", "job", "3"]);
    assert_eq!(code(&said), 3);
    assert!(stderr(&said).contains("job cannot be found (HTTP 404)"), "{}", stderr(&said));
    let said = node.run(&["delete", "project", "1", "--cascade"]);
    assert_eq!(code(&said), 2, "a cascade is asked about, and nobody answers");
    let said = node.run(&["delete", "project", "1", "--cascade", "--yes"]);
    assert_eq!(code(&said), 0);
    assert_eq!(node.last().uri.query(), Some("cascade=true"));
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
fn checksums_that_differ_are_a_failure() {
    let node = Node::start(|_| {
        ok(&json!({"index": 9, "nodes": [{"id": 1, "hash": "aa"}, {"id": 2, "hash": "aa"}]}))
    });
    let said = node.run(&["cluster", "checksum", "-o", "table"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert_eq!(node.last().uri.path(), "/api/v1/cluster/checksum");
    let node = Node::start(|_| {
        ok(&json!({"index": 9, "nodes": [{"id": 1, "hash": "aa"}, {"id": 2, "hash": "ab"}]}))
    });
    assert_eq!(code(&node.run(&["cluster", "checksum"])), 1);
    let node = Node::start(|_| {
        ok(&json!({"index": 9, "nodes": [{"id": 1, "hash": "aa"}, {"id": 2, "error": "down"}]}))
    });
    let said = node.run(&["cluster", "checksum"]);
    assert_eq!(code(&said), 1);
    assert!(stderr(&said).contains("1 of 2 nodes did not answer"), "{}", stderr(&said));
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

#[test]
fn where_a_node_is_down_the_next_of_the_cluster_is_asked() {
    let node = Node::start(|_| ok(&json!({"total": 0, "offset": 0, "limit": 10, "projects": []})));
    let folder = tempfile::tempdir().unwrap();
    scheduler0(folder.path(), &["credential", "init", "--yes"]);
    // Nobody listens on these ports.
    let replicas = json!([
        {"nodeId": 1, "address": "http://127.0.0.1:1", "raft_address": "127.0.0.1:5"},
        {"nodeId": 2, "address": "http://127.0.0.1:2", "raft_address": "127.0.0.1:3"},
        {"nodeId": 3, "address": node.url, "raft_address": "127.0.0.1:4"},
    ]);
    let run = |arguments: &[&str]| {
        let said = Command::new(env!("CARGO_BIN_EXE_scheduler0"))
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env("SCHEDULER0_REPLICAS", replicas.to_string())
            .env("SCHEDULER0_NODE_ID", "1")
            .env("SCHEDULER0_PORT", "1")
            .output();
        said.unwrap()
    };
    let said = run(&["list", "projects"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert!(stderr(&said).contains(&format!("asking {}", node.url)), "{}", stderr(&said));
    assert_eq!(node.count(&Method::GET, "/api/v1/projects"), 1);
    // Who names a node means that one.
    let said = run(&["list", "projects", "--server", "http://127.0.0.1:1"]);
    assert_eq!(code(&said), 4, "{}", stderr(&said));
}

#[test]
fn next_needs_no_node_and_no_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["next", "30 2 * * *", "--timezone", "Europe/Berlin", "--count", "2", "--from"];
    let said =
        scheduler0(folder.path(), &[&arguments[..], &["2026-03-28T00:00", "--json"]].concat());
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let answer: Value = serde_json::from_str(&stdout(&said)).unwrap();
    assert_eq!(answer["occurrences"][0]["utc"], "2026-03-28T01:30:00Z");
    assert_eq!(answer["occurrences"][1]["utc"], "2026-03-29T01:00:00Z");
    assert_eq!(answer["occurrences"][1]["dst"], "moved");
    let said =
        scheduler0(folder.path(), &[&arguments[..], &["2026-03-28T00:00", "-o", "table"]].concat());
    assert!(stdout(&said).contains("2026-03-29T03:00:00+02:00"), "{}", stdout(&said));
    for (arguments, part) in [
        (&["next", "61 * * * *"][..], "minute"),
        (&["next", "@daily", "--timezone", "Mars/Base"], "--timezone"),
        (&["next", "@daily", "--from", "soon"], "--from"),
        (&["next", "@every 0s"], "it is zero"),
    ] {
        let said = scheduler0(folder.path(), arguments);
        assert_eq!(code(&said), 2, "{arguments:?}");
        assert!(stderr(&said).contains(part), "{arguments:?}: {}", stderr(&said));
    }
    let said = with_input(
        folder.path(),
        &["next", "--ndjson"],
        "{\"spec\":\"@hourly\",\"from\":\"2026-01-01T00:00:00Z\"}\n",
    );
    assert_eq!(stdout(&said), "{\"next\":[\"2026-01-01T01:00:00Z\"]}\n");
    assert_eq!(code(&said), 0);
}

#[test]
fn next_is_a_lint_that_fails_where_a_line_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "{\"spec\":\"@hourly\"}\n{\"spec\":\"@daily\",\"zone\":\"UTC\"}\n";
    let said = with_input(folder.path(), &["next", "--ndjson"], lines);
    assert_eq!(code(&said), 1, "{}", stdout(&said));
    assert!(stderr(&said).contains("1 of 2 lines is wrong: 2"), "{}", stderr(&said));
    assert!(stdout(&said).lines().nth(1).unwrap().contains("\"line\":2"), "{}", stdout(&said));

    let file = folder.path().join("crontab");
    let crontab = "# jobs\nCRON_TZ=Asia/Tokyo\n\n0 9 * * MON-FRI report\n";
    fs::write(&file, crontab).unwrap();
    let arguments = ["next", "--crontab", "crontab", "--from", "2026-01-01T00:00:00Z"];
    let said = scheduler0(folder.path(), &[&arguments[..], &["--json"]].concat());
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let one: Value = serde_json::from_str(&stdout(&said)).unwrap();
    assert_eq!((&one["line"], &one["command"]), (&json!(4), &json!("report")));
    assert_eq!(one["next"], json!(["2026-01-02T00:00:00Z"]));
    let said = scheduler0(folder.path(), &[&arguments[..], &["-o", "table"]].concat());
    assert!(stdout(&said).contains("Fri   2026-01-02T09:00:00+09:00  report"), "{}", stdout(&said));

    fs::write(&file, format!("{crontab}0 9 * * MON, report\n")).unwrap();
    for form in ["table", "json"] {
        let said = scheduler0(folder.path(), &[&arguments[..], &["-o", form]].concat());
        assert_eq!(code(&said), 1, "{form}");
        assert!(stderr(&said).contains("1 of 5 lines is wrong: 5"), "{}", stderr(&said));
    }
    let said = with_input(folder.path(), &["next", "--crontab", "-"], "@daily x\n");
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert_eq!(code(&scheduler0(folder.path(), &["next", "--crontab", "nowhere"])), 1);
}

#[test]
fn secrets_that_can_be_guessed_or_read_are_refused_before_a_node_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".scheduler0");
    let short = ["credential", "init", "--generate", "--weak", "--password", "hunter2"];
    assert_eq!(code(&scheduler0(folder.path(), &short)), 0);
    for command in [&["start", "--port", "0"][..], &["dev", "--port", "0"], &["config", "check"]] {
        let said = scheduler0(folder.path(), command);
        assert_eq!(code(&said), 2, "{command:?}");
        for part in ["AuthPassword has 7 characters", "16 or more", "--weak"] {
            assert!(stderr(&said).contains(part), "{command:?}: {}", stderr(&said));
        }
        assert!(!stderr(&said).contains("hunter2"), "{}", stderr(&said));
    }
    let said = scheduler0(folder.path(), &["config", "check", "--weak"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));

    let repeated = "00".repeat(32);
    let placeholder = ["credential", "init", "--force", "--generate", "--secret-key", &repeated];
    let said = scheduler0(folder.path(), &placeholder);
    assert_eq!(code(&said), 2);
    assert!(stderr(&said).contains("SecretKey is one byte"), "{}", stderr(&said));

    let made = scheduler0(folder.path(), &["credential", "init", "--force", "--generate"]);
    assert_eq!(code(&made), 0);
    assert_eq!(code(&scheduler0(folder.path(), &["config", "check"])), 0);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    for command in
        [&["config", "check"][..], &["start", "--port", "0"], &["status"], &["credential", "show"]]
    {
        let said = scheduler0(folder.path(), command);
        assert_eq!(code(&said), 2, "{command:?}: {}", stderr(&said));
        for part in [".scheduler0", "0644", "chmod 600", "--insecure"] {
            assert!(stderr(&said).contains(part), "{command:?}: {}", stderr(&said));
        }
    }
    let said = scheduler0(folder.path(), &["config", "check", "--insecure"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let said =
        scheduler0(folder.path(), &["config", "init", "--yes", "--set", "AuthPassword=hunter2"]);
    assert_eq!(code(&said), 2, "{}", stderr(&said));
}

#[test]
fn what_a_server_says_is_written_out_in_errors_and_lists() {
    const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}fdp\u{2028}\u{200b}";
    let node = Node::start(|_| (409, json!({"data": HOSTILE, "success": false})));
    let said = node.run(&["list", "projects"]);
    assert_eq!(code(&said), 3);
    let written = "\\u{1b}]0;owned\\u{7}\\u{9b}2J\\u{202e}fdp\\u{2028}\\u{200b}";
    assert_eq!(stderr(&said), format!("error: the node refused: {written} (HTTP 409)\n"));
    let node = Node::start(|_| {
        ok(&json!({"total": 1, "projects": [{"id": 1, "name": HOSTILE, "description": "d"}]}))
    });
    let table = stdout(&node.run(&["list", "projects"]));
    assert!(table.contains(written) && !table.contains('\u{1b}'), "{table}");
    let text = stdout(&node.run(&["list", "projects", "--json"]));
    assert!(!text.contains(['\u{9b}', '\u{202e}', '\u{2028}', '\u{200b}']), "{text}");
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["data"]["projects"][0]["name"], HOSTILE, "the same to a program");
}

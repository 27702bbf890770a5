//! Formats on disk: what each earlier version wrote is opened, and a newer version is refused. For
//! each version that was ever written, `tests/fixtures/formats/` has data folders of real nodes,
//! which the present program opens and shows as they were.
//!
//! ```text
//!   v1/node        a node's folder after SIGKILL: log from the beginning, journal, state
//!   v1/restored    a folder that began with a backup: state, snapshot, and a log purged before it
//!   v1/backup.sql  the backup          v1/facts.json  the answers of the API
//! ```
//! State, snapshot and backup are SQLite files and kept as SQL, which is readable and small; other
//! files are kept byte by byte. A folder is never changed: a change of a format adds the next one
//! (`cargo test --test it formats::written -- --ignored`).

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use rusqlite::Connection;
use scheduler0::command::{Command, LEVEL, Proposal};
use serde_json::{Value, json};

use crate::backup::WITHOUT_HASH;
use crate::harness::{PATIENCE, Receiver, TestCluster, client_of};

/// Retention longer than the fixtures are old.
const SETTINGS: [(&str, &str); 2] =
    [("SCHEDULER0_HISTORY_MAX_DAYS", "36500"), ("SCHEDULER0_DEAD_LETTERS_MAX_DAYS", "36500")];
/// A hundred years, in milliseconds.
const CENTURY: i64 = 3_155_760_000_000;
/// The start date of the jobs: nothing is due before it.
const FAR: &str = "2120-01-01T00:00:00Z";

/// A change of a file; it returns the file.
type Change<'a> = Box<dyn Fn() -> PathBuf + 'a>;

fn versions() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
    let mut found: Vec<_> = fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    found.sort();
    found
}

/// A database as SQL.
fn dump(file: &Path) -> String {
    let conn = Connection::open(file).unwrap();
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let mut lines = vec![format!("PRAGMA user_version = {version}")];
    let named = |kind: &str| -> Vec<(String, String)> {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE type = ?1 AND sql IS NOT NULL
                   ORDER BY rowid";
        let mut select = conn.prepare(sql).unwrap();
        let rows = select.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    for (table, sql) in named("table") {
        lines.push(sql);
        let columns: Vec<String> = conn
            .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))
            .unwrap()
            .query_map([], |row| row.get::<_, String>(0).map(|name| format!("quote({name})")))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let line = columns.join(" || ',' || ");
        let mut select = conn.prepare(&format!("SELECT {line} FROM {table}")).unwrap();
        let rows = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
        for row in rows {
            lines.push(format!("INSERT INTO {table} VALUES({})", row.unwrap()));
        }
    }
    for (_, sql) in named("index") {
        lines.push(sql);
    }
    lines.join(";\n") + ";\n"
}

/// SQL as a database.
fn load(sql: &Path, file: &Path) {
    let conn = Connection::open(file).unwrap();
    let text = fs::read_to_string(sql).unwrap();
    conn.execute_batch(&format!("BEGIN;\n{text}COMMIT;")).unwrap();
}

/// Keeps a data folder that no node has open.
fn keep(data: &Path, to: &Path) {
    for entry in fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match name.as_str() {
            "state.db" => write(&to.join("state.sql"), dump(&path).as_bytes()),
            "identity" => write(&to.join(name), &fs::read(&path).unwrap()),
            "raft" | "journal" | "snapshots" => {
                for file in fs::read_dir(&path).unwrap() {
                    let file = file.unwrap().path();
                    let inner = file.file_name().unwrap().to_str().unwrap();
                    if file.extension().is_some_and(|e| e == "db") {
                        write(&to.join(&name).join(format!("{inner}.sql")), dump(&file).as_bytes());
                        continue;
                    }
                    // A journal preallocates space: the unused part is zeros.
                    let mut bytes = fs::read(&file).unwrap();
                    while name == "journal" && bytes.len() > 64 && bytes.ends_with(&[0; 8]) {
                        bytes.truncate(bytes.len() - 8);
                    }
                    write(&to.join(&name).join(inner), &bytes);
                }
            }
            _ => {}
        }
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Writes a kept folder as a node's data folder.
fn lay_out(kept: &Path, data: &Path) {
    for entry in fs::read_dir(kept).unwrap() {
        let path = entry.unwrap().path();
        let to = data.join(path.file_name().unwrap());
        fs::create_dir_all(data).unwrap();
        if path.is_dir() {
            lay_out(&path, &to);
        } else if to.extension().is_some_and(|e| e == "sql") {
            let file = to.with_extension("");
            let state = file.file_name().is_some_and(|name| name == "state");
            load(&path, &if state { file.with_extension("db") } else { file });
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// The part of the state that does not change by itself, as the API shows it.
async fn facts(cluster: &TestCluster) -> Value {
    let mut found = serde_json::Map::new();
    for path in [
        "projects",
        "executors",
        "credentials",
        "jobs?limit=100&orderBy=id&orderByDirection=asc",
        "executions?limit=100&orderBy=id&orderByDirection=asc",
        "dead-letters?limit=100",
    ] {
        let page = cluster.get(1, &format!("/api/v1/{path}")).await;
        found.insert(path.split('?').next().unwrap().to_owned(), page);
    }
    found.into()
}

/// Fills a node with records of each kind.
async fn fill(cluster: &TestCluster, receiver: &Receiver) {
    receiver.script(|request| match request.path.as_str() {
        "/long" => Some((StatusCode::ACCEPTED, [("scheduler-async", "true")]).into_response()),
        "/broken" => Some(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
        _ => None,
    });
    let post = async |path: &str, body: Value| {
        let (status, body) = cluster.post(1, &format!("/api/v1/{path}"), &body).await;
        assert!((200..300).contains(&status), "{path}: {status} {body}");
        body["data"].clone()
    };
    let project = cluster.project(1, "kept").await;
    let paused = cluster.project(1, "paused").await;
    post(&format!("projects/{paused}/pause"), json!({})).await;
    let executor = post(
        "executors",
        json!({"name": "crm", "webhookUrl": receiver.url(), "webhookSecret": "not a secret at all",
            "maxConcurrency": 4}),
    );
    let executor = executor.await["id"].clone();
    let broker = json!({"url": "amqp://me:not a secret@mq.example:5673/shop".replace(' ', "%20"),
        "exchange": "orders", "routingKey": "new.{{jobId}}", "priority": 3, "expiration": "1h",
        "headers": {"x_team": "red", "x-delay": 5}, "declare": {"type": "topic"}});
    let messages = json!({"name": "mq", "type": "amqp", "amqp": broker, "ratePerSecond": 9});
    let messages = post("executors", messages).await["id"].clone();
    let made = post("credentials", json!({})).await;
    let text = |name: &str| made[name].as_str().unwrap();
    let client = client_of(&[("x-api-key", text("apiKey")), ("x-secret-key", text("apiSecret"))]);
    let below = client.post(cluster.url(1, "/api/v1/credentials")).json(&json!({})).send().await;
    assert_eq!(below.unwrap().status().as_u16(), 201);
    let archived = post("credentials", json!({})).await["id"].clone();
    post(&format!("credentials/{archived}/archive"), json!({"archivedBy": "somebody"})).await;
    let job = |more: Value| {
        let mut job = json!({"projectId": project, "timezone": "Europe/Berlin", "startDate": FAR,
            "data": "{\"ä\": 1}"});
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        job
    };
    let url = receiver.url();
    let jobs = json!([
        job(json!({"spec": "@every 90s", "callbackUrl": url, "externalId": "mine"})),
        job(json!({"spec": "30 9 * * 1-5", "executorId": executor, "labels": {"team": "red"}})),
        job(json!({"spec": "0 0 4 L * *", "callbackUrl": url, "jitter": "20s", "retryMax": 2,
            "misfire": {"policy": "all", "max": 3}})),
        job(json!({"spec": "@daily", "overlap": "skip",
            "http": {"url": receiver.at("/long"), "method": "PUT", "body": "{{data}}"}})),
        job(json!({"spec": "@weekly", "http": {"url": receiver.at("/broken")}, "retryMax": 0})),
        job(json!({"spec": "@monthly", "callbackUrl": url, "status": "inactive"})),
        job(json!({"spec": "@yearly", "callbackUrl": url})),
        job(json!({"spec": "@weekly", "amqp": broker})),
        job(json!({"spec": "@weekly", "executorId": messages,
            "message": {"routingKey": "late", "headers": {"y_team": [1, null]}}})),
    ]);
    let made = cluster.jobs(1, &jobs).await;
    let id = |n: usize| made[n]["id"].as_u64().unwrap();
    cluster
        .jobs(
            1,
            &json!([{"projectId": paused, "timezone": "UTC", "at": "2130-06-01T12:00:00Z",
            "callbackUrl": url, "data": "once"}]),
        )
        .await;
    let edit = cluster.http().patch(cluster.url(1, &format!("/api/v1/jobs/{}", id(0))));
    let edited = edit.json(&json!({"spec": "@every 2m", "data": "new"})).send().await.unwrap();
    assert_eq!(edited.status().as_u16(), 200);
    let gone = cluster.url(1, &format!("/api/v1/jobs/{}", id(6)));
    let gone = cluster.http().delete(gone).send().await.unwrap();
    assert_eq!(gone.status().as_u16(), 204);
    for n in [0, 1, 3, 4] {
        post(&format!("jobs/{}/run", id(n)), json!({})).await;
    }
    cluster
        .wait_until("all runs are recorded", async |cluster: &TestCluster| {
            let page = cluster.get(1, "/api/v1/executions?limit=100").await;
            (page["executions"].as_array()?.len() >= 4).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes the next folder of fixtures: after a change of a format"]
async fn written() {
    let number = versions().len() + 1;
    let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
    let to = to.join(format!("v{number}"));
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start_with(1, &SETTINGS).await;
    fill(&cluster, &receiver).await;
    let facts = facts(&cluster).await;
    write(&to.join("facts.json"), format!("{facts:#}\n").as_bytes());
    let file = cluster.folder().join("backup.db");
    let backup = cluster.command(1).args(["backup", file.to_str().unwrap()]).output().unwrap();
    assert!(backup.status.success());
    // A file that is made from SQL again has other bytes, so the form without a hash is kept.
    let kept = cluster.folder().join("kept.db");
    fs::copy(&file, &kept).unwrap();
    Connection::open(&kept).unwrap().execute_batch(WITHOUT_HASH).unwrap();
    write(&to.join("backup.sql"), dump(&kept).as_bytes());
    cluster.kill(1);
    let old = cluster.move_data_away(1);
    keep(&old, &to.join("node"));
    let restore = cluster.command(1).args(["restore", file.to_str().unwrap()]).output().unwrap();
    assert!(restore.status.success());
    cluster.restart(1).await;
    assert_eq!(cluster.stop(1).await, Some(0));
    keep(&cluster.data_dir(1), &to.join("restored"));
}

/// Starts a node on a folder and compares what it shows with what was shown when it was written.
async fn opens(what: &str, cluster: &mut TestCluster, expected: &Value) {
    cluster.restart(1).await;
    let shown = facts(cluster).await;
    for (name, page) in expected.as_object().unwrap() {
        // The deadline of the run that was under way has passed by now: its end may be shown, too.
        for list in ["executions", "deadLetters"] {
            let Some(rows) = page[list].as_array() else { continue };
            let found = shown[name][list].as_array().unwrap();
            for row in rows {
                assert!(found.contains(row), "{what}: {name}: {row} is not in {found:?}");
            }
        }
        if !matches!(name.as_str(), "executions" | "dead-letters") {
            assert_eq!(&shown[name], page, "{what}: {name}");
        }
    }
    // New records can be written, under new ids.
    let project = cluster.project(1, "new").await;
    let known = expected["projects"]["projects"].as_array().unwrap();
    assert!(known.iter().all(|old| old["id"] != project), "{what}");
    cluster.kill(1);
    fs::remove_dir_all(cluster.data_dir(1)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_that_was_ever_written_is_opened() {
    let versions = versions();
    assert!(!versions.is_empty());
    let mut cluster = TestCluster::start_some(1, 0, &SETTINGS).await;
    for version in versions {
        let facts = fs::read_to_string(version.join("facts.json")).unwrap();
        let facts: Value = serde_json::from_str(&facts).unwrap();
        let data = cluster.data_dir(1);
        let name = |part: &str| format!("{} {part}", version.display());
        lay_out(&version.join("node"), &data);
        opens(&name("state"), &mut cluster, &facts).await;

        lay_out(&version.join("node"), &data);
        fs::remove_file(data.join("state.db")).unwrap();
        opens(&name("log"), &mut cluster, &facts).await;

        lay_out(&version.join("restored"), &data);
        opens(&name("restored"), &mut cluster, &facts).await;

        lay_out(&version.join("restored"), &data);
        fs::remove_file(data.join("state.db")).unwrap();
        opens(&name("snapshot"), &mut cluster, &facts).await;

        let file = cluster.folder().join("backup.db");
        load(&version.join("backup.sql"), &file);
        // The restore would skip a run that is over by now: the fixture grows old.
        let conn = Connection::open(&file).unwrap();
        conn.execute("UPDATE runs SET deadline = deadline + ?1", [CENTURY]).unwrap();
        drop(conn);
        let restore = cluster.command(1).args(["restore", file.to_str().unwrap()]).output();
        let restore = restore.unwrap();
        assert!(restore.status.success(), "{}", String::from_utf8_lossy(&restore.stderr));
        fs::remove_file(file).unwrap();
        opens(&name("backup"), &mut cluster, &facts).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_version_has_written_is_refused_and_left_as_it_is() {
    let version = versions().pop().unwrap();
    let mut cluster = TestCluster::start_some(1, 0, &SETTINGS).await;
    let data = cluster.data_dir(1);
    let first = |folder: &str, end: &str| {
        let files = fs::read_dir(data.join(folder)).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.to_string_lossy().ends_with(end));
        files.sort();
        files.remove(0)
    };
    let stamp = |file: PathBuf, at: usize, with: &[u8]| {
        let mut bytes = fs::read(&file).unwrap();
        bytes[at..at + with.len()].copy_from_slice(with);
        fs::write(&file, bytes).unwrap();
        file
    };
    let changes: Vec<(&str, Change<'_>)> = vec![
        (
            "schema version 99",
            Box::new(|| {
                let file = data.join("state.db");
                let conn = Connection::open(&file).unwrap();
                conn.pragma_update(None, "user_version", 99).unwrap();
                conn.pragma_update(None, "journal_mode", "wal").unwrap();
                file
            }),
        ),
        ("format 99 of the log", Box::new(|| stamp(first("raft", ".log"), 6, &[99]))),
        ("format 99 of the journal", Box::new(|| stamp(first("journal", ".journal"), 6, b"99"))),
    ];
    for (message, change) in changes {
        lay_out(&version.join("node"), &data);
        let file = change();
        let before = fs::read(&file).unwrap();
        cluster.spawn(1);
        let code = tokio::time::timeout(PATIENCE, cluster.ended(1)).await.unwrap();
        assert_eq!(code, Some(1), "{message}");
        assert!(cluster.log(1).contains(message), "{message}: {}", cluster.log(1));
        assert!(fs::read(&file).unwrap() == before, "{message}: the file was changed");
        fs::remove_dir_all(&data).unwrap();
    }
}

#[test]
fn a_command_of_a_newer_version_is_refused() {
    let known = Proposal::from(Command::Tick).encode(LEVEL).unwrap();
    let mut newer = known.to_vec();
    newer[0] = 99;
    let refused = Proposal::decode(&newer).unwrap_err().to_string();
    assert!(refused.contains("version 99") && refused.contains("upgrade"), "{refused}");
}

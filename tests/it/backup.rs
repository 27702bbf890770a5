//! Backup and restore: a running cluster is backed up and lost, and another one begins with the
//! backup. It has what was in it, and repeats nothing that was done.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::test_runner::{Config, TestRunner};
use scheduler0::cluster::backup::inspect;
use serde_json::{Value, json};

use crate::harness::{PATIENCE, Receiver, TestCluster, every, now};

/// SQL that turns a backup into one of an older version, which wrote no hash.
pub(crate) const WITHOUT_HASH: &str = "DELETE FROM backup WHERE key = 'sha256'; \
                            UPDATE backup SET value = '1' WHERE key = 'format'";

/// Runs a command of the program as the operator of a node; returns exit code, data and stderr.
fn run(cluster: &TestCluster, id: u64, arguments: &[&str]) -> (i32, Value, String) {
    let output = cluster.command(id).args(arguments).arg("--json").output().unwrap();
    let data = serde_json::from_slice::<Value>(&output.stdout).unwrap_or(Value::Null);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), data["data"].clone(), said)
}

/// Takes a backup, which must succeed.
fn back_up(cluster: &TestCluster, id: u64, arguments: &[&str]) {
    let (code, _, said) = run(cluster, id, &[&["backup"], arguments].concat());
    assert_eq!(code, 0, "{said}");
}

/// The number of acceptances of each occurrence.
fn accepted(receiver: &Receiver) -> BTreeMap<(u64, i64), usize> {
    let mut seen = BTreeMap::new();
    for arrival in receiver.arrivals().iter().filter(|a| a.accepted) {
        *seen.entry((arrival.job, arrival.scheduled)).or_default() += 1;
    }
    seen
}

/// The states in the ledger of a job from an instant on, by scheduled instant.
async fn ledger(cluster: &TestCluster, job: u64, from: i64) -> BTreeMap<String, String> {
    let from = scheduler0::model::time::rfc3339(from);
    let path = format!("/api/v1/jobs/{job}/occurrences?from={from}&limit=1000");
    let page = cluster.get(1, &path).await;
    let state = |one: &Value| {
        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        (text("scheduledAt"), format!("{} {}", text("state"), text("reason")).trim().to_owned())
    };
    page["occurrences"].as_array().unwrap_or(&Vec::new()).iter().map(state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_cluster_goes_on_from_its_backup_and_does_nothing_twice() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start(3).await;
    let project = cluster.project(1, "kept").await;
    let begun = now();
    let jobs = cluster.jobs(2, &every("@every 1s", project, &receiver.url(), 10)).await;
    let first = jobs[0]["id"].as_u64().unwrap();
    let (_, key) = cluster.post(3, "/api/v1/credentials", &json!({})).await;
    let key = key["data"].clone();
    receiver.wait_until("all fire", PATIENCE, |seen| seen.len() > 20).await;

    let file = cluster.folder().join("kept.db");
    let path = file.to_str().unwrap();
    let (code, made, said) = run(&cluster, 2, &["backup", path]);
    assert_eq!(code, 0, "{said}");
    assert_eq!((&made["jobs"], made["size"].as_u64()), (&json!(10), Some(file_size(&file))));
    assert!(made["logIndex"].as_u64().unwrap() > 3, "{made}");
    let (code, _, said) = run(&cluster, 2, &["backup", path]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("--force"), "{said}");
    back_up(&cluster, 3, &[path, "--force"]);

    // Writes after the backup are lost with the cluster.
    let late = cluster.jobs(1, &every("@every 1s", project, &receiver.url(), 1)).await;
    let late = late[0]["id"].as_u64().unwrap();
    let after = receiver.arrivals().len();
    receiver.wait_until("more fires", PATIENCE, |seen| seen.len() > after + 30).await;
    let (code, _, said) = run(&cluster, 1, &["restore", path]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("in use"), "{said}");
    cluster.kill_all();
    let (code, _, said) = run(&cluster, 1, &["restore", path]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("not empty"), "{said}");
    for id in 1..=3 {
        cluster.move_data_away(id);
    }
    let (code, restored, said) = run(&cluster, 1, &["restore", path]);
    assert_eq!(code, 0, "{said}");
    assert_eq!((&restored["due"], &restored["nodes"]), (&json!("skip"), &json!([1, 2, 3])));
    let back = now();
    for id in 1..=3 {
        cluster.spawn(id);
    }
    for id in 1..=3 {
        cluster.ready(id).await;
    }
    receiver
        .wait_until("all fire again", PATIENCE, |seen| {
            let again = |job: u64| seen.iter().any(|a| a.job == job && a.scheduled > back);
            (first..first + 10).all(again)
        })
        .await;

    // The jobs are those of the backup, the key still works, and no id is given twice.
    let page = cluster.get(3, "/api/v1/jobs?limit=100&consistency=linearizable").await;
    assert_eq!(page["total"], 10);
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let opened = plain
        .get(cluster.url(2, "/api/v1/projects"))
        .header("x-api-key", key["apiKey"].as_str().unwrap())
        .header("x-secret-key", key["apiSecret"].as_str().unwrap());
    assert_eq!(opened.send().await.unwrap().status().as_u16(), 200);
    let fresh = cluster.jobs(1, &every("@every 1h", project, &receiver.url(), 1)).await;
    assert!(fresh[0]["id"].as_u64().unwrap() > 1_000_000_000, "{late} was given already");

    let twice: Vec<_> = accepted(&receiver).into_iter().filter(|(_, n)| *n > 1).collect();
    assert!(twice.is_empty(), "delivered twice: {twice:?}");
    let clusters: std::collections::BTreeSet<_> = receiver
        .arrivals()
        .iter()
        .map(|a| a.execution_id.split('-').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(clusters.len(), 1, "the ids are made of the same cluster: {clusters:?}");
    let told = ledger(&cluster, first, begun).await;
    let count = |state: &str| told.values().filter(|found| *found == state).count();
    assert!(count("delivered") >= 2 && count("skipped restored") >= 2, "{told:?}");
    assert_eq!(count("missing"), 0, "{told:?}");
    let (at, _) = told.iter().find(|(_, state)| *state == "skipped restored").unwrap();
    let path = format!("/api/v1/jobs/{first}/explain?at={at}");
    let explained = cluster.get(2, &path).await;
    assert!(explained["summary"].as_str().unwrap().contains("restored from a backup"));
    cluster.assert_same_state(1, 3).await;
}

fn file_size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_restored_node_and_one_of_the_lost_cluster_do_not_mix() {
    let mut cluster = TestCluster::start(3).await;
    let project = cluster.project(1, "mixed").await;
    let file = cluster.folder().join("mixed.db");
    back_up(&cluster, 1, &[file.to_str().unwrap()]);
    cluster.jobs(1, &every("@every 1h", project, "http://127.0.0.1:9/", 3)).await;
    cluster.kill(1);
    cluster.move_data_away(1);
    let (code, _, said) = run(&cluster, 1, &["restore", file.to_str().unwrap(), "--due", "fire"]);
    assert_eq!(code, 0, "{said}");
    // Two nodes of the old cluster run: they are its majority, and the new node is no member of it.
    cluster.spawn(1);
    assert_eq!(cluster.ended(1).await, Some(1));
    assert!(cluster.log(1).contains("data folder"), "{}", cluster.log(1));
    let page = cluster.get(2, "/api/v1/jobs?consistency=linearizable").await;
    assert_eq!(page["total"], 3, "the old cluster is what it was");
    // Without them the restored node founds a cluster of its own.
    cluster.kill(2);
    cluster.kill(3);
    cluster.move_data_away(2);
    cluster.spawn(1);
    cluster.spawn(2);
    cluster.ready(1).await;
    let page = cluster.get(1, "/api/v1/jobs?consistency=linearizable").await;
    assert_eq!(page["total"], 0, "the backup had none");
}

#[tokio::test(flavor = "multi_thread")]
async fn published_clients_back_up_into_the_folder_and_nowhere_else() {
    let cluster = TestCluster::start(1).await;
    cluster.project(1, "routes").await;
    let route = |name: &str| format!("/api/v1/cluster/{name}");
    let idle = cluster.get(1, &route("backup-restore-progress")).await;
    assert_eq!((&idle["status"], &idle["progress"]), (&json!("idle"), &json!(0)));
    let (status, made) = cluster.post(1, &route("backup"), &json!({})).await;
    assert_eq!(status, 200, "{made}");
    let path = made["data"]["backupPath"].as_str().unwrap().to_owned();
    assert!(made["data"].as_object().unwrap().values().all(Value::is_string), "{made}");
    assert!(Path::new(&path).starts_with(cluster.data_dir(1).join("backups")), "{path}");
    let done = cluster.get(1, &route("backup-restore-progress")).await;
    assert_eq!((&done["status"], &done["progress"]), (&json!("completed"), &json!(100)));
    assert_eq!(done["backupPath"], json!(path));

    let to = |name: &str| json!({"destPath": name});
    let (status, body) = cluster.post(1, &route("backup-to-file"), &to("mine.db")).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = cluster.post(1, &route("backup-to-file"), &to("mine.db")).await;
    assert_eq!(status, 409, "{body}");
    for bad in ["../mine.db", "/tmp/mine.db", "", "a/../../b"] {
        let (status, body) = cluster.post(1, &route("backup-to-file"), &to(bad)).await;
        assert_eq!((status, &body["error"]["field"]), (400, &json!("destPath")), "{bad}: {body}");
    }
    let (status, body) =
        cluster.post(1, &route("restore"), &json!({"backupPath": "mine.db"})).await;
    assert_eq!(status, 409, "{body}");
    assert!(body["data"].as_str().unwrap().contains("scheduler0 restore"), "{body}");
    let none = cluster.post(1, &route("restore"), &json!({"backupPath": "none.db"})).await;
    assert_eq!(none.0, 404, "{}", none.1);
    std::fs::write(cluster.data_dir(1).join("backups/noise.db"), vec![7; 5_000]).unwrap();
    let noise = cluster.post(1, &route("restore"), &json!({"backupPath": "noise.db"})).await;
    assert_eq!(noise.0, 400, "{}", noise.1);

    // A client's key may do none of this.
    let (_, key) = cluster.post(1, "/api/v1/credentials", &json!({})).await;
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    for (method, name) in [
        ("GET", "backup"),
        ("POST", "backup"),
        ("POST", "backup-to-file"),
        ("POST", "restore"),
        ("GET", "backup-restore-progress"),
    ] {
        let request = plain
            .request(method.parse().unwrap(), cluster.url(1, &route(name)))
            .header("x-api-key", key["data"]["apiKey"].as_str().unwrap())
            .header("x-secret-key", key["data"]["apiSecret"].as_str().unwrap())
            .json(&json!({"destPath": "x.db"}));
        assert_eq!(request.send().await.unwrap().status().as_u16(), 403, "{method} {name}");
    }
    let nobody = plain.get(cluster.url(1, &route("backup"))).send().await.unwrap();
    assert_eq!(nobody.status().as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_backup_of_ours_is_refused_with_the_reason() {
    let mut cluster = TestCluster::start(1).await;
    let file = cluster.folder().join("good.db");
    back_up(&cluster, 1, &[file.to_str().unwrap()]);
    cluster.kill(1);
    cluster.move_data_away(1);
    let refused = |path: &Path, more: &[(&str, &str)]| {
        let mut command = cluster.command(1);
        command.args(["restore", path.to_str().unwrap()]);
        command.envs(more.iter().copied());
        let output = command.output().unwrap();
        assert!(!output.status.success());
        let left = std::fs::read_dir(cluster.data_dir(1)).map_or(0, Iterator::count);
        assert!(left <= 1, "only the lock");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let bad = cluster.folder().join("bad.db");
    let said = refused(&bad, &[]);
    assert!(said.contains("No such file"), "{said}");
    std::fs::write(&bad, "no database").unwrap();
    let said = refused(&bad, &[]);
    assert!(said.contains("no backup"), "{said}");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4_096].fill(0x5a);
    std::fs::write(&bad, bytes).unwrap();
    let said = refused(&bad, &[]);
    assert!(said.contains("damaged") || said.contains("malformed"), "{said}");
    let key = "6b".repeat(32);
    let said = refused(&file, &[("SCHEDULER0_SECRET_KEY", key.as_str())]);
    assert!(said.contains("SecretKey"), "{said}");
    std::fs::copy(&file, &bad).unwrap();
    let database = rusqlite::Connection::open(&bad).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    database.execute_batch(WITHOUT_HASH).unwrap();
    drop(database);
    let said = refused(&bad, &[]);
    assert!(said.contains("version 99"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_backup_of_which_any_bit_is_turned_is_refused_before_anything_is_changed() {
    let mut cluster = TestCluster::start(1).await;
    let project = cluster.project(1, "bits").await;
    cluster.jobs(1, &every("@every 1h", project, "http://127.0.0.1:9/", 200)).await;
    let file = cluster.folder().join("good.db");
    back_up(&cluster, 1, &[file.to_str().unwrap()]);
    cluster.kill(1);
    cluster.move_data_away(1);
    let good = std::fs::read(&file).unwrap();
    assert!(inspect(&file).unwrap().hashed);
    let bad = cluster.folder().join("bad.db");
    let bits = proptest::collection::vec((0..good.len(), 0..8_u8), 1..4);
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let flipped = |bits: Vec<(usize, u8)>| {
        let mut bytes = good.clone();
        for (at, bit) in bits {
            bytes[at] ^= 1 << bit;
        }
        // The same bit may be turned twice.
        if bytes != good {
            std::fs::write(&bad, bytes).unwrap();
            let refused = inspect(&bad).expect_err("a bit is wrong").to_string();
            assert!(refused.contains("backup"), "{refused}");
        }
        Ok(())
    };
    runner.run(&bits, flipped).unwrap();
    // Each bit of the label, which says how the rest is to be read.
    let at = good.windows(6).position(|text| text == b"sha256").unwrap();
    for at in at - 40..at + 80 {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            std::fs::write(&bad, bytes).unwrap();
            assert!(inspect(&bad).is_err(), "byte {at}, bit {bit}");
        }
    }
    // A bit in the data of a job, which SQLite does not notice.
    let mut bytes = good.clone();
    let at = bytes.windows(14).position(|text| text == b"http://127.0.0").unwrap();
    bytes[at + 2] ^= 1;
    std::fs::write(&bad, bytes).unwrap();
    let (code, _, said) = run(&cluster, 1, &["restore", bad.to_str().unwrap()]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("does not match the hash"), "{said}");
    assert!(!cluster.data_dir(1).join("state.db").exists());

    // A backup of an older version.
    let old = rusqlite::Connection::open(&file).unwrap();
    old.execute_batch(WITHOUT_HASH).unwrap();
    drop(old);
    let (code, restored, said) = run(&cluster, 1, &["restore", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("wrote no hash"), "{said}");
    assert_eq!(restored["jobs"], 200);
}

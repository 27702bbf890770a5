//! Access: a leaked key, a deleted one, guesses at the operator's password, and another user of the
//! machine.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Attacker, metric};
use crate::harness::{TestCluster, client_of};

/// The duration of the guesses.
const GUESSING: Duration = Duration::from_secs(3);
/// The guesses of an address that are checked within a minute. The test ends before that.
const MAX_CHECKED: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_key_reaches_no_other_and_nothing_that_it_made_outlives_it() {
    let cluster = TestCluster::start(1).await;
    let attacker = Attacker::new(&cluster, 1, "leaked").await;
    let victim = Attacker::new(&cluster, 1, "victim").await;
    let listed = cluster.get(1, "/api/v1/credentials").await;
    let rows = listed["credentials"].as_array().unwrap();
    let id_of = |key: &str| rows.iter().find(|row| row["apiKey"] == key).unwrap()["id"].clone();
    let (own, other) = (id_of(&attacker.key), id_of(&victim.key));
    let path = |id: &Value| format!("/api/v1/credentials/{id}");

    let (_, seen) = attacker.get("/api/v1/credentials").await;
    assert_eq!((&seen["data"]["total"], &seen["data"]["credentials"][0]["id"]), (&json!(1), &own));
    for (method, path, body) in [
        ("GET", path(&other), Value::Null),
        ("POST", format!("{}/archive", path(&other)), json!({"archivedBy": "the operator"})),
        ("PUT", path(&other), json!({"archived": true})),
        ("DELETE", path(&other), Value::Null),
    ] {
        assert_eq!(attacker.ask(method, &path, &body).await.0, 404, "{method} {path}");
    }
    assert_eq!(victim.get("/api/v1/jobs").await.0, 200);

    let body = json!({"createdBy": "the operator (forged)"});
    let (status, minted) = attacker.post("/api/v1/credentials", &body).await;
    assert_eq!((status, &minted["data"]["parentId"]), (201, &own), "{minted}");
    let text = |name: &str| minted["data"][name].as_str().unwrap().to_owned();
    let (key, secret) = (text("apiKey"), text("apiSecret"));
    let minted_http = client_of(&[("x-api-key", &key), ("x-secret-key", &secret)]);
    let minted_is =
        async || minted_http.get(cluster.url(1, "/api/v1/jobs")).send().await.unwrap().status();
    assert_eq!(minted_is().await, StatusCode::OK);

    let (status, _) = cluster.post(1, &format!("{}/archive", path(&own)), &json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(minted_is().await, StatusCode::UNAUTHORIZED, "what it made ends with it");
    let back = minted_http.put(cluster.url(1, &path(&own))).json(&json!({"archived": false}));
    assert_eq!(back.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(attacker.get("/api/v1/jobs").await.0, 401);
    // Another key cannot restore it either.
    let (status, _) = victim.ask("PUT", &path(&own), &json!({"archived": false})).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_gives_no_deleted_pair_and_no_old_secret() {
    let cluster = TestCluster::start(1).await;
    let again = async |path: &str| {
        let ask = cluster.http().post(cluster.url(1, path)).header("idempotency-key", "mine");
        let answer = ask.json(&json!({})).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, made) = again("/api/v1/credentials").await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(again("/api/v1/credentials").await, (201, made.clone()), "the same answer");
    let id = &made["data"]["id"];
    let gone = cluster.http().delete(cluster.url(1, &format!("/api/v1/credentials/{id}")));
    assert_eq!(gone.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let (status, body) = again("/api/v1/credentials").await;
    assert_eq!(status, 409, "{body}");
    let text = |name: &str| made["data"][name].as_str().unwrap();
    let leaked = client_of(&[("x-api-key", text("apiKey")), ("x-secret-key", text("apiSecret"))]);
    let opens = leaked.get(cluster.url(1, "/api/v1/jobs")).send().await.unwrap().status();
    assert_eq!(opens, StatusCode::UNAUTHORIZED);

    let project = cluster.project(1, "rotated").await;
    let rotate = format!("/api/v1/projects/{project}/rotate-secret");
    let body = json!({"webhookSecret": "one of the client's own"});
    assert_eq!(cluster.post(1, &rotate, &body).await.0, 200);
    assert_eq!(cluster.post(1, &rotate, &body).await.0, 409, "it rotates nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_the_password_are_few_and_keep_no_client_out() {
    let cluster = TestCluster::start(1).await;
    let client = Attacker::new(&cluster, 1, "beside").await;
    // The guesses come by a proxy on this machine, and the operator is at the machine itself.
    let wrong = client_of(&[
        ("x-peer", "cmd"),
        ("authorization", "Basic YWRtaW46d3Jvbmc="),
        ("x-forwarded-for", "203.0.113.9"),
    ]);
    let begun = Instant::now();
    let guess = async || {
        let mut told = (0, 0);
        while begun.elapsed() < GUESSING {
            let answer = wrong.get(cluster.url(1, "/api/v1/jobs")).send().await.unwrap();
            match answer.status() {
                StatusCode::UNAUTHORIZED => told.0 += 1,
                StatusCode::TOO_MANY_REQUESTS => {
                    let wait = answer.headers()["retry-after"].to_str().unwrap();
                    assert!((1..=60).contains(&wait.parse().unwrap()), "{wait}");
                    told.1 += 1;
                }
                other => panic!("{other}"),
            }
        }
        told
    };
    let beside = async {
        while begun.elapsed() < GUESSING {
            assert_eq!(client.get("/api/v1/jobs").await.0, 200, "a right key is always let in");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let guesses = futures_util::future::join_all((0..16).map(|_| guess()));
    let (told, ()) = tokio::join!(guesses, beside);
    let checked: u32 = told.iter().map(|told| told.0).sum();
    let limited: u32 = told.iter().map(|told| told.1).sum();
    assert!(
        checked <= MAX_CHECKED && limited > 0,
        "{checked} of {} were checked",
        checked + limited
    );
    // The operator is not locked out.
    let operator = cluster.http().get(cluster.url(1, "/api/v1/jobs")).send().await.unwrap();
    assert_eq!(operator.status(), StatusCode::OK);
    let counted = |result: &str| {
        format!("scheduler0_auth_failures_total{{kind=\"password\",result=\"{result}\"}}")
    };
    assert!(metric(&cluster, 1, &counted("wrong")).await >= f64::from(checked));
    assert!(metric(&cluster, 1, &counted("limited")).await >= f64::from(limited));
}

/// Collects the files below a folder, the folder included, that group or others may access. Returns
/// the number of files.
fn open_to_others(folder: &Path, found: &mut Vec<PathBuf>) -> usize {
    let meta = fs::symlink_metadata(folder).unwrap();
    if meta.mode() & 0o077 != 0 {
        found.push(folder.to_owned());
    }
    let mut seen = 1;
    if meta.is_dir() {
        for entry in fs::read_dir(folder).unwrap() {
            seen += open_to_others(&entry.unwrap().path(), found);
        }
    }
    seen
}

/// Starts node 1 under the umask 000.
fn spawn_wide(cluster: &mut TestCluster) {
    let node = cluster.command(1);
    let log = fs::File::create(cluster.folder().join("node1.log")).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(node.get_program());
    shell.args(["start", "--weak"]).current_dir(cluster.folder()).env_clear();
    shell.envs(node.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let process = shell.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    cluster.adopt(1, process);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_of_the_machine_can_read_nothing_that_a_node_writes() {
    let often =
        [("SCHEDULER0_RAFT_SNAPSHOT_INTERVAL", "1"), ("SCHEDULER0_RAFT_SNAPSHOT_THRESHOLD", "1")];
    let mut cluster = TestCluster::start_some(1, 0, &often).await;
    spawn_wide(&mut cluster);
    cluster.ready(1).await;
    let data = cluster.data_dir(1);
    cluster.project(1, "private").await;
    let (status, made) = cluster.post(1, "/api/v1/cluster/backup", &json!({})).await;
    assert_eq!(status, 200, "{made}");
    let copied = cluster.folder().join("copy.db");
    let backup = cluster.cli(1, &["backup", copied.to_str().unwrap()]).await;
    assert_eq!(backup.0, 0, "{}", backup.2);
    let filled =
        |folder: &str| fs::read_dir(data.join(folder)).is_ok_and(|mut all| all.next().is_some());
    cluster
        .wait_until("there is something of everything", async |c: &TestCluster| {
            let now = crate::harness::now();
            let names: Vec<_> = (0..64).map(|n| format!("p{now}-{n}")).collect();
            futures_util::future::join_all(names.iter().map(|name| c.project(1, name))).await;
            ["raft", "journal", "snapshots", "backups"].iter().all(|f| filled(f)).then_some(())
        })
        .await;
    let mut open = Vec::new();
    let seen = open_to_others(&data, &mut open) + open_to_others(&copied, &mut open);
    assert!(open.is_empty() && seen > 10, "of {seen}: {open:?}");

    // A folder of an earlier version with wide permissions: the start narrows them and logs it.
    assert_eq!(cluster.stop(1).await, Some(0));
    let mut all = vec![data.clone()];
    while let Some(path) = all.pop() {
        let dir = path.is_dir();
        fs::set_permissions(&path, fs::Permissions::from_mode(if dir { 0o755 } else { 0o644 }))
            .unwrap();
        if dir {
            all.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    spawn_wide(&mut cluster);
    cluster.ready(1).await;
    open_to_others(&data, &mut open);
    assert!(open.is_empty(), "{open:?}");
    assert!(cluster.log(1).contains("group or others could read the data"), "{}", cluster.log(1));
}

//! Backups that a client with rights writes: while somebody swaps links into their folder, nothing
//! outside of it is written.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::harness::TestCluster;

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_swapped_in_while_a_backup_is_written_leads_nowhere() {
    let cluster = TestCluster::start(1).await;
    cluster.project(1, "kept").await;
    let folder = cluster.data_dir(1).join("backups");
    let (status, made) = cluster.post(1, "/api/v1/cluster/backup", &json!({})).await;
    assert_eq!(status, 200, "the folder is there now: {made}");
    let outside = cluster.folder().join("outside.db");
    fs::write(&outside, "untouched").unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let swapping = {
        let (folder, outside, ended) = (folder.clone(), outside.clone(), Arc::clone(&ended));
        std::thread::spawn(move || {
            let mut swaps = 0_u32;
            while !ended.load(Ordering::SeqCst) {
                for n in 0..8 {
                    let link = folder.join(format!("raced{n}.db"));
                    // The backup may be there already.
                    swaps += u32::from(symlink(&outside, &link).is_ok());
                    if link.is_symlink() {
                        let _ = fs::remove_file(&link);
                    }
                }
            }
            swaps
        })
    };
    for round in 0..10 {
        for n in 0..8 {
            let path = format!("raced{n}.db");
            let body = json!({"destPath": path});
            let (status, answer) = cluster.post(1, "/api/v1/cluster/backup-to-file", &body).await;
            assert!(matches!(status, 200 | 400 | 409 | 503), "{round}: {status} {answer}");
            let written = folder.join(&path);
            if status == 200 {
                assert!(fs::symlink_metadata(&written).unwrap().is_file(), "{path}");
                fs::remove_file(&written).unwrap();
            }
        }
    }
    ended.store(true, Ordering::SeqCst);
    assert!(swapping.join().unwrap() > 0);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_backup_has_no_secret_in_the_clear() {
    const SECRETS: [&str; 4] = [
        "signing-secret-77aa-0123456789",
        "bearer-token-88bb",
        "basic-password-99cc",
        "header-secret-11dd",
    ];
    let [signing, bearer, basic, header] = SECRETS;
    let cluster = TestCluster::start(1).await;
    let project = cluster.project(1, "stolen").await;
    let rotate = format!("/api/v1/projects/{project}/rotate-secret");
    let (status, answer) = cluster.post(1, &rotate, &json!({"webhookSecret": signing})).await;
    assert_eq!(status, 200, "{answer}");
    let http = json!({"url": "http://127.0.0.1:9/", "secretHeaders": {"x-key": header},
        "auth": {"type": "basic", "username": "u", "password": basic}});
    let other = json!({"url": "http://127.0.0.1:9/", "auth": {"type": "bearer", "token": bearer}});
    let job =
        |http| json!({"projectId": project, "spec": "@daily", "timezone": "UTC", "http": http});
    cluster.jobs(1, &json!([job(http), job(other)])).await;
    let (status, key) = cluster.post(1, "/api/v1/credentials", &json!({})).await;
    assert_eq!(status, 201, "{key}");
    let made = key["data"]["apiSecret"].as_str().unwrap().to_owned();
    let (status, done) = cluster.post(1, "/api/v1/cluster/backup", &json!({})).await;
    assert_eq!(status, 200, "{done}");
    let bytes = fs::read(done["data"]["backupPath"].as_str().unwrap()).unwrap();
    let secret_key = "5a".repeat(32);
    let given = SECRETS.into_iter().chain(["admin-password", &*made, &*secret_key]);
    for secret in given {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret}");
    }
    assert!(bytes.windows(6).any(|window| window == b"stolen"), "names are in the clear");
}

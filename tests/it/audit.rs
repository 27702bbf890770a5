//! The audit on real nodes: all have the same rows, whichever was asked, and the command line
//! exports and checks them.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestCluster, poll_interval};

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_have_the_same_rows_and_an_export_that_was_changed_is_found() {
    let cluster = TestCluster::start(3).await;
    // The level of the cluster is raised when all members have announced theirs.
    let is_written = async {
        for n in 0.. {
            for node in 1..=3 {
                cluster.project(node, &format!("before {n} at {node}")).await;
            }
            let page = "/v1/audit?limit=3&consistency=linearizable";
            let page = cluster.get(1, page).await;
            if page["audit"].as_array().is_some_and(|rows| rows.len() == 3) {
                return;
            }
            poll_interval().await;
        }
    };
    tokio::time::timeout(PATIENCE, is_written).await.expect("an audit");
    for node in 1..=3 {
        cluster.project(node, &format!("of node {node}")).await;
    }
    let (code, checksums, said) = cluster.cli(2, &["cluster", "checksum"]).await;
    assert_eq!(code, 0, "{checksums} {said}");
    let mut pages = Vec::new();
    for node in 1..=3 {
        let page = cluster.get(node, "/v1/audit?noun=project&limit=3&consistency=linearizable");
        pages.push(page.await["audit"].clone());
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:?}");
    for (row, node) in pages[0].as_array().unwrap().iter().zip([3, 2, 1]) {
        assert_eq!(row["nodeId"], node, "{row}");
        assert_eq!(row["address"], "127.0.0.1", "{row}");
        assert_eq!(row["actor"], json!({"kind": "operator"}));
    }

    let export = cluster.http().get(cluster.url(2, "/v1/audit/export")).send().await.unwrap();
    let export = export.text().await.unwrap();
    let file = cluster.folder().join("audit.ndjson");
    fs::write(&file, &export).unwrap();
    let verify = async || cluster.cli(1, &["audit", "verify", file.to_str().unwrap()]).await;
    let (code, told, said) = verify().await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(told["data"]["rows"], export.lines().count() - 2, "{told}");
    fs::write(&file, export.replacen("of node 2", "of node 9", 1)).unwrap();
    let (code, told, said) = verify().await;
    assert_eq!((code, told), (1, Value::Null));
    assert!(said.contains("row ") && said.contains("differs from what was written"), "{said}");
    let cut: Vec<_> = export.lines().take(3).collect();
    fs::write(&file, cut.join("\n") + "\n").unwrap();
    let (code, _, said) = verify().await;
    assert!(code == 1 && said.contains("is not whole"), "{code} {said}");
    let (code, tail, said) = cluster.cli(3, &["audit", "tail", "--noun", "audit"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(tail["data"]["audit"][0]["action"], "export", "{tail}");
}

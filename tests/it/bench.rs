//! `scheduler0 bench` as people run it: small, but with a real node, and nothing left behind.

use std::process::Command;

use serde_json::Value;

#[test]
fn a_small_run_misses_nothing_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_scheduler0"))
        .args(["bench", "--nodes", "1", "--jobs", "50", "--every", "1s", "--seconds", "5"])
        .args(["--urls", "3", "--json"])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(report["jobs"], 50);
    assert_eq!(report["nodes"], 1);
    // 4 s are judged. An `@every` counts from the whole second after its creation, so the first of
    // them has no occurrence yet, unless the load ended in a later second than it was created in.
    let fired = report["fired"].as_u64().unwrap();
    assert!(fired == 150 || fired == 200, "{report}");
    for none in ["missed", "early", "duplicates"] {
        assert_eq!(report[none], 0, "{none}: {report}");
    }
    assert!(report["loaded_per_s"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["node"][0]["rss_mb"].as_f64().unwrap() > 1.0, "{report}");
    assert!(report["node"][0]["disk_bytes"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "its folder is removed");
}

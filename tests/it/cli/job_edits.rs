//! `jobs edit`: many jobs edited by a filter, shown first where that is asked for.

use serde_json::json;

use super::fake::{Node, code, ok, stderr, stdout};

#[test]
fn many_jobs_are_edited_by_a_filter() {
    let node = Node::start(|asked| {
        let is_dry = asked.body["dryRun"] == true;
        let samples = json!([{"id": 7, "externalId": "nightly", "before": {"spec": "0 9 * * *"},
            "after": {"jitter": "30s", "spec": "H 9 * * *"},
            "nextBefore": [{"utc": "2026-11-21T09:00:00Z"}],
            "nextAfter": [{"utc": "2026-11-21T09:17:00Z", "dueAt": "2026-11-21T09:17:04Z"}]}]);
        let mut data = json!({"matched": 5, "changed": 4, "unchanged": 1, "refused": 0,
            "definitions": 2, "dryRun": is_dry});
        if is_dry {
            data["samples"] = samples;
        }
        ok(&data)
    });
    let edit = ["jobs", "edit", "--filter", "label=team=shop", "--filter", "project=3", "--field"];
    let edit = [&edit[..], &["spec=H 9 * * *", "--field", "labels.old=null"]].concat();
    let said = node.run(&[&edit[..], &["--dry-run"]].concat());
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let told = stdout(&said);
    assert!(
        told.starts_with("5 matched, 4 would change, 1 so already, 0 refused; 2 definitions\n")
    );
    assert!(told.contains("jitter: - -> 30s; spec: 0 9 * * * -> H 9 * * *"), "{told}");
    assert!(told.contains("2026-11-21T09:17:04Z") && told.contains("nightly"), "{told}");
    let asked = node.last();
    assert_eq!(asked.uri.path(), "/api/v1/jobs/edit");
    let wanted = json!({"filter": {"labels": {"team": "shop"}, "projectId": 3}, "dryRun": true,
        "set": {"spec": "H 9 * * *", "labels": {"old": null}}});
    assert_eq!(asked.body, wanted);
    // A script is not asked, and nothing is shown first.
    let said = node.run(&edit);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert_eq!(stdout(&said), "5 matched, 4 changed, 1 so already, 0 refused; 2 definitions\n");
    assert!(node.last().body["dryRun"].is_null());
    for wrong in [
        &["jobs", "edit", "--field", "jitter=1s"][..],
        &["jobs", "edit", "--all"],
        &["jobs", "edit", "--all", "--filter", "id=1", "--field", "jitter=1s"],
        &["jobs", "edit", "--filter", "colour=red", "--field", "jitter=1s"],
        &["jobs", "edit", "--all", "--field", "jitter"],
    ] {
        assert_eq!(code(&node.run(wrong)), 2, "{wrong:?}");
    }
}

#[test]
fn jobs_that_cannot_be_edited_are_told_with_their_reason() {
    let node = Node::start(|_| {
        ok(&json!({"matched": 5, "changed": 1, "unchanged": 0, "refused": 4, "definitions": 2,
            "dryRun": true, "problems": [{"code": "unprocessable", "field": "overlap", "jobs": 4,
            "definitions": 1, "jobId": 7, "message": "job overlap needs an http target"}]}))
    });
    let said = node.run(&["jobs", "edit", "--all", "--field", "overlap=skip", "--dry-run"]);
    assert_eq!(code(&said), 1);
    let told = stderr(&said);
    assert!(told.contains("4 refused, job 7 first: job overlap needs an http target"), "{told}");
    assert!(told.contains("4 jobs cannot be edited like this: nothing was changed"), "{told}");
}

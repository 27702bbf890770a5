//! `next`: the instants of a schedule without a node, and schedules of a file checked line by line.

use std::fs;

use serde_json::{Value, json};

use super::fake::{code, scheduler0, stderr, stdout, with_input};

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

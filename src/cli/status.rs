//! `status` and `cluster checksum`: the state of the cluster as one node sees it. What the node
//! does not tell is left out, so that an older or newer one can be asked too.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::client::Client;
use super::output::{Column, Format, Output, cell, line, say, show, table};

const NODES: &[Column] = &[
    ("node", &["id"]),
    ("address", &["address"]),
    ("state", &["state"]),
    ("shards", &["shards"]),
    ("lease", &["leaseMs"]),
    ("clock", &["clockOffsetMs"]),
    ("lag p50", &["lagMs.p50"]),
    ("p99", &["lagMs.p99"]),
    ("due", &["queue.due"]),
    ("built", &["queue.built"]),
    ("in flight", &["queue.inFlight"]),
    ("journal", &["journalDepth"]),
    ("applied", &["appliedIndex"]),
    ("memory", &["memoryMb"]),
    ("version", &["version"]),
];

/// Carries out `status`.
pub(super) async fn run(client: &Client, output: Output) -> anyhow::Result<()> {
    let envelope = client.get("/cluster/status", &[]).await?;
    match output.format {
        Format::Json => output.json(&envelope),
        Format::Table => line(render(&envelope["data"]).trim_end()),
    }
}

/// The status for people.
fn render(status: &Value) -> String {
    let mut text = String::new();
    let leader = match &status["leader"] {
        Value::Null => "none: no quorum, or an election is under way".to_owned(),
        leader => format!("node {leader}"),
    };
    let head = [
        ("cluster", cell(status, &["clusterId"])),
        ("leader", format!("{leader} (term {})", cell(status, &["term"]))),
        ("lease ttl", unit(&status["ttlMs"], " ms")),
    ];
    for (name, value) in head {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:9}  {value}");
    }
    let nodes = status["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    let _ = write!(text, "\n{}\n", node_table(nodes));
    let shards = status["shards"].as_array().map_or(&[][..], Vec::as_slice);
    if !shards.is_empty() {
        let orphans = shards.iter().filter(|s| s["owner"].as_u64().unwrap_or(0) == 0).count();
        let closing = shards.iter().filter(|s| !s["closing"].is_null() && s["closing"] != false);
        let oldest = shards.iter().filter_map(|s| s["watermark"].as_str()).min();
        let _ = write!(
            text,
            "\n{} shards, {orphans} without an owner, {} being handed over",
            shards.len(),
            closing.count()
        );
        if let Some(oldest) = oldest {
            let _ = write!(text, ", all accounted for up to {oldest}");
        }
        text.push('\n');
    }
    for node in nodes {
        for failing in node["failing"].as_array().into_iter().flatten() {
            let part = |name| cell(failing, &[name]);
            let _ = writeln!(
                text,
                "failing: node {} leaves {} alone since {} ({} failures in a row), next probe {}",
                cell(node, &["id"]),
                part("destination"),
                part("since"),
                part("failures"),
                part("nextProbe"),
            );
        }
    }
    for warning in status["warnings"].as_array().into_iter().flatten() {
        let said = if warning.is_string() { show(warning) } else { cell(warning, &["message"]) };
        let _ = writeln!(text, "warning: {said}");
    }
    text
}

/// The nodes, with only the columns that some node fills.
fn node_table(nodes: &[Value]) -> String {
    let filled = |column: &&Column| nodes.iter().any(|n| cell(n, column.1) != "-");
    let columns: Vec<_> = NODES.iter().filter(filled).collect();
    table(
        columns.iter().map(|(title, _)| *title),
        nodes.iter().map(|node| columns.iter().map(|column| node_cell(node, column)).collect()),
    )
}

fn node_cell(node: &Value, (title, names): &Column) -> String {
    let value = cell(node, names);
    match *title {
        _ if value == "-" => value,
        "lease" | "clock" | "lag p50" | "p99" => format!("{value} ms"),
        "memory" => format!("{value} MB"),
        "state" if node["draining"] == true => format!("{value}, draining"),
        // Either how many, or which.
        "shards" => node["shards"].as_array().map_or(value, |list| list.len().to_string()),
        _ => value,
    }
}

fn unit(value: &Value, unit: &str) -> String {
    if value.is_null() { "-".to_owned() } else { format!("{value}{unit}") }
}

/// Carries out `cluster checksum`.
pub(super) async fn checksum(client: &Client, output: Output) -> anyhow::Result<()> {
    let envelope = client.post("/cluster/checksum", &json!({})).await?;
    let data = &envelope["data"];
    let nodes = data["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    match output.format {
        Format::Json => output.json(&envelope)?,
        Format::Table => {
            let columns: &[Column] =
                &[("node", &["id"]), ("hash", &["hash", "checksum"]), ("error", &["error"])];
            output.records(&envelope, nodes, columns)?;
            say(&format!("at log index {}", cell(data, &["index"])));
        }
    }
    let hashes: Vec<_> = nodes.iter().map(|n| cell(n, &["hash", "checksum"])).collect();
    let silent = hashes.iter().filter(|h| *h == "-").count();
    let known: std::collections::BTreeSet<_> = hashes.iter().filter(|h| *h != "-").collect();
    anyhow::ensure!(
        known.len() <= 1,
        "the nodes' states differ: stop using this cluster and report it"
    );
    anyhow::ensure!(
        silent == 0 && !nodes.is_empty(),
        "{silent} of {} nodes did not answer",
        nodes.len()
    );
    say("all states are equal");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_status_is_shown_in_full() {
        let text = render(&json!({
            "clusterId": "c0ffee", "leader": 2, "term": 7, "ttlMs": 4000,
            "nodes": [{
                "id": 2, "address": "http://n2:9091", "state": "Leader", "shards": [1, 2, 3],
                "leaseMs": 3500, "clockOffsetMs": -2, "appliedIndex": 99, "journalDepth": 0,
                "queue": {"due": 5, "built": 1, "inFlight": 4}, "lagMs": {"p50": 1, "p99": 9},
                "failing": [{
                    "destination": "http://a:80", "since": "2026-01-01T00:00:00Z", "failures": 7,
                    "nextProbe": "2026-01-01T00:00:09Z",
                }],
                "memoryMb": 42, "draining": true, "version": "0.1.0",
            }],
            "shards": [
                {"id": 0, "owner": 2, "epoch": 1, "watermark": "2026-01-01T00:00:05Z", "closing": null},
                {"id": 1, "owner": 0, "epoch": 0, "watermark": "2026-01-01T00:00:01Z", "closing": {"node": 3}},
            ],
            "warnings": ["two nodes are less available than one", {"message": "clock of node 3"}],
        }));
        for part in [
            "c0ffee",
            "node 2 (term 7)",
            "4000 ms",
            "Leader, draining",
            "  3  ",
            "3500 ms",
            "-2 ms",
            "9 ms",
            "42 MB",
            "2 shards, 1 without an owner, 1 being handed over",
            "up to 2026-01-01T00:00:01Z",
            "failing: node 2 leaves http://a:80 alone since 2026-01-01T00:00:00Z (7 failures in a row)",
            "warning: two nodes",
            "warning: clock of node 3",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn missing_fields_leave_out_their_columns() {
        let text = render(&json!({"nodes": [{"id": 1}]}));
        assert!(text.contains("none: no quorum") && text.contains("NODE\n1"), "{text}");
        assert!(!text.contains("LAG"), "{text}");
        assert!(render(&Value::Null).contains("cluster"), "nothing at all is no panic");
    }
}

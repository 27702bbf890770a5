//! `status` and `cluster checksum`: the state of the cluster as one node sees it. Fields that the
//! node does not send are left out, so that older and newer nodes can be asked too.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::client::Client;
use super::output::{Column, Format, Output, cell, clear, line, say, show, table};
use super::probe::Probe;

/// Time between two checks whether the cluster is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Flags of `status`.
#[derive(Debug, Default, Args)]
pub struct Status {
    /// Waits until there is a leader, every node answers and each shard has an owner; exit code 1
    /// if that takes more than SECONDS [default: 60]
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "60",
        conflicts_with = "watch"
    )]
    pub(super) wait: Option<u64>,
    /// Shows it again every SECONDS [default: 2], until ctrl-c
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    pub(super) watch: Option<u64>,
    /// Only asks whether this node is ready, or alive; needs no credentials. Exit code 0 if it says
    /// yes, 1 if it says no, 4 if nothing answers
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        num_args = 0..=1,
        default_missing_value = "ready",
        conflicts_with_all = ["wait", "watch"]
    )]
    pub(super) probe: Option<Probe>,
}

const NODES: &[Column] = &[
    ("node", &["id"]),
    ("address", &["address"]),
    ("state", &["state"]),
    ("shards", &["shards"]),
    ("lease", &["leaseMs"]),
    ("clock", &["clockOffsetMs"]),
    ("lag p99", &["lagMs.p99"]),
    ("due", &["queue.due"]),
];
/// The columns that only `-o wide` has.
const MORE_OF_NODES: &[Column] = &[
    ("lag p50", &["lagMs.p50"]),
    ("built", &["queue.built"]),
    ("in flight", &["queue.inFlight"]),
    ("journal", &["journalDepth"]),
    ("applied", &["appliedIndex"]),
    ("memory", &["memoryMb"]),
    ("version", &["version"]),
];

/// Carries out `status`.
pub(super) async fn run(flags: &Status, client: &Client, output: Output) -> anyhow::Result<()> {
    if let Some(seconds) = flags.watch {
        return watch(Duration::from_secs(seconds.max(1)), client, output).await;
    }
    let envelope = match flags.wait {
        Some(seconds) => wait(Duration::from_secs(seconds), client).await?,
        None => client.get("/cluster/status", &[]).await?,
    };
    shown(&envelope, output)?;
    if has_quorum(&envelope["data"]) { Ok(()) } else { Err(Failure::NoQuorum.into()) }
}

fn shown(envelope: &Value, output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json(envelope);
    }
    line(render(&envelope["data"], output.format == Format::Wide).trim_end())
}

/// The status as soon as the cluster is ready, or what it lacks when the time is over.
async fn wait(patience: Duration, client: &Client) -> anyhow::Result<Value> {
    let begun = Instant::now();
    loop {
        client.begin_anew();
        let lacking = match client.get("/cluster/status", &[]).await {
            Ok(envelope) => match lacking(&envelope["data"]) {
                None => return Ok(envelope),
                Some(lacking) => anyhow::anyhow!(lacking),
            },
            // The credentials are wrong; waiting does not help.
            Err(e) if super::Failure::code(&e) == 3 => return Err(e),
            Err(e) => e,
        };
        if begun.elapsed() >= patience {
            return Err(lacking.context(format!("not ready after {} s", patience.as_secs())));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The thing that a cluster lacks to be ready.
fn lacking(status: &Value) -> Option<String> {
    if status["leader"].is_null() {
        return Some("there is no leader".to_owned());
    }
    let nodes = status["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    let silent: Vec<_> =
        nodes.iter().filter(|n| n["state"] == "unreachable").map(|n| cell(n, &["id"])).collect();
    if !silent.is_empty() {
        let noun = if silent.len() == 1 { "node" } else { "nodes" };
        return Some(format!("no answer from {noun} {}", silent.join(", ")));
    }
    let shards = status["shards"].as_array().map_or(&[][..], Vec::as_slice);
    let orphans = shards.iter().filter(|s| s["owner"].as_u64().unwrap_or(0) == 0).count();
    match (orphans, shards.len()) {
        (0, 1..) => None,
        (orphans, all) => Some(format!("{orphans} of {all} shards have no owner")),
    }
}

/// Shows it again and again; what goes wrong meanwhile is part of the picture.
async fn watch(pause: Duration, client: &Client, output: Output) -> anyhow::Result<()> {
    let terminal = io::stdout().is_terminal();
    loop {
        client.begin_anew();
        let looked = client.get("/cluster/status", &[]).await;
        if terminal {
            clear()?;
        }
        match looked {
            Ok(envelope) => shown(&envelope, output)?,
            Err(e) => say(&format!("error: {e:#}")),
        }
        if !terminal && !output.is_json() {
            line("")?;
        }
        tokio::time::sleep(pause).await;
    }
}

/// A node of an older version only says who leads.
fn has_quorum(status: &Value) -> bool {
    status["quorum"].as_bool().unwrap_or(!status["leader"].is_null())
}

/// The status for people.
fn render(status: &Value, wide: bool) -> String {
    let mut text = String::new();
    if !has_quorum(status) {
        text.push_str("NO QUORUM: nothing fires, and nothing can be written\n\n");
    }
    let leader = match &status["leader"] {
        _ if !has_quorum(status) => "none: no quorum, or an election is under way".to_owned(),
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
    let _ = write!(text, "\n{}\n", node_table(nodes, wide));
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
            let _ = write!(text, "\nall accounted for up to {oldest}");
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
fn node_table(nodes: &[Value], wide: bool) -> String {
    let filled = |column: &&Column| nodes.iter().any(|n| cell(n, column.1) != "-");
    let more = if wide { MORE_OF_NODES } else { &[] };
    let columns: Vec<_> = NODES.iter().chain(more).filter(filled).collect();
    table(
        columns.iter().map(|(title, _)| *title),
        nodes.iter().map(|node| columns.iter().map(|column| node_cell(node, column)).collect()),
    )
}

fn node_cell(node: &Value, (title, names): &Column) -> String {
    let value = cell(node, names);
    match *title {
        _ if value == "-" => value,
        "lease" | "clock" | "lag p50" | "lag p99" => format!("{value} ms"),
        "memory" => node["memoryMb"].as_f64().map_or(value, |mb| format!("{mb:.0} MB")),
        "state" if node["draining"] == true => format!("{value}, draining"),
        // The field is either a number or a list.
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
        Format::Table | Format::Wide => {
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
        let text = render(
            &json!({
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
            }),
            true,
        );
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
    fn the_table_fits_a_terminal_and_wide_has_the_rest() {
        let node = json!({
            "id": 2, "address": "http://127.0.0.1:9092", "state": "unreachable", "shards": 21,
            "leaseMs": 3950, "clockOffsetMs": -12, "appliedIndex": 123_456, "journalDepth": 0,
            "queue": {"due": 500, "built": 1, "inFlight": 4}, "lagMs": {"p50": 1, "p99": 1234},
            "memoryMb": 31.29344, "version": "0.1.0",
        });
        let text = node_table(std::slice::from_ref(&node), false);
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(!text.contains("MEMORY") && node_table(&[node], true).contains("31 MB"));
    }

    #[test]
    fn a_cluster_is_ready_with_a_leader_all_nodes_and_all_shards() {
        let ready = json!({
            "leader": 1, "nodes": [{"id": 1, "state": "leader"}, {"id": 2, "state": "follower"}],
            "shards": [{"id": 0, "owner": 2}],
        });
        assert_eq!(lacking(&ready), None);
        for (path, value, part) in [
            ("/leader", Value::Null, "no leader"),
            ("/nodes/1/state", json!("unreachable"), "no answer from node 2"),
            ("/shards/0/owner", json!(0), "1 of 1 shards have no owner"),
            ("/shards", json!([]), "0 of 0"),
        ] {
            let mut status = ready.clone();
            *status.pointer_mut(path).unwrap() = value;
            assert!(lacking(&status).unwrap().contains(part), "{path}");
        }
    }

    #[test]
    fn without_a_quorum_that_stands_on_top() {
        let lost = json!({"leader": null, "quorum": false, "term": 7, "nodes": [{"id": 1}]});
        let text = render(&lost, false);
        assert!(text.starts_with("NO QUORUM: nothing fires"), "{text}");
        assert!(!has_quorum(&lost));
        let led = json!({"leader": 1, "quorum": true, "term": 7, "nodes": [{"id": 1}]});
        assert!(!render(&led, false).contains("NO QUORUM") && has_quorum(&led));
        assert!(has_quorum(&json!({"leader": 1})), "an older version");
    }

    #[test]
    fn missing_fields_leave_out_their_columns() {
        let text = render(&json!({"nodes": [{"id": 1}]}), false);
        assert!(text.contains("none: no quorum") && text.contains("NODE\n1"), "{text}");
        assert!(!text.contains("LAG"), "{text}");
        assert!(render(&Value::Null, false).contains("cluster"), "nothing at all is no panic");
    }
}

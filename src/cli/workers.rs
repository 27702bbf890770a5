//! `queues` and `workers`: what waits for worker processes, and who they are. They ask a node and
//! show its answer; nodes that did not answer it are named on stderr.

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::output::{ComputedColumn, Output, cell, say, show};

const QUEUES: &[ComputedColumn] = &[
    ComputedColumn { title: "id", cell: |q| cell(q, &["id"]), wide: true },
    ComputedColumn { title: "queue", cell: |q| cell(q, &["name"]), wide: false },
    ComputedColumn { title: "bus", cell: |q| cell(q, &["bus"]), wide: false },
    ComputedColumn { title: "offers", cell: |q| cell(q, &["offers"]), wide: false },
    ComputedColumn { title: "taken", cell: |q| cell(q, &["taken"]), wide: false },
    ComputedColumn { title: "waiting claims", cell: |q| cell(q, &["waitingClaims"]), wide: false },
    ComputedColumn { title: "oldest offer", cell: |q| cell(q, &["oldestOfferAt"]), wide: false },
];

const WORKERS: &[ComputedColumn] = &[
    ComputedColumn { title: "worker", cell: |w| cell(w, &["workerId"]), wide: false },
    ComputedColumn { title: "queues", cell: queues_of, wide: false },
    ComputedColumn { title: "runs", cell: |w| cell(w, &["runs"]), wide: false },
    ComputedColumn { title: "node", cell: |w| cell(w, &["nodeId"]), wide: false },
    ComputedColumn { title: "seen", cell: |w| cell(w, &["seenAt"]), wide: false },
];

/// Flags of `queues` and of `workers`.
#[derive(Debug, Args)]
pub struct WorkersPage {
    /// At most so many, up to 1000
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// After so many
    #[arg(long, default_value_t = 0)]
    offset: u64,
}

/// Carries out `queues`.
pub(super) async fn queues(
    page: &WorkersPage,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    list("queues", QUEUES, page, client, output).await
}

/// Carries out `workers`.
pub(super) async fn workers(
    page: &WorkersPage,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    list("workers", WORKERS, page, client, output).await
}

async fn list(
    noun: &str,
    columns: &[ComputedColumn],
    page: &WorkersPage,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let query = [("limit", page.limit.to_string()), ("offset", page.offset.to_string())];
    let envelope = client.get(&format!("/{noun}"), &query).await?;
    let data = &envelope["data"];
    let records = data[noun].as_array().map_or(&[][..], Vec::as_slice);
    output.computed(&envelope, records, columns)?;
    if output.is_json() {
        return Ok(());
    }
    if let Some(nodes) = data["unanswered"].as_array() {
        let nodes: Vec<_> = nodes.iter().map(show).collect();
        say(&format!("not answered by node {}: what it knows is missing", nodes.join(", ")));
    }
    let shown = page.offset + records.len() as u64;
    if let Some(total) = data["total"].as_u64()
        && shown < total
        && !records.is_empty()
    {
        say(&format!("{shown} of {total}; go on with --offset {shown}"));
    }
    Ok(())
}

/// The names of the queues that a worker claimed from.
fn queues_of(worker: &Value) -> String {
    let names: Vec<_> = worker["queues"].as_array().into_iter().flatten().map(show).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(",") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_worker_is_shown_with_its_queues() {
        let row = |worker: &Value| -> Vec<String> {
            WORKERS.iter().map(|column| (column.cell)(worker)).collect()
        };
        let worker = json!({"workerId": "w-1", "nodeId": 2, "queues": ["a", "b"], "runs": 3,
            "seenAt": "2026-11-29T20:18:00Z"});
        assert_eq!(row(&worker), ["w-1", "a,b", "3", "2", "2026-11-29T20:18:00Z"]);
        let new = json!({"workerId": "w-1", "nodeId": 2, "queues": [], "seenAt": "x"});
        assert_eq!(row(&new)[1..3], ["-", "-"]);
    }
}

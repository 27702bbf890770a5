//! `cluster ...`: the members of the cluster. Each command is a few requests to the API with
//! waiting between them. Progress goes to stderr, the members at the end to stdout.
//!
//! ```text
//!   add:    learner -> wait until it has caught up -> voter
//!   remove: drain -> wait for its shards and results -> (transfer the leadership) -> remove
//! ```

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Client;
use super::output::{ComputedColumn, Output, cell, say};
use super::recover::Recover;
use super::{Failure, ask, status, visible};

/// Time between two looks at the members.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// A learner that has fewer entries to apply than this has caught up.
const CAUGHT_UP: u64 = 500;

/// The cluster as a whole, and who belongs to it.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Lists the members: role, shards, results not yet collected, how far behind
    Members,
    /// Adds a node that was started and waits; it becomes a voter once it has caught up
    Add(Add),
    /// Drains a node and takes it out of the cluster for good
    Remove(Remove),
    /// Makes a learner that has caught up a voter
    Promote {
        /// The node's number
        id: u64,
    },
    /// Hands the leadership to another voter
    TransferLeader {
        /// The new leader [default: the node that has most of the log]
        id: Option<u64>,
        /// Doesn't ask
        #[arg(long)]
        yes: bool,
    },
    /// Hands a node's shards to the others and gives it none until undone
    Drain(Drain),
    /// Goes on with this stopped node alone after a quorum was lost for good; works on its folder
    Recover(Recover),
    /// Has every node hash its state at one log entry; exit code 1 if they differ
    Checksum,
}

/// Flags of `cluster add`.
#[derive(Debug, Args)]
pub struct Add {
    /// The new node's number: one that no node has or had
    id: u64,
    /// The URL of its API
    #[arg(long, value_name = "URL")]
    address: String,
    /// host:port at which the other nodes reach it
    #[arg(long, value_name = "HOST:PORT")]
    raft_address: String,
    /// Leaves it a learner: it has everything, fires its share and does not vote
    #[arg(long)]
    learner: bool,
    /// Gives a removed node's number to this new data folder
    #[arg(long)]
    replace: bool,
    /// The longest wait until it has caught up
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    wait: u64,
}

/// Flags of `cluster remove`.
#[derive(Debug, Args)]
pub struct Remove {
    /// The node's number
    id: u64,
    /// Also if it does not answer: what it delivered and was not collected is delivered again
    #[arg(long)]
    force: bool,
    /// Doesn't ask
    #[arg(long)]
    yes: bool,
    /// The longest wait until it is drained
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    wait: u64,
}

/// Flags of `cluster drain`.
#[derive(Debug, Args)]
pub struct Drain {
    /// The node's number
    id: u64,
    /// Lets it have shards again
    #[arg(long)]
    undo: bool,
    /// The longest wait until it has none
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    wait: u64,
}

const MEMBERS: &[ComputedColumn] = &[
    ComputedColumn { title: "node", cell: |m| cell(m, &["id"]), wide: false },
    ComputedColumn { title: "role", cell: |m| cell(m, &["role"]), wide: false },
    ComputedColumn { title: "address", cell: |m| cell(m, &["address"]), wide: false },
    ComputedColumn { title: "raft address", cell: |m| cell(m, &["raftAddress"]), wide: true },
    ComputedColumn { title: "state", cell: state, wide: false },
    ComputedColumn { title: "shards", cell: |m| cell(m, &["shards"]), wide: false },
    ComputedColumn { title: "uncollected", cell: |m| cell(m, &["uncollected"]), wide: false },
    ComputedColumn { title: "behind", cell: |m| cell(m, &["behind"]), wide: false },
];

/// The state of a member in a word or two.
fn state(member: &Value) -> String {
    let words = match (member["reachable"] == true, member["draining"] == true) {
        (true, false) => "up",
        (true, true) => "draining",
        (false, false) => "no answer",
        (false, true) => "no answer, draining",
    };
    words.to_owned()
}

/// Carries it out; `recover` is not for a running node and goes elsewhere.
pub(super) async fn run(
    command: &ClusterCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        ClusterCommand::Checksum => return status::checksum(client, output).await,
        ClusterCommand::Members | ClusterCommand::Recover(_) => {}
        ClusterCommand::Add(flags) => add(flags, client).await?,
        ClusterCommand::Remove(flags) => {
            let left = remove(flags, client).await?;
            let envelope = match client.get("/cluster/members", &[]).await {
                // The node that was asked is the one that has left, and ends.
                Err(error) if is_unreachable(&error) => left,
                asked => asked?,
            };
            return show_members(&envelope, output);
        }
        ClusterCommand::Promote { id } => promote(*id, client).await?,
        ClusterCommand::TransferLeader { id, yes } => {
            if ask::will_ask(*yes) {
                let from = client.get("/cluster/members", &[]).await?["data"]["leader"].clone();
                let to = id.map_or_else(
                    || "the voter that has most of the log".to_owned(),
                    |id| format!("node {id}"),
                );
                ask::confirm(
                    *yes,
                    &format!("The leadership goes from node {from} to {to}. Go on?"),
                )?;
            }
            transfer(*id, client).await?;
        }
        ClusterCommand::Drain(flags) => drain(flags, client).await?,
    }
    show_members(&client.get("/cluster/members", &[]).await?, output)
}

fn show_members(envelope: &Value, output: Output) -> anyhow::Result<()> {
    let members = envelope["data"]["members"].as_array().map_or(&[][..], Vec::as_slice);
    output.computed(envelope, members, MEMBERS)
}

async fn add(flags: &Add, client: &Client) -> anyhow::Result<()> {
    let id = flags.id;
    let body = json!({
        "id": id, "address": flags.address, "raftAddress": flags.raft_address,
        "replace": flags.replace,
    });
    client.post("/cluster/members", &body).await?;
    say(&format!("node {id} is a learner now"));
    let wait = Wait::new(flags.wait, format!("node {id} has not caught up"));
    wait.until(client, |members| {
        let Some(member) = find(members, id) else { return Err("it is not a member yet".into()) };
        match member["behind"].as_u64() {
            Some(behind) if behind <= CAUGHT_UP => Ok(()),
            Some(behind) => Err(format!("node {id} is catching up: behind by {behind} entries")),
            None => Err(format!("node {id} does not answer yet")),
        }
    })
    .await?;
    say(&format!("node {id} has caught up"));
    if flags.learner { Ok(()) } else { promote(id, client).await }
}

async fn promote(id: u64, client: &Client) -> anyhow::Result<()> {
    client.post(&format!("/cluster/members/{id}/promote"), &json!({})).await?;
    say(&format!("node {id} is a voter now"));
    Ok(())
}

async fn transfer(to: Option<u64>, client: &Client) -> anyhow::Result<()> {
    let envelope = client.post("/cluster/leader", &json!({ "id": to })).await?;
    say(&format!("node {} leads now", envelope["data"]["id"]));
    Ok(())
}

async fn drain(flags: &Drain, client: &Client) -> anyhow::Result<()> {
    let id = flags.id;
    let path = format!("/cluster/members/{id}/drain");
    if flags.undo {
        client.delete(&path, &[]).await?;
        say(&format!("node {id} may have shards again"));
        return Ok(());
    }
    client.post(&path, &json!({})).await?;
    let wait = Wait::new(flags.wait, format!("node {id} still has shards or results"));
    wait.until(client, |members| drained(members, id)).await?;
    say(&format!("node {id} has no shards, and its results are collected"));
    Ok(())
}

fn drained(members: &Value, id: u64) -> Result<(), String> {
    let Some(member) = find(members, id) else { return Ok(()) };
    match (member["shards"].as_u64(), member["uncollected"].as_u64()) {
        (Some(0), Some(0)) => Ok(()),
        (_, None) => Err(format!("node {id} does not answer")),
        (shards, Some(results)) => Err(format!(
            "draining node {id}: {} shards left, {results} results to collect",
            shards.unwrap_or(0)
        )),
    }
}

/// Removes a node. Returns the members as they were before, without it.
async fn remove(flags: &Remove, client: &Client) -> anyhow::Result<Value> {
    let id = flags.id;
    let mut envelope = client.get("/cluster/members", &[]).await?;
    let members = &envelope["data"];
    let force = [("force", flags.force.to_string())];
    let path = format!("/cluster/members/{id}");
    if let Some(member) = find(members, id) {
        let of = |name| cell(member, &[name]);
        let question = format!(
            "Node {id} ({}, {}, {} shards) leaves the cluster for good: its data folder is refused \
             from then on. Go on?",
            of("address"),
            of("role"),
            of("shards")
        );
        ask::confirm(flags.yes, &question)?;
    }
    let reachable = find(members, id).is_some_and(|member| member["reachable"] == true);
    let voters = members["members"].as_array().into_iter().flatten();
    let voters: Vec<_> = voters.filter(|member| member["role"] == "voter").collect();
    // A cluster of one voter refuses to remove it and says why; the node must not be drained first.
    let alone = voters.len() == 1 && voters[0]["id"] == id;
    if reachable && !alone {
        if flags.force {
            client.post(&format!("{path}/drain"), &json!({})).await?;
        } else {
            drain(&Drain { id, undo: false, wait: flags.wait }, client).await?;
        }
        // Draining takes time. Another operator may have transferred the leadership meanwhile.
        if client.get("/cluster/members", &[]).await?["data"]["leader"] == id {
            transfer(None, client).await?;
        }
    } else if flags.force && !alone {
        say(&format!(
            "node {id} does not answer: what it delivered and was not collected is delivered again \
             (same ids); its shards move once its lease has ended"
        ));
    }
    let mut tries = 0;
    loop {
        tries += 1;
        match client.delete(&path, &force).await {
            Ok(()) => break,
            // A new leader has to hear from every node before it knows which ones live.
            Err(error) if reachable && !alone && tries < 10 && is_conflict(&error) => {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            Err(error) => return Err(error),
        }
    }
    say(&format!("node {id} is removed: its data folder is refused from now on"));
    if let Some(members) = envelope["data"]["members"].as_array_mut() {
        members.retain(|member| member["id"] != id);
    }
    Ok(envelope)
}

fn is_unreachable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Failure>(), Some(Failure::Unreachable { .. }))
}

fn is_conflict(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Failure>(), Some(Failure::Refused { status: 409, .. }))
}

fn find(members: &Value, id: u64) -> Option<&Value> {
    members["members"].as_array()?.iter().find(|member| member["id"] == id)
}

/// Waits for a state of the members and shows the progress: on a terminal as one line that changes,
/// elsewhere as a line for each change.
struct Wait {
    until: Instant,
    otherwise: String,
    terminal: bool,
}

impl Wait {
    fn new(seconds: u64, otherwise: String) -> Self {
        let terminal = io::stderr().is_terminal();
        Self { until: Instant::now() + Duration::from_secs(seconds), otherwise, terminal }
    }

    fn tell(&self, news: &str, said: &str) {
        if self.terminal {
            let mut err = io::stderr().lock();
            // The text is lost when stderr is closed.
            let _ = write!(err, "\r\x1b[2K{}", visible::one_line(news)).and_then(|()| err.flush());
        } else if !news.is_empty() && news != said {
            say(news);
        }
    }

    /// Polls the members until `ready` returns `Ok`. The node that is asked may be between two
    /// leaders meanwhile.
    async fn until(
        self,
        client: &Client,
        ready: impl Fn(&Value) -> Result<(), String>,
    ) -> anyhow::Result<()> {
        let mut said = String::new();
        loop {
            let news = match client.get("/cluster/members", &[]).await {
                Ok(envelope) => match ready(&envelope["data"]) {
                    Ok(()) => {
                        self.tell("", &said);
                        return Ok(());
                    }
                    Err(news) => news,
                },
                Err(error) if error.downcast_ref::<Failure>().is_some() => return Err(error),
                Err(error) => error.to_string(),
            };
            self.tell(&news, &said);
            anyhow::ensure!(
                Instant::now() < self.until,
                "{} in time ({news}); repeat the command to wait on",
                self.otherwise
            );
            said = news;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_drained_when_nothing_of_it_is_left() {
        let member = |shards: u64, uncollected: Value| json!({"members": [{"id": 2, "shards": shards, "uncollected": uncollected}]});
        assert_eq!(drained(&member(0, json!(0)), 2), Ok(()));
        let left = drained(&member(3, json!(7)), 2).unwrap_err();
        assert_eq!(left, "draining node 2: 3 shards left, 7 results to collect");
        assert!(drained(&member(0, Value::Null), 2).unwrap_err().contains("does not answer"));
    }
}

//! `cluster recover`: makes a stopped node go on alone after a quorum was lost for good. It is the
//! only cluster command that works on a data folder. It says what may be lost, and does nothing
//! unless the operator says that this is understood.

use clap::Args;
use serde_json::json;

use super::output::{Format, Output, line, say};
use super::{Failure, Global};
use crate::cluster::recover::{self, Survey};
use crate::config::Config;
use crate::node::Identity;

/// Flags of `cluster recover`.
#[derive(Debug, Args)]
pub struct Recover {
    /// Does it; without this flag it only shows what this node knows and what would be lost
    #[arg(long)]
    i_understand: bool,
}

/// Carries it out.
pub(super) fn run(flags: &Recover, global: &Global, output: Output) -> anyhow::Result<()> {
    let config = global.load()?;
    // Refused while a node runs on the folder.
    let _identity = Identity::open(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let survey = runtime.block_on(recover::survey(&config.data_dir))?;
    explain(&config, &survey);
    if flags.i_understand {
        runtime.block_on(recover::go_on_alone(&config.data_dir, config.node_id))?;
        say(&format!(
            "done: node {} is the only member; start it, then add the others on empty data folders",
            config.node_id
        ));
    }
    show(&config, &survey, flags.i_understand, output)?;
    if flags.i_understand {
        return Ok(());
    }
    let message = "nothing was changed: say --i-understand, on one survivor only".to_owned();
    Err(Failure::Usage(message).into())
}

fn show(config: &Config, survey: &Survey, done: bool, output: Output) -> anyhow::Result<()> {
    let (term, index) = survey.last.unwrap_or_default();
    let members: Vec<_> = survey
        .members
        .iter()
        .map(|(id, member, votes)| {
            json!({
                "id": id, "address": member.address, "raftAddress": member.raft_address,
                "role": if *votes { "voter" } else { "learner" },
            })
        })
        .collect();
    match output.format {
        Format::Json => output.json(&json!({
            "id": config.node_id, "lastLogTerm": term, "lastLogIndex": index,
            "appliedIndex": survey.applied, "members": members, "recovered": done,
        })),
        Format::Table | Format::Wide => line(&format!(
            "node {}: last log entry is {index} of term {term}, applied up to {}",
            config.node_id, survey.applied
        )),
    }
}

fn explain(config: &Config, survey: &Survey) {
    let node = config.node_id;
    let voters: Vec<_> = survey.members.iter().filter(|(_, _, votes)| *votes).collect();
    let others: Vec<_> = voters
        .iter()
        .filter(|(id, _, _)| *id != node)
        .map(|(id, member, _)| format!("node {id} ({})", member.raft_address))
        .collect();
    say(&format!(
        "Recovering node {node} from {}: it becomes the only member of its cluster.

First make sure that
  - {} cannot be brought back, or not enough of them for a quorum of {};
  - none of them runs: two clusters would deliver the same occurrences side by side;
  - of the survivors this one knows most: compare the last log entries (the higher term wins, then
    the higher index) by running this command, without --i-understand, on each of them.

What may be lost:
  - writes that were acknowledged by a quorum that this node was not part of, if its log ends before
    them: jobs, edits, pauses and deletions of the last moments;
  - results that were delivered and not yet collected from the lost nodes: those occurrences are sent
    again, so they come twice, with the same ids. No planned occurrence of a job that this node knows is
    left out, within each job's misfire policy.

Afterwards the old members are refused: to come back, each needs an empty DataDir and
`scheduler0 cluster add`, with a new id or --replace.
",
        config.data_dir.display(),
        if others.is_empty() { "the others".to_owned() } else { others.join(", ") },
        voters.len()
    ));
}

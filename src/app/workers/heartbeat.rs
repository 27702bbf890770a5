//! Heartbeats: a worker says that it and its runs are alive, and hears what it is to stop.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::reads::limits::reaches_all_projects;
use crate::app::runs::ids::{Meant, meant};
use crate::app::state::App;
use crate::app::workers::names::{check_worker, read};
use crate::gateway::Heard;
use crate::model::Millis;
use crate::model::claim::{RunHeartbeat, WorkerHeartbeat};
use crate::model::offer::MAX_MESSAGE;
use crate::model::run::Occurrence;
use crate::schedule::show_duration;

/// The most runs in a heartbeat.
const MAX_RUNS: usize = 10_000;

/// The sign of life of one run, as a client says it.
#[derive(Clone, Debug, Default)]
pub struct RunAlive {
    /// Its execution id or its run id.
    pub id: String,
    /// The number of the attempt.
    pub attempt: u64,
    /// Per cent.
    pub progress: Option<u64>,
    /// The worker's words; what is too long is cut off.
    pub message: Option<String>,
}

/// A heartbeat, as a client says it.
#[derive(Clone, Debug, Default)]
pub struct HeartbeatInput {
    /// The worker: one process.
    pub worker: String,
    /// Its runs.
    pub runs: Vec<RunAlive>,
    /// The longest wait for an order to stop, in milliseconds.
    pub wait: Option<Millis>,
}

/// The answer to a heartbeat, by the ids that the client gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeartbeatRecord {
    /// To be stopped, and reported as cancelled.
    pub cancel: Vec<String>,
    /// Over, or somebody else's: to be stopped without a report.
    pub gone: Vec<String>,
    /// Nobody who knows them was reached: they go on, and the heartbeat does not count for them.
    pub unknown: Vec<String>,
}

impl App {
    /// Takes a heartbeat, and waits for an order to stop.
    ///
    /// # Errors
    ///
    /// `Invalid` for a value out of its bounds, or an id that is none of a run.
    pub async fn take_heartbeat(
        &self,
        actor: &Actor,
        input: HeartbeatInput,
    ) -> Result<HeartbeatRecord, Error> {
        authorize(actor, Action::RunsWork, Resource::Any)?;
        reaches_all_projects(actor, "work on runs of queues, which have those of all projects")?;
        let longest = self.longest_wait();
        check(&input, longest)?;
        let gateway = self.workers_gateway()?;
        let cluster = self.cluster_of_runs().await?;
        let mut all = Vec::with_capacity(input.runs.len());
        for (index, run) in input.runs.iter().enumerate() {
            all.push(meant(cluster, &run.id).ok_or_else(|| no_id(&run.id).at(index))?);
        }
        let names = all.iter().filter_map(|meant| match meant {
            Meant::Run(name, None) => Some(*name),
            Meant::Run(_, Some(_)) | Meant::Foreign => None,
        });
        let mut found = read(gateway.occurrences(names.collect()).await)?.into_iter();
        let mut record = HeartbeatRecord::default();
        let mut listed = Listed::default();
        for (run, meant) in input.runs.into_iter().zip(all) {
            let of = match meant {
                Meant::Foreign => {
                    record.gone.push(run.id);
                    continue;
                }
                Meant::Run(_, Some(of)) => Some(of),
                Meant::Run(_, None) => found.next().flatten(),
            };
            match of {
                Some(occurrence) => listed.add(occurrence, run),
                None => record.unknown.push(run.id),
            }
        }
        if self.is_limited(actor) {
            let all = listed.runs.iter().map(|run| run.occurrence).collect();
            record.gone.extend(listed.keep(&self.reached_occurrences(actor, all).await?));
        }
        let wait = input.wait.unwrap_or(0).cast_unsigned();
        // What is gone, or was not heard, is told at once.
        let wait = if record.gone.is_empty() && record.unknown.is_empty() { wait } else { 0 };
        let Listed { ids, runs, .. } = listed;
        let beat = WorkerHeartbeat { worker: input.worker, runs };
        let Heard { cancel, gone, unknown } = gateway.heartbeat(beat, wait).await;
        let with_ids = |all: Vec<Occurrence>| {
            all.into_iter().filter_map(|of| ids.get(&of)).flat_map(|(_, ids)| ids.iter().cloned())
        };
        record.cancel.extend(with_ids(cancel));
        record.gone.extend(with_ids(gone));
        record.unknown.extend(with_ids(unknown));
        Ok(record)
    }
}

/// The runs of a heartbeat, each once: answers name runs, and not attempts.
#[derive(Default)]
struct Listed {
    /// The places in `runs`, and the ids that the client gave.
    ids: HashMap<Occurrence, (usize, Vec<String>)>,
    runs: Vec<RunHeartbeat>,
}

impl Listed {
    /// Keeps these runs; the ids of the others.
    fn keep(&mut self, kept: &HashSet<Occurrence>) -> Vec<String> {
        let others = std::mem::take(&mut self.runs).into_iter();
        let (kept, others): (Vec<_>, Vec<_>) =
            others.partition(|run| kept.contains(&run.occurrence));
        self.runs = kept;
        let ids = others.iter().filter_map(|run| self.ids.remove(&run.occurrence));
        ids.flat_map(|(_, ids)| ids).collect()
    }

    /// Adds an entry. Of several attempts of a run the last one counts: a worker that has it must
    /// not be told that the run is gone because of an attempt before.
    fn add(&mut self, occurrence: Occurrence, run: RunAlive) {
        let RunAlive { id, attempt, progress, message } = run;
        let beat = RunHeartbeat {
            occurrence,
            // They were checked.
            attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
            progress: progress.and_then(|percent| u8::try_from(percent).ok()),
            message: message.map(|words| bounded(&words)),
        };
        match self.ids.entry(occurrence) {
            Entry::Vacant(entry) => {
                entry.insert((self.runs.len(), vec![id]));
                self.runs.push(beat);
            }
            Entry::Occupied(entry) => {
                let (place, ids) = entry.into_mut();
                if !ids.contains(&id) {
                    ids.push(id);
                }
                if let Some(known) =
                    self.runs.get_mut(*place).filter(|it| it.attempt < beat.attempt)
                {
                    *known = beat;
                }
            }
        }
    }
}

fn check(input: &HeartbeatInput, longest: Millis) -> Result<(), Error> {
    check_worker(&input.worker)?;
    if input.runs.len() > MAX_RUNS {
        let message = format!("runs has more than {MAX_RUNS} entries: send several heartbeats");
        return Err(Error::invalid("runs", message));
    }
    if input.wait.is_some_and(|wait| !(0..=longest).contains(&wait)) {
        let message = format!("wait must be from 0s to {}", show_duration(longest));
        return Err(Error::invalid("wait", message));
    }
    for (index, run) in input.runs.iter().enumerate() {
        if u32::try_from(run.attempt).ok().is_none_or(|attempt| attempt == 0) {
            let message = "attempt must be the number that came with the run, 1 or more";
            return Err(Error::invalid("attempt", message).at(index));
        }
        if run.progress.is_some_and(|percent| percent > 100) {
            let message = "progress must be from 0 to 100, in per cent";
            return Err(Error::invalid("progress", message).at(index));
        }
    }
    Ok(())
}

fn no_id(id: &str) -> Error {
    let shown: String = id.chars().take(60).flat_map(char::escape_default).collect();
    let message = format!("id {shown:?} is none of a run: give the id or the runId of the claim");
    Error::invalid("id", message)
}

/// The part of a worker's words that is kept, without control characters.
fn bounded(words: &str) -> String {
    let mut clean: String =
        words.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    clean.truncate(clean.floor_char_boundary(MAX_MESSAGE));
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_attempts_of_a_run_the_last_one_counts_under_all_its_ids() {
        let of = |job| Occurrence { job, scheduled: 5, run: 0 };
        let run = |id: &str, attempt| RunAlive { id: id.into(), attempt, ..RunAlive::default() };
        let mut listed = Listed::default();
        for (job, id, attempt) in
            [(1, "a", 1), (2, "b", 4), (1, "a", 3), (1, "long-a", 2), (2, "b", 3)]
        {
            listed.add(of(job), run(id, attempt));
        }
        let runs: Vec<_> = listed.runs.iter().map(|run| (run.occurrence, run.attempt)).collect();
        assert_eq!(runs, [(of(1), 3), (of(2), 4)]);
        assert_eq!(listed.ids[&of(1)].1, ["a", "long-a"]);
        assert_eq!(listed.ids[&of(2)].1, ["b"]);
    }

    fn input(run: RunAlive) -> HeartbeatInput {
        HeartbeatInput { worker: "w".into(), runs: vec![RunAlive::default(), run], wait: None }
    }

    #[test]
    fn a_heartbeat_says_what_is_wrong_with_it() {
        let run = || RunAlive { id: "x".into(), attempt: 1, ..RunAlive::default() };
        let good = || HeartbeatInput { runs: vec![run(), run()], ..input(run()) };
        assert!(check(&good(), 60_000).is_ok());
        let with = |last: RunAlive| HeartbeatInput { runs: vec![run(), last], ..good() };
        for (bad, field, index) in [
            (HeartbeatInput { worker: String::new(), ..good() }, "workerId", None),
            (HeartbeatInput { wait: Some(60_001), ..good() }, "wait", None),
            (HeartbeatInput { runs: vec![run(); MAX_RUNS + 1], ..good() }, "runs", None),
            (with(RunAlive { attempt: 0, ..run() }), "attempt", Some(1)),
            (with(RunAlive { attempt: 1 << 32, ..run() }), "attempt", Some(1)),
            (with(RunAlive { progress: Some(101), ..run() }), "progress", Some(1)),
        ] {
            let error = check(&bad, 60_000).unwrap_err();
            assert_eq!((error.field_name(), error.index()), (Some(field), index), "{error}");
        }
    }

    #[test]
    fn words_are_cut_where_a_character_ends() {
        assert_eq!(bounded("a\u{0}b\nc"), "a b\nc");
        let long = bounded(&format!("x{}", "\u{e4}".repeat(MAX_MESSAGE)));
        assert_eq!(long.len(), MAX_MESSAGE - 1);
    }
}

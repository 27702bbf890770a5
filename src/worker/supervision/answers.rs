//! The questions that wait for an answer: claims, with the data of jobs that their answers carry,
//! and heartbeats. The task keeps them; nothing here reads anything.

use std::collections::HashMap;

use tokio::sync::oneshot;

use crate::model::claim::ClaimedRun;
use crate::model::run::Occurrence;
use crate::worker::supervisor::{ClaimId, Handed};

/// The part of a job that its worker gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JobData {
    /// The client's id of the job.
    pub(super) external_id: Option<String>,
    /// The data, as the client gave them.
    pub(super) data: String,
}

impl JobData {
    /// The run as its worker gets it.
    pub(super) fn with(self, handed: &Handed) -> ClaimedRun {
        ClaimedRun {
            occurrence: handed.of,
            attempt: handed.attempt,
            project: handed.project,
            due: handed.due,
            external_id: self.external_id,
            data: self.data,
            terms: (*handed.terms).clone(),
        }
    }
}

/// A claim that waits for its answer.
pub(super) struct WaitingClaim {
    /// The way to the caller.
    pub(super) answer: oneshot::Sender<Vec<ClaimedRun>>,
    /// The data of what was looked up for it.
    data: HashMap<Occurrence, JobData>,
}

impl WaitingClaim {
    /// The runs of an answer, if the data of all of them are here.
    pub(super) fn runs(&mut self, handed: &[Handed]) -> Option<Vec<ClaimedRun>> {
        if handed.iter().any(|handed| !self.data.contains_key(&handed.of)) {
            return None;
        }
        let run = |handed: &Handed| Some(self.data.remove(&handed.of)?.with(handed));
        Some(handed.iter().filter_map(run).collect())
    }
}

/// The questions that wait for an answer.
#[derive(Default)]
pub(super) struct Answers {
    claims: HashMap<ClaimId, WaitingClaim>,
    heartbeats: HashMap<u64, oneshot::Sender<Vec<Occurrence>>>,
    last: u64,
}

impl Answers {
    /// Adds a claim. Returns its number.
    pub(super) fn add_claim(&mut self, answer: oneshot::Sender<Vec<ClaimedRun>>) -> ClaimId {
        self.last += 1;
        self.claims.insert(self.last, WaitingClaim { answer, data: HashMap::new() });
        self.last
    }

    /// Keeps what was read for a claim.
    pub(super) fn add_data(&mut self, claim: ClaimId, data: HashMap<Occurrence, JobData>) {
        if let Some(waiting) = self.claims.get_mut(&claim) {
            waiting.data.extend(data);
        }
    }

    /// Takes out a claim that is to be answered.
    pub(super) fn take_claim(&mut self, claim: ClaimId) -> Option<WaitingClaim> {
        self.claims.remove(&claim)
    }

    /// The number of claims that wait.
    pub(super) fn claims(&self) -> usize {
        self.claims.len()
    }

    /// Adds a heartbeat. Returns its number.
    pub(super) fn add_heartbeat(&mut self, answer: oneshot::Sender<Vec<Occurrence>>) -> u64 {
        self.last += 1;
        self.heartbeats.insert(self.last, answer);
        self.last
    }

    /// Answers a heartbeat.
    pub(super) fn answer_heartbeat(&mut self, heartbeat: u64, unknown: Vec<Occurrence>) {
        if let Some(answer) = self.heartbeats.remove(&heartbeat) {
            // Whoever asked may be gone.
            let _ = answer.send(unknown);
        }
    }
}

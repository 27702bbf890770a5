//! The cancels of the writer: a client looks for a run of a job that is not over, and asks for its
//! end until the answer is final. `writer` chooses the job, its `ask` the node.

use serde_json::json;

use super::{Reply, Writer};
use crate::expected::{CancelAnswer, ExpectedCancel, ExpectedJob};
use crate::faults::Random;
use crate::hosts::now;

impl Writer {
    /// Cancels a run of a job, if a node shows one that is not over.
    pub(super) async fn cancel(&self, random: &mut Random, job: ExpectedJob) {
        let path = format!("/api/v1/runs?jobId={}&limit=20", job.id);
        let list = self
            .ask(random, "runs", job.id, |hosts, node| hosts.http().get(hosts.url(node, &path)));
        let list = list.await;
        let Some(runs) = list.body["data"]["runs"].as_array().filter(|_| list.status == 200) else {
            return self.wrong("runs", job.id, &list);
        };
        let choice = random.below(runs.len().max(1) as u64) as usize;
        let Some(id) = runs.get(choice).and_then(|run| run["id"].as_str()) else { return };
        let place = self.note_cancel(id);
        let path = format!("/api/v1/runs/{id}/cancel");
        let reply = self.ask(random, "cancel", job.id, |hosts, node| {
            hosts.http().post(hosts.url(node, &path)).json(&json!({}))
        });
        let reply = reply.await;
        let Some(answer) = answer(&reply) else { return self.wrong("cancel", job.id, &reply) };
        self.acked(&reply, false);
        let mut expected = self.expected.lock().unwrap();
        if let Some(of_run) = expected.cancels.get_mut(id) {
            of_run[place].answer = Some((answer, now()));
        }
    }

    /// Notes that a cancel is sent; returns its place among those of the run.
    fn note_cancel(&self, id: &str) -> usize {
        let mut expected = self.expected.lock().unwrap();
        let of_run = expected.cancels.entry(id.to_owned()).or_default();
        of_run.push(ExpectedCancel { answer: None });
        of_run.len() - 1
    }
}

/// The meaning of a final answer; `None` for one that no rule allows.
fn answer(reply: &Reply) -> Option<CancelAnswer> {
    match (reply.status, reply.body["data"]["state"].as_str()) {
        (200, Some("cancelled")) => Some(CancelAnswer::Cancelled),
        (202, Some("cancelling")) => Some(CancelAnswer::Cancelling),
        // A node that lags does not know of it yet.
        (404 | 409, _) => Some(CancelAnswer::Refused(reply.doubtful)),
        _ => None,
    }
}

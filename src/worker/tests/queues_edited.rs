//! What is done to a job, its queue or its project between the instant at which it is due and the
//! claim of a worker.

use super::fixture::{
    T0, WorkerFixture, collected, instants, later, pause_and_resume, queued, single,
};
use crate::command::{Command, JobEdit};
use crate::model::JobId;
use crate::model::job::JobDefinition;

/// A worker with a queue, whose only job fell due at 10 s.
async fn due() -> (WorkerFixture, u64, JobId) {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    let job = fixture.create(queued("@every 10s", queue), 1);
    later(&fixture, 10_000).await;
    fixture.pass(100, 100).await;
    (fixture, queue, job)
}

fn edit(id: JobId, definition: JobDefinition, data: &str) -> Command {
    let edit = JobEdit { id, definition, data: data.to_owned(), ..JobEdit::default() };
    Command::UpdateJob(Box::new(edit))
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_were_edited_before_the_claim_are_the_new_ones() {
    for is_recorded in [false, true] {
        let (mut fixture, queue, job) = due().await;
        if is_recorded {
            fixture.pass(2_000, 500).await;
            collected(&fixture).await;
        }
        fixture.apply(&edit(job, queued("@every 10s", queue), "new"));
        fixture.settle().await;
        let runs = fixture.claim(queue, 10).await;
        assert_eq!((instants(&runs), runs[0].data.as_str()), (vec![(10, 1)], "new"));
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_job_is_handed_to_nobody_and_its_occurrence_ends() {
    for (is_recorded, is_told) in [(false, true), (true, true), (false, false)] {
        let (mut fixture, queue, job) = due().await;
        if is_recorded {
            fixture.pass(2_000, 500).await;
            collected(&fixture).await;
        }
        let delete = Command::DeleteJob { id: job, expect: None };
        if is_told {
            fixture.apply(&delete);
            fixture.settle().await;
        } else {
            // The claim is there before the notice of the change.
            fixture.apply_unseen(&delete);
        }
        assert_eq!(fixture.claim(queue, 10).await, []);
        fixture.settle().await;
        assert_eq!(fixture.skips(), [("ended", 10, job)], "{is_recorded} {is_told}");
        collected(&fixture).await;
        assert_eq!(fixture.pending(0), 0);
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_follows_its_job_into_another_queue() {
    for is_recorded in [false, true] {
        let (mut fixture, queue, job) = due().await;
        let other = fixture.queue("letters", None);
        if is_recorded {
            fixture.pass(2_000, 500).await;
            collected(&fixture).await;
        }
        fixture.apply(&edit(job, queued("@every 1000s", other), "d"));
        fixture.settle().await;
        assert_eq!(fixture.claim(queue, 10).await, [], "it is looked up, and moves");
        fixture.settle().await;
        assert_eq!(instants(&fixture.claim(other, 10).await), [(10, 1)]);
        collected(&fixture).await;
        assert_eq!((fixture.runs(job), fixture.pending(0)), (1, 0));
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_whose_job_calls_a_receiver_now_is_sent_there() {
    for is_recorded in [false, true] {
        let (mut fixture, queue, job) = due().await;
        if is_recorded {
            fixture.pass(2_000, 500).await;
            collected(&fixture).await;
        }
        fixture.apply(&edit(job, single("@every 1000s", "http://receiver/a"), "d"));
        fixture.settle().await;
        assert_eq!(fixture.claim(queue, 10).await, []);
        fixture.settle().await;
        collected(&fixture).await;
        fixture.pass(1_000, 500).await;
        assert_eq!(fixture.calls_of(job).len(), 1, "{is_recorded}");
        collected(&fixture).await;
        assert_eq!(fixture.delivered(0), [10]);
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_after_the_due_instant_leaves_what_waits() {
    for of_project in [false, true] {
        let (mut fixture, queue, job) = due().await;
        let (pause, _) = pause_and_resume(job, of_project);
        fixture.apply(&pause);
        fixture.settle().await;
        assert_eq!(instants(&fixture.claim(queue, 10).await), [(10, 1)]);
        fixture.pass(20_000, 500).await;
        assert_eq!(fixture.claim(queue, 10).await, [], "new ones are skipped");
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_from_before_the_due_instant_holds_also_when_it_comes_late() {
    let (mut fixture, queue, job) = due().await;
    let (pause, _) = pause_and_resume(job, false);
    // The leader's clock is behind.
    fixture.apply_at(T0 + 9_990, &pause);
    fixture.settle().await;
    assert_eq!(fixture.claim(queue, 10).await, [], "an earlier change may still come");
    fixture.apply(&Command::Tick);
    fixture.settle().await;
    assert_eq!(fixture.claim(queue, 10).await, []);
    fixture.settle().await;
    assert_eq!(fixture.skips(), [("paused", 10, job)]);
    fixture.stop().await;
}

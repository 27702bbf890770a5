//! Offers: which occurrences wait for a worker, who gets them, and what becomes of those that
//! nobody takes.

use super::record::JournalFixture;
use super::runs::{begin, planned, told};
use super::*;
use crate::command::Reported;
use crate::model::attempt::SkipReason;
use crate::model::delivery::{Overlap, Retry};
use crate::model::job::{OFFERED, Pending};
use crate::model::offer::{Offer, RunProgress, Taken};
use crate::model::on_offer::OnOffer;
use crate::model::run::{BeginRun, Begun, CancelCause, Occurrence, Phase, Run, WorkerRun};
use crate::model::run_report::{RunReport, RunState, Said};
use crate::model::run_terms::{BusKind, RunTerms};
use crate::store::{pending, runs};

pub(super) const NOT_STARTED: Verdict = Verdict::Skipped(SkipReason::NotStarted);

pub(super) fn terms() -> RunTerms {
    let retry = Retry { max: 2, delay: 5_000, factor: 1_000, max_delay: 5_000 };
    let terms = RunTerms::new(BusKind::Embedded, 7, retry);
    RunTerms { queue: "emails".into(), heartbeat_timeout: Some(60_000), ..terms }
}

/// The offer of one occurrence, in epoch 1.
pub(super) fn offer(of: Occurrence) -> Offer {
    let Occurrence { job, scheduled, run } = of;
    Offer {
        project: 1,
        shard: 0,
        epoch: 1,
        due: scheduled,
        scheduled,
        run,
        attempt: 1,
        pending: None,
        members: Members::from_sorted([job]),
        terms: terms(),
    }
}

/// What a worker has claimed.
pub(super) fn taken(offer: Offer, worker: &str) -> Taken {
    let started = offer.due + 10;
    Taken { offer, phase: Phase::Running, worker: worker.into(), started }
}

/// What was published for a worker of a broker.
pub(super) fn published(offer: Offer) -> Taken {
    let terms = RunTerms { bus: BusKind::Rabbitmq, ..offer.terms.clone() };
    Taken { phase: Phase::Pending, ..taken(Offer { terms, ..offer }, "") }
}

impl JournalFixture {
    pub(super) fn write(&mut self, node: u64, entry: JournalEntry) {
        let first = self.next[node as usize];
        self.next[node as usize] += 1;
        let (incarnation, entries) = (node.into(), vec![entry]);
        self.state.done(Command::Record(JournalBatch { node, incarnation, first, entries }));
    }

    pub(super) fn offer(&mut self, offer: Offer) {
        self.write(1, JournalEntry::Offered(offer));
    }

    pub(super) fn take(&mut self, node: u64, taken: Taken) {
        self.write(node, JournalEntry::Taken(taken));
    }

    /// A report that names attempt and worker.
    pub(super) fn say(
        &mut self,
        of: Occurrence,
        attempt: u32,
        worker: &str,
        said: Said,
    ) -> Reported {
        let report = RunReport { occurrence: of, attempt, worker: worker.into(), said };
        match self.state.done(Command::ReportRuns { reports: vec![report] }) {
            Outcome::Reports(mut told) => told.remove(0),
            outcome => panic!("{outcome}"),
        }
    }

    /// A report that must count, whoever makes it.
    pub(super) fn counts(&mut self, of: Occurrence, said: Said) -> RunState {
        match self.say(of, 0, "", said) {
            Reported::Counted(state) => state,
            refused @ Reported::Refused { .. } => panic!("{refused:?}"),
        }
    }

    /// The rows of shard 0.
    pub(super) fn pending(&self) -> Vec<Pending> {
        self.state.read(|c| pending::for_shard(c, 0))
    }

    /// Attempt, phase and worker of a run that was handed out.
    pub(super) fn handed(&self, of: Occurrence) -> Option<(u32, Phase, String)> {
        let run = self.run(of)?;
        let kept = run.worker?;
        Some((run.attempt, kept.phase, kept.worker))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is held against an option")]
fn had(attempt: u32, phase: Phase, worker: &str) -> Option<(u32, Phase, String)> {
    Some((attempt, phase, worker.to_owned()))
}

#[test]
fn an_offer_waits_in_a_row_that_its_owner_does_not_send() {
    let mut fixture = JournalFixture::new();
    let members = Members::from_sorted([1, 2, 3]);
    fixture.state.now = START + 60_100;
    let terms = RunTerms { start_timeout: Some(30_000), ..terms() };
    fixture.offer(Offer { members: members.clone(), terms, ..offer(planned(1, 0)) });
    let rows = fixture.pending();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    let since = START + 60_100;
    let on_offer = OnOffer { since, expires: Some(since + 32_000), executor: 7 };
    assert_eq!((row.next_at, row.attempt, row.on_offer), (OFFERED, 1, Some(on_offer)));
    assert_eq!(row.members, members);
    let change = &fixture.state.change;
    assert_eq!((&change.offers[..], change.pending.len()), (&[row.id][..], 0));
    assert!(!change.executions, "the history does not show it");
    assert_eq!(fixture.state.read(|c| pending::to_send(c, 0)), []);
    assert_eq!(fixture.state.read(|c| pending::offers(c, 0)), rows);
    assert_eq!(fixture.state.read(|c| pending::offer(c, row.id)), Some(row.clone()));
    assert_eq!(fixture.state.read(|c| pending::ready(c, 0, fixture.state.now, 10)), []);
}

#[test]
fn an_offer_is_of_open_members_and_of_a_live_epoch_only() {
    let mut fixture = JournalFixture::new();
    fixture.tell(1, told(planned(1, 0), Verdict::Delivered));
    fixture.tell(1, told(planned(2, 0), Verdict::Retry { at: START + 99_000 }));
    fixture.take(1, taken(offer(planned(3, 0)), "w"));
    let all = Offer { members: Members::from_sorted([1, 2, 3, 4]), ..offer(planned(1, 0)) };
    fixture.offer(Offer { epoch: 2, ..all.clone() });
    fixture.write(2, JournalEntry::Offered(all.clone()));
    assert_eq!(fixture.state.read(|c| pending::offers(c, 0)), [], "not the owner's");
    fixture.offer(all);
    let offers = fixture.state.read(|c| pending::offers(c, 0));
    assert_eq!(
        offers.into_iter().map(|row| row.members).collect::<Vec<_>>(),
        [Members::from_sorted([4])]
    );
    // One of a row takes its members along, with their attempts.
    let row = fixture.state.read(|c| pending::to_send(c, 0)).remove(0);
    fixture.offer(Offer { pending: Some(row.id), attempt: 1, ..offer(planned(2, 0)) });
    let change = &fixture.state.change;
    assert_eq!((change.pending.len(), change.offers.len()), (1, 1), "a row went, an offer came");
    let rows = fixture.pending();
    assert_eq!((rows.len(), rows[1].attempt, rows[1].next_at), (2, 2, OFFERED));
    // From a row that is gone nothing is offered.
    fixture.offer(Offer { pending: Some(row.id), ..offer(planned(2, 0)) });
    assert_eq!(fixture.pending(), rows);
}

#[test]
fn an_offer_that_changes_its_queue_has_waited_since_it_was_made() {
    let mut fixture = JournalFixture::new();
    fixture.state.now = START + 60_000;
    fixture.offer(offer(planned(1, 0)));
    let before = fixture.pending().remove(0);
    fixture.state.now += 5_000;
    let terms = RunTerms { executor: 8, start_timeout: Some(10_000), ..terms() };
    fixture.offer(Offer { pending: Some(before.id), terms, ..offer(planned(1, 0)) });
    let since = START + 60_000;
    let on_offer = OnOffer { since, expires: Some(since + 12_000), executor: 8 };
    let rows = fixture.pending();
    assert_eq!((rows.len(), rows[0].on_offer), (1, Some(on_offer)));
    assert_eq!(fixture.state.change.offers, [before.id, rows[0].id]);
}

#[test]
fn what_is_claimed_is_a_run_and_leaves_the_row_of_the_others() {
    let mut fixture = JournalFixture::new();
    fixture.offer(Offer { members: Members::from_sorted([1, 2, 3]), ..offer(planned(1, 0)) });
    let row = fixture.pending().remove(0).id;
    let claimed =
        Offer { pending: Some(row), members: Members::from_sorted([1, 3]), ..offer(planned(1, 0)) };
    fixture.take(1, taken(claimed, "w"));
    let change = &fixture.state.change;
    assert_eq!(change.runs, [planned(1, 0), planned(3, 0)]);
    assert_eq!(change.offers, [row]);
    assert_eq!(fixture.rows(), [(row, 1, vec![2])]);
    let run = fixture.run(planned(1, 0)).unwrap();
    let expected = Run {
        occurrence: planned(1, 0),
        project: 1,
        shard: 0,
        due: START + 60_000,
        attempt: 1,
        base: 0,
        node: 1,
        epoch: 1,
        accepted: true,
        started: START + 60_010,
        heard: START + 60_010,
        deadline: Millis::MAX,
        heartbeat_timeout: Some(60_000),
        ends: None,
        retry: terms().retry,
        forced: false,
        worker: Some(Box::new(WorkerRun {
            phase: Phase::Running,
            since: START + 60_010,
            why: None,
            worker: "w".into(),
            progress: None,
            message: None,
            terms: terms(),
        })),
    };
    assert_eq!(run, expected);
    assert_eq!(fixture.records(), [], "a claim is no line of the history");
    let kept = fixture.state.read(|c| runs::kept(c, 0));
    assert_eq!(kept.len(), 2);
    let workers = kept.into_iter().filter_map(|run| run.worker).map(|kept| kept.worker);
    assert_eq!(workers.collect::<Vec<_>>(), ["w", "w"], "as lists by worker find them");
    // Silence is no matter of the store.
    assert_eq!(fixture.expire(3_600_000), Outcome::Changed(0));
}

#[test]
fn an_accepted_request_is_in_the_history_as_it_always_was() {
    let mut fixture = JournalFixture::new();
    let retry = terms().retry;
    let terms = RunTerms { run_timeout: Some(90_000), ..RunTerms::new(BusKind::Http, 0, retry) };
    fixture.take(1, taken(Offer { terms, ..offer(planned(1, 0)) }, ""));
    assert_eq!(fixture.last(), (Verdict::Running, ResultOrigin::Answer, 1));
    let run = fixture.run(planned(1, 0)).unwrap();
    assert_eq!(run.deadline, run.started + 90_000);
    // There is nobody to ask: it fails, and is tried again after its delay.
    fixture.expire(180_000);
    let at = fixture.state.now + 5_000;
    assert_eq!(fixture.last(), (Verdict::Retry { at }, ResultOrigin::TimedOut, 1));
    assert_eq!(fixture.waiting(), [(2, 0, at, vec![1])]);
}

#[test]
fn of_two_claims_that_of_the_live_epoch_counts_in_whichever_order_they_are_recorded() {
    for old_first in [true, false] {
        let mut fixture = JournalFixture::new();
        fixture.offer(offer(planned(1, 0)));
        let row = Some(fixture.pending().remove(0).id);
        fixture.taken_over();
        let old = taken(Offer { pending: row, ..offer(planned(1, 0)) }, "old");
        let new = taken(Offer { pending: row, epoch: 2, ..offer(planned(1, 0)) }, "new");
        for of_old in [old_first, !old_first] {
            if of_old {
                fixture.take(1, old.clone());
            } else {
                fixture.take(2, new.clone());
            }
        }
        assert_eq!(fixture.handed(planned(1, 0)), had(1, Phase::Running, "new"), "{old_first}");
        assert_eq!(fixture.pending(), []);
    }
}

#[test]
fn a_claim_of_a_past_epoch_stands_where_nobody_else_has_the_run() {
    let mut fixture = JournalFixture::new();
    fixture.offer(offer(planned(1, 0)));
    let row = Some(fixture.pending().remove(0).id);
    fixture.taken_over();
    fixture.take(1, taken(Offer { pending: row, ..offer(planned(1, 0)) }, "old"));
    assert_eq!(fixture.handed(planned(1, 0)), had(1, Phase::Running, "old"));
    // From the plan, too; but not what has ended since, nor what was lost since.
    fixture.take(1, taken(offer(planned(2, 0)), "old"));
    assert_eq!(fixture.handed(planned(2, 0)), had(1, Phase::Running, "old"));
    fixture.tell(2, AttemptRecord { epoch: 2, ..told(planned(3, 0), Verdict::Delivered) });
    fixture.take(1, taken(offer(planned(3, 0)), "old"));
    assert_eq!(fixture.run(planned(3, 0)), None);
    let lost = Said::Lost { node: 2, epoch: 2 };
    assert_eq!(fixture.say(planned(2, 0), 1, "", lost), Reported::Counted(RunState::Pending));
    let waiting = fixture.waiting();
    fixture.take(1, taken(offer(planned(2, 0)), "old"));
    assert_eq!(fixture.waiting(), waiting, "the row with the higher attempt wins");
}

#[test]
fn a_cancel_is_not_forgotten_when_another_claim_is_recorded() {
    let mut fixture = JournalFixture::new();
    fixture.take(1, taken(offer(planned(1, 0)), "old"));
    fixture.taken_over();
    fixture.counts(planned(1, 0), Said::Cancel { by: Some("me".into()) });
    let deadline = fixture.run(planned(1, 0)).unwrap().deadline;
    fixture.take(2, taken(Offer { epoch: 2, ..offer(planned(1, 0)) }, "new"));
    let run = fixture.run(planned(1, 0)).unwrap();
    let kept = run.worker.unwrap();
    assert_eq!((kept.phase, kept.worker.as_str()), (Phase::Cancelling, "new"));
    assert_eq!(kept.why, Some(CancelCause::Client { by: Some("me".into()) }));
    assert_eq!((run.deadline, run.epoch), (deadline, 2));
    // And a cancel that was first leaves nothing to claim.
    fixture.state.now += 1_000;
    fixture.write(2, JournalEntry::Offered(Offer { epoch: 2, ..offer(planned(2, 0)) }));
    assert_eq!(fixture.counts(planned(2, 0), Said::Cancel { by: None }), RunState::Cancelled);
    fixture.take(2, taken(Offer { epoch: 2, ..offer(planned(2, 0)) }, "new"));
    assert_eq!((fixture.run(planned(2, 0)), fixture.pending()), (None, vec![]));
}

#[test]
fn what_has_begun_does_not_go_back_when_its_publish_is_recorded_again() {
    let mut fixture = JournalFixture::new();
    fixture.take(1, published(offer(planned(1, 0))));
    assert_eq!(fixture.handed(planned(1, 0)), had(1, Phase::Pending, ""));
    let started = |worker: &str| (worker.to_owned(), Said::Started { terms: Box::new(terms()) });
    let (worker, said) = started("w");
    assert_eq!(fixture.say(planned(1, 0), 0, &worker, said), Reported::Counted(RunState::Running));
    fixture.taken_over();
    fixture.take(2, published(Offer { epoch: 2, ..offer(planned(1, 0)) }));
    assert_eq!(fixture.handed(planned(1, 0)), had(1, Phase::Running, "w"));
    let run = fixture.run(planned(1, 0)).unwrap();
    assert_eq!((run.node, run.epoch), (2, 2), "the new owner keeps it");
}

#[test]
fn an_offer_that_nobody_takes_in_time_is_not_started() {
    let mut fixture = JournalFixture::new();
    fixture.state.now = START + 60_000;
    let terms = RunTerms { start_timeout: Some(30_000), ..terms() };
    let members = Members::from_sorted([1, 2]);
    fixture.offer(Offer { members, terms, ..offer(planned(1, 0)) });
    let next = fixture.state.read(pending::next_expiry);
    assert_eq!(next, Some(START + 92_000), "with the time that a claim takes to be recorded");
    assert_eq!(fixture.expire(32_000), Outcome::Changed(0));
    fixture.take(1, taken(Offer { pending: Some(1), ..offer(planned(2, 0)) }, "w"));
    assert_eq!(fixture.expire(1), Outcome::Changed(1));
    assert_eq!(fixture.last(), (NOT_STARTED, ResultOrigin::TimedOut, 1));
    assert_eq!(fixture.records()[0].record.members, Members::from_sorted([1]));
    assert_eq!((fixture.pending(), fixture.handed(planned(1, 0))), (vec![], None));
    assert!(fixture.handed(planned(2, 0)).is_some());
    assert_eq!(fixture.state.read(pending::next_expiry), None);
}

#[test]
fn progress_counts_of_the_attempt_and_from_the_keeper_only() {
    let mut fixture = JournalFixture::new();
    fixture.take(1, taken(offer(planned(1, 0)), "w"));
    let progress = |attempt, percent, message: &str| {
        let (progress, message) = (Some(percent), Some(message.to_owned()));
        let one = RunProgress { occurrence: planned(1, 0), attempt, progress, message };
        JournalEntry::Progress(vec![one])
    };
    let shown = |fixture: &JournalFixture| {
        let kept = fixture.run(planned(1, 0)).unwrap().worker.unwrap();
        (kept.progress, kept.message)
    };
    fixture.write(1, progress(1, 40, "half"));
    assert_eq!(shown(&fixture), (Some(40), Some("half".into())));
    assert_eq!(fixture.state.change.runs, [planned(1, 0)]);
    fixture.write(1, progress(2, 50, "another attempt"));
    fixture.write(2, progress(1, 60, "another node"));
    assert_eq!(shown(&fixture).0, Some(40));
    fixture.write(1, progress(1, 255, &"ü".repeat(200)));
    let (percent, message) = shown(&fixture);
    assert_eq!((percent, message.unwrap().len()), (Some(100), 256));
}

#[test]
fn an_occurrence_that_may_not_overlap_keeps_its_place_while_it_is_on_offer() {
    let mut fixture = JournalFixture::new();
    let ask = |minute| begin(planned(1, minute), Overlap::Skip);
    assert_eq!(fixture.begin(ask(0)), Begun::Go);
    fixture.offer(offer(planned(1, 0)));
    assert_eq!(fixture.run(planned(1, 0)).map(|run| run.deadline), Some(Millis::MAX));
    assert_eq!(fixture.begin(ask(1)), Begun::Skipped);
    // The next owner asks once more before it hands it out.
    fixture.taken_over();
    let row = Some(fixture.pending().remove(0).id);
    let again = BeginRun { node: 2, epoch: 2, pending: row, ..ask(0) };
    assert_eq!(fixture.begin(again), Begun::Go);
    fixture.take(2, taken(Offer { epoch: 2, pending: row, ..offer(planned(1, 0)) }, "w"));
    assert_eq!((fixture.handed(planned(1, 0)).is_some(), fixture.pending()), (true, vec![]));
    assert_eq!(fixture.begin(BeginRun { node: 2, epoch: 2, ..ask(2) }), Begun::Skipped);
    fixture.counts(planned(1, 0), Said::Done { result: None });
    assert_eq!(fixture.begin(BeginRun { node: 2, epoch: 2, ..ask(3) }), Begun::Go);
}

#[test]
fn a_change_names_shards_where_it_would_name_too_many() {
    let mut change = crate::command::Change::default();
    let most = crate::command::Change::MOST_NAMED as u64;
    for n in 0..most + 70 {
        change.add_run(planned(n, 0));
        change.add_run(planned(n, 0));
        change.add_offer(n, 3);
    }
    assert_eq!((change.runs.len() as u64, change.offers.len() as u64), (most, most));
    let mut crowded = change.crowded.clone();
    crowded.sort_unstable();
    let mut expected = [3, shard_of(most), shard_of(most + 69)];
    expected.sort_unstable();
    assert_eq!(crowded, expected);
}

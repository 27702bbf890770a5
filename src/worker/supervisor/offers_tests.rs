//! The offers against a plain list of groups, and how few of them a question looks at.

use proptest::prelude::*;

use super::*;
use crate::model::delivery::Retry;
use crate::model::run_terms::BusKind;

fn source(pending: u64) -> Arc<Source> {
    Arc::new(Source {
        project: 1,
        shard: 0,
        epoch: 1,
        due: 5,
        scheduled: 5,
        run: 0,
        attempt: 1,
        pending: Some(pending),
        queue: 7,
        once: false,
    })
}

fn of(job: JobId) -> Occurrence {
    Occurrence { job, scheduled: 5, run: 0 }
}

fn fresh(dispatch: DispatchId) -> Stage {
    let retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
    let terms = Arc::new(RunTerms::new(BusKind::Embedded, 7, retry));
    Stage::Fresh { dispatch, since: 0, terms }
}

#[test]
fn a_question_looks_at_few_of_ten_thousand_groups_of_an_instant() {
    let mut offers = Offers::default();
    for n in 0..10_000 {
        let waiting = Waiting::from_sorted([n]);
        offers.add(Group::new(source(n), waiting, Stage::Offered));
    }
    for job in [0, 63, 64, 9_999] {
        assert!(offers.index.near(0, of(job)).count() <= 64, "job {job}");
        let (id, _) = offers.find(0, of(job)).expect("the group");
        assert_eq!(offers.groups[&id].source.pending, Some(job));
    }
    assert!(offers.find(0, of(10_000)).is_none() && offers.find(1, of(1)).is_none());
}

#[test]
fn only_lanes_that_may_have_the_oldest_are_asked_whether_they_are_open() {
    let mut offers = Offers::default();
    for shard in 0..100 {
        let its = Source { shard, ..(*source(shard.into())).clone() };
        let waiting = Waiting::from_sorted([u64::from(shard), 1_000 + u64::from(shard)]);
        offers.add(Group::new(Arc::new(its), waiting, Stage::Offered));
    }
    let mut asked = Vec::new();
    let mut pop = |closed: ShardId| {
        let popped = offers.pop(7, |(shard, _)| {
            asked.push(shard);
            shard != closed
        });
        (popped.map(|popped| popped.job), std::mem::take(&mut asked))
    };
    assert_eq!(pop(0), (Some(1), vec![0, 1]));
    assert_eq!(pop(100), (Some(0), vec![0]));
    assert_eq!(pop(100), (Some(2), vec![0, 2]), "the head of the second is younger");
}

#[test]
fn a_member_comes_back_to_its_own_group_of_ten_thousand() {
    let mut offers = Offers::default();
    for n in 0..10_000 {
        let waiting = Waiting::from_sorted([2 * n, 2 * n + 1]);
        let stage = if n % 2 == 0 { Stage::Offered } else { fresh(n) };
        offers.add(Group::new(source(n), waiting, stage));
    }
    for n in [0, 4_999, 9_999] {
        let popped = offers.remove(0, of(2 * n)).expect("the member");
        offers.give_back(popped);
        let (id, group) = offers.find(0, of(2 * n)).expect("the group");
        assert_eq!((id, group.waiting.len()), (n + 1, 2), "group {n}");
    }
    // All members leave, and the two of one group come back to one group.
    let both = [2, 3].map(|job| offers.remove(0, of(job)).expect("the member"));
    for popped in both {
        offers.give_back(popped);
    }
    assert_eq!((offers.groups.len(), offers.fresh().count()), (10_000, 5_000));
    let (_, group) = offers.find(0, of(2)).expect("the group");
    assert_eq!((group.waiting.len(), group.dispatch()), (2, Some(1)));
}

/// Checks that every question gives what a look at each group gives.
fn agrees(offers: &Offers) {
    for job in 0..200 {
        let mut all = offers.groups.iter();
        let found = all.find(|(_, group)| group.waiting.contains(job)).map(|(id, _)| *id);
        assert_eq!(offers.find(0, of(job)).map(|(id, _)| id), found, "job {job}");
    }
    let all: Vec<_> = offers.groups.keys().copied().collect();
    assert_eq!(offers.of_shard(0, |_| true), all);
    for (id, group) in &offers.groups {
        let alike = group.common().and_then(|common| offers.index.alike(&common));
        let is_open = !matches!(group.stage, Stage::Offering { .. });
        assert_eq!(alike.is_some_and(|other| other <= *id), is_open, "group {id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_question_gives_what_a_look_at_each_group_gives(
        steps in prop::collection::vec((0_u8..6, 0_u64..200, 0_u64..3), 0..60),
    ) {
        let mut offers = Offers::default();
        let mut out = Vec::new();
        for (what, job, n) in steps {
            let first = offers.groups.keys().nth(n as usize).copied();
            match what {
                0 | 1 => {
                    let waiting = Waiting::from_sorted((job..job + 20 * n).step_by(1 + n as usize));
                    let stage = if what == 0 { Stage::Offered } else { fresh(n) };
                    offers.add(Group::new(source(n), waiting, stage));
                }
                2 => out.extend(offers.pop(7, |_| true)),
                3 => out.extend(offers.remove(0, of(job))),
                4 => if let Some(popped) = out.pop() { offers.give_back(popped) },
                _ => match (first, n) {
                    (Some(id), 0) => _ = offers.remove_group(id),
                    (Some(id), 1) => offers.set_stage(id, Stage::Offering { dispatch: None }),
                    (Some(id), _) => offers.set_offered(id, 9),
                    (None, _) => {}
                },
            }
            agrees(&offers);
        }
        let all: Vec<_> = offers.groups.keys().copied().collect();
        for id in all {
            offers.remove_group(id);
        }
        prop_assert!(offers.index.is_empty() && offers.queues.is_empty());
    }
}

//! The two bounds of the fair queue: step by step, and in virtual time beside calls that hang or
//! are slow.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::queue::KEPT;
use super::*;
use crate::model::ProjectId;

type Queue = FairQueue<u32, u32>;

fn queue(workers: usize, in_flight: usize, flow: usize) -> Queue {
    FairQueue::new(Capacity { workers, in_flight, flow })
}

/// Lets `n` wait in a flow.
fn wait(queue: &mut Queue, project: ProjectId, key: u32, n: u32) {
    let flow = queue.flow(project, &key);
    (0..n).for_each(|who| queue.push(flow, who));
}

/// Begins all that may begin, in order.
fn run(queue: &mut Queue) -> Vec<(ProjectId, u32)> {
    let mut begun = Vec::new();
    while let Some(flow) = queue.next_flow() {
        queue.pop(flow).expect("one waits");
        begun.push((queue.project_of(flow), *queue.key(flow).expect("a flow")));
        queue.begin(flow);
    }
    begun
}

fn end(queue: &mut Queue, project: ProjectId, key: u32, stage: Stage) {
    let flow = queue.find(project, &key).expect("a flow");
    queue.end(flow, stage);
}

#[test]
fn projects_share_the_workers_however_many_flows_they_have() {
    let mut queue = queue(8, 99, 8);
    (0..50).for_each(|key| wait(&mut queue, 1, key, 10));
    assert_eq!(run(&mut queue).len(), 8, "no other project wants any");
    wait(&mut queue, 2, 0, 10);
    // At once: each of these takes a worker from the other project, which has more.
    assert_eq!(run(&mut queue), vec![(2, 0); 4]);
    assert_eq!(queue.load(), (12, 8), "four of the first go on without one");
    // Among the calls that end, those without a worker end first: nothing begins for them.
    (0..4).for_each(|key| end(&mut queue, 1, key, Stage::Quick));
    assert_eq!((run(&mut queue), queue.load()), (vec![], (8, 8)));
    end(&mut queue, 1, 4, Stage::Quick);
    assert_eq!(run(&mut queue).len(), 1, "a worker for a worker");
    wait(&mut queue, 3, 7, 10);
    assert_eq!(run(&mut queue), vec![(3, 7); 2]);
    assert_eq!(queue.load(), (10, 8));
}

#[test]
fn the_flow_with_the_fewest_in_flight_comes_first_and_equal_flows_take_turns() {
    let mut queue = queue(1, 99, 1);
    wait(&mut queue, 1, 1, 2);
    wait(&mut queue, 1, 2, 1);
    wait(&mut queue, 1, 3, 1);
    let mut order = run(&mut queue);
    while let Some((project, key)) = order.last().copied() {
        end(&mut queue, project, key, Stage::Quick);
        let next = run(&mut queue);
        if next.is_empty() {
            break;
        }
        order.extend(next);
    }
    assert_eq!(order, [(1, 1), (1, 2), (1, 3), (1, 1)]);
}

#[test]
fn no_project_has_more_than_half_and_the_next_one_finds_a_part_of_the_rest() {
    let mut queue = queue(4, 64, 64);
    let mut held = Vec::new();
    for project in 1..=5 {
        for key in 0..64 {
            wait(&mut queue, project, key, 64);
        }
        let mut begun = 0;
        loop {
            let more = run(&mut queue);
            if more.is_empty() {
                break;
            }
            begun += more.iter().filter(|of| of.0 == project).count();
            // All of them hang: their workers are free again.
            for (project, key) in more {
                let flow = queue.find(project, &key).expect("a flow");
                queue.advance(flow, Stage::Quick, Stage::Hanging);
            }
        }
        held.push(begun);
    }
    assert_eq!(held, [32, 16, 8, 4, 2]);
    assert_eq!((queue.load(), queue.over_share().map(|over| over.1)), ((62, 0), Some(32)));
    // A freed place goes to the project that needs the least, not to the one that had it.
    end(&mut queue, 1, 0, Stage::Hanging);
    let next = run(&mut queue);
    assert!(next.iter().all(|(project, _)| *project != 1), "{next:?}");
    // A project whose own flows hang has room for another of its own.
    let mut own = self::queue(64, 640, 640);
    wait(&mut own, 1, 0, 640);
    let begun = |queue: &mut Queue| {
        let begun = run(queue);
        for (project, key) in &begun {
            let flow = queue.find(*project, key).expect("a flow");
            queue.advance(flow, Stage::Quick, Stage::Hanging);
        }
        begun.len()
    };
    let mut first = 0;
    while let more @ 1.. = begun(&mut own) {
        first += more;
    }
    assert_eq!(first, 285, "it has four times what is left to its project");
    wait(&mut own, 1, 1, 5);
    assert_eq!(begun(&mut own), 5);
}

#[test]
fn room_is_what_begins() {
    for (before, capacity) in [(0, 1), (0, 2), (0, 9), (7, 64), (100, 1_024), (300, 1_024)] {
        let mut queue = queue(capacity, capacity, capacity);
        wait(&mut queue, 1, 1, before);
        assert_eq!(run(&mut queue).len(), before as usize);
        let room = queue.room(1, &2);
        wait(&mut queue, 1, 2, 2_000);
        assert_eq!(run(&mut queue).len(), room, "{before} of {capacity}");
        assert_eq!(queue.room(1, &2), 0);
    }
}

#[test]
fn idle_flows_are_forgotten_when_there_are_many_and_those_in_use_are_not() {
    let mut queue = queue(9, 99_999, 9);
    wait(&mut queue, 7, 7, 1);
    run(&mut queue);
    for key in 0..3_000 {
        queue.prune(|()| true);
        wait(&mut queue, ProjectId::from(key), key, 1);
        run(&mut queue);
        end(&mut queue, ProjectId::from(key), key, Stage::Quick);
    }
    assert!(queue.flows().count() <= KEPT, "{}", queue.flows().count());
    assert_eq!(queue.load(), (1, 1));
    assert!(queue.find(7, &7).is_some());
}

// In virtual time ---------------------------------------------------------------------------------

const WORKERS: usize = 64;
const SLOW: u64 = 100;
const HANGING: u64 = 1_000;
const VICTIM: ProjectId = 1_000_000;

/// Calls of one kind: `calls` of a project, `every` so many milliseconds, to the destinations in
/// turn.
#[derive(Clone, Copy, Debug)]
struct Load {
    project: ProjectId,
    calls: u32,
    every: u64,
    destinations: u32,
    /// The time that each takes, in milliseconds.
    takes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    End(FlowKey, u8),
    Advance(FlowKey, u8),
    Due(usize),
}

type FlowKey = (ProjectId, u32);

/// The stages by their numbers in events.
const STAGES: [Stage; 3] = [Stage::Quick, Stage::Slow, Stage::Hanging];

/// Plays some seconds. Returns the lags of the victim's calls, ascending, in milliseconds. Calls
/// that are due at one instant come in the order of the loads: the victim last.
fn play(loads: &[Load], seconds: u64) -> Vec<u64> {
    // (due since, takes)
    let mut queue: FairQueue<u32, (u64, u64)> = FairQueue::new(Capacity {
        workers: WORKERS,
        in_flight: WORKERS + 4_096,
        flow: WORKERS * 3 / 4,
    });
    let mut events = BinaryHeap::new();
    for (number, _) in loads.iter().enumerate() {
        events.push(Reverse((0, Event::Due(number))));
    }
    let mut lags = Vec::new();
    while let Some(Reverse((now, event))) = events.pop() {
        match event {
            _ if now > seconds * 1_000 => break,
            Event::End((project, key), stage) => {
                let flow = queue.find(project, &key).expect("it is in use");
                queue.end(flow, STAGES[usize::from(stage)]);
            }
            Event::Advance((project, key), stage) => {
                let flow = queue.find(project, &key).expect("it is in use");
                let stage = usize::from(stage);
                queue.advance(flow, STAGES[stage - 1], STAGES[stage]);
            }
            Event::Due(number) => {
                let load = loads[number];
                for n in 0..load.calls {
                    let flow = queue.flow(load.project, &(n % load.destinations));
                    queue.push(flow, (now, load.takes));
                }
                events.push(Reverse((now + load.every, event)));
            }
        }
        // Loads that are due at one instant are all there before anything begins.
        let more = events
            .peek()
            .is_some_and(|Reverse((at, event))| *at == now && matches!(event, Event::Due(_)));
        if more {
            continue;
        }
        while let Some(flow) = queue.next_flow() {
            let (since, takes) = queue.pop(flow).expect("one waits");
            if queue.project_of(flow) == VICTIM {
                lags.push(now - since);
            } else if now - since > 10_250 {
                continue; // it was deferred
            }
            let key = (queue.project_of(flow), *queue.key(flow).expect("a flow"));
            queue.begin(flow);
            let reached = [SLOW, HANGING].into_iter().filter(|after| takes > *after);
            let mut last = 0;
            for (stage, after) in (1..).zip(reached) {
                events.push(Reverse((now + after, Event::Advance(key, stage))));
                last = stage;
            }
            events.push(Reverse((now + takes, Event::End(key, last))));
        }
    }
    lags.sort_unstable();
    lags
}

const HEALTHY: Load = Load { project: VICTIM, calls: 20, every: 1_000, destinations: 1, takes: 5 };

/// The longest lag of the victim beside these loads, and the number of its calls.
fn beside(loads: &[Load], seconds: u64) -> (u64, usize) {
    let loads: Vec<Load> = loads.iter().copied().chain([HEALTHY]).collect();
    let lags = play(&loads, seconds);
    (lags.last().copied().unwrap_or(u64::MAX), lags.len())
}

/// The bound that docs/reliability.md states: while fewer other projects than there are workers
/// have calls under way, a project with no more than its share of them waits for no other.
#[test]
fn a_healthy_project_does_not_wait_for_one_whose_calls_hang_or_are_slow() {
    let day = 86_400_000;
    let load = |calls, every, destinations, takes| {
        vec![Load { project: 1, calls, every, destinations, takes }]
    };
    for attack in [
        load(600, day, 10, day),        // one-offs to ports that never answer
        load(640, 30_000, 8, 25_000),   // honest: eight receivers that answer after 25 s
        load(1_000, 1_000, 50, 900),    // many ports that take a little less than a second
        load(1_000, 1_000, 1_000, 900), // one for each
        load(5_000, 1_000, 1, 300_000), // more and more of them, up to the longest timeout
        load(2_000, 1_000, 700, 1_001), // each just long enough to hang
    ] {
        assert_eq!(beside(&attack, 120), (0, 20 * 121), "{attack:?}");
    }
}

#[test]
fn many_projects_that_hang_leave_a_healthy_one_its_share() {
    let day = 86_400_000;
    let each = |n: u64, calls, every, destinations, takes| -> Vec<Load> {
        (1..=n).map(|project| Load { project, calls, every, destinations, takes }).collect()
    };
    // Of 20 calls at once, those beyond the share wait for its own ones, which take 5 ms.
    for (projects, takes) in [(2, 900), (9, 900), (9, 60_000), (31, 900), (31, day)] {
        let loads = each(projects, 900, 1_000, 90, takes);
        let share = WORKERS as u64 / (projects + 1);
        let bound = (20_u64.div_ceil(share) - 1) * 5;
        let (longest, calls) = beside(&loads, 60);
        assert!(longest <= bound, "{projects} of {takes} ms: {longest} > {bound}");
        // Calls of the last instant may still wait.
        assert!(calls >= 20 * 60, "{projects} of {takes} ms: {calls}");
    }
}

/// Beyond that, they take turns: `min(L, 0.1 s) * ceil(P / W)` for a project with one call at a
/// time.
#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn more_projects_than_workers_take_turns() {
    for (projects, takes) in [(64, 900), (200, 900), (640, 50), (1_000, 900), (200, 60_000)] {
        let slow = (1..=projects).map(|project| Load {
            project,
            calls: 9,
            every: 1_000,
            destinations: 9,
            takes,
        });
        let rare = Load { calls: 1, every: 7_000, ..HEALTHY };
        let loads: Vec<Load> = slow.chain([rare]).collect();
        let lags = play(&loads, 60);
        let bound = takes.min(SLOW) * projects.div_ceil(WORKERS as u64);
        let longest = lags.last().copied().unwrap_or(u64::MAX);
        assert!(longest <= bound, "{projects} projects of {takes} ms: {longest} > {bound}");
        assert_eq!(lags.len(), 9, "{projects} projects of {takes} ms");
    }
}

#[test]
fn a_slow_call_gives_its_worker_to_a_project_that_has_fewer() {
    let mut queue = queue(2, 99, 2);
    wait(&mut queue, 1, 0, 3);
    wait(&mut queue, 2, 0, 3);
    assert_eq!(run(&mut queue), [(1, 0), (2, 0)]);
    wait(&mut queue, 3, 0, 3);
    assert_eq!(run(&mut queue), [], "all have one, or none");
    let flow = queue.find(1, &0).expect("a flow");
    queue.advance(flow, Stage::Quick, Stage::Slow);
    assert_eq!(run(&mut queue), [(3, 0)]);
    assert_eq!(queue.load(), (3, 2));
    // It has no worker to lend any more; when it ends, no other call of its project begins.
    wait(&mut queue, 4, 0, 3);
    assert_eq!(run(&mut queue), []);
    queue.end(flow, Stage::Slow);
    assert_eq!((run(&mut queue), queue.load()), (vec![], (2, 2)));
    // A slow call keeps its worker where its own project waits, or one that has as many.
    let flow = queue.find(2, &0).expect("a flow");
    queue.advance(flow, Stage::Quick, Stage::Slow);
    assert_eq!(run(&mut queue), [(4, 0)], "the project that was served longest ago, or never");
    queue.advance(flow, Stage::Slow, Stage::Hanging);
    assert_eq!((run(&mut queue), queue.load()), (vec![], (3, 2)));
    queue.end(flow, Stage::Hanging);
    assert_eq!(queue.load(), (2, 2));
}

/// Projects that have reached their share are looked at until one is found that may begin.
#[test]
fn among_projects_below_their_share_again_the_one_that_finds_a_worker_begins() {
    let mut queue = queue(2, 12, 12);
    // Two of the first keep their workers; the second has none, and more in flight.
    for (project, calls) in [(2, 3), (3, 7), (1, 2)] {
        for key in 0..calls {
            let flow = queue.flow(project, &key);
            queue.begin(flow);
            if project > 1 {
                queue.advance(flow, Stage::Quick, Stage::Hanging);
            }
        }
    }
    wait(&mut queue, 1, 9, 1);
    wait(&mut queue, 2, 9, 1);
    assert_eq!(run(&mut queue), [], "nothing is free");
    // Both may go on by what is free; only the second may have a worker of the first.
    (0..4).for_each(|key| end(&mut queue, 3, key, Stage::Hanging));
    assert_eq!(run(&mut queue), [(2, 9)]);
}

#[test]
fn where_nothing_is_free_projects_with_nothing_in_flight_take_turns() {
    let mut queue = queue(1, 3, 3);
    let mut waiting: Vec<ProjectId> = Vec::new();
    for project in [5, 4, 3, 2, 1] {
        wait(&mut queue, project, 0, 9);
        for (begun, key) in run(&mut queue) {
            let flow = queue.find(begun, &key).expect("a flow");
            queue.advance(flow, Stage::Quick, Stage::Hanging);
            waiting.push(begun);
        }
    }
    assert_eq!(waiting, [5, 4, 3], "a project each");
    assert_eq!((queue.locked_out(9), queue.locked_out(1)), (2, 1));
    assert!(
        !queue.is_capped(1) && queue.is_capped(5),
        "a project with nothing has not reached its share"
    );
    for _ in 0..2 {
        end(&mut queue, waiting.remove(0), 0, Stage::Hanging);
        assert_eq!(queue.locked_out(9), 0, "something is free");
        let begun = run(&mut queue);
        assert_eq!(begun.len(), 1);
        let flow = queue.find(begun[0].0, &0).expect("a flow");
        queue.advance(flow, Stage::Quick, Stage::Hanging);
        waiting.push(begun[0].0);
    }
    waiting.sort_unstable();
    assert_eq!(waiting, [1, 2, 3], "those that were served longest ago, or never");
}

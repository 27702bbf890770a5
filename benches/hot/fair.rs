//! A turn in the fair queue, with all workers taken: one comes, one ends, one begins. With one
//! project it must cost next to nothing, with many little more. Beside it a plain queue, first
//! come, first served.

use std::collections::VecDeque;
use std::hint::black_box;

use criterion::Criterion;
use scheduler0::delivery::fair_queue::{Capacity, FairQueue, Stage};

const WORKERS: usize = 64;

pub(crate) fn turn(c: &mut Criterion) {
    let mut group = c.benchmark_group("fair/turn");
    for projects in [1, 100, 10_000] {
        group.bench_function(format!("ours, {projects} projects"), |b| {
            let capacity = Capacity { workers: WORKERS, in_flight: 4_160, flow: 48 };
            let mut queue: FairQueue<u64, u64> = FairQueue::new(capacity);
            let mut under_way = VecDeque::new();
            let mut next = 0;
            let mut come = |queue: &mut FairQueue<u64, u64>| {
                next += 1;
                let flow = queue.flow(next % projects, &(next / projects % 4));
                queue.push(flow, next);
            };
            (0..4 * WORKERS as u64).for_each(|_| come(&mut queue));
            b.iter(|| {
                come(&mut queue);
                while let Some(flow) = queue.next_flow() {
                    black_box(queue.pop(flow));
                    queue.begin(flow);
                    under_way.push_back(flow);
                }
                if let Some(flow) = under_way.pop_front() {
                    queue.end(flow, Stage::Quick);
                }
            });
        });
    }
    group.bench_function("a plain queue", |b| {
        let mut queue: VecDeque<u64> = (0..4 * WORKERS as u64).collect();
        let mut next = 0;
        b.iter(|| {
            next += 1;
            queue.push_back(next);
            black_box(queue.pop_front())
        });
    });
}

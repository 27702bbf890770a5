//! The next instant of a schedule, which is computed each time that a group of jobs fires. It is
//! compared with the `cron` crate and with the least that any way has to do: turn an instant into
//! local time and back.

use std::hint::black_box;
use std::str::FromStr;

use chrono::{DateTime, TimeZone, Timelike};
use chrono_tz::America::New_York;
use criterion::Criterion;
use scheduler0::schedule::{DstRule, Schedule};

/// A Friday in November.
const AT: i64 = 1_763_700_000_000;

pub(crate) fn next(c: &mut Criterion) {
    let lines = [
        ("every second", "* * * * * *"),
        ("a minute of the hour", "0 17 * * * *"),
        ("workdays at 9:30", "0 30 9 * * MON-FRI"),
        ("29 February", "0 0 12 29 2 *"),
    ];
    for (name, line) in lines {
        let mut group = c.benchmark_group(format!("schedule next/{name}"));
        let ours = Schedule::parse(line, New_York, DstRule::default(), 0).unwrap();
        group.bench_function("ours", |b| b.iter(|| ours.next(0, black_box(AT))));
        let theirs = cron::Schedule::from_str(line).unwrap();
        let at = local(AT);
        group.bench_function("cron crate", |b| b.iter(|| theirs.after(black_box(&at)).next()));
        group.bench_function("there and back", |b| {
            b.iter(|| {
                let at = local(black_box(AT)).naive_local().with_nanosecond(0);
                at.and_then(|at| New_York.from_local_datetime(&at).earliest())
            });
        });
        group.finish();
    }
}

fn local(at: i64) -> DateTime<chrono_tz::Tz> {
    DateTime::from_timestamp_millis(at).unwrap().with_timezone(&New_York)
}

//! The searches of a cron schedule on a naive local clock: seconds since 1970-01-01T00:00:00 on a
//! clock without zone and transitions. Called by the walk in `cron` and by `preview`; never sees an
//! instant.

use super::super::month::Month;
use super::Cron;

const DAY: i64 = 86_400;
/// Months until the Gregorian calendar repeats, weekdays included.
const CYCLE: usize = 400 * 12;

impl Cron {
    /// The first local second at or after `from` that matches; the same units on a naive clock.
    pub(in super::super) fn next_local(&self, from: i64) -> Option<i64> {
        let (day, clock) = (from.div_euclid(DAY), from.rem_euclid(DAY) as u32);
        let (mut month, dom) = Month::of(day)?;
        let mut days = self.days(month);
        if days >> dom & 1 == 1
            && let Some(clock) = self.clock_from(clock)
        {
            return Some(day * DAY + clock);
        }
        days &= u32::MAX << dom << 1;
        for _ in 0..=CYCLE {
            if let Some(dom) = lowest(days.into()) {
                return Some((month.start + i64::from(dom) - 1) * DAY + self.clock_from(0)?);
            }
            month = month.following();
            days = self.days(month);
        }
        None
    }

    /// The last local second at or before `from` that matches.
    pub(in super::super) fn prev_local(&self, from: i64) -> Option<i64> {
        let (day, clock) = (from.div_euclid(DAY), from.rem_euclid(DAY) as u32);
        let (mut month, dom) = Month::of(day)?;
        let mut days = self.days(month);
        if days >> dom & 1 == 1
            && let Some(clock) = self.clock_to(clock)
        {
            return Some(day * DAY + clock);
        }
        days &= !(u32::MAX << dom);
        for _ in 0..=CYCLE {
            if let Some(dom) = highest(days.into()) {
                let clock = self.clock_to(DAY as u32 - 1)?;
                return Some((month.start + i64::from(dom) - 1) * DAY + clock);
            }
            month = month.preceding();
            days = self.days(month);
        }
        None
    }

    /// The matching days of a month, bits 1 to 31.
    fn days(&self, month: Month) -> u32 {
        if self.months >> month.number & 1 == 0 {
            return 0;
        }
        let valid = (u32::MAX << 1) & (u32::MAX >> (31 - month.len));
        let (by_month, by_week) = self.day_sets(month);
        valid & if self.either { by_month | by_week } else { by_month & by_week }
    }

    /// The fields that a local second meets, in the order of a spec with seconds; each of the two
    /// day fields by itself. `None` outside the calendar.
    pub(in super::super) fn meets(&self, at: i64) -> Option<[bool; 6]> {
        let (day, clock) = (at.div_euclid(DAY), at.rem_euclid(DAY) as u32);
        let (month, dom) = Month::of(day)?;
        let (by_month, by_week) = self.day_sets(month);
        let has = |set: u64, bit: u32| set >> bit & 1 == 1;
        Some([
            has(self.seconds, clock % 60),
            has(self.minutes, clock / 60 % 60),
            has(self.hours.into(), clock / 3600),
            has(by_month.into(), dom.into()),
            has(self.months.into(), month.number.into()),
            has(by_week.into(), dom.into()),
        ])
    }

    /// The days that the day-of-month field and the day-of-week field choose, bits 1 to 31; beyond
    /// the month's end too.
    fn day_sets(&self, month: Month) -> (u32, u32) {
        let mut doms = self.doms;
        if self.lasts | self.nearest != 0 {
            doms |= self.special_doms(month);
        }
        // The weekdays turned so that bit 0 is the 1st, then repeated for five weeks.
        let set = u64::from(self.dows);
        let week = (set >> month.first | set << (7 - month.first)) & 0x7f;
        let mut by_week = ((week * 0x1020_4081) << 1) as u32;
        if self.nth != 0 {
            by_week |= self.special_dows(month);
        }
        (doms, by_week)
    }

    fn special_doms(&self, month: Month) -> u32 {
        let mut days = 0;
        for back in each(self.lasts.into()) {
            if back < month.len {
                days |= 1 << (month.len - back);
            }
        }
        for dom in each(self.nearest.into()) {
            // Bit 0 is LW: nearest to the last day, and never across the month's end.
            let dom = if dom == 0 { month.len } else { dom };
            if dom > month.len {
                continue;
            }
            days |= 1
                << match month.weekday(dom) {
                    6 if dom == 1 => 3,
                    6 => dom - 1,
                    0 if dom == month.len => dom - 2,
                    0 => dom + 1,
                    _ => dom,
                };
        }
        days
    }

    fn special_dows(&self, month: Month) -> u32 {
        let mut days = 0;
        for bit in each(self.nth) {
            let (nth, dow) = (bit / 7, bit % 7);
            let first = 1 + (dow + 7 - month.first) % 7;
            let dom = match nth {
                5 => first + (month.len - first) / 7 * 7,
                nth => first + 7 * nth,
            };
            if dom <= month.len {
                days |= 1 << dom;
            }
        }
        days
    }

    /// The first matching second of the day at or after `clock`.
    fn clock_from(&self, clock: u32) -> Option<i64> {
        let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
        if self.hours >> hour & 1 == 1 {
            if self.minutes >> minute & 1 == 1
                && let Some(second) = lowest(self.seconds & u64::MAX << second)
            {
                return Some(clock_of(hour, minute, second));
            }
            if let Some(minute) = lowest(self.minutes & u64::MAX << minute << 1) {
                return Some(clock_of(hour, minute, lowest(self.seconds)?));
            }
        }
        let hour = lowest(u64::from(self.hours) & u64::MAX << hour << 1)?;
        Some(clock_of(hour, lowest(self.minutes)?, lowest(self.seconds)?))
    }

    /// The last matching second of the day at or before `clock`.
    fn clock_to(&self, clock: u32) -> Option<i64> {
        let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
        if self.hours >> hour & 1 == 1 {
            if self.minutes >> minute & 1 == 1
                && let Some(second) = highest(self.seconds & !(u64::MAX << second << 1))
            {
                return Some(clock_of(hour, minute, second));
            }
            if let Some(minute) = highest(self.minutes & !(u64::MAX << minute)) {
                return Some(clock_of(hour, minute, highest(self.seconds)?));
            }
        }
        let hour = highest(u64::from(self.hours) & !(u64::MAX << hour))?;
        Some(clock_of(hour, highest(self.minutes)?, highest(self.seconds)?))
    }
}

fn clock_of(hour: u32, minute: u32, second: u32) -> i64 {
    i64::from(hour * 3600 + minute * 60 + second)
}

fn lowest(set: u64) -> Option<u32> {
    (set != 0).then(|| set.trailing_zeros())
}

fn highest(set: u64) -> Option<u32> {
    (set != 0).then(|| set.ilog2())
}

/// The members of a set, upward.
fn each(mut set: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let bit = lowest(set)?;
        set &= set - 1;
        Some(bit as u8)
    })
}

//! A month of the proleptic Gregorian calendar: its length, the weekday it begins with, and the
//! months beside it. `cron` uses it to turn day fields into a set of days; it knows no clock and no
//! zone.

use chrono::{Datelike, NaiveDate};

/// Days from 0001-01-01 (day 1 of chrono's common era) to 1970-01-01.
const EPOCH: i64 = 719_163;

/// A month, placed in the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Month {
    /// The year, astronomical numbering.
    pub(super) year: i32,
    /// 1 to 12.
    pub(super) number: u8,
    /// Days in the month, 28 to 31.
    pub(super) len: u8,
    /// Weekday of the 1st, Sunday = 0.
    pub(super) first: u8,
    /// The 1st, in days since 1970-01-01.
    pub(super) start: i64,
}

impl Month {
    /// The month that holds `day` (days since 1970-01-01), and the day of the month, 1 to 31.
    /// `None` outside chrono's calendar of some 260,000 years either way.
    pub(super) fn of(day: i64) -> Option<(Self, u8)> {
        let date = NaiveDate::from_num_days_from_ce_opt(i32::try_from(day + EPOCH).ok()?)?;
        let (year, number, dom) = (date.year(), date.month() as u8, date.day() as u8);
        let start = day - i64::from(dom - 1);
        Some((Self { year, number, len: length(year, number), first: weekday(start), start }, dom))
    }

    /// The month after this one.
    pub(super) fn following(self) -> Self {
        let (year, number) = match self.number {
            12 => (self.year + 1, 1),
            number => (self.year, number + 1),
        };
        let start = self.start + i64::from(self.len);
        Self { year, number, len: length(year, number), first: weekday(start), start }
    }

    /// The month before this one.
    pub(super) fn preceding(self) -> Self {
        let (year, number) = match self.number {
            1 => (self.year - 1, 12),
            number => (self.year, number - 1),
        };
        let len = length(year, number);
        let start = self.start - i64::from(len);
        Self { year, number, len, first: weekday(start), start }
    }

    /// The weekday of a day of this month, Sunday = 0.
    pub(super) fn weekday(self, dom: u8) -> u8 {
        (self.first + dom - 1) % 7
    }
}

/// 1970-01-01 was a Thursday.
fn weekday(day: i64) -> u8 {
    (day + 4).rem_euclid(7) as u8
}

fn length(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_agree_with_chrono_both_ways_over_a_whole_cycle() {
        let (mut month, _) = Month::of(-400 * 366).unwrap();
        for _ in 0..4800 {
            let next = month.following();
            assert_eq!(next.preceding(), month);
            assert_eq!(Month::of(next.start), Some((next, 1)));
            let date = NaiveDate::from_ymd_opt(next.year, u32::from(next.number), 1).unwrap();
            assert_eq!(i64::from(date.num_days_from_ce()), next.start + EPOCH);
            assert_eq!(date.weekday().num_days_from_sunday(), u32::from(next.first));
            month = next;
        }
    }
}

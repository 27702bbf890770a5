//! The changes of a zone's clock after its table: the yearly rule of its last years, for as long as
//! the calendar goes. Called by `zone` alone; reads no time-zone data, only the finished table.
//!
//! A rule of the IANA data names a month, a weekday and its place in the month. Years are counted
//! from 1 March here, so that a leap day comes last and moves nothing: two such years whose 1 March
//! is the same weekday have their changes at the same distance from it. Eleven years in a row hold
//! all seven weekdays, so the last eleven of the table are the pattern of all that follow.

use chrono::{Datelike, NaiveDate};

use super::END;

const DAY: i64 = 86_400;
/// The years of the pattern, each from its 1 March to the February after.
const PATTERN: std::ops::RangeInclusive<i32> = 2088..=2098;
/// The first year that the table does not hold whole.
const FIRST: i32 = 2099;
/// The last year that schedules know.
const LAST: i32 = 9999;

/// The changes after the table.
#[derive(Debug)]
pub(super) struct Tail {
    /// The changes of a year in order, by the weekday of 1 March. Each year has the same number.
    years: [Vec<Change>; 7],
    /// The number of changes of the first year that are in the table.
    known: usize,
}

/// A change of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    /// Seconds after 1 March, 00:00 UTC.
    after: i64,
    /// Seconds east of UTC from then on.
    offset: i32,
}

impl Tail {
    /// The rule of a table's last years. `None` when its clock does not change in them, or does so
    /// by no rule that years repeat (no zone of the embedded data; a test holds it).
    pub(super) fn of(begins: &[i64], offsets: &[i32]) -> Option<Self> {
        let mut years: [Option<Vec<Change>>; 7] = [const { None }; 7];
        for year in PATTERN {
            let changes = changes(begins, offsets, year);
            let known = &mut years[weekday(year)];
            if known.as_ref().is_some_and(|known| *known != changes) {
                return None;
            }
            *known = Some(changes);
        }
        let years = years.map(Option::unwrap_or_default);
        let per_year = years[0].len();
        let even = per_year > 0 && years.iter().all(|year| year.len() == per_year);
        let known = changes(begins, offsets, FIRST);
        (even && years[weekday(FIRST)].starts_with(&known))
            .then_some(Self { years, known: known.len() })
    }

    fn per_year(&self) -> usize {
        self.years[0].len()
    }

    /// The number of changes up to the end of the year 9999.
    pub(super) fn len(&self) -> usize {
        (LAST - FIRST + 1) as usize * self.per_year() - self.known
    }

    /// The number of changes that are not after a second.
    pub(super) fn begun_by(&self, second: i64) -> usize {
        if second < END {
            return 0;
        }
        let year = year_of(second);
        if year > LAST {
            return self.len();
        }
        let since = second - begin(year);
        let changes = &self.years[weekday(year)];
        let passed = changes.iter().filter(|change| change.after <= since).count();
        ((year - FIRST) as usize * self.per_year() + passed).saturating_sub(self.known)
    }

    /// The second of a change, by its number from 0.
    pub(super) fn begin(&self, number: usize) -> i64 {
        let (year, change) = self.change(number);
        begin(year) + change.after
    }

    /// The offset from a change on.
    pub(super) fn offset(&self, number: usize) -> i32 {
        self.change(number).1.offset
    }

    fn change(&self, number: usize) -> (i32, Change) {
        let number = number + self.known;
        // Below 16,000: callers stay within `len`.
        let year = FIRST + (number / self.per_year()) as i32;
        (year, self.years[weekday(year)][number % self.per_year()])
    }
}

/// The changes of a table in a year.
fn changes(begins: &[i64], offsets: &[i32], year: i32) -> Vec<Change> {
    let (from, to) = (begin(year), begin(year + 1));
    let range = begins.partition_point(|b| *b < from)..begins.partition_point(|b| *b < to);
    range.map(|i| Change { after: begins[i] - from, offset: offsets[i] }).collect()
}

/// 1 March of a year, 00:00 UTC, in seconds.
fn begin(year: i32) -> i64 {
    march(year) * DAY
}

/// 1 March of a year, in days since 1970-01-01: the days of the years before it, each leap day at
/// the end of its own.
fn march(year: i32) -> i64 {
    let year = i64::from(year);
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) - 719_468
}

fn weekday(year: i32) -> usize {
    march(year).rem_euclid(7) as usize
}

/// The year, counted from 1 March, that holds a second.
fn year_of(second: i64) -> i32 {
    // The calendar's year is at most one too late. Instants beyond chrono's calendar are far after
    // the year 9999.
    let day = i32::try_from(second.div_euclid(DAY)).ok();
    let date = day.and_then(NaiveDate::from_epoch_days);
    let year = date.map_or(LAST + 1, |date| date.year());
    if second < begin(year) { year - 1 } else { year }
}

#[cfg(test)]
mod tests {
    use chrono_tz::TZ_VARIANTS;

    use super::super::of;
    use super::*;

    #[test]
    fn each_zone_that_still_changes_its_clock_has_a_rule() {
        let mut changing = 0;
        for tz in TZ_VARIANTS {
            let zone = of(tz);
            let late = zone.begins.iter().any(|begin| *begin >= 3_976_214_400);
            changing += usize::from(late);
            assert_eq!(zone.tail.is_some(), late, "{tz}");
            let tail = zone.tail.as_ref();
            assert!(tail.is_none_or(|tail| tail.per_year() == 2), "{tz}");
        }
        assert!(changing > 100, "{changing}");
    }

    #[test]
    fn years_begin_on_the_first_of_march() {
        for year in [1970, 2000, 2088, 2099, 2100, 2400, 9999] {
            let date = NaiveDate::from_ymd_opt(year, 3, 1).unwrap();
            assert_eq!(march(year), i64::from(date.to_epoch_days()), "{year}");
            assert_eq!((year_of(begin(year)), year_of(begin(year) - 1)), (year, year - 1));
        }
        assert_eq!(year_of(i64::MAX), LAST + 1);
    }
}

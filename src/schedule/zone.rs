//! Time zones as lists of intervals with one UTC offset each, made once for each zone from the
//! embedded IANA data; and the parser of zone names. Called by `cron`, `at`, `preview` and all
//! checks of a zone. It never reads the system's zone or files.
//!
//! An interval `i` runs from `begin(i)` to the next one's begin. On the local clock it shows
//! `local_begin(i)` to `local_end(i)`. `local_begin_before(i)` is what the clock would have shown
//! at its first instant without the transition: below `local_begin(i)` there is a gap between the
//! two, above it a fold.
//!
//! Tables cover 1970 to 2100, where the embedded IANA data ends. Before that the first offset
//! holds; after it the zone's yearly rule goes on (`tail`), up to the year 9999.

mod hints;
mod tail;

use std::str::FromStr;
use std::sync::OnceLock;

use chrono::{DateTime, FixedOffset, Offset, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use self::tail::Tail;
use super::Millis;
use super::error::{Error, shown};

/// 2100-01-01T00:00:00Z in seconds.
const END: i64 = 4_102_444_800;
/// Distance of the samples between which a change of offset is looked for, in seconds: two days.
/// No zone has two changes within five (tzdata 2025b, every zone read at every quarter hour).
const STRIDE: i64 = 2 * 86_400;

static TABLES: [OnceLock<Zone>; TZ_VARIANTS.len()] = [const { OnceLock::new() }; TZ_VARIANTS.len()];

/// The intervals of one zone.
#[derive(Debug)]
pub(super) struct Zone {
    /// First second of each interval, UTC; the first is `i64::MIN`.
    begins: Box<[i64]>,
    /// Seconds east of UTC.
    offsets: Box<[i32]>,
    /// The changes after the table; `None` where the last offset holds for ever.
    tail: Option<Tail>,
}

/// The table of a zone, made on first use (under a millisecond), then kept.
pub(super) fn of(tz: Tz) -> &'static Zone {
    // In bounds: Tz is an enum without fields, numbered from 0, and TZ_VARIANTS lists it whole.
    TABLES[tz as usize].get_or_init(|| Zone::read(tz))
}

impl Zone {
    fn read(tz: Tz) -> Self {
        let mut begins = vec![i64::MIN];
        let mut offsets = vec![offset_at(tz, 0)];
        let mut current = offsets[0];
        for sample in (STRIDE..=END).step_by(STRIDE as usize) {
            while offset_at(tz, sample) != current {
                // Bisect for the first second with another offset than the current one.
                let known = begins[begins.len() - 1].max(sample - STRIDE);
                let (mut before, mut after) = (known, sample);
                while after - before > 1 {
                    let middle = before.midpoint(after);
                    if offset_at(tz, middle) == current {
                        before = middle;
                    } else {
                        after = middle;
                    }
                }
                current = offset_at(tz, after);
                begins.push(after);
                offsets.push(current);
            }
        }
        let tail = Tail::of(&begins, &offsets);
        Self { begins: begins.into(), offsets: offsets.into(), tail }
    }

    /// The interval that contains `second` (UTC).
    pub(super) fn index(&self, second: i64) -> usize {
        let more = self.tail.as_ref().map_or(0, |tail| tail.begun_by(second));
        if more > 0 {
            return self.begins.len() + more - 1;
        }
        // At least one: the first begin is below everything.
        self.begins.partition_point(|begin| *begin <= second).max(1) - 1
    }

    /// The first second of an interval, UTC.
    pub(super) fn begin(&self, i: usize) -> i64 {
        match (self.begins.get(i), &self.tail) {
            (Some(begin), _) => *begin,
            (None, Some(tail)) => tail.begin(i - self.begins.len()),
            // No caller goes beyond `len`; the last interval would be the answer.
            (None, None) => i64::MAX,
        }
    }

    /// The offset of an interval, seconds east of UTC.
    pub(super) fn offset(&self, i: usize) -> i64 {
        let offset = match (self.offsets.get(i), &self.tail) {
            (Some(offset), _) => *offset,
            (None, Some(tail)) => tail.offset(i - self.begins.len()),
            (None, None) => 0,
        };
        offset.into()
    }

    /// The local time at the first second of an interval.
    pub(super) fn local_begin(&self, i: usize) -> i64 {
        if i == 0 { i64::MIN } else { self.begin(i) + self.offset(i) }
    }

    /// The local time at the first second of an interval by the offset before.
    pub(super) fn local_begin_before(&self, i: usize) -> i64 {
        if i == 0 { i64::MIN } else { self.begin(i) + self.offset(i - 1) }
    }

    /// The local time, by its own offset, at which it is over; `i64::MAX` for the last.
    pub(super) fn local_end(&self, i: usize) -> i64 {
        if i + 1 < self.len() { self.begin(i + 1) + self.offset(i) } else { i64::MAX }
    }

    /// The number of intervals up to the year 9999.
    pub(super) fn len(&self) -> usize {
        self.begins.len() + self.tail.as_ref().map_or(0, Tail::len)
    }
}

/// An instant on the clock of a zone, by the offsets that schedules use; `None` beyond what chrono
/// can hold.
pub(super) fn local(at: Millis, tz: Tz) -> Option<DateTime<FixedOffset>> {
    let zone = of(tz);
    let second = at.div_euclid(1_000);
    let offset = FixedOffset::east_opt(zone.offset(zone.index(second)) as i32)?;
    Some(DateTime::from_timestamp_millis(at)?.with_timezone(&offset))
}

/// Seconds east of UTC at a second since the epoch.
fn offset_at(tz: Tz, second: i64) -> i32 {
    DateTime::from_timestamp(second, 0)
        .map_or(0, |utc| tz.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc())
}

/// Reads an IANA zone name, such as `Europe/Berlin` or `UTC`, in IANA's letter case.
///
/// # Errors
/// Names the zone and suggests the nearest ones.
pub fn parse_zone(name: &str) -> Result<Tz, Error> {
    Tz::from_str(name).map_err(|_| Error::Zone { name: shown(name), fix: hints::suggest(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_has_its_own_table_and_the_offsets_of_chrono_tz() {
        for (place, tz) in TZ_VARIANTS.iter().enumerate() {
            assert_eq!(place, *tz as usize);
            let zone = of(*tz);
            for second in (0..2_600_000_000).step_by(300_007) {
                let i = zone.index(second);
                assert_eq!(zone.offset(i), i64::from(offset_at(*tz, second)), "{tz} {second}");
            }
        }
    }

    #[test]
    fn intervals_follow_one_another_to_the_end_of_the_calendar() {
        for tz in TZ_VARIANTS {
            let zone = of(tz);
            for i in (1..zone.len()).filter(|i| *i < 600 || i % 37 == 0 || i + 3 > zone.len()) {
                let begin = zone.begin(i);
                assert!(begin > zone.begin(i - 1), "{tz} {i}");
                assert_ne!(zone.offset(i), zone.offset(i - 1), "{tz} {i}");
                assert_eq!((zone.index(begin), zone.index(begin - 1)), (i, i - 1), "{tz} {i}");
            }
            assert_eq!(zone.index(i64::MAX), zone.len() - 1, "{tz}");
        }
    }
}

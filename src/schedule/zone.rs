//! Time zones as lists of stretches with one UTC offset each, made once per zone from the embedded
//! IANA data; and the reading of zone names. Called by `cron`, `at` and `preview`, and by whoever
//! validates a zone. Never reads the system's zone or files.
//!
//! A stretch `i` runs from `begin(i)` to the next one's begin. On the local clock it shows
//! `local_begin(i)` to `local_end(i)`. `local_begin_before(i)` is what the clock would have shown
//! at its first instant without the transition: below `local_begin(i)` there is a gap between the
//! two, above it a fold.
//!
//! Tables cover 1970 to 2100, which is where the IANA data as embedded ends; before and after, the
//! first and last offset stand.

use std::str::FromStr;
use std::sync::OnceLock;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::error::{Error, shown};

/// 2100-01-01T00:00:00Z in seconds.
const END: i64 = 4_102_444_800;
/// Distance of the samples between which a change of offset is looked for, in seconds: two days.
/// No zone has two changes within five (tzdata 2025b, every zone read at every quarter hour).
const STRIDE: i64 = 2 * 86_400;

static TABLES: [OnceLock<Zone>; TZ_VARIANTS.len()] = [const { OnceLock::new() }; TZ_VARIANTS.len()];

/// The stretches of one zone.
#[derive(Debug)]
pub(super) struct Zone {
    /// First second of each stretch, UTC; the first is `i64::MIN`.
    begins: Box<[i64]>,
    /// Seconds east of UTC.
    offsets: Box<[i32]>,
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
        Self { begins: begins.into(), offsets: offsets.into() }
    }

    /// The stretch that holds `second` (UTC).
    pub(super) fn index(&self, second: i64) -> usize {
        // At least one: the first begin is below everything.
        self.begins.partition_point(|begin| *begin <= second).max(1) - 1
    }

    /// Its first second, UTC.
    pub(super) fn begin(&self, i: usize) -> i64 {
        self.begins[i]
    }

    /// Its offset, seconds east of UTC.
    pub(super) fn offset(&self, i: usize) -> i64 {
        self.offsets[i].into()
    }

    /// What the local clock shows at its first second.
    pub(super) fn local_begin(&self, i: usize) -> i64 {
        if i == 0 { i64::MIN } else { self.begins[i] + self.offset(i) }
    }

    /// What the local clock would show at its first second by the offset before.
    pub(super) fn local_begin_before(&self, i: usize) -> i64 {
        if i == 0 { i64::MIN } else { self.begins[i] + self.offset(i - 1) }
    }

    /// The local time, by its own offset, at which it is over; `i64::MAX` for the last.
    pub(super) fn local_end(&self, i: usize) -> i64 {
        match self.begins.get(i + 1) {
            Some(end) => end + self.offset(i),
            None => i64::MAX,
        }
    }

    /// How many stretches there are.
    pub(super) fn len(&self) -> usize {
        self.begins.len()
    }
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
    Tz::from_str(name).map_err(|_| Error::Zone { name: shown(name), fix: suggest(name) })
}

fn suggest(name: &str) -> String {
    let wanted = name.trim().replace(' ', "_").to_ascii_lowercase();
    let mut near: Vec<(f64, &'static str)> = TZ_VARIANTS
        .iter()
        .filter(|_| wanted.len() <= 64)
        .map(|tz| {
            let known = tz.name().to_ascii_lowercase();
            let city = known.rsplit('/').next().unwrap_or(&known);
            let score = strsim::jaro_winkler(&wanted, &known)
                .max(strsim::jaro_winkler(&wanted, city) - 0.01);
            (score, tz.name())
        })
        .filter(|(score, _)| *score > 0.85)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    match near.as_slice() {
        [] => "use an IANA name such as UTC or Europe/Berlin".to_owned(),
        [(_, best), ..] => format!("did you mean {best}?"),
    }
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
    fn an_unknown_zone_is_named_with_its_nearest() {
        let error = |name| parse_zone(name).unwrap_err().to_string();
        assert_eq!(
            error("europe/berlin"),
            "timezone \"europe/berlin\" is unknown; did you mean Europe/Berlin?"
        );
        assert!(error("America/NewYork").ends_with("did you mean America/New_York?"));
        assert!(error("Paris").ends_with("did you mean Europe/Paris?"));
        assert!(error("qqq").contains("IANA"));
    }
}

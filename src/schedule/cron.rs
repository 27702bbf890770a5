//! A cron schedule as bit sets: which seconds, minutes, hours, days; and the walk over the zone's
//! intervals that turns what the naive searches find (`local`) into instants. Called by `Schedule`
//! and `preview` only; reads no text.

mod local;

use chrono_tz::Tz;

use super::error::{Error, shown};
use super::field::{Item, Unit};
use super::parse::Fields;
use super::zone::{self, Zone};
use super::{DstRule, Fold, Gap};

/// 48 bytes, nothing on the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cron {
    seconds: u64,
    minutes: u64,
    /// Weekday `d` for the `n`th time in the month: bit `7 * (n - 1) + d`; the last time: n = 6.
    nth: u64,
    hours: u32,
    /// Days of the month, bits 1 to 31.
    doms: u32,
    /// Days counted from the month's end: bit 0 is the last day.
    lasts: u32,
    /// `nW` at bit n; `LW` at bit 0.
    nearest: u32,
    months: u16,
    zone: Tz,
    /// Weekdays, Sunday at bit 0.
    dows: u8,
    /// Set if both day fields are restricted: either may match.
    either: bool,
    /// The hour is fixed and the rule is `gap: next`.
    moves: bool,
    /// The hour is fixed and the rule is `fold: first`.
    once: bool,
}

impl Cron {
    /// Bits from items. The only thing that can fail here is that no day ever matches.
    pub(super) fn build(
        fields: &Fields,
        zone: Tz,
        rule: DstRule,
        seed: u64,
    ) -> Result<Self, Error> {
        let wild = fields.items(Unit::Hour).iter().any(|item| match item {
            Item::Any { .. } => true,
            Item::Hash { lo: 0, hi: 23, step } => step.is_some(),
            _ => false,
        });
        let bits = |unit| bits(unit, fields.items(unit), seed);
        let (days, weekdays) = (fields.items(Unit::Dom), fields.items(Unit::Dow));
        let dows = bits(Unit::Dow);
        let mut cron = Self {
            seconds: bits(Unit::Second),
            minutes: bits(Unit::Minute),
            hours: bits(Unit::Hour) as u32,
            doms: bits(Unit::Dom) as u32,
            months: bits(Unit::Month) as u16,
            // Sunday is 0 or 7.
            dows: ((dows | dows >> 7) & 0x7f) as u8,
            nth: 0,
            lasts: 0,
            nearest: 0,
            zone,
            either: !fields.is_unrestricted(Unit::Dom) && !fields.is_unrestricted(Unit::Dow),
            moves: rule.gap == Gap::Next && !wild,
            once: rule.fold == Fold::First && !wild,
        };
        for item in days.iter().chain(weekdays) {
            match *item {
                Item::Last { back } => cron.lasts |= 1 << back,
                Item::LastWeekday => cron.nearest |= 1,
                Item::Nearest { dom } => cron.nearest |= 1 << dom,
                Item::Nth { dow, nth } => cron.nth |= 1 << (7 * (nth - 1) + dow),
                Item::LastDow { dow } => cron.nth |= 1 << (35 + dow),
                Item::Any { .. } | Item::Range { .. } | Item::Hash { .. } => {}
            }
        }
        if cron.next_local(0).is_none() {
            let [_, _, _, dom, month, _] = &fields.text;
            return Err(Error::Never { days: shown(dom), months: shown(month) });
        }
        Ok(cron)
    }

    pub(super) fn zone(&self) -> Tz {
        self.zone
    }

    /// Returns whether one of the two day fields is enough: both are restricted.
    pub(super) fn either(&self) -> bool {
        self.either
    }

    /// Returns whether a local time lost in a gap matters: a fixed or stepped hour, not every hour.
    pub(super) fn misses_gaps(&self) -> bool {
        !self.moves && self.hours != 0xff_ffff
    }

    /// Returns whether a local time lost in a gap fires at its end.
    pub(super) fn moves(&self) -> bool {
        self.moves
    }

    /// The first occurrence at or after `second` (seconds since the epoch, UTC).
    pub(super) fn next(&self, second: i64) -> Option<i64> {
        let zone = zone::of(self.zone);
        let mut i = zone.index(second);
        let mut low = self.low(zone, i);
        if second > zone.begin(i) {
            low = low.max(second + zone.offset(i));
        }
        let mut found = self.next_local(low)?;
        let mut searched = low;
        // The loop ends at the last interval, which has no end.
        while zone.local_end(i) <= found {
            i += 1;
            low = self.low(zone, i);
            if low < searched || low > found {
                found = self.next_local(low)?;
                searched = low;
            }
        }
        Some((found - zone.offset(i)).max(zone.begin(i)))
    }

    /// The last occurrence at or before `second`.
    pub(super) fn prev(&self, second: i64) -> Option<i64> {
        let zone = zone::of(self.zone);
        let mut i = zone.index(second);
        let mut high = second + zone.offset(i);
        let mut found = self.prev_local(high)?;
        let mut searched = high;
        while found < self.low(zone, i) {
            // The first interval has no beginning, so another one precedes this one.
            i -= 1;
            high = zone.local_end(i) - 1;
            if high > searched || high < found {
                found = self.prev_local(high)?;
                searched = high;
            }
        }
        Some((found - zone.offset(i)).max(zone.begin(i)))
    }

    /// The beginning of the local time that interval `i` owns, by the DST rule: with `gap: next` it
    /// owns the gap before it too, with `fold: first` it does not own what was shown before.
    fn low(&self, zone: &Zone, i: usize) -> i64 {
        let (own, before) = (zone.local_begin(i), zone.local_begin_before(i));
        let takes_before = if before < own { self.moves } else { self.once };
        if takes_before { before } else { own }
    }
}

/// The plain values of a field; the special items of the day fields are left out.
fn bits(unit: Unit, items: &[Item], seed: u64) -> u64 {
    let (min, max) = unit.bounds();
    let mut set = 0;
    for item in items {
        let (lo, hi, step) = match *item {
            Item::Any { step } => (min, max, step),
            Item::Range { lo, hi, step } => (lo, hi, step),
            Item::Hash { lo, hi, step } => {
                let width = hi - lo + 1;
                let start =
                    lo + (spread(seed, unit) % u64::from(step.unwrap_or(width).min(width))) as u8;
                (start, if step.is_some() { hi } else { start }, step.unwrap_or(1))
            }
            _ => continue,
        };
        for value in (lo..=hi).step_by(step.into()) {
            set |= 1 << value;
        }
    }
    set
}

/// The hash that `H` takes its value from. It is part of the meaning of stored specs: never change
/// it. (A 64-bit finalizer of the xor-multiply kind, another starting point for each field.)
fn spread(seed: u64, unit: Unit) -> u64 {
    let mut x = seed.wrapping_add((unit as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        x = (x ^ x >> 33).wrapping_mul(factor);
    }
    x ^ x >> 33
}

//! A cron schedule as bit sets: which seconds, minutes, hours, days. Two searches on a naive local
//! clock (`next_local`, `prev_local`), and the walk over the zone's stretches that turns their
//! answers into instants. Called by `Schedule` and `preview` only; reads no text.

use chrono_tz::Tz;

use super::error::{Error, shown};
use super::field::{Item, Unit};
use super::month::Month;
use super::parse::Fields;
use super::zone::{self, Zone};
use super::{DstRule, Fold, Gap};

const DAY: i64 = 86_400;
/// The Gregorian calendar repeats after 400 years, weekdays included.
const CYCLE: usize = 400 * 12;

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
    /// Both day fields are restricted: either may match.
    either: bool,
    /// The hour field is a wildcard.
    wild: bool,
    dst: DstBytes,
}

/// The DST rule as it applies: with a wildcard hour, always skip and both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct DstBytes {
    moves: bool,
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
        let wild = fields.hour.iter().any(|item| match item {
            Item::Any { .. } => true,
            Item::Hash { lo: 0, hi: 23, step } => step.is_some(),
            _ => false,
        });
        let restricted =
            |items: &[Item]| !items.iter().any(|item| matches!(item, Item::Any { step: 1 }));
        let dow = bits(Unit::Dow, &fields.dow, seed);
        let mut cron = Self {
            seconds: bits(Unit::Second, &fields.second, seed),
            minutes: bits(Unit::Minute, &fields.minute, seed),
            hours: bits(Unit::Hour, &fields.hour, seed) as u32,
            doms: bits(Unit::Dom, &fields.dom, seed) as u32,
            months: bits(Unit::Month, &fields.month, seed) as u16,
            // Sunday is 0 or 7.
            dows: ((dow | dow >> 7) & 0x7f) as u8,
            nth: 0,
            lasts: 0,
            nearest: 0,
            zone,
            either: restricted(&fields.dom) && restricted(&fields.dow),
            wild,
            dst: DstBytes {
                moves: rule.gap == Gap::Next && !wild,
                once: rule.fold == Fold::First && !wild,
            },
        };
        for item in fields.dom.iter().chain(&fields.dow) {
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

    /// Whether a local time lost in a gap is a loss: a fixed or stepped hour, not every hour.
    pub(super) fn misses_gaps(&self) -> bool {
        !self.dst.moves && self.hours != 0xff_ffff
    }

    /// Whether a local time lost in a gap fires at its end.
    pub(super) fn moves(&self) -> bool {
        self.dst.moves
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
        // Ends at the last stretch at the latest: it has no end.
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
            // The first stretch has no beginning, so this one has one before it.
            i -= 1;
            high = zone.local_end(i) - 1;
            if high > searched || high < found {
                found = self.prev_local(high)?;
                searched = high;
            }
        }
        Some((found - zone.offset(i)).max(zone.begin(i)))
    }

    /// Where the local time that stretch `i` owns begins, by the DST rule: with `gap: next` it
    /// owns the gap before it too, with `fold: first` it does not own what was shown before.
    fn low(&self, zone: &Zone, i: usize) -> i64 {
        let (own, before) = (zone.local_begin(i), zone.local_begin_before(i));
        let takes_before = if before < own { self.dst.moves } else { self.dst.once };
        if takes_before { before } else { own }
    }

    /// The first local second at or after `from` that matches; the same units on a naive clock.
    pub(super) fn next_local(&self, from: i64) -> Option<i64> {
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
    pub(super) fn prev_local(&self, from: i64) -> Option<i64> {
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
        if self.months >> month.month & 1 == 0 {
            return 0;
        }
        let valid = (u32::MAX << 1) & (u32::MAX >> (31 - month.len));
        let mut doms = self.doms;
        if self.lasts | self.nearest != 0 {
            doms |= self.special_doms(month);
        }
        // The weekdays turned so that bit 0 is the 1st, then repeated for five weeks.
        let set = u64::from(self.dows);
        let week = (set >> month.first | set << (7 - month.first)) & 0x7f;
        let mut dows = (week * 0x0010_2040_81 << 1) as u32;
        if self.nth != 0 {
            dows |= self.special_dows(month);
        }
        valid & if self.either { doms | dows } else { doms & dows }
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
    (set != 0).then(|| 63 - set.leading_zeros())
}

/// The members of a set, upward.
fn each(mut set: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let bit = lowest(set)?;
        set &= set - 1;
        Some(bit as u8)
    })
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

/// What `H` takes its value from. It is part of what a stored spec means: never change it.
/// (A 64-bit finalizer of the xor-multiply kind, another starting point for each field.)
fn spread(seed: u64, unit: Unit) -> u64 {
    let mut x = seed.wrapping_add((unit as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        x = (x ^ x >> 33).wrapping_mul(factor);
    }
    x ^ x >> 33
}

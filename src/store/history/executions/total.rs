//! The number of executions of a list. Hours are counted as they are recorded, so that only the
//! parts of hours at the ends of a range are looked at, and no total reads a day of records.

use rusqlite::{Connection, params_from_iter};

use super::filter::{Filter, condition};
use super::row::Total;
use crate::model::Millis;
use crate::store::history::counters::{self, HOUR, OutcomeKind};
use crate::store::row::id_at;

/// The most records of a part of an hour that are summed up. Of more, the part is taken as so much
/// of its hour.
const MOST_SUMMED: u64 = 20_000;

/// The number of executions that match. The job of a filter is not looked at.
pub(super) fn total(conn: &Connection, filter: &Filter) -> rusqlite::Result<Total> {
    let kinds = if filter.kinds.is_empty() { &OutcomeKind::ALL[..] } else { &filter.kinds };
    // Both ends belong to the range; here the last one is outside.
    let ends = (filter.from, filter.until.map(|until| until.saturating_add(1)));
    let (hours, parts) = split(ends);
    let mut total = Total { count: 0, exact: true };
    if hours.0 < hours.1 {
        total.count = counters::total_of_hours(conn, filter.project, kinds, hours)?;
    }
    for part in parts.into_iter().flatten() {
        let own = of_part(conn, filter, kinds, part)?;
        total.count += own.count;
        total.exact &= own.exact;
    }
    Ok(total)
}

/// Splits a range, whose end is not in it, into whole hours (the first, and the one behind the
/// last) and the parts of hours at its ends.
#[expect(clippy::type_complexity, reason = "the two halves of one answer")]
fn split(
    (from, until): (Option<Millis>, Option<Millis>),
) -> ((i64, i64), [Option<(Millis, Millis)>; 2]) {
    let after = |at: Millis| at.div_euclid(HOUR) + i64::from(at.rem_euclid(HOUR) > 0);
    let first = from.map_or(i64::MIN, after);
    let last = until.map_or(i64::MAX, |until| until.div_euclid(HOUR));
    // A part lies within its hour, which the end of the range may cut once more.
    let begin = from.filter(|from| from.rem_euclid(HOUR) > 0).map(|from| {
        let end = first.saturating_mul(HOUR);
        (from, until.map_or(end, |until| end.min(until)))
    });
    let end = until.filter(|_| last >= first).map(|until| (last.saturating_mul(HOUR), until));
    ((first, last), [begin, end].map(|part| part.filter(|(begin, end)| begin < end)))
}

/// The number within a part of an hour.
fn of_part(
    conn: &Connection,
    filter: &Filter,
    kinds: &[OutcomeKind],
    (begin, end): (Millis, Millis),
) -> rusqlite::Result<Total> {
    let hour = begin.div_euclid(HOUR);
    let of_hour = counters::total_of_hours(conn, filter.project, kinds, (hour, hour + 1))?;
    if of_hour == 0 {
        return Ok(Total { count: 0, exact: true });
    }
    let part = Filter {
        from: Some(begin),
        until: Some(end - 1),
        job: None,
        after: None,
        ..filter.clone()
    };
    let (range, bounds) = condition(&Filter { project: None, ..part.clone() });
    let most = MOST_SUMMED + 1;
    let records = conn
        .prepare_cached(&format!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM blocks WHERE {range} LIMIT {most})"
        ))?
        .query_row(params_from_iter(bounds), |row| id_at(row, 0))?;
    if records > MOST_SUMMED {
        let share = u128::from(of_hour) * u128::from((end - begin).unsigned_abs());
        // No more than the hour has.
        let count = u64::try_from(share / u128::from(HOUR.unsigned_abs())).unwrap_or(of_hour);
        return Ok(Total { count, exact: false });
    }
    let (condition, values) = condition(&part);
    let sql = format!("SELECT COALESCE(SUM(count), 0) FROM blocks WHERE {condition}");
    let count =
        conn.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| id_at(row, 0))?;
    Ok(Total { count, exact: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::{AttemptRecord, Occurrences, Verdict};
    use crate::model::members::Members;
    use crate::store::history::attempts;
    use crate::store::{Store, Tx};

    #[test]
    fn a_range_is_whole_hours_and_the_parts_at_its_ends() {
        let h = HOUR;
        let none = [None, None];
        assert_eq!(split((Some(2 * h), Some(5 * h))), ((2, 5), none));
        assert_eq!(
            split((Some(2 * h - 9), Some(5 * h + 7))).1,
            [Some((2 * h - 9, 2 * h)), Some((5 * h, 5 * h + 7))]
        );
        // Within one hour there is one part, and no hour.
        let ((first, last), parts) = split((Some(h + 5), Some(h + 9)));
        assert!(first > last);
        assert_eq!(parts, [Some((h + 5, h + 9)), None]);
        let ((first, last), parts) = split((Some(h + 5), Some(2 * h + 9)));
        assert_eq!((first, last), (2, 2));
        assert_eq!(parts, [Some((h + 5, 2 * h)), Some((2 * h, 2 * h + 9))]);
        assert_eq!(
            split((None, Some(5 * h + 7))),
            ((i64::MIN, 5), [None, Some((5 * h, 5 * h + 7))])
        );
        assert_eq!(split((Some(h + 1), None)), ((2, i64::MAX), [Some((h + 1, 2 * h)), None]));
        assert_eq!(split((Some(9), Some(9))).1, none);
        assert_eq!(split((Some(Millis::MIN), Some(Millis::MAX))).0.1, Millis::MAX / h);
        let negative = split((Some(-h - 1), Some(-1)));
        assert_eq!(negative, ((-1, -1), [Some((-h - 1, -h)), Some((-h, -1))]));
    }

    #[test]
    fn a_part_with_many_records_is_its_share_of_the_hour() {
        let dir = tempfile::tempdir().unwrap();
        let (store, mut writer) = Store::open(dir.path()).unwrap();
        let begin = 1_000 * HOUR;
        let fill = |tx: &mut Tx<'_>| -> rusqlite::Result<()> {
            for id in 1..=MOST_SUMMED + 1 {
                let due = begin + id.cast_signed();
                let (shard, members) = (0, Members::from_sorted([7]));
                let of = Occurrences { project: 1, shard, epoch: 1, due, scheduled: due, members };
                let record = AttemptRecord::attempt(of, Verdict::Delivered);
                attempts::insert(tx, id, 1, false, due, &record)?;
                tx.count_outcome(1, due, Verdict::Delivered, 1);
            }
            Ok(())
        };
        writer.transaction(fill).unwrap();
        let of = |from, until, kinds: &[OutcomeKind]| {
            let (from, until) = (Some(from), Some(until));
            let filter = Filter { from, until, kinds: kinds.to_vec(), ..Filter::default() };
            store.read(|conn| total(conn, &filter)).unwrap()
        };
        let exact = |count| Total { count, exact: true };
        assert_eq!(of(begin, begin + HOUR - 1, &[]), exact(MOST_SUMMED + 1), "a whole hour");
        assert_eq!(of(begin, begin + 500, &[]), exact(500));
        let half = of(begin, begin + HOUR / 2 - 1, &[OutcomeKind::Delivered]);
        assert_eq!(half, Total { count: MOST_SUMMED.div_ceil(2), exact: false });
        assert_eq!(of(begin, begin + HOUR / 2 - 1, &[OutcomeKind::Dead]), exact(0));
    }
}

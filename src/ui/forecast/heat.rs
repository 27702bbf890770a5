//! The heat map of a day: a row for each hour, a cell for each minute, one path for each colour. It
//! is SVG of some kilobytes, whatever is in it.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use crate::ui::words::count;

/// The colours, beside that of nothing.
const STEPS: usize = 6;
/// The sizes of a cell, in units of the picture.
const WIDE: usize = 14;
const HIGH: usize = 16;
/// The minutes of a row.
pub(super) const MINUTES: usize = 60;
/// The room for the hour on the left.
const LEFT: usize = 48;
/// The room for the minutes above.
const TOP: usize = 18;

/// One hour.
pub(super) struct Row {
    /// The clock at its begin.
    pub(super) clock: String,
    /// The words that the row shows when it is pointed at.
    pub(super) title: String,
    /// The occurrences of each minute; `None` for minutes that have passed.
    pub(super) minutes: Vec<Option<u64>>,
}

/// The highest number of each colour, in steps of equal factors up to `highest`.
fn bounds(highest: u64) -> Vec<u64> {
    let top = highest.max(1);
    let mut bounds = Vec::with_capacity(STEPS);
    for step in 1..=STEPS {
        let bound = (top as f64).powf(step as f64 / STEPS as f64).round() as u64;
        let bound = if step == STEPS { top } else { bound.min(top) };
        if bounds.last().is_none_or(|last| bound > *last) {
            bounds.push(bound);
        }
    }
    bounds
}

/// The place of a number among the bounds; `None` for zero.
fn step(bounds: &[u64], number: u64) -> Option<usize> {
    (number > 0)
        .then(|| bounds.iter().position(|bound| number <= *bound).unwrap_or(bounds.len() - 1))
}

/// The map with its legend.
pub(super) fn heat(title: &str, rows: &[Row]) -> Markup {
    let all = || rows.iter().flat_map(|row| row.minutes.iter().flatten().copied());
    let bounds = bounds(all().max().unwrap_or(0));
    let mut paths = vec![String::new(); bounds.len()];
    let (mut none, mut past) = (String::new(), String::new());
    for (line, row) in rows.iter().enumerate() {
        let y = TOP + line * HIGH + HIGH / 2;
        for (x, wide, kind) in stretches(row, &bounds) {
            let path = match kind {
                Kind::Past => &mut past,
                Kind::None => &mut none,
                Kind::Step(step) => &mut paths[step],
            };
            let _ = write!(path, "M{} {y}h{}", LEFT + x * WIDE, wide * WIDE);
        }
    }
    let (width, height) = (LEFT + MINUTES * WIDE, TOP + rows.len() * HIGH);
    html! {
        figure.heat {
            figcaption.legend { (legend(&bounds)) }
            div.heat-box tabindex="0" role="group" aria-label=(title) {
                svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(title) {
                    path.h-past d=(PreEscaped(past)) {}
                    path.h-none d=(PreEscaped(none)) {}
                    @for (step, path) in paths.iter().enumerate() {
                        path class={ "h-" (step + 1) } d=(PreEscaped(path)) {}
                    }
                    path.h-gaps d=(PreEscaped(gaps(rows.len()))) {}
                    @for minute in (0..MINUTES).step_by(10) {
                        text x=(LEFT + minute * WIDE) y="12" { ":" (format!("{minute:02}")) }
                    }
                    @for (line, row) in rows.iter().enumerate() {
                        text x="0" y=(TOP + line * HIGH + 12) { (row.clock) }
                        rect.hit x="0" y=(TOP + line * HIGH) width=(width) height=(HIGH) { title { (row.title) } }
                    }
                }
            }
        }
    }
}

/// The colour of a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Past,
    None,
    Step(usize),
}

/// The cells of a row, neighbours of one colour together: place, length, colour.
fn stretches(row: &Row, bounds: &[u64]) -> Vec<(usize, usize, Kind)> {
    let mut found: Vec<(usize, usize, Kind)> = Vec::new();
    for (at, minute) in row.minutes.iter().enumerate() {
        let kind = match minute {
            None => Kind::Past,
            Some(number) => step(bounds, *number).map_or(Kind::None, Kind::Step),
        };
        match found.last_mut() {
            Some((_, wide, last)) if *last == kind => *wide += 1,
            _ => found.push((at, 1, kind)),
        }
    }
    found
}

/// The lines between the cells.
fn gaps(rows: usize) -> String {
    let mut path = String::new();
    let (width, height) = (LEFT + MINUTES * WIDE, TOP + rows * HIGH);
    for column in 0..=MINUTES {
        let _ = write!(path, "M{} {TOP}V{height}", LEFT + column * WIDE);
    }
    for row in 0..=rows {
        let _ = write!(path, "M{LEFT} {}H{width}", TOP + row * HIGH);
    }
    path
}

fn legend(bounds: &[u64]) -> Markup {
    let mut from = 1;
    let ranges: Vec<_> = bounds
        .iter()
        .map(|to| {
            let range =
                if from == *to { count(from) } else { format!("{}–{}", count(from), count(*to)) };
            from = to + 1;
            range
        })
        .collect();
    html! {
        span { i.key.h-none {} "0" }
        @for (step, range) in ranges.iter().enumerate() {
            span { i class={ "key h-" (step + 1) } {} (range) }
        }
        span.grow {}
        span { "occurrences a minute" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(minutes: Vec<Option<u64>>) -> Row {
        Row { clock: "09:00".to_owned(), title: "<t>".to_owned(), minutes }
    }

    #[test]
    fn colours_go_up_by_equal_factors_and_hold_every_number() {
        assert_eq!(bounds(0), [1]);
        assert_eq!(bounds(1), [1]);
        assert_eq!(bounds(3), [1, 2, 3]);
        let wide = bounds(1_000_000);
        assert_eq!(wide, [10, 100, 1_000, 10_000, 100_000, 1_000_000]);
        let steps = [0, 1, 10, 11, 1_000_000].map(|number| step(&wide, number));
        assert_eq!(steps, [None, Some(0), Some(0), Some(1), Some(5)]);
    }

    #[test]
    fn a_full_day_is_small_and_has_one_path_for_each_colour() {
        let busy =
            |hour: u64| (0..60).map(|minute| Some((hour * 61 + minute * 7_919) % 5_000)).collect();
        let rows: Vec<_> = (0..24).map(|hour| row(busy(hour))).collect();
        let map = heat("x", &rows).into_string();
        assert!(map.len() < 30_000, "{} bytes", map.len());
        assert_eq!(map.matches("<path").count(), 3 + STEPS);
        assert!(!map.contains("style=") && map.contains("&lt;t&gt;"));
    }

    #[test]
    fn minutes_that_have_passed_are_no_minutes_without_occurrences() {
        let cells = stretches(&row(vec![None, None, Some(0), Some(3), Some(3), Some(0)]), &[3]);
        let kinds: Vec<_> =
            cells.iter().map(|(at, wide, kind)| (*at, *wide, *kind == Kind::Past)).collect();
        assert_eq!(kinds, [(0, 2, true), (2, 1, false), (3, 2, false), (5, 1, false)]);
    }
}

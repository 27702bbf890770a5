//! Charts as SVG that the server makes: one path for each colour, so that a chart of hundreds of
//! bars is small. Lengths are attributes of SVG, since pages have no styles of their own.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

/// A colour of a chart, by the class that the stylesheet has for it, and its words.
pub(crate) struct Series {
    pub(crate) class: &'static str,
    pub(crate) name: &'static str,
}

/// One bar: its values from the bottom up, in the order of the series; `None` where they are not
/// known, which is hatched.
pub(crate) struct Bar<const N: usize> {
    pub(crate) values: Option<[u64; N]>,
    pub(crate) title: String,
    pub(crate) href: Option<String>,
}

const HEIGHT: u32 = 120;
const STEP: u32 = 10;

/// Stacked bars with a legend; `words` shows a value. Bars with something in them lead to what they
/// count.
pub(crate) fn bars<const N: usize>(
    title: &str,
    series: &[Series; N],
    bars: &[Bar<N>],
    words: fn(u64) -> String,
) -> Markup {
    let sums = bars.iter().filter_map(|bar| bar.values).map(|values| values.iter().sum::<u64>());
    let top = rounded_up(sums.max().unwrap_or(0));
    let width = bars.len() as u32 * STEP;
    let paths = paths(bars, top);
    let unknown = unknown(bars);
    let half = HEIGHT / 2;
    let stripes = format!("stripes-{}", title.to_lowercase().replace(' ', "-"));
    html! {
        figure.chart {
            figcaption.legend {
                @for (one, class) in series.iter().map(|one| (one.name, one.class)) {
                    span { i class={ "key " (class) } {} (one) }
                }
                @if !unknown.is_empty() { span.muted { "▨ not known at this node" } }
                span.grow {}
                span.muted.num { "top " (words(top)) }
            }
            svg viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" role="group"
                aria-label=(title) {
                path.grid d={ "M0 .5H" (width) "M0 " (half) "H" (width) "M0 " (HEIGHT - 1) "H" (width) } {}
                @if !unknown.is_empty() { (hatch(&stripes)) }
                @for (from, wide) in unknown {
                    rect x=(from * STEP) y="0" width=(wide * STEP) height=(HEIGHT) fill={ "url(#" (stripes) ")" } {
                        title { "Not known: this node has not read it, or it is not kept any more." }
                    }
                }
                @for (path, one) in paths.iter().zip(series) {
                    path class=(one.class) d=(PreEscaped(path)) {}
                }
                @for (at, bar) in bars.iter().enumerate() {
                    @if bar.values.is_some_and(|values| values.iter().any(|value| *value > 0)) {
                        @if let Some(href) = &bar.href {
                            a href=(href) { (hit(at, &bar.title)) }
                        } @else { (hit(at, &bar.title)) }
                    }
                }
            }
        }
    }
}

/// One path for each series.
fn paths<const N: usize>(bars: &[Bar<N>], top: u64) -> [String; N] {
    let mut paths: [String; N] = std::array::from_fn(|_| String::new());
    for (at, bar) in bars.iter().enumerate() {
        let x = at as u32 * STEP + 1;
        let mut below = 0.0;
        for (value, path) in bar.values.iter().flatten().zip(&mut paths) {
            if *value == 0 {
                continue;
            }
            // What happened is at least a pixel high.
            let height = (*value as f64 / top as f64 * f64::from(HEIGHT)).max(1.5);
            let y = f64::from(HEIGHT) - below - height;
            let wide = STEP - 2;
            let _ = write!(path, "M{x} {y:.1}h{wide}v{height:.1}h-{wide}z");
            below += height;
        }
    }
    paths
}

/// The stretches of bars that are not known: the first one, and how many there are.
fn unknown<const N: usize>(bars: &[Bar<N>]) -> Vec<(u32, u32)> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for at in (0..).zip(bars).filter(|(_, bar)| bar.values.is_none()).map(|(at, _)| at) {
        match found.last_mut() {
            Some((from, wide)) if *from + *wide == at => *wide += 1,
            _ => found.push((at, 1)),
        }
    }
    found
}

/// The pattern of what is not known: stripes.
fn hatch(id: &str) -> Markup {
    html! {
        pattern id=(id) width="8" height="8" patternUnits="userSpaceOnUse" {
            path.c-other d="M0 8L8 0H6L0 6zM8 8V6L6 8z" {}
        }
    }
}

/// The area of a bar that shows its title and can be clicked.
fn hit(at: usize, title: &str) -> Markup {
    html! {
        rect.hit x=(at as u32 * STEP) y="0" width=(STEP) height=(HEIGHT) { title { (title) } }
    }
}

/// The next number above that is 1, 2 or 5 times a power of ten; 1 at least.
fn rounded_up(highest: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            match power.checked_mul(factor) {
                Some(top) if top >= highest => return top,
                Some(_) => {}
                None => return highest,
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::words::count;

    #[test]
    fn the_top_of_a_chart_is_a_round_number_that_holds_all() {
        let tops = [0, 1, 3, 5, 6, 12_204, 50_000].map(rounded_up);
        assert_eq!(tops, [1, 1, 5, 5, 10, 20_000, 50_000]);
        assert_eq!(rounded_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_chart_has_one_path_for_each_colour_and_no_style() {
        let series = [Series { class: "ok", name: "a" }, Series { class: "bad", name: "<b>" }];
        let bar = |n| Bar { values: Some([n, 1]), title: "<t>".to_owned(), href: None };
        let markup = bars("x", &series, &[bar(3), bar(0), bar(2)], count).into_string();
        assert_eq!(markup.matches("<path class=").count(), 1 + 2, "{markup}");
        assert!(!markup.contains("style=") && markup.contains("&lt;b&gt;"), "{markup}");
        assert!(!markup.contains("stripes"), "all of it is known: {markup}");
    }

    #[test]
    fn what_is_not_known_is_hatched_in_stretches_and_no_zero() {
        let series = [Series { class: "ok", name: "a" }];
        let bar = |n: Option<u64>| Bar { values: n.map(|n| [n]), title: String::new(), href: None };
        let shown = [bar(None), bar(None), bar(Some(0)), bar(None), bar(Some(2))];
        assert_eq!(unknown(&shown), [(0, 2), (3, 1)]);
        let markup = bars("x", &series, &shown, count).into_string();
        assert_eq!(markup.matches("fill=\"url(#stripes-x)\"").count(), 2, "{markup}");
        assert_eq!(markup.matches("class=\"hit\"").count(), 1, "{markup}");
        assert!(markup.contains("not known at this node"), "{markup}");
    }
}

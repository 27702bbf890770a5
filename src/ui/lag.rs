//! The chart of delays by the minute on the overview: how late the firings of all nodes were. What
//! no node knows, because of a restart, is hatched.

use maud::{Markup, html};

use crate::app::cluster_admin::LagByMinute;
use crate::metrics::{LAG_MINUTES, MinuteLag, Quantiles};
use crate::model::Millis;
use crate::ui::chart::{Bar, Series, bars};
use crate::ui::context::Page;
use crate::ui::parts::card;
use crate::ui::time::local;
use crate::ui::words::length;

/// The length of a minute in milliseconds.
const MINUTE: Millis = 60_000;
/// The minutes of a row of the table behind the chart.
const ROW_MINUTES: usize = 15;
/// The title of the card.
pub(crate) const TITLE: &str = "Delay by the minute";

const SERIES: [Series; 2] = [
    Series { class: "c-ok", name: "half within" },
    Series { class: "c-try", name: "99 of 100 within" },
];

/// The card with the chart of the last three hours.
pub(crate) fn chart(page: &Page, known: &LagByMinute) -> Markup {
    let zone = page.context.zone_for(None);
    let clock = |minute: i64| {
        let at = local(minute * MINUTE, zone);
        at.map(|at| at.format("%H:%M").to_string()).unwrap_or_default()
    };
    let first = page.context.now.div_euclid(MINUTE) - (LAG_MINUTES as i64 - 1);
    let minutes: Vec<i64> = (first..).take(LAG_MINUTES).collect();
    let shown: Vec<_> =
        minutes.iter().map(|minute| bar(&clock(*minute), known.get(minute))).collect();
    let body = html! {
        (bars(TITLE, &SERIES, &shown, words))
        div.axis { span { (clock(first)) } span { (clock(first + LAG_MINUTES as i64 / 2)) } span { "now" } }
        details.as-table {
            summary { "As a table" }
            table.instants {
                thead { tr { th scope="col" { "From" } @for one in &SERIES { th scope="col" { (one.name) } } } }
                tbody { @for row in minutes.chunks(ROW_MINUTES) { (table_row(&clock(row[0]), row, known)) } }
            }
        }
    };
    card(TITLE, html! { span.grow {} span.muted { "last 3 h" } }, body)
}

/// The bar of a minute: the median, and above it what 99 of 100 need more.
fn bar(clock: &str, lag: Option<&MinuteLag>) -> Bar<2> {
    let Some(lag) = lag else { return Bar { values: None, title: String::new(), href: None } };
    let Some(Quantiles { p50, p99 }) = lag.quantiles() else {
        return Bar { values: Some([0, 0]), title: String::new(), href: None };
    };
    let title = format!("{clock}: half within {}, 99 of 100 within {}", words(p50), words(p99));
    Bar { values: Some([p50, p99 - p50]), title, href: None }
}

/// A row of the table: all firings of its minutes together.
fn table_row(clock: &str, minutes: &[i64], known: &LagByMinute) -> Markup {
    let mut found = minutes.iter().filter_map(|minute| known.get(minute)).peekable();
    let is_known = found.peek().is_some();
    let joined = found.fold(MinuteLag::default(), |mut all, one| {
        all.join(one);
        all
    });
    html! {
        tr {
            td.num { (clock) }
            @match joined.quantiles() {
                Some(Quantiles { p50, p99 }) => { td.num { (words(p50)) } td.num { (words(p99)) } }
                None => td.muted colspan=(SERIES.len()) { @if is_known { "nothing was due" } @else { "not known" } },
            }
        }
    }
}

fn words(ms: u64) -> String {
    length(ms.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Lag, LagMinutes};

    #[test]
    fn a_minute_is_known_with_its_delays_known_without_any_or_not_known() {
        let (lag, minutes) = (Lag::default(), LagMinutes::default());
        minutes.turn(&lag, 0);
        lag.observe(4, 90);
        lag.observe(180, 10);
        let known: LagByMinute = minutes.show(&lag, MINUTE).into_iter().collect();
        let busy = bar("00:00", known.get(&0));
        assert_eq!(busy.values, Some([5, 245]), "each is the bound of its bucket");
        assert_eq!(busy.title, "00:00: half within 5 ms, 99 of 100 within 250 ms");
        assert_eq!(bar("00:01", known.get(&1)).values, Some([0, 0]));
        assert_eq!(bar("00:02", known.get(&2)).values, None);
        let row = |minutes: &[i64]| table_row("00:00", minutes, &known).into_string();
        assert!(row(&[0, 1]).contains("250 ms"));
        assert!(row(&[1, 2]).contains("nothing was due"));
        assert!(row(&[2, 3]).contains("not known"));
    }
}

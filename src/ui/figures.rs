//! The numbers at the head of the overview: jobs, the rate, what was delivered, delays, what was
//! given up. `overview` reads them; nothing here does.

use std::sync::Arc;

use maud::{Markup, html};

use crate::app::cluster_admin::status::{JobNumbers, Status};
use crate::app::history::{Analytics, AnalyticsPoint};
use crate::ui::parts::figure;
use crate::ui::words::{count, counted, length, percent};

/// The numbers; `None` is one that could not be read.
pub(crate) struct Counted<'a> {
    pub(crate) jobs: Option<u64>,
    /// The attempts of the last minute that is over.
    pub(crate) minute: Option<u64>,
    pub(crate) day: Option<Analytics>,
    pub(crate) letters: Option<u64>,
    pub(crate) status: Option<&'a Arc<Status>>,
}

/// The numbers as links to what they count.
pub(crate) fn figures(known: &Counted<'_>) -> Markup {
    let Counted { jobs, minute, day, letters, status } = known;
    let number = |number: Option<u64>| number.map_or_else(|| "–".to_owned(), count);
    let sum = |points: &[AnalyticsPoint], of: fn(&AnalyticsPoint) -> u64| {
        points.iter().map(of).sum::<u64>()
    };
    let day = day.as_ref().map_or(&[][..], |day| day.points.as_slice());
    let day = &day[day.len().saturating_sub(24)..];
    let (good, bad) = (sum(day, |p| p.totals.success), sum(day, |p| p.totals.failed));
    let numbers = status.map(|status| status.jobs);
    let lag = status.and_then(|status| {
        let lags = status.nodes.iter().filter_map(|node| node.lag_ms);
        lags.max_by_key(|lag| lag.p99)
    });
    html! {
        div.figures {
            (figure("Jobs", "/ui/jobs", html! { (number(*jobs)) }, html! { (standing(numbers)) }, ""))
            (figure("Last minute", "/ui/activity?span=15m", html! { (number(*minute)) }, html! { (rate(*minute)) }, ""))
            (figure("Delivered, 24 h", "/ui/activity?span=24h", html! { @if day.is_empty() { "–" } @else { (percent(good, good + bad)) } },
                html! { @if bad == 0 { "no failed attempt" } @else { (counted(bad, "failed attempt")) } },
                if bad > 0 && bad * 100 > good { "alarm" } else { "" }))
            @if let Some(lag) = lag {
                (figure("Late by, p99", "/ui/cluster", html! { (length(lag.p99.cast_signed())) }, html! { "half within " (length(lag.p50.cast_signed())) }, ""))
            }
            (figure("Dead letters", "/ui/dead-letters", html! { (number(*letters)) },
                html! { @match letters { None => "not counted in time", Some(0) => "nothing was given up", Some(_) => "wait to be replayed" } },
                if letters.is_some_and(|letters| letters > 0) { "alarm" } else { "" }))
        }
    }
}

/// What of the jobs does not fire.
fn standing(numbers: Option<JobNumbers>) -> String {
    let JobNumbers { paused, disabled, .. } = numbers.unwrap_or_default();
    match (paused, disabled) {
        (0, 0) => "in all projects".to_owned(),
        (paused, 0) => format!("{} paused", count(paused)),
        (0, disabled) => format!("{} disabled", count(disabled)),
        (paused, disabled) => format!("{} paused, {} disabled", count(paused), count(disabled)),
    }
}

fn rate(a_minute: Option<u64>) -> String {
    match a_minute {
        None => "not known here yet".to_owned(),
        Some(0) => "nothing was due".to_owned(),
        Some(1..60) => "attempts".to_owned(),
        Some(many) => format!("attempts, {} a second", count(many / 60)),
    }
}

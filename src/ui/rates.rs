//! The chart of results by the minute: the overview shows that of all projects, and the page of a
//! project its own.

use maud::{Markup, html};

use crate::app::Error;
use crate::app::history::{KindCounts, OutcomeKind, RateReport};
use crate::model::time::rfc3339;
use crate::model::{Millis, ProjectId};
use crate::ui::chart::{Bar, Series, bars};
use crate::ui::context::{Page, address};
use crate::ui::parts::card;
use crate::ui::time::local;
use crate::ui::words::count;

/// The length of a minute in milliseconds.
const MINUTE: Millis = 60_000;
/// The minutes of a row of the table behind the chart.
const ROW_MINUTES: usize = 15;

const SERIES: [Series; 4] = [
    Series { class: "c-ok", name: "delivered" },
    Series { class: "c-try", name: "failed, tried again" },
    Series { class: "c-bad", name: "given up" },
    Series { class: "c-other", name: "skipped or running" },
];

/// The results of the last three hours, of one project or of all.
pub(crate) async fn read(page: &Page, project: Option<ProjectId>) -> Result<RateReport, Error> {
    page.ui.app.get_rates(&page.actor, project, (None, None)).await
}

/// The attempts of the last minute that is over; `None` where this node does not know it.
pub(crate) fn last_minute(report: &RateReport) -> Option<u64> {
    let over = report.minutes.len().checked_sub(2)?;
    report.minutes[over].as_ref().map(KindCounts::all)
}

/// The card with the chart.
pub(crate) fn chart(page: &Page, report: &RateReport, project: Option<ProjectId>) -> Markup {
    let zone = page.context.zone_for(None);
    let clock =
        |at: Millis| local(at, zone).map(|at| at.format("%H:%M").to_string()).unwrap_or_default();
    let own = project.map(|id| id.to_string());
    let bar = |(at, counts): (Millis, Option<&KindCounts>)| {
        let Some(counts) = counts else {
            return Bar { values: None, title: String::new(), href: None };
        };
        let [good, failed, dead, other] = values(counts);
        let (from, until) = (rfc3339(at), rfc3339(at + MINUTE - 1));
        let project = own.as_deref().map(|id| ("project", id));
        let ends = [("from", from.as_str()), ("until", until.as_str())];
        Bar {
            values: Some([good, failed, dead, other]),
            title: format!(
                "{}: {good} delivered, {failed} tried again, {dead} given up, {other} other",
                clock(at)
            ),
            href: Some(address("/ui/activity", ends.into_iter().chain(project))),
        }
    };
    let shown: Vec<_> = report.points().map(bar).collect();
    let end = report.begin + report.minutes.len() as Millis * MINUTE;
    let title = "Attempts by the minute";
    let body = html! {
        (bars(title, &SERIES, &shown, count))
        div.axis { span { (clock(report.begin)) } span { (clock(report.begin + (end - report.begin) / 2)) } span { "now" } }
        details.as-table {
            summary { "As a table" }
            table.instants {
                thead { tr { th scope="col" { "From" } @for one in &SERIES { th scope="col" { (one.name) } } } }
                tbody { (table_rows(report, clock)) }
            }
        }
    };
    card(title, html! { span.grow {} span.muted { "last 3 h" } }, body)
}

/// The values of a bar, in the order of the series.
fn values(counts: &KindCounts) -> [u64; 4] {
    [
        counts.of(OutcomeKind::Delivered),
        counts.of(OutcomeKind::Failed),
        counts.of(OutcomeKind::Dead),
        counts.of(OutcomeKind::Skipped) + counts.of(OutcomeKind::Running),
    ]
}

/// The rows of the table behind the chart, a quarter of an hour each. One with minutes that are not
/// known has no numbers: they would be too small.
fn table_rows(report: &RateReport, clock: impl Fn(Millis) -> String) -> Markup {
    let points: Vec<_> = report.points().collect();
    html! {
        @for rows in points.chunks(ROW_MINUTES) {
            @let known: Option<Vec<_>> = rows.iter().map(|(_, counts)| counts.map(values)).collect();
            tr {
                td.num { (clock(rows[0].0)) }
                @match known {
                    Some(known) => {
                        @for series in 0..SERIES.len() {
                            td.num { (count(known.iter().map(|one| one[series]).sum())) }
                        }
                    }
                    None => td.muted colspan=(SERIES.len()) { "not known here" },
                }
            }
        }
    }
}

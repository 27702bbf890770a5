//! `GET /ui/events`: the stream of this node as it is, with its filters and as a command. The
//! script writes the events into the page; without it the command does the same.

use axum::response::Response;
use maud::{Markup, html};

use crate::app::Action;
use crate::app::events::EventType;
use crate::ui::context::{Page, address};
use crate::ui::error::PageError;
use crate::ui::icons::icon;
use crate::ui::inputs::project_choice;
use crate::ui::lists::Projects;
use crate::ui::parts::{card, empty};
use crate::ui::shell::Place;

/// `GET /ui/events?type=&project=&job=&template=`.
pub(crate) async fn show_events(page: Page) -> Result<Response, PageError> {
    page.require(Action::EventsRead)?;
    let context = &page.context;
    let project = context.number("project")?.filter(|id| *id > 0);
    let job = context.number("job")?.filter(|id| *id > 0);
    let template = context.number("template")?.filter(|id| *id > 0);
    let asked: Vec<_> = context.query.iter().filter(|(name, _)| name == "type").collect();
    let types: Vec<_> =
        known(&page).filter(|kind| asked.iter().any(|(_, value)| value == kind.name())).collect();
    let query = query(&types, [project, job, template]);
    let projects = page.projects_with(project).await?;
    let url = page.ui.app.config().public_url.as_ref().map_or_else(
        || page.ui.app.config().local_url(),
        |url| url.to_string().trim_end_matches('/').to_owned(),
    );
    let command = format!("curl -N '{url}{query}' \\\n  -H 'x-api-key: …' -H 'x-secret-key: …'");
    let body = html! {
        div.page-head {
            h1 { "Events" }
            span.muted { "what happens, as programs see it" }
            span.grow {}
            button.button type="button" data-copy-text=(command) hidden { (icon("copy")) "Copy as curl" }
        }
        (filters(&page, &types, [project, job, template], &projects))
        (card("Stream", html! {
            span.muted #position { "Waiting" }
            span.grow {}
            span.muted { "the newest 200, pause with " kbd { "." } }
        }, html! {
            ol.stream #stream data-query=(query) aria-label="Events" tabindex="0" {}
            noscript { (empty("The page needs its script to follow the stream", "This command prints the same events.", html! { pre { (command) } })) }
        }))
    };
    Ok(page.document(Place::Events, "Events", body))
}

/// The types that the reader may have.
fn known(page: &Page) -> impl Iterator<Item = EventType> {
    let of_cluster = page.may(Action::ClusterRead);
    EventType::ALL.into_iter().filter(move |kind| of_cluster || !kind.is_of_cluster())
}

/// The address of the stream with its filters.
fn query(types: &[EventType], numbers: [Option<u64>; 3]) -> String {
    let names = types.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",");
    let [project, job, template] = numbers.map(|id| id.map(|id| id.to_string()));
    let parameters = [
        ("types", Some(names).filter(|names| !names.is_empty())),
        ("projectId", project),
        ("jobId", job),
        ("templateId", template),
    ];
    let given = parameters.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    address("/api/v1/events", given)
}

fn filters(
    page: &Page,
    types: &[EventType],
    [project, job, template]: [Option<u64>; 3],
    projects: &Projects,
) -> Markup {
    let chosen = project.map(|id| id.to_string()).unwrap_or_default();
    html! {
        form.filter.wrap method="get" action="/ui/events" {
            label { span.hidden { "Project" }
                (project_choice(projects, &chosen, Some("All projects")))
            }
            label { span.hidden { "Job" }
                input name="job" value=[job] placeholder="job number" inputmode="numeric" autocomplete="off"; }
            label { span.hidden { "Template" }
                input name="template" value=[template] placeholder="template number" inputmode="numeric" autocomplete="off"; }
            button.button.primary { "Show" }
            details.grow open[!types.is_empty()] {
                summary.button { "Types: " @if types.is_empty() { "all" } @else { (types.len()) } (icon("down")) }
                p.terms.pad {
                    @for kind in known(page) {
                        label.term { input.pick type="checkbox" name="type" value=(kind.name()) checked[types.contains(&kind)]; (kind.name()) }
                    }
                }
            }
        }
    }
}

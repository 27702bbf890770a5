//! The document around every page: head, header with navigation, message of the last form, footer.
//! Pages call [`Page::document`]; `enter` shows errors through [`error`].

#![expect(
    clippy::needless_pass_by_value,
    reason = "markup is made where it is passed, and becomes a part of other markup"
)]

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::app::{Action, Actor, Resource, authorize};
use crate::ui::assets;
use crate::ui::context::{Context, Page, ZoneChoice, own_path, who};
use crate::ui::error::PageError;
use crate::ui::icons::{icon, mark, sprite};
use crate::ui::parts::menu;
use crate::ui::state::UiState;

/// The places of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first page.
    Overview,
    /// Jobs.
    Jobs,
    /// What happened.
    Activity,
    /// What fails.
    Problems,
    /// What can be started by a form.
    Templates,
    /// What is planned.
    Forecast,
    /// What was given up.
    DeadLetters,
    /// Queues, workers, runs.
    Workers,
    /// Folders of jobs.
    Projects,
    /// Targets that jobs share.
    Executors,
    /// Key pairs of clients.
    Keys,
    /// Tenants of the cluster.
    Accounts,
    /// What is saved.
    Backups,
    /// Who did what.
    Audit,
    /// The stream of events.
    Events,
    /// Nodes and shards.
    Cluster,
    /// A page beside the navigation.
    Elsewhere,
}

/// A link of the navigation: its place, address and name, and what one must be allowed to do.
type Link = (Place, &'static str, &'static str, Action);

/// The pages that people open most, in the header.
const NAVIGATION: [Link; 7] = [
    (Place::Overview, "/ui", "Overview", Action::JobsRead),
    (Place::Jobs, "/ui/jobs", "Jobs", Action::JobsRead),
    (Place::Activity, "/ui/activity", "Activity", Action::HistoryRead),
    (Place::Problems, "/ui/problems", "Problems", Action::DeadLettersRead),
    (Place::Templates, "/ui/templates", "Templates", Action::TemplatesRead),
    (Place::Forecast, "/ui/forecast", "Forecast", Action::JobsRead),
    (Place::Cluster, "/ui/cluster", "Cluster", Action::ClusterRead),
];

/// The pages behind them.
const MORE: [Link; 9] = [
    (Place::DeadLetters, "/ui/dead-letters", "Dead letters", Action::DeadLettersRead),
    (Place::Workers, "/ui/workers", "Workers", Action::WorkersRead),
    (Place::Projects, "/ui/projects", "Projects", Action::ProjectsRead),
    (Place::Executors, "/ui/executors", "Executors", Action::ExecutorsRead),
    (Place::Events, "/ui/events", "Events", Action::EventsRead),
    (Place::Keys, "/ui/keys", "Keys", Action::CredentialsRead),
    (Place::Accounts, "/ui/accounts", "Accounts", Action::AccountsRead),
    (Place::Audit, "/ui/audit", "Audit", Action::AuditRead),
    (Place::Backups, "/ui/backups", "Backups", Action::ClusterBackup),
];

impl Page {
    /// The whole document of a page. `live` are the events that its parts react to.
    pub(crate) fn document(&self, place: Place, title: &str, body: Markup) -> Response {
        let markup = document(&self.ui, &self.context, (place, title), body);
        Html(markup.into_string()).into_response()
    }
}

/// The document of an error.
pub(crate) fn error(ui: &UiState, context: &Context, error: &PageError) -> Response {
    let body = html! {
        div.problem {
            p.problem-status { (error.status.as_u16()) }
            h1 { (error.title) }
            p { (error.text) }
            p.muted { (error.hint) }
            p { a.button href="/ui" { "Overview" } " " a.button href=(context.address()) { @if context.is_answer() { "Back" } @else { "Try again" } } }
        }
    };
    let markup = document(ui, context, (Place::Elsewhere, error.title), body);
    let mut response = (error.status, Html(markup.into_string())).into_response();
    if error.status == axum::http::StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, axum::http::HeaderValue::from(1));
    }
    response
}

/// A document with the shell around it.
pub(crate) fn document(
    ui: &UiState,
    context: &Context,
    (place, title): (Place, &str),
    body: Markup,
) -> Markup {
    let version = env!("CARGO_PKG_VERSION");
    html! {
        (DOCTYPE)
        html lang="en" data-theme=(context.theme) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Scheduler0" }
                link rel="icon" type="image/svg+xml" href=(assets::icon());
                link rel="stylesheet" href=(assets::style());
                script src=(assets::script()) defer {}
            }
            body data-now=(context.now) data-version=(version) data-node=(ui.app.config().node_id)
                data-live[context.session.is_some()] data-here=[context.is_answer().then(|| context.address())]
                data-public=[public(ui)] {
                (sprite())
                a.skip href="#main" { "Skip to content" }
                (header(context, place))
                div.banners #banners aria-live="polite" {
                    @if let Some(flash) = &context.flash {
                        div.banner.b-good.flash role="status" { (icon("check")) div { (flash) } }
                    }
                    @if context.session.is_some() && ui.app.leader().is_none() { (no_leader()) }
                }
                main #main tabindex="-1" { (body) }
                footer.foot {
                    span { "Scheduler0 " (version) " · node " (ui.app.config().node_id) }
                    span.grow {}
                    a href="/ui/api" { "API" }
                    a href="/README.md" { "Guide" }
                    a href="/docs/jobs.md" { "Jobs and deliveries" }
                    a href="/docs/operations.md" { "Operations" }
                }
            }
        }
    }
}

/// The address that browsers use, where sessions are sent by https alone.
fn public(ui: &UiState) -> Option<String> {
    let url = ui.app.config().public_url.as_ref().filter(|_| ui.sessions.site().is_secure())?;
    Some(url.origin().ascii_serialization())
}

fn no_leader() -> Markup {
    html! {
        div.banner.b-bad role="alert" {
            (icon("warn"))
            div {
                strong { "The cluster has no leader at the moment. " }
                "What this node has applied can be read. Changes are refused, and nothing is \
                 recorded until a majority of the nodes is back."
            }
        }
    }
}

fn header(context: &Context, place: Place) -> Markup {
    let Some(session) = &context.session else {
        return html! {
            header.top { div.top-inner { a.brand href="/ui" { (mark()) span { "Scheduler0" } } } }
        };
    };
    let actor = Actor::from(session.caller.clone());
    let may = |action| authorize(&actor, action, Resource::Any).is_ok();
    html! {
        header.top {
            div.top-inner {
                a.brand href="/ui" { (mark()) span { "Scheduler0" } }
                details.fold.quiet {
                    summary.button aria-label="Navigation" { (icon("menu")) }
                    nav.nav aria-label="Main" {
                        @for link in NAVIGATION { (entry(link, place, &may)) }
                        (more(place, &may))
                    }
                }
                form.search role="search" action="/ui/jobs" method="get" {
                    (icon("search"))
                    input name="q" type="search" placeholder="Find a job, press /" aria-label="Find a job"
                        autocomplete="off" data-search;
                }
                span.live #live data-state="off" title="Changes are shown as they happen" hidden {
                    i {} span { "Live" }
                }
                (zones(context))
                (themes(context))
                (account(&who(session)))
            }
        }
    }
}

/// A link of the navigation, for who may follow it.
fn entry(link: Link, place: Place, may: &impl Fn(Action) -> bool) -> Markup {
    let (one, href, name, action) = link;
    html! {
        @if may(action) {
            a href=(href) aria-current=[(one == place).then_some("page")] { (name) }
        }
    }
}

/// The menu with the other pages. It bears the name of the one that is open.
fn more(place: Place, may: &impl Fn(Action) -> bool) -> Markup {
    let open = MORE.iter().find(|(one, ..)| *one == place);
    html! {
        details.menu.more {
            summary aria-current=[open.map(|_| "true")] { (open.map_or("More", |(_, _, name, _)| name)) (icon("down")) }
            div.menu-body { @for link in MORE { (entry(link, place, may)) } }
        }
    }
}

fn zones(context: &Context) -> Markup {
    let own = context.own_zone.map_or("UTC", |zone| zone.name());
    let choices = [
        (ZoneChoice::Own, "own", format!("Yours: {own}")),
        (ZoneChoice::Utc, "utc", "UTC".to_owned()),
        (ZoneChoice::Job, "job", "The job’s own".to_owned()),
    ];
    let label = html! { (icon("globe")) span.wide { (context.zone_name()) } };
    let chosen = |one: ZoneChoice| one == context.zone;
    menu(
        "right quiet",
        html! { span.hidden { "Time zone " } (label) },
        html! {
            form method="post" action="/ui/preferences" {
                input type="hidden" name="back" value=(own_path(&context.address()));
                p.menu-title { "Times are shown in" }
                @for (zone, value, name) in choices {
                    button.item name="zone" value=(value) aria-pressed=(chosen(zone)) {
                        (name) @if chosen(zone) { (icon("check")) }
                    }
                }
            }
        },
    )
}

fn themes(context: &Context) -> Markup {
    let choices = [("system", "As the system"), ("light", "Light"), ("dark", "Dark")];
    menu(
        "right quiet",
        html! { span.hidden { "Theme " } (icon("theme")) },
        html! {
            form method="post" action="/ui/preferences" {
                input type="hidden" name="back" value=(own_path(&context.address()));
                p.menu-title { "Theme" }
                @for (value, name) in choices {
                    button.item name="theme" value=(value) aria-pressed=(value == context.theme) {
                        (name) @if value == context.theme { (icon("check")) }
                    }
                }
            }
        },
    )
}

fn account(name: &str) -> Markup {
    menu(
        "right quiet",
        html! { span.hidden { "Account " } (icon("user")) span.wide { (name) } },
        html! {
            p.menu-title { "Signed in as " (name) }
            form method="post" action="/ui/sign-out" {
                button.item { "Sign out" (icon("out")) }
            }
            form method="post" action="/ui/sign-out-everywhere" {
                button.item title="Ends all sessions of this name, in all browsers" {
                    "Sign out everywhere" (icon("out"))
                }
            }
        },
    )
}

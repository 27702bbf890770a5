//! `/ui/accounts`: the tenants of the cluster, with what each has of its limits, and forms that
//! change them.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::accounts::{AccountInput, AccountRecord, LimitsPatch};
use crate::app::conditions::Conditions;
use crate::app::page::Page as ListPage;
use crate::app::patch::Patch;
use crate::app::{Action, Error};
use crate::model::account::{LONGEST_NAME, Limits};
use crate::model::feature::{Feature, Features};
use crate::model::{AccountId, FIRST_ACCOUNT};
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::form::{Form, done};
use crate::ui::icons::icon;
use crate::ui::inputs::idempotency_key;
use crate::ui::lists::{Gather, Listed};
use crate::ui::parts::{chip, clipped, menu, pager, table};
use crate::ui::shell::Place;
use crate::ui::words::{count, counted};

/// The accounts on one page: each comes with its forms.
const ROWS: u64 = 15;

const HEAD: &[&str] =
    &["Account", "Projects", "Jobs", "Executors", "Keys", "Executions this month", "Features", ""];

/// The fields of a form that give limits, each with its words.
const LIMITS: [(&str, &str); 7] = [
    ("projects", "Projects"),
    ("jobs", "Jobs"),
    ("executors", "Executors"),
    ("credentials", "Keys"),
    ("executionsPerMonth", "Executions a month"),
    ("requestsPerSecond", "Requests a second"),
    ("jobsPerRequest", "Jobs of a request"),
];

/// `GET /ui/accounts?page=`.
pub(crate) async fn show_accounts(page: Page) -> Result<Response, PageError> {
    page.require(Action::AccountsRead)?;
    let number = page.context.number("page")?.unwrap_or(0).min(1_000_000);
    let order = ListPage { limit: ROWS, offset: number * ROWS, ..ListPage::default() };
    let listed: Listed<AccountRecord> =
        page.ui.app.list_accounts(&page.actor, order, Gather::new(ROWS)).await?;
    let shown = number * ROWS + listed.records.len() as u64;
    let first = (number > 0).then(|| page.context.address_with(&[("page", None)]));
    let next = (shown < listed.total.count)
        .then(|| page.context.address_with(&[("page", Some(&(number + 1).to_string()))]));
    let body = html! {
        div.page-head {
            h1 { "Accounts" }
            span.muted.num { (counted(listed.total.count, "account")) }
            span.grow {}
            @if page.may(Action::AccountsWrite) { (new_account()) }
        }
        div.card.flush {
            (table("Accounts", HEAD, html! { @for one in &listed.records { (row(&page, one)) } }))
            (pager(listed.records.len(), first.as_deref(), next.as_deref()))
        }
    };
    Ok(page.document(Place::Accounts, "Accounts", body))
}

fn new_account() -> Markup {
    menu(
        "right",
        html! { (icon("plus")) "New account" },
        html! {
            form.stack method="post" action="/ui/accounts" {
                p.menu-title { "A new account" }
                input type="hidden" name="key" value=(idempotency_key());
                (fields("", Features::NONE, Limits::default()))
                button.button.primary { "Make the account" }
            }
        },
    )
}

/// The fields of name, features and limits.
fn fields(name: &str, features: Features, limits: Limits) -> Markup {
    html! {
        label { span { "Name" } input name="name" value=(name) maxlength=(LONGEST_NAME) required autocomplete="off"; }
        fieldset {
            legend { "Features of its jobs" }
            @for feature in Feature::ALL {
                label.choice {
                    input.pick type="checkbox" name="feature" value=(feature.name()) checked[features.has(feature)];
                    span { (feature.name()) }
                }
            }
        }
        @for (name, words) in LIMITS {
            label { span { (words) ", at most" } input name=(name) value=(limit(limits, name)) inputmode="numeric" placeholder="no limit" autocomplete="off"; }
        }
    }
}

/// A limit as the value of its field.
fn limit(limits: Limits, name: &str) -> String {
    let limit = match name {
        "projects" => limits.projects,
        "jobs" => limits.jobs,
        "executors" => limits.executors,
        "credentials" => limits.credentials,
        "executionsPerMonth" => limits.executions_per_month,
        "requestsPerSecond" => limits.requests_per_second,
        _ => limits.jobs_per_request,
    };
    limit.map_or_else(String::new, |limit| limit.to_string())
}

fn row(page: &Page, one: &AccountRecord) -> Markup {
    let AccountRecord { account, executions, paused_until, .. } = one;
    let action = |name: &str| format!("/ui/accounts/{}/{name}", account.id);
    let (held, limits) = (account.held, account.limits);
    html! {
        tr {
            td.lead data-label="Account" { strong { (clipped(&account.name, 40)) } " " span.muted.num { "#" (account.id) } }
            td.num data-label="Projects" { (used(held.projects, limits.projects)) }
            td.num data-label="Jobs" { (used(held.jobs, limits.jobs)) }
            td.num data-label="Executors" { (used(held.executors, limits.executors)) }
            td.num data-label="Keys" { (used(held.credentials, limits.credentials)) }
            td.num data-label="Executions this month" {
                (used(*executions, limits.executions_per_month))
                @if let Some(until) = paused_until {
                    " " (chip("paused", "used up")) " " span.muted { "until " (page.context.brief(*until, None)) }
                }
            }
            td data-label="Features" {
                @if account.features == Features::ALL { "all" }
                @else if account.features.is_empty() { span.muted { "none" } }
                @else { (account.features.to_string()) }
            }
            td.end {
                @if page.may(Action::AccountsWrite) {
                    div.actions {
                        (menu("right small", html! { "Change" }, html! {
                            form.stack method="post" action=(action("change")) {
                                p.menu-title { "Account " (account.id) }
                                (fields(&account.name, account.features, limits))
                                button.button.primary { "Change the account" }
                            }
                        }))
                        (menu("right small", html! { "Grant" }, html! {
                            form.stack method="post" action=(action("grant")) {
                                p.menu-title { "More executions for this month" }
                                input type="hidden" name="key" value=(idempotency_key());
                                label { span { "How many more" } input name="count" inputmode="numeric" required autocomplete="off"; }
                                button.button.primary { "Grant them" }
                            }
                        }))
                        @if account.id != FIRST_ACCOUNT {
                            (menu("right quiet small", html! { span.hidden { "Delete" } (icon("trash")) }, html! {
                                form.stack method="post" action=(action("delete")) {
                                    p.menu-title { "Delete account " (account.id) "?" }
                                    p.hint { "It must have no projects, executors and keys." }
                                    button.button.danger { "Delete the account" }
                                }
                            }))
                        }
                    }
                }
            }
        }
    }
}

/// What an account has of a kind, beside its limit.
fn used(has: u64, limit: Option<u64>) -> Markup {
    html! {
        (count(has))
        @if let Some(limit) = limit { span.muted { " / " (count(limit)) } }
    }
}

/// The account of a form: all fields are there, and one that is empty is no limit.
fn read(page: &Page, form: &Form) -> Result<AccountInput, PageError> {
    let named = |name: &str| {
        Feature::named(name).ok_or_else(|| Error::invalid("feature", format!("no feature {name}")))
    };
    let features = form.each("feature").map(named).collect::<Result<Features, _>>()?;
    let limit = |name: &'static str| match form.text(name) {
        None => Ok(Patch::Clear),
        Some(text) => text
            .parse()
            .map(Patch::Set)
            .map_err(|_| Error::invalid(name, format!("{name} must be a whole number, or empty"))),
    };
    let limits = LimitsPatch {
        projects: limit("projects")?,
        jobs: limit("jobs")?,
        executors: limit("executors")?,
        credentials: limit("credentials")?,
        executions_per_month: limit("executionsPerMonth")?,
        requests_per_second: limit("requestsPerSecond")?,
        jobs_per_request: limit("jobsPerRequest")?,
    };
    let name = Some(form.text("name").unwrap_or_default().to_owned());
    Ok(AccountInput { name, features: Some(features), limits, by: page.by() })
}

fn number(id: &str) -> Result<AccountId, PageError> {
    id.parse().map_err(|_| PageError::no_record("account"))
}

/// `POST /ui/accounts`.
pub(crate) async fn create_account(page: Page, form: Form) -> Result<Response, PageError> {
    page.require(Action::AccountsWrite)?;
    let fields = form.fields().filter(|(name, _)| *name != "key");
    let lines: Vec<_> = fields.map(|(name, value)| format!("{name}={value}")).collect();
    let body = lines.join("\n");
    let key = page.key(&form, "ui account", &body);
    let made = page.ui.app.create_account(&page.actor, key, read(&page, &form)?).await?;
    Ok(done("/ui/accounts", &format!("Account {} is made.", made.account.id)))
}

/// `POST /ui/accounts/{id}/change`.
pub(crate) async fn change_account(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::AccountsWrite)?;
    let (id, input) = (number(&id)?, read(&page, &form)?);
    page.ui.app.update_account(&page.actor, &Conditions::default(), id, input).await?;
    Ok(done("/ui/accounts", &format!("Account {id} is changed.")))
}

/// `POST /ui/accounts/{id}/grant`.
pub(crate) async fn grant_executions(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::AccountsWrite)?;
    let id = number(&id)?;
    let count = form.text("count").and_then(|text| text.parse().ok()).unwrap_or(0);
    let key = page.key(&form, &format!("ui account {id} grant"), &count.to_string());
    page.ui.app.grant_executions(&page.actor, key, id, count).await?;
    Ok(done(
        "/ui/accounts",
        &format!("Account {id} has {} more for this month.", counted(count, "execution")),
    ))
}

/// `POST /ui/accounts/{id}/delete`.
pub(crate) async fn delete_account(
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    page.require(Action::AccountsWrite)?;
    let id = number(&id)?;
    page.ui.app.delete_account(&page.actor, &Conditions::default(), id).await?;
    Ok(done("/ui/accounts", &format!("Account {id} is deleted.")))
}

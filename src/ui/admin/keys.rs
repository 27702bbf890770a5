//! `/ui/keys`: the key pairs of clients. A secret is shown once, in the answer that made it.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::credentials::{
    CreatedCredential, CredentialEdit, CredentialInput, LONGEST_BY, TermsPatch,
};
use crate::app::page::Page as ListPage;
use crate::app::{Action, ActorKind, Error};
use crate::model::credential::Credential;
use crate::model::key_terms::KeyTerms;
use crate::ui::admin::key_terms;
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::form::{Form, done};
use crate::ui::icons::icon;
use crate::ui::inputs::idempotency_key;
use crate::ui::lists::{Gather, Listed, ROWS};
use crate::ui::parts::{chip, clipped, empty, menu, pager, secret_card, table};
use crate::ui::shell::Place;
use crate::ui::words::counted;

const HEAD: &[&str] = &["Key", "State", "May do", "Ends", "Last used", "Created", "By", ""];

/// The fields of a form that give the terms of a key.
const TERMS: [&str; 4] = ["name", "scope", "expires", "allowed"];

/// `GET /ui/keys?page=`.
pub(crate) async fn show_keys(page: Page) -> Result<Response, PageError> {
    page.require(Action::CredentialsRead)?;
    let number = page.context.number("page")?.unwrap_or(0).min(1_000_000);
    let order =
        ListPage { limit: ROWS, offset: number * ROWS, descending: true, ..ListPage::default() };
    let listed: Listed<Credential> =
        page.ui.app.list_credentials(&page.actor, order, Gather::new(ROWS)).await?;
    let shown = number * ROWS + listed.records.len() as u64;
    let first = (number > 0).then(|| page.context.address_with(&[("page", None)]));
    let next = (shown < listed.total.count)
        .then(|| page.context.address_with(&[("page", Some(&(number + 1).to_string()))]));
    let body = html! {
        div.page-head {
            h1 { "Keys" }
            span.muted.num { (counted(listed.total.count, "key")) }
            span.grow {}
            @if page.may(Action::CredentialsWrite) { (new_key(&page)) }
        }
        div.card.flush {
            @if listed.records.is_empty() {
                (empty("No keys yet", "A client signs its requests in with a key pair. What a key may reach is what was made with it, and with keys below it.", html! {}))
            } @else {
                (table("Keys", HEAD, html! { @for one in &listed.records { (row(&page, one)) } }))
            }
            (pager(listed.records.len(), first.as_deref(), next.as_deref()))
        }
    };
    Ok(page.document(Place::Keys, "Keys", body))
}

fn new_key(page: &Page) -> Markup {
    menu(
        "right",
        html! { (icon("plus")) "New key" },
        html! {
            form.stack method="post" action="/ui/keys" {
                p.menu-title { "A new key pair" }
                input type="hidden" name="key" value=(idempotency_key());
                label { span { "For whom, or what" } input name="note" maxlength=(LONGEST_BY) placeholder="deploy of the shop" autocomplete="off"; }
                (key_terms::fields(page, &KeyTerms::default()))
                p.hint { "Its secret is shown once, on the next page." }
                button.button.primary { "Make the key" }
            }
        },
    )
}

fn row(page: &Page, one: &Credential) -> Markup {
    let action = |name: &str| format!("/ui/keys/{}/{name}", one.id);
    let is_operator = page.actor.kind == ActorKind::Operator;
    let is_own =
        matches!(page.actor.kind, ActorKind::Client { credential } if credential == one.id);
    html! {
        tr.away[one.archived] {
            td.lead data-label="Key" {
                @if let Some(name) = &one.terms.name { strong { (clipped(name, 28)) } " " }
                code.break { (clipped(&one.api_key, 28)) } " " span.muted.num { "#" (one.id) }
                @if is_own { " " span.muted { "yours" } }
                @if let Some(parent) = one.parent { " " span.muted { "below key " (parent) } }
            }
            td data-label="State" {
                @if one.archived { (chip("paused", "archived")) }
                @else if !one.terms.hold_at(page.context.now) { (chip("completed", "expired")) }
                @else { (chip("active", "in use")) }
            }
            td data-label="May do" { (key_terms::scopes(&one.terms)) }
            td data-label="Ends" { (key_terms::bounds(page, &one.terms)) }
            td data-label="Last used" { (key_terms::last_use(page, one)) }
            td data-label="Created" { (page.context.brief(one.created, None)) }
            td data-label="By" { (clipped(one.created_by.as_deref().unwrap_or("–"), 40)) }
            td.end {
                @if page.may(Action::CredentialsWrite) {
                    div.actions {
                        @if !one.archived {
                            (menu("right small", html! { "Change" }, html! {
                                form.stack method="post" action=(action("terms")) {
                                    p.menu-title { "Key " (one.id) }
                                    (key_terms::fields(page, &one.terms))
                                    button.button.primary { "Change the key" }
                                }
                            }))
                            (menu("right small", html! { "Rotate" }, html! {
                                form.stack method="post" action=(action("rotate")) {
                                    p.menu-title { "A new secret for key " (one.id) "?" }
                                    input type="hidden" name="key" value=(idempotency_key());
                                    label.choice { input.pick type="checkbox" name="at_once" value="yes"; span { "The old one ends at once" } }
                                    p.hint { "Otherwise it opens for a day more. The new one is shown once." }
                                    button.button.primary { "Make the secret" }
                                }
                            }))
                            (menu("right small", html! { "Archive" }, html! {
                                form.stack method="post" action=(action("archive")) {
                                    p.menu-title { "Archive key " (one.id) "?" }
                                    p.hint { "It opens nothing any more, and neither do the keys below it. Its sessions end at once." @if is_own { " It is the key that you have signed in with." } }
                                    button.button.danger { "Archive the key" }
                                }
                            }))
                        } @else if is_operator {
                            form method="post" action=(action("restore")) { button.button.small { "Take back into use" } }
                        }
                        @if !is_own {
                            (menu("right quiet small", html! { span.hidden { "Delete" } (icon("trash")) }, html! {
                                form.stack method="post" action=(action("delete")) {
                                    p.menu-title { "Delete key " (one.id) " for good?" }
                                    p.hint { "It cannot be taken back." }
                                    button.button.danger { "Delete the key" }
                                }
                            }))
                        }
                    }
                }
            }
        }
    }
}

fn number(id: &str) -> Result<u64, PageError> {
    id.parse().map_err(|_| PageError::no_record("key"))
}

/// `POST /ui/keys`: shows the new pair. The same form again shows it again.
pub(crate) async fn create_key(page: Page, form: Form) -> Result<Response, PageError> {
    page.require(Action::CredentialsWrite)?;
    let by = page.by().unwrap_or_default();
    let note = form.text("note").map_or_else(|| by.clone(), |note| format!("{note}, by {by}"));
    if note.len() > LONGEST_BY {
        let message = format!("the note must have at most {} bytes", LONGEST_BY - by.len() - 5);
        return Err(Error::invalid("createdBy", message).into());
    }
    let terms = key_terms::read(&form)?;
    // A form that was sent before there were terms keeps its key.
    let bounds: String = form.fields().filter(|(name, _)| TERMS.contains(name)).fold(
        String::new(),
        |all, (name, value)| if value.is_empty() { all } else { format!("{all}\n{name}={value}") },
    );
    let key = page.key(&form, "ui key", &format!("{note}{bounds}"));
    let input = CredentialInput { archived: false, created_by: Some(note), terms };
    let made = page.ui.app.create_credential(&page.actor, key, input).await?;
    Ok(secret_page(&page, "The new key", &made))
}

/// The page that shows a secret once.
fn secret_page(page: &Page, title: &str, made: &CreatedCredential) -> Response {
    let body = html! {
        nav.crumbs aria-label="Path" { a href="/ui/keys" { "Keys" } (icon("right")) span { "Key " (made.credential.id) } }
        div.page-head { h1 { (title) } }
        (secret_card(Some(&*made.secret), &[("Key", &made.credential.api_key)], "/ui/keys"))
    };
    page.document(Place::Keys, title, body)
}

/// `POST /ui/keys/{id}/terms`.
pub(crate) async fn change_key(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::CredentialsWrite)?;
    let id = number(&id)?;
    let patch = TermsPatch { terms: key_terms::read(&form)?, archived: None, by: page.by() };
    page.ui.app.change_credential_terms(&page.actor, id, patch).await?;
    Ok(done("/ui/keys", &format!("Key {id} is changed.")))
}

/// `POST /ui/keys/{id}/rotate`: shows the new secret. The same form again shows it again.
pub(crate) async fn rotate_key(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::CredentialsWrite)?;
    let id = number(&id)?;
    let overlap = form.text("at_once").map(|_| 0);
    let key = page.key(&form, &format!("ui key {id} rotate"), &format!("{overlap:?}"));
    let made = page.ui.app.rotate_credential(&page.actor, key, id, overlap).await?;
    Ok(secret_page(&page, "The new secret", &made))
}

/// `POST /ui/keys/{id}/archive`.
pub(crate) async fn archive_key(page: Page, Path(id): Path<String>) -> Result<Response, PageError> {
    set_archived(&page, number(&id)?, true).await
}

/// `POST /ui/keys/{id}/restore`.
pub(crate) async fn restore_key(page: Page, Path(id): Path<String>) -> Result<Response, PageError> {
    set_archived(&page, number(&id)?, false).await
}

async fn set_archived(page: &Page, id: u64, archived: bool) -> Result<Response, PageError> {
    page.require(Action::CredentialsWrite)?;
    let edit = CredentialEdit { archived, by: page.by() };
    page.ui.app.update_credential(&page.actor, id, edit).await?;
    let told =
        if archived { "is archived. It opens nothing any more." } else { "is in use again." };
    Ok(done("/ui/keys", &format!("Key {id} {told}")))
}

/// `POST /ui/keys/{id}/delete`.
pub(crate) async fn delete_key(page: Page, Path(id): Path<String>) -> Result<Response, PageError> {
    page.require(Action::CredentialsWrite)?;
    let id = number(&id)?;
    page.ui.app.delete_credential(&page.actor, id).await?;
    Ok(done("/ui/keys", &format!("Key {id} is deleted.")))
}

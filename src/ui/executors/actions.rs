//! What can be done with one executor: a new secret, delete. Each is a POST of a form.

use axum::extract::Path;
use axum::response::Response;
use maud::html;

use crate::app::Action;
use crate::app::conditions::Conditions;
use crate::app::signing::RotationInput;
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::form::{Form, at_version, done};
use crate::ui::icons::icon;
use crate::ui::parts::secret_card;
use crate::ui::projects::actions::overlap;
use crate::ui::shell::Place;

fn number(id: &str) -> Result<u64, PageError> {
    id.parse().map_err(|_| PageError::no_record("executor"))
}

/// `POST /ui/executors/{id}/rotate`: shows the new secret, once. The same form again shows it
/// again.
pub(crate) async fn rotate_secret(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::ExecutorsWrite)?;
    let id = number(&id)?;
    let overlap = overlap(&form)?;
    let key = page.key(&form, &format!("ui rotate executor {id}"), &format!("{overlap:?}"));
    let input = RotationInput { secret: None, overlap, key };
    let none = Conditions::default();
    let rotated =
        page.ui.app.rotate_executor_secret(&page.actor, &none, id, input, page.by()).await?;
    let place = format!("/ui/executors/{id}");
    let body = html! {
        nav.crumbs aria-label="Path" { a href="/ui/executors" { "Executors" } (icon("right")) a href=(place) { (rotated.record.name) } }
        div.page-head { h1 { "The new secret" } }
        (secret_card(rotated.secret.as_deref(), &[], &place))
    };
    Ok(page.document(Place::Executors, "The new secret", body))
}

/// `POST /ui/executors/{id}/delete`.
pub(crate) async fn delete_executor(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::ExecutorsWrite)?;
    let id = number(&id)?;
    page.ui.app.delete_executor(&page.actor, &at_version(&form), id).await?;
    Ok(done("/ui/executors", "The executor is deleted."))
}

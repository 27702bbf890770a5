//! What can be done with one template: it is deleted, with its live jobs where that was ticked.

use axum::extract::Path;
use axum::response::Response;

use crate::app::Action;
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::form::{Form, at_version, done};

/// `POST /ui/templates/{id}/delete`.
pub(crate) async fn delete_template(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::TemplatesWrite)?;
    let id = id.parse().map_err(|_| PageError::no_record("template"))?;
    let terminate = form.text("terminate").is_some();
    page.ui.app.delete_template(&page.actor, &at_version(&form), id, terminate).await?;
    Ok(done("/ui/templates", "The template is deleted."))
}

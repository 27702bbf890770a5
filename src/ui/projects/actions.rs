//! What can be done with one project: pause, resume, a new secret, delete. Each is a POST of a
//! form.

use axum::extract::Path;
use axum::response::Response;
use maud::html;

use crate::api::Fields;
use crate::app::conditions::Conditions;
use crate::app::projects::pause::pause_end;
use crate::app::signing::{LONGEST_OVERLAP, RotationInput};
use crate::app::{Action, Error};
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::form::{Form, at_version, done};
use crate::ui::icons::icon;
use crate::ui::parts::secret_card;
use crate::ui::shell::Place;

fn number(id: &str) -> Result<u64, PageError> {
    id.parse().map_err(|_| PageError::no_record("project"))
}

/// `POST /ui/projects/{id}/pause`.
pub(crate) async fn pause_project(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::ProjectsWrite)?;
    let id = number(&id)?;
    let until = match form.text("until") {
        None => None,
        Some(text) => {
            let until = page.context.read_instant(text, None);
            let until = until.map_err(|problem| Error::invalid("until", problem))?;
            Some(pause_end("until", until, page.context.now)?)
        }
    };
    let none = Conditions::default();
    page.ui.app.pause_project(&page.actor, &none, id, until, page.by()).await?;
    let told = "The project is paused. What falls due meanwhile is skipped.";
    Ok(done(&format!("/ui/projects/{id}"), told))
}

/// `POST /ui/projects/{id}/resume`.
pub(crate) async fn resume_project(
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    page.require(Action::ProjectsWrite)?;
    let id = number(&id)?;
    page.ui.app.resume_project(&page.actor, &Conditions::default(), id, page.by()).await?;
    Ok(done(&format!("/ui/projects/{id}"), "The jobs of the project fire again."))
}

/// `POST /ui/projects/{id}/rotate`: shows the new secret, once. The same form again shows it again.
pub(crate) async fn rotate_secret(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::ProjectsWrite)?;
    let id = number(&id)?;
    let overlap = overlap(&form)?;
    let key = page.key(&form, &format!("ui rotate project {id}"), &format!("{overlap:?}"));
    let input = RotationInput { secret: None, overlap, key };
    let none = Conditions::default();
    let rotated =
        page.ui.app.rotate_project_secret(&page.actor, &none, id, input, page.by()).await?;
    let project = &rotated.record.project;
    let place = format!("/ui/projects/{id}");
    let body = html! {
        nav.crumbs aria-label="Path" { a href="/ui/projects" { "Projects" } (icon("right")) a href=(place) { (project.name) } }
        div.page-head { h1 { "The new secret" } }
        (secret_card(rotated.secret.as_deref(), &[], &place))
    };
    Ok(page.document(Place::Projects, "The new secret", body))
}

/// The time for which the secret in use signs too.
pub(crate) fn overlap(form: &Form) -> Result<Option<i64>, Error> {
    let Some(text) = form.text("overlap") else { return Ok(None) };
    let body = serde_json::json!({ "overlap": text }).to_string();
    let read = Fields::parse(body.as_bytes())
        .and_then(|mut fields| fields.duration("overlap", (0, LONGEST_OVERLAP)));
    read.map_err(crate::api::Error::into_app)
}

/// `POST /ui/projects/{id}/delete`: with its jobs where its name was typed.
pub(crate) async fn delete_project(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::ProjectsWrite)?;
    let id = number(&id)?;
    let app = &page.ui.app;
    let project = app.get_project(&page.actor, id).await?.project;
    let cascade = form.text("confirm") == Some(project.name.trim());
    if !cascade {
        let jobs = app.count_project_jobs(&page.actor, vec![id]).await?;
        let jobs = jobs.get(&id).copied().unwrap_or(0);
        if jobs > 0 {
            let message = format!(
                "the project has {}: type its name, {}, to delete them with it",
                crate::ui::words::counted(jobs, "job"),
                project.name
            );
            return Err(Error::conflict(message).into());
        }
    }
    app.delete_project(&page.actor, &at_version(&form), id, cascade).await?;
    Ok(done("/ui/projects", &format!("Project {} is deleted.", project.name)))
}

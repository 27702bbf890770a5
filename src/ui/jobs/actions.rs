//! What can be done with one job: run it now, pause, resume, terminate, delete. Each is a POST of a
//! form, and leads back to the job.

use axum::extract::Path;
use axum::response::Response;

use crate::app::conditions::Conditions;
use crate::model::job::JobStatus;
use crate::ui::context::{Page, own_path};
use crate::ui::error::PageError;
use crate::ui::form::{Form, at_version, done};

fn number(id: &str) -> Result<u64, PageError> {
    id.parse().map_err(|_| PageError::no_record("job"))
}

/// `POST /ui/jobs/{id}/run`.
pub(crate) async fn run_job(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let key = page.key(&form, &format!("ui run {id}"), "");
    let run = page.ui.app.run_job(&page.actor, &Conditions::default(), key, id, false).await?;
    let to = format!("/ui/activity/{}", run.execution_id);
    Ok(done(&to, "The job runs now. Its result shows up here."))
}

/// `POST /ui/jobs/{id}/pause`.
pub(crate) async fn pause_job(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let (conditions, until) = (Conditions::default(), form.text("until"));
    page.ui.app.pause_job(&page.actor, &conditions, id, until, page.by()).await?;
    Ok(done(&format!("/ui/jobs/{id}"), "The job is paused. What falls due meanwhile is skipped."))
}

/// `POST /ui/jobs/{id}/resume`.
pub(crate) async fn resume_job(page: Page, Path(id): Path<String>) -> Result<Response, PageError> {
    let id = number(&id)?;
    page.ui.app.resume_job(&page.actor, &Conditions::default(), id, page.by()).await?;
    Ok(done(&format!("/ui/jobs/{id}"), "The job fires again."))
}

/// `POST /ui/jobs/{id}/terminate`: leads back to the page that the form was on.
pub(crate) async fn terminate_job(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    let (app, none) = (&page.ui.app, Conditions::default());
    let reschedule = form.text("last").map(|_| false);
    let reason = form.text("reason").map(str::to_owned).or_else(|| page.by());
    let left = app.terminate_job(&page.actor, &none, id, reschedule, reason).await?;
    let own = format!("/ui/jobs/{id}");
    let back = own_path(form.text("back").unwrap_or(&own));
    // A job that is not kept when it is over has no page any more.
    let to = if left.is_none() && back.starts_with(&own) { "/ui/jobs" } else { back };
    let is_over = left.is_none_or(|record| record.status == JobStatus::Completed);
    let told = if is_over { "is over." } else { "is over when its worker has stopped." };
    Ok(done(to, &format!("Job {id} {told}")))
}

/// `POST /ui/jobs/{id}/delete`.
pub(crate) async fn delete_job(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let id = number(&id)?;
    page.ui.app.delete_job(&page.actor, &at_version(&form), id).await?;
    Ok(done("/ui/jobs", &format!("Job {id} is deleted.")))
}

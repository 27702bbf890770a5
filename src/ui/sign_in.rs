//! Signing in and out: by a key pair, by the operator's name and password, or by a link with a
//! token that the command line makes. The token is in the fragment of the link; the script sends it
//! on.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{Markup, html};

use crate::app::ErrorKind;
use crate::auth::{AuthError, Login, Origin};
use crate::secret::SecretText;
use crate::ui::context::{Context, Page, own_path};
use crate::ui::error::PageError;
use crate::ui::form::{Form, LONGEST_OPEN};
use crate::ui::kept::{Kept, LONGEST_KEPT};
use crate::ui::parts::banner;
use crate::ui::shell::{Place, document};
use crate::ui::state::{Ui, UiState};

/// What is said of a form that could be read on its way.
const EXPOSED: &str = "This page came over plain http from another machine, where a secret and the \
                       session can be read on the way. Open it by https, through a proxy that speaks \
                       TLS, or through a tunnel (ssh -L 9091:localhost:9091 NODE) at \
                       http://localhost:9091/ui. AllowInsecureSignIn in the configuration of the \
                       nodes lets people sign in all the same.";

/// `GET /ui/sign-in`.
pub(crate) async fn show_sign_in(
    State(ui): Ui,
    Extension(context): Extension<Arc<Context>>,
    request: Request,
) -> Response {
    let next = own_path(context.parameter("next").unwrap_or("/ui"));
    if context.session.is_some() {
        return Redirect::to(next).into_response();
    }
    let origin = Origin::new(ui.app.now(), request.extensions().get());
    // The secret is better not sent at all.
    let warning = ui.sessions.site().is_exposed(request.headers(), origin.address);
    let warning = warning.then_some(EXPOSED);
    answer(&ui, &context, (StatusCode::OK, warning), &Entered { next, ..Entered::default() })
}

/// Why nobody signs in by a form with these headers: the browser would drop the cookie, or others
/// could read it.
fn unsafe_way(ui: &UiState, headers: &HeaderMap, origin: &Origin) -> Option<(StatusCode, String)> {
    let site = ui.sessions.site();
    if let Some(public) = site.drops_cookies(headers) {
        let text = format!("Sign in at {public}/ui: the cookie of a session needs https.");
        return Some((StatusCode::FORBIDDEN, text));
    }
    let is_exposed = site.is_exposed(headers, origin.address);
    is_exposed.then(|| (StatusCode::FORBIDDEN, EXPOSED.to_owned()))
}

/// The answer to a form of somebody whose session is over: signing in, with the form kept.
pub(crate) async fn keep_form(ui: &UiState, context: &Context, request: Request) -> Response {
    let form = Form::read(ui, request, LONGEST_KEPT).await.ok();
    let text = if form.is_some() {
        "The session is over, and nothing was changed. What you entered is kept: sign in to send it."
    } else {
        "The session is over, and nothing was changed. Sign in in another tab, then go back here and \
         send it again."
    };
    let kept = form.map(|form| Kept::new(&context.path, form));
    let next = context.address();
    let entered = Entered { next: &next, kept, ..Entered::default() };
    answer(ui, context, (StatusCode::UNAUTHORIZED, Some(text)), &entered)
}

/// `POST /ui/sign-in`.
pub(crate) async fn sign_in(
    State(ui): Ui,
    Extension(context): Extension<Arc<Context>>,
    request: Request,
) -> Result<Response, PageError> {
    let origin = Origin::new(ui.app.now(), request.extensions().get());
    let headers = request.headers().clone();
    let form = Form::read(&ui, request, LONGEST_OPEN).await?;
    let next = own_path(form.text("next").unwrap_or("/ui"));
    let name = form.text("name").unwrap_or_default();
    let secret = form.raw("secret").unwrap_or_default();
    let kept = Kept::read(&form);
    let entered = Entered { next, name, kept };
    if let Some((status, text)) = unsafe_way(&ui, &headers, &origin) {
        return Ok(answer(&ui, &context, (status, Some(&text)), &entered));
    }
    let login = Login { name: name.to_owned(), secret: SecretText::from(secret.to_owned()) };
    let at = (&origin, &ui.app.cluster);
    let refused = match ui.sessions.sign_in(&login, &headers, at).await? {
        Ok(cookie) => {
            let again = entered.kept.as_ref().map(|kept| send_again(&ui, &context, kept));
            return Ok(signed_in(again.unwrap_or_else(|| redirect(next)), cookie));
        }
        Err(refused) => refused,
    };
    let (kind, result, status, text) = match refused {
        AuthError::Limited { kind, .. } => (
            Some(kind),
            "limited",
            StatusCode::TOO_MANY_REQUESTS,
            "Too many tries. Wait a minute, or run “scheduler0 ui” on a node for a link.",
        ),
        AuthError::Wrong(kind) => {
            (Some(kind), "wrong", StatusCode::UNAUTHORIZED, "The name or the secret is wrong.")
        }
        AuthError::Rate { .. } => {
            ui.app.metrics.rate_limited.inc();
            let text = "This key makes more requests than it may. Try again in a moment.";
            (None, "limited", StatusCode::TOO_MANY_REQUESTS, text)
        }
        // A form has no headers with other credentials.
        AuthError::Missing | AuthError::Ambiguous | AuthError::Token(_) => {
            (None, "wrong", StatusCode::UNAUTHORIZED, "Enter a name and its secret.")
        }
    };
    if let Some(kind) = kind {
        ui.app.metrics.auth_failure(kind.name(), result);
    }
    Ok(answer(&ui, &context, (status, Some(text)), &entered))
}

fn send_again(ui: &UiState, context: &Context, kept: &Kept) -> Response {
    let body = html! { div.sign-in { h1 { "You are signed in" } (kept.again()) } };
    page(ui, context, "You are signed in", body)
}

/// `GET /ui/enter`: the page of a link. Its script sends the token of the fragment.
pub(crate) async fn show_enter(
    State(ui): Ui,
    Extension(context): Extension<Arc<Context>>,
) -> Response {
    let body = html! {
        div.sign-in {
            h1 { "Signing in…" }
            form #enter method="post" action="/ui/enter" {
                input type="hidden" name="token" value="";
            }
            p.muted { "The link needs the script of this page. " a href="/ui/sign-in" { "Sign in by name" } " instead." }
        }
    };
    page(&ui, &context, "Signing in", body)
}

/// `POST /ui/enter`.
pub(crate) async fn enter_by_link(
    State(ui): Ui,
    Extension(context): Extension<Arc<Context>>,
    request: Request,
) -> Result<Response, PageError> {
    let origin = Origin::new(ui.app.now(), request.extensions().get());
    let headers = request.headers().clone();
    let form = Form::read(&ui, request, LONGEST_OPEN).await?;
    let entered = Entered { next: "/ui", ..Entered::default() };
    if let Some((status, text)) = unsafe_way(&ui, &headers, &origin) {
        return Ok(answer(&ui, &context, (status, Some(&text)), &entered));
    }
    let token = form.text("token").unwrap_or_default();
    let at = (origin.now, &ui.app.cluster);
    if let Some(cookie) = ui.sessions.enter(token, &headers, at).await? {
        return Ok(signed_in(redirect("/ui"), cookie));
    }
    let text = "This link is over: it is good for a minute, and once. Run “scheduler0 ui” for a new \
                one.";
    Ok(answer(&ui, &context, (StatusCode::UNAUTHORIZED, Some(text)), &entered))
}

/// `POST /ui/sign-out`: ends the session, at every node.
pub(crate) async fn sign_out(page: Page) -> Response {
    let (ui, context) = (&page.ui, &page.context);
    let Some(session) = &context.session else { return signed_out(ui, redirect("/ui/sign-in")) };
    let Err(error) = ui.app.end_session(&page.actor, session.life).await else {
        return signed_out(ui, redirect("/ui/sign-in"));
    };
    let text = if error.kind() == ErrorKind::UpgradePending {
        "You are signed out in this browser. During the upgrade of the cluster the session itself \
         cannot be ended: a copy of its cookie is good for up to an hour."
    } else {
        "You are signed out in this browser. The cluster could not be told: a copy of the cookie is \
         good for up to an hour. Sign in again and out to end the session."
    };
    let mut without = (**context).clone();
    without.session = None;
    let entered = Entered { next: "/ui", ..Entered::default() };
    signed_out(ui, answer(ui, &without, (StatusCode::OK, Some(text)), &entered))
}

/// `POST /ui/sign-out-everywhere`: ends all sessions of whoever asks, at every node.
pub(crate) async fn sign_out_everywhere(page: Page) -> Result<Response, PageError> {
    page.ui.app.end_sessions(&page.actor, None).await?;
    Ok(signed_out(&page.ui, redirect("/ui/sign-in")))
}

/// Has the browser drop its cookies.
fn signed_out(ui: &UiState, mut response: Response) -> Response {
    for cookie in ui.sessions.sign_out() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn redirect(to: &str) -> Response {
    Redirect::to(to).into_response()
}

fn signed_in(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// What the form to sign in has in it.
#[derive(Default)]
struct Entered<'a> {
    /// The page that comes after it.
    next: &'a str,
    name: &'a str,
    /// A form that is sent again after it.
    kept: Option<Kept>,
}

fn answer(
    ui: &UiState,
    context: &Context,
    (status, problem): (StatusCode, Option<&str>),
    Entered { next, name, kept }: &Entered<'_>,
) -> Response {
    let body = html! {
        div.sign-in {
            h1 { "Sign in" }
            p.muted { "With the key pair of a client, or the name and password of this cluster’s operator." }
            @if let Some(problem) = problem { (banner("bad", problem)) }
            form.card.stack method="post" action="/ui/sign-in" {
                input type="hidden" name="next" value=(next);
                @if let Some(kept) = kept { (kept.hidden()) }
                label { span { "API key, or name" }
                    input name="name" value=(name) autocomplete="username" required autofocus
                        spellcheck="false" autocapitalize="none"; }
                label { span { "Secret key, or password" }
                    input name="secret" type="password" autocomplete="current-password" required; }
                button.button.primary { "Sign in" }
            }
            p.muted { "On a node, " code { "scheduler0 ui" } " opens this page signed in." }
        }
    };
    let mut response = page(ui, context, "Sign in", body);
    *response.status_mut() = status;
    response
}

fn page(ui: &UiState, context: &Context, title: &str, body: Markup) -> Response {
    Html(document(ui, context, (Place::Elsewhere, title), body).into_string()).into_response()
}

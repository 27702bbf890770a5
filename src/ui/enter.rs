//! The layer around every page: who asks, from where, and with which headers the answer leaves.
//! `router` installs it. It knows which few addresses are open, and nothing else of pages.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::FutureExt;

use crate::auth::Origin;
use crate::listen::Connection;
use crate::ui::assets;
use crate::ui::context::{Context, FLASH, address};
use crate::ui::error::PageError;
use crate::ui::shell;
use crate::ui::sign_in::keep_form;
use crate::ui::state::{Ui, UiState};

/// What a page may load: its own stylesheet, script and images, and nothing inline. The script
/// makes HTML of text under the policy `s0` only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'; require-trusted-types-for 'script'; trusted-types s0";

/// The headers of every answer, unless it has its own.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Does what holds for every page: finds the session, refuses what another site sent, shows errors
/// as pages, adds the headers, and counts the answer.
pub(crate) async fn enter(State(ui): Ui, mut request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let origin = Origin::new(ui.app.now(), request.extensions().get());
    let found = if request.uri().path().starts_with(assets::FOLDER) {
        // It is the same for everybody, and does not count as a request of a key.
        Ok(None)
    } else {
        ui.sessions.session(request.headers(), (&origin, &ui.app.cluster)).await
    };
    let (session, failed) = match found {
        Ok(None) => (None, None),
        Ok(Some(Ok(session))) => (Some(session), None),
        // The page where one signs in stays open.
        Ok(Some(Err(_))) if is_open(request.uri().path()) => (None, None),
        Ok(Some(Err(_))) => {
            ui.app.metrics.rate_limited.inc();
            (None, Some(PageError::rate_limited()))
        }
        Err(error) => (None, Some(PageError::from(error))),
    };
    let caller = session.as_ref().map(|session| session.caller.clone());
    let renewed = session.as_ref().and_then(|session| session.cookie.clone());
    let context = Context::of(request.uri(), request.headers(), session, origin.now);
    let context = Arc::new(context.answering(&method, request.headers()));
    request.extensions_mut().insert(context.clone());
    if let Some(caller) = caller {
        // The memory of a body is counted by who sent it.
        request.extensions_mut().insert(caller);
    }
    let refused = failed
        .map_or_else(|| refusal(&ui, &context, &request), |error| Some(error.into_response()));
    let is_kept = keeps_form(&context, &method);
    let answered = match refused {
        Some(response) => Ok(response),
        None if is_kept => Ok(keep_form(&ui, &context, request).await),
        None => AssertUnwindSafe(next.run(request)).catch_unwind().await,
    };
    let mut response = answered.unwrap_or_else(|_| {
        tracing::error!(%method, ?route, "a request made a page panic");
        PageError::fault().into_response()
    });
    if let Some(error) = response.extensions_mut().remove::<PageError>() {
        response = shell::error(&ui, &context, &error);
    }
    finish(&mut response, &context);
    // A session that is ended now is not renewed.
    if let Some(cookie) = renewed.filter(|_| !context.path.starts_with("/ui/sign-out")) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    ui.app.metrics.request(&method, route, response.status().as_u16());
    response
}

/// Says whether a request is a form by somebody without a session, with something entered in it.
fn keeps_form(context: &Context, method: &Method) -> bool {
    let is_plain = is_open(&context.path)
        || context.path.starts_with("/ui/sign-out")
        || context.path == "/ui/preferences";
    context.session.is_none() && *method == Method::POST && !is_plain
}

/// Says whether an address is there for those who have not signed in.
fn is_open(path: &str) -> bool {
    path.starts_with(assets::FOLDER) || matches!(path, "/ui/sign-in" | "/ui/enter")
}

/// The answer to a request that no page should see.
fn refusal(ui: &UiState, context: &Context, request: &Request) -> Option<Response> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read && !ui.sessions.site().sent(request.headers()) {
        return Some(PageError::foreign().into_response());
    }
    if is_open(&context.path) || keeps_form(context, request.method()) {
        return None;
    }
    let Some(session) = &context.session else {
        if context.part().is_some() {
            return Some(StatusCode::UNAUTHORIZED.into_response());
        }
        let back = if is_read { context.address() } else { "/ui".to_owned() };
        let to = match back.as_str() {
            "/ui" => "/ui/sign-in".to_owned(),
            back => address("/ui/sign-in", [("next", back)]),
        };
        return Some(Redirect::to(&to).into_response());
    };
    let connection = request.extensions().get::<Connection>();
    let crowded =
        connection.is_some_and(|known| known.authenticate(session.caller.principal()).is_err());
    crowded.then(|| {
        let message = "this client has too many connections to this node: close some tabs";
        PageError::from(crate::app::Error::busy(message)).into_response()
    })
}

fn finish(response: &mut Response, context: &Context) {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert_with(|| HeaderValue::from_static(value));
    }
    let is_page = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.starts_with("text/html")));
    if context.flash.is_some() && is_page && context.part().is_none() {
        let forget = format!("{FLASH}=; Path=/ui; Max-Age=0; HttpOnly; SameSite=Lax");
        if let Ok(forget) = HeaderValue::from_str(&forget) {
            headers.append(header::SET_COOKIE, forget);
        }
    }
}

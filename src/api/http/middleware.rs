//! The two layers around every handler: [`authenticate`] before the closed routes, and [`finish`]
//! around all of them. `router` installs both. Neither knows a resource.

use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_LENGTH, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use crate::api::http::error::Error;
use crate::api::http::route_prefix::RoutePrefix;
use crate::api::http::{auth_error, query, respond};
use crate::api::state::{ApiState, AppState};
use crate::app::Actor;
use crate::auth::{AuthError, Caller, Origin, Session};
use crate::cluster;
use crate::listen::Connection;

/// The header that names an account.
const ACCOUNT: &str = "x-account-id";

/// Does what holds for every request: notes its route prefix, renders errors, adds warnings to
/// successes, and counts the answer. A panic becomes a 500 instead of a closed connection.
pub(crate) async fn finish(State(state): ApiState, mut request: Request, next: Next) -> Response {
    let prefix = RoutePrefix::of(request.uri().path());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(prefix);
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| {
        tracing::error!(%method, ?route, "a request made a handler panic");
        Error::internal().into_response()
    });
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        let path = route.as_ref().map_or("", MatchedPath::as_str);
        let mut rendered = error.narrow(narrower(path, prefix)).render(prefix.casing());
        let accepts_tokens = state.app.auth.oidc().is_some();
        let challenges = rendered.headers().get_all(WWW_AUTHENTICATE).iter().count();
        if challenges == 1 && accepts_tokens && rendered.status() == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static(auth_error::BEARER);
            rendered.headers_mut().append(WWW_AUTHENTICATE, bearer);
        }
        // The router sets some headers beside the status, such as `allow`.
        let given = std::mem::take(response.headers_mut());
        for (name, value) in &given {
            if name != CONTENT_LENGTH {
                rendered.headers_mut().entry(name).or_insert_with(|| value.clone());
            }
        }
        response = rendered;
    }
    response = respond::with_warnings(response).await;
    let counted = state.answers.count(&state.app.metrics, &method, response).await;
    response = counted.unwrap_or_else(|error| error.render(prefix.casing()));
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    state.app.metrics.request(&method, route, response.status().as_u16());
    response
}

/// Lets in only requests whose caller is known and whose query the route knows.
pub(crate) async fn authenticate(
    State(state): ApiState,
    mut request: Request,
    next: Next,
) -> Response {
    let app = &state.app;
    let origin = Origin::new(app.now(), request.extensions().get());
    let found = match app.auth.caller(request.headers(), &origin, &app.cluster).await {
        Ok(Err(AuthError::Missing)) => {
            let found = session(&state, request.method(), request.headers(), &origin).await;
            found.map(|session| {
                session.unwrap_or(Err(AuthError::Missing)).map(
                    |Session { caller, life, .. }| {
                        request.extensions_mut().insert(life);
                        caller
                    },
                )
            })
        }
        found => found,
    };
    match found {
        Ok(Ok(caller)) => {
            if let Err(refused) = admit(&state, &mut request, &caller).await {
                return refused.into_response();
            }
            let connection = request.extensions().get::<Connection>();
            if connection.is_some_and(|known| known.authenticate(caller.principal()).is_err()) {
                let message = "this client has too many connections to this node: use fewer";
                return Error::unavailable(message).into_response();
            }
            // The path of the request has lost its prefix here, the path of the route has not.
            let prefix = request.extensions().get().copied().unwrap_or(RoutePrefix::Root);
            let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
            let path = route.and_then(|route| route.strip_prefix(prefix.as_str()));
            let path = path.unwrap_or_default();
            let query = request.uri().query().unwrap_or_default();
            if let Err(error) = query::check(request.method(), path, query) {
                return error.into_response();
            }
            request.extensions_mut().insert(caller.clone());
            let mut response = next.run(request).await;
            // The answer is counted for its actor.
            response.extensions_mut().insert(Actor::from(caller));
            response
        }
        Ok(Err(refused)) => auth_error::counted(refused, &app.metrics).into_response(),
        Err(error) => Error::from(error).into_response(),
    }
}

/// Lets in a request that its account may make, and notes the account that it has chosen, where
/// there are several.
async fn admit(state: &AppState, request: &mut Request, caller: &Caller) -> Result<(), Error> {
    let header = request.headers().get(ACCOUNT);
    // An operator who names no account is of none: the accounts need not be read.
    if header.is_none() && caller.account().is_none() {
        return Ok(());
    }
    let auth = &state.app.auth;
    let accounts = auth.accounts(&state.app.cluster).await?;
    if let Err(wait) = auth.count_request(&accounts, caller) {
        return Err(Error::rate_limited(wait));
    }
    let Some(header) = header else { return Ok(()) };
    let chosen = accounts.choice(header, caller.account());
    if let Some(account) = chosen.map_err(auth_error::of_choice)? {
        request.extensions_mut().insert(account);
    }
    Ok(())
}

/// The session of the web UI that a request without credentials has. A browser sends
/// its cookies whoever made the request: a change must come from a page of ours, and a read must
/// not come from a page of another site.
async fn session(
    state: &AppState,
    method: &Method,
    headers: &HeaderMap,
    origin: &Origin,
) -> Result<Option<Result<Session, AuthError>>, cluster::Error> {
    let (app, site) = (&state.app, state.sessions.site());
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let is_ours = if is_read { !site.is_foreign(headers) } else { site.sent(headers) };
    if !is_ours {
        return Ok(None);
    }
    state.sessions.session(headers, (origin, &app.cluster)).await
}

/// A way to ask a route for less, for the error of a read that took too long.
fn narrower(route: &str, prefix: RoutePrefix) -> &'static str {
    match route.strip_prefix(prefix.as_str()).unwrap_or(route) {
        "/jobs" => "name a projectId, leave out status and label, or page by after",
        "/jobs/pause" | "/jobs/resume" | "/jobs/delete" | "/jobs/edit" => {
            "name a projectId in the filter, or fewer ids, externalIds or labels"
        }
        "/executions" | "/dead-letters" => {
            "name a projectId or a jobId, a shorter stretch (from, until), or page by after"
        }
        "/dead-letters/replay"
        | "/dead-letters/purge"
        | "/executions/analytics"
        | "/executions/totals" => "name a projectId, or a shorter stretch (from, until)",
        "/jobs/{id}/occurrences" => "ask for a shorter stretch (from, until), or a lower limit",
        _ => "ask for less at once, such as a lower limit",
    }
}

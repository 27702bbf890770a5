//! The route that ends sessions of browsers. `app::credentials` has what it does, and whose
//! sessions a client reaches.

use axum::extract::State;
use axum::response::Response;

use crate::api::http::action_router::{ActionRouter, post};
use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::Action;

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new().route("/sessions/end", post(Action::OwnSessionsEnd, end_sessions))
}

/// Without `credentialId` the sessions of whoever asks. The use case asks for more where it is
/// another's.
async fn end_sessions(
    State(state): ApiState,
    context: RequestContext,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let credential = fields.number("credentialId")?;
    state.app.end_sessions(&context.actor, credential).await?;
    Ok(respond::warn(respond::no_content(), &fields.warnings()))
}

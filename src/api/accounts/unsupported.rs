//! Routes that the newest published clients call and this program does not offer. They answer 501
//! with a sentence, so that a client tells that from a wrong address.

use crate::api::http::action_router::{ActionRouter, any};
use crate::api::http::error::Error;
use crate::app::Action;

const AI: &str = "suggestions and settings of an AI service are out of scope here";
const LOCAL: &str = "local executors are not offered: let worker processes take runs of a queue, \
                     see docs/workers.md";
const TOKENS: &str = "accounts have no tokens here: executions are granted with PUT \
                      /accounts/{id}/execution-count";

pub(super) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/local-executors", any(Action::Unsupported, local_executors))
        .route("/local-executors/{id}/{what}", any(Action::Unsupported, local_executors))
        .route("/ai/{what}", any(Action::Unsupported, ai))
        .route("/ai/{what}/{which}", any(Action::Unsupported, ai))
        .route("/account/ai-settings", any(Action::Unsupported, ai))
        .route("/accounts/{id}/ai/usage", any(Action::Unsupported, ai))
        .route("/accounts/{id}/tokens", any(Action::Unsupported, tokens))
        .route("/accounts/{id}/tokens/add", any(Action::Unsupported, tokens))
}

async fn local_executors() -> Error {
    Error::not_implemented(LOCAL)
}

async fn ai() -> Error {
    Error::not_implemented(AI)
}

async fn tokens() -> Error {
    Error::not_implemented(TOKENS)
}

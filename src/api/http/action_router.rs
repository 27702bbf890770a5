//! The table of the closed routes and their actions. A handler can be routed only together with an
//! [`Action`], so a route without an action does not compile; and the action is authorized before
//! the handler's own extractors run.

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::api::http::error::Error;
use crate::api::state::AppState;
use crate::app::{Action, Actor, Resource, authorize};
use crate::auth::Caller;

/// Closed routes, each with its actions.
#[derive(Default)]
pub(crate) struct ActionRouter(Router<Arc<AppState>>);

/// The methods of one route, each with its action.
pub(crate) struct Methods(MethodRouter<Arc<AppState>>);

impl ActionRouter {
    /// A table without routes.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a route.
    pub(crate) fn route(self, path: &str, methods: Methods) -> Self {
        Self(self.0.route(path, methods.0))
    }

    /// Adds the routes of another table.
    pub(crate) fn merge(self, other: Self) -> Self {
        Self(self.0.merge(other.0))
    }

    /// The router of all routes. The caller puts authentication around it.
    pub(crate) fn into_router(self) -> Router<Arc<AppState>> {
        self.0
    }
}

/// `GET` (and `HEAD`).
pub(crate) fn get<H: Handler<T, Arc<AppState>>, T: 'static>(action: Action, handler: H) -> Methods {
    Methods(routed(MethodFilter::GET, action, handler))
}

/// `POST`.
pub(crate) fn post<H: Handler<T, Arc<AppState>>, T: 'static>(
    action: Action,
    handler: H,
) -> Methods {
    Methods(routed(MethodFilter::POST, action, handler))
}

/// `DELETE`.
pub(crate) fn delete<H: Handler<T, Arc<AppState>>, T: 'static>(
    action: Action,
    handler: H,
) -> Methods {
    Methods(routed(MethodFilter::DELETE, action, handler))
}

/// Every method.
pub(crate) fn any<H: Handler<T, Arc<AppState>>, T: 'static>(action: Action, handler: H) -> Methods {
    Methods(axum::routing::any(Authorized { action, handler }))
}

impl Methods {
    /// Adds `POST`.
    pub(crate) fn post<H: Handler<T, Arc<AppState>>, T: 'static>(
        self,
        action: Action,
        handler: H,
    ) -> Self {
        Self(self.0.merge(routed(MethodFilter::POST, action, handler)))
    }

    /// Adds `PUT`.
    pub(crate) fn put<H: Handler<T, Arc<AppState>>, T: 'static>(
        self,
        action: Action,
        handler: H,
    ) -> Self {
        Self(self.0.merge(routed(MethodFilter::PUT, action, handler)))
    }

    /// Adds `PATCH`.
    pub(crate) fn patch<H: Handler<T, Arc<AppState>>, T: 'static>(
        self,
        action: Action,
        handler: H,
    ) -> Self {
        Self(self.0.merge(routed(MethodFilter::PATCH, action, handler)))
    }

    /// Adds `DELETE`.
    pub(crate) fn delete<H: Handler<T, Arc<AppState>>, T: 'static>(
        self,
        action: Action,
        handler: H,
    ) -> Self {
        Self(self.0.merge(routed(MethodFilter::DELETE, action, handler)))
    }
}

/// A handler behind the authorization of its action.
#[derive(Clone)]
struct Authorized<H> {
    action: Action,
    handler: H,
}

impl<T: 'static, H: Handler<T, Arc<AppState>>> Handler<T, Arc<AppState>> for Authorized<H> {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, state: Arc<AppState>) -> Self::Future {
        Box::pin(async move {
            // `authenticate` has put the caller there.
            let Some(caller) = request.extensions().get::<Caller>().copied() else {
                return Error::unauthorized().into_response();
            };
            if authorize(&Actor::from(caller), self.action, Resource::Any).is_err() {
                let message = "this route needs the node's username and password, an api key is \
                               not enough";
                return Error::forbidden(message).into_response();
            }
            self.handler.call(request, state).await
        })
    }
}

fn routed<H: Handler<T, Arc<AppState>>, T: 'static>(
    filter: MethodFilter,
    action: Action,
    handler: H,
) -> MethodRouter<Arc<AppState>> {
    on(filter, Authorized { action, handler })
}

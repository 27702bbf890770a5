//! The table of the closed routes and their actions. A handler can be routed only together with an
//! [`Action`], so a route without an action does not compile; and the action is authorized before
//! the handler's own extractors run. The table can be read: the OpenAPI document is made from it.

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::api::http::error::Error;
use crate::api::state::AppState;
use crate::app::{self, Action, Actor, Resource, authorize};
use crate::auth::Caller;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The method; `POST` stands for all of them where a route takes every one.
    pub(crate) method: &'static str,
    /// The path without prefix.
    pub(crate) path: &'static str,
    /// The action that a caller must be allowed to take.
    pub(crate) action: Action,
}

/// Closed routes, each with its actions.
#[derive(Default)]
pub(crate) struct ActionRouter {
    router: Router<Arc<AppState>>,
    routes: Vec<Route>,
}

/// The methods of one route, each with its action.
pub(crate) struct Methods {
    router: MethodRouter<Arc<AppState>>,
    actions: Vec<(&'static str, Action)>,
}

impl ActionRouter {
    /// A table without routes.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a route.
    pub(crate) fn route(mut self, path: &'static str, methods: Methods) -> Self {
        let row = |(method, action)| Route { method, path, action };
        self.routes.extend(methods.actions.into_iter().map(row));
        Self { router: self.router.route(path, methods.router), routes: self.routes }
    }

    /// Adds the routes of another table.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        Self { router: self.router.merge(other.router), routes: self.routes }
    }

    /// The rows of the table.
    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The router of all routes. The caller puts authentication around it.
    pub(crate) fn into_router(self) -> Router<Arc<AppState>> {
        self.router
    }
}

/// `GET` (and `HEAD`).
pub(crate) fn get<H: Handler<T, Arc<AppState>>, T: 'static>(action: Action, handler: H) -> Methods {
    Methods { router: routed(MethodFilter::GET, action, handler), actions: vec![("GET", action)] }
}

/// `POST`.
pub(crate) fn post<H: Handler<T, Arc<AppState>>, T: 'static>(
    action: Action,
    handler: H,
) -> Methods {
    Methods { router: routed(MethodFilter::POST, action, handler), actions: vec![("POST", action)] }
}

/// `DELETE`.
pub(crate) fn delete<H: Handler<T, Arc<AppState>>, T: 'static>(
    action: Action,
    handler: H,
) -> Methods {
    let router = routed(MethodFilter::DELETE, action, handler);
    Methods { router, actions: vec![("DELETE", action)] }
}

/// Every method.
pub(crate) fn any<H: Handler<T, Arc<AppState>>, T: 'static>(action: Action, handler: H) -> Methods {
    let router = axum::routing::any(Authorized { action, handler });
    Methods { router, actions: vec![("POST", action)] }
}

impl Methods {
    fn with(
        mut self,
        method: &'static str,
        action: Action,
        router: MethodRouter<Arc<AppState>>,
    ) -> Self {
        self.actions.push((method, action));
        Self { router: self.router.merge(router), actions: self.actions }
    }

    /// Adds `POST`.
    pub(crate) fn post<H: Handler<T, Arc<AppState>>, T: 'static>(
        self,
        action: Action,
        handler: H,
    ) -> Self {
        self.with("POST", action, routed(MethodFilter::POST, action, handler))
    }

    /// Adds `PUT`.
    pub(crate) fn put<H: Handler<T, Arc<AppState>>, T: 'static>(
        self,
        action: Action,
        handler: H,
    ) -> Self {
        self.with("PUT", action, routed(MethodFilter::PUT, action, handler))
    }

    /// Adds `PATCH`.
    pub(crate) fn patch<H: Handler<T, Arc<AppState>>, T: 'static>(
        self,
        action: Action,
        handler: H,
    ) -> Self {
        self.with("PATCH", action, routed(MethodFilter::PATCH, action, handler))
    }

    /// Adds `DELETE`.
    pub(crate) fn delete<H: Handler<T, Arc<AppState>>, T: 'static>(
        self,
        action: Action,
        handler: H,
    ) -> Self {
        self.with("DELETE", action, routed(MethodFilter::DELETE, action, handler))
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
            let Some(caller) = request.extensions().get::<Caller>().cloned() else {
                return Error::unauthorized().into_response();
            };
            let allowed = authorize(&Actor::from(caller), self.action, Resource::Any);
            if let Err(denied) = allowed {
                return Error::from(app::Error::from(denied)).into_response();
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

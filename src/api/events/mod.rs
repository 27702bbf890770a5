//! `GET /events`: the stream of events as server-sent events. `routes` reads the request, `frame`
//! writes items as text, `view` says what is in them.

mod frame;
mod routes;
mod view;

pub(crate) use routes::router;

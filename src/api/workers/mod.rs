//! The routes of worker processes: `POST /workers/claim`, `POST /workers/{workerId}/heartbeat`, and
//! the views `GET /workers` and `GET /queues`. A request that waits holds neither its body nor a
//! permit.

mod input;
mod routes;
mod view;

pub(crate) use routes::router;

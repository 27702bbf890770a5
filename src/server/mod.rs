//! The server of the API. `crate::listen` accepts and bounds the connections; here are the rules
//! that hold for every request before a route sees it, and the care for what an answer leaves of a
//! body. `node` binds the listeners, hands over the router that `api::router` made, and a future
//! that ends when it is time to stop. The server knows no route.
//!
//! | bound | value | what happens |
//! |---|---|---|
//! | connections, heads, idle time, answers that are not taken | `Options::bounds` | see `listen` |
//! | a head | `Bounds::head_bytes`, `Bounds::headers` | 431, 414, by `head` where hyper has none |
//! | a body | `api::http::body` | 413, 408, 503 |
//! | the rest of a refused body | `body`, then `listen` | read and dropped, then closed in stages |
//!
//! A node that is about to stop says `Connection: close` with each answer, and closes idle
//! connections last: a client whose request meets the close of its connection cannot know whether
//! the request was carried out.

mod body;
mod head;
mod serve;

pub use serve::{Options, serve};

//! The web UI: pages of HTML under `/ui`, for people. It translates as the API does: a page reads
//! the request, calls use cases of `app` as the actor that has signed in, and shows what they give.
//!
//! ```text
//!   request ─> enter: session, origin, headers, errors as pages
//!                └─> router ─> jobs, history, projects, executors, admin ...  a file for each page
//!                                └─> shell (document) <─ parts (tables, chips, times, charts)
//! ```
//!
//! A page is complete without its script, which only makes it live. There is no `style` attribute,
//! no inline script and no address of another origin, and the headers of [`enter`] forbid them.
//! What an actor may not do has no button, and `app` refuses it all the same.

mod admin;
mod api;
mod assets;
mod cached;
mod chart;
mod cluster;
mod context;
mod enter;
mod error;
mod executors;
mod figures;
mod forecast;
mod form;
mod history;
mod icons;
mod inputs;
mod jobs;
mod json_text;
mod kept;
mod lag;
mod lists;
mod mask;
mod overview;
mod parts;
mod preferences;
mod projects;
mod rates;
mod router;
mod shell;
mod sign_in;
mod state;
mod templates;
mod time;
mod words;
mod workers;

pub use router::router;
pub use state::UiState;

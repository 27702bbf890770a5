//! The application: the use cases of the scheduler, whoever translates them (the API today). Each
//! acts for an [`Actor`], who must be authorized for an [`Action`]. It knows no HTTP.

mod actor;
mod authz;

pub use actor::{Actor, ActorKind};
pub use authz::{Action, Denied, Resource, authorize};

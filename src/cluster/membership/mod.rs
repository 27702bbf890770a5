//! The members of the cluster: a new cluster is founded ([`founding`]), members are added, promoted
//! and removed ([`change`]), announce their addresses ([`announce`], [`addresses`]), are bound to
//! their data folders ([`registry`]), and a last survivor goes on alone ([`recover`]).

pub(in crate::cluster) mod addresses;
pub(in crate::cluster) mod announce;
mod change;
pub(in crate::cluster) mod founding;
pub(in crate::cluster) mod levels;
pub mod recover;
pub(in crate::cluster) mod registry;

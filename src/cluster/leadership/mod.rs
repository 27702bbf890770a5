//! The leadership: this node's view of it ([`state`]), the quorum behind it ([`quorum`],
//! [`quorum_ack`]), and whether this node may vote or stand ([`eligibility`]). [`duties`] keeps all
//! of it up to date.

pub(in crate::cluster) mod duties;
pub(in crate::cluster) mod eligibility;
mod quorum;
pub(in crate::cluster) mod quorum_ack;
pub(in crate::cluster) mod state;

//! The errors of use cases that come from elsewhere: from rights that an actor lacks, from commands
//! that `command::apply` refused, and from the cluster. Use cases convert them by `?`.

use crate::app::authz::Denied;
use crate::app::error::{Error, ErrorKind};
use crate::cluster;
use crate::command::{Rejection, RejectionKind};

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        let fix = "use an api key that has them, or the node's username and password";
        let error = Self::new(ErrorKind::MissingScopes, denied.to_string());
        error.because(fix).lacking(denied.missing)
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        let kind = match rejection.kind {
            RejectionKind::NotFound => ErrorKind::NotFound,
            RejectionKind::Conflict => ErrorKind::Conflict,
            RejectionKind::Invalid => ErrorKind::Malformed,
            RejectionKind::Forbidden => ErrorKind::Forbidden,
            RejectionKind::Stale => ErrorKind::Stale,
            RejectionKind::KeyReused => ErrorKind::KeyReused,
            RejectionKind::QuotaExceeded => ErrorKind::QuotaExceeded,
            RejectionKind::FeatureDisabled => ErrorKind::FeatureDisabled,
        };
        Self::new(kind, rejection.message)
    }
}

impl From<cluster::Error> for Error {
    fn from(error: cluster::Error) -> Self {
        match &error {
            cluster::Error::NoLeader | cluster::Error::NotLeader { .. } => {
                let message =
                    "the cluster has no leader at the moment, nothing was written: try again";
                Self::unavailable(message)
            }
            cluster::Error::Busy => Self::unavailable(
                "as many requests to the leader as may be are under way at this node, nothing was \
                 written: try again, or ask another node",
            ),
            cluster::Error::Unavailable(_) => {
                tracing::warn!(%error, "a client was told that the outcome is unknown");
                let message = "the cluster did not answer in time and the outcome is unknown: \
                               send it again with the same Idempotency-Key";
                Self::unavailable(message)
            }
            cluster::Error::NotRaised(_) => {
                tracing::warn!(%error, "a request was refused");
                let message = "the cluster did not answer in time, nothing was written: try again";
                Self::unavailable(message)
            }
            cluster::Error::UpgradePending { .. } => {
                Self::new(ErrorKind::UpgradePending, error.to_string())
            }
            cluster::Error::TooLarge { .. } => Self::too_large(error.to_string()),
            cluster::Error::Refused(rejection) => rejection.clone().into(),
            cluster::Error::Fatal(_) => {
                Self::unavailable("this node is stopping: ask another node")
            }
            cluster::Error::Ended(_) => {
                Self::busy("this node's state is being replaced by a newer one: try again")
            }
            cluster::Error::Store(_) | cluster::Error::Open(_) => {
                tracing::error!(%error, "a request failed on this node");
                Self::internal()
            }
        }
    }
}

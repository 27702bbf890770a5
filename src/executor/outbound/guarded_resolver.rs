//! The resolver of connectors: it looks a name up and hands on only addresses that the guards
//! allow. They ask it for each connection. It never connects itself.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use url::Host;

use super::guard::{Error, TargetGuard};
use super::lookup::{Lookup, look_up};
use super::member_guard::MemberGuard;
use crate::model::ProjectId;
use crate::model::target_pattern::Target;

/// The resolver of one call.
#[derive(Clone)]
pub(in crate::executor) struct GuardedResolver {
    /// The longest time for a look-up.
    pub(in crate::executor) patience: Duration,
    pub(in crate::executor) guard: TargetGuard,
    pub(in crate::executor) lookup: Arc<dyn Lookup>,
    pub(in crate::executor) project: ProjectId,
    /// The scheme and the port of the call.
    pub(in crate::executor) scheme: &'static str,
    pub(in crate::executor) port: u16,
    pub(in crate::executor) member_guard: Arc<MemberGuard>,
    /// The name of the configured proxy, which may be anywhere.
    pub(in crate::executor) proxy: Option<Arc<str>>,
}

/// No address of a name may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.of_attempt())]
pub(in crate::executor) struct Refused(pub(in crate::executor) Error);

impl Refused {
    /// The refusal behind an error of a client, if there is one.
    pub(in crate::executor) fn find<'e>(
        error: &'e (dyn std::error::Error + 'static),
    ) -> Option<&'e Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(refused) = error.downcast_ref() {
                return Some(refused);
            }
            next = error.source();
        }
        None
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (guard, patience, project) = (self.guard.clone(), self.patience, self.project);
        let is_proxy = self.proxy.as_deref() == Some(name.as_str());
        let (lookup, members) = (Arc::clone(&self.lookup), Arc::clone(&self.member_guard));
        let (scheme, port) = (self.scheme, self.port);
        Box::pin(async move {
            let found = look_up(&*lookup, (name.as_str(), project), patience).await?;
            let (mut allowed, mut refused) = (Vec::new(), None);
            let host = Host::Domain(name.as_str());
            let target = Target { scheme, host: &host, port };
            for address in found {
                match guard.check_found(target, address.ip()) {
                    _ if is_proxy => allowed.push(address),
                    Ok(()) if !members.allows(name.as_str(), address.ip()) => {
                        refused = Some(Error::Member);
                    }
                    Ok(()) => allowed.push(address),
                    Err(e) => refused = Some(e),
                }
            }
            match refused {
                Some(why) if allowed.is_empty() => Err(Refused(why).into()),
                _ => Ok(allowed.into_iter()),
            }
        })
    }
}

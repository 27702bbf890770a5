//! The checks before a call leaves that the resolver of the client cannot make: whether it goes to
//! the Raft port of a member, and, with a proxy (`EgressProxy`), whether the proxy may have it. The
//! proxy resolves names itself, so each target is resolved and checked here before its name is
//! handed over. Variables such as `HTTP_PROXY` are ignored. `run` calls it for every call.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use percent_encoding::percent_decode_str;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::options::Options;
use super::send_error::SendError;
use crate::config::EgressProxy;
use crate::executor::outbound::guard::TargetGuard;
use crate::executor::outbound::local_error::LocalError;
use crate::executor::outbound::lookup::{look_up, patience};
use crate::executor::outbound::member_guard::{self, Exclusion};
use crate::model::ProjectId;

/// The value of `Proxy-Authorization` (RFC 7617); `None` where the URL of the proxy has no user.
pub(super) fn credentials(proxy: &EgressProxy) -> Option<HeaderValue> {
    let url = proxy.url();
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair = Zeroizing::new(percent_decode_str(url.username()).collect::<Vec<u8>>());
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(&*pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether a target is called directly in spite of a proxy: it is this machine.
pub(super) fn is_direct(target: &Url) -> bool {
    match target.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => true,
    }
}

/// Whether [`admit`] has anything to check for a call.
pub(super) fn is_checked(options: &Options, url: &Url, boot: u64) -> bool {
    options.proxy.is_some() || options.member_guard.concerns(url, boot)
}

/// Checks a call of a project at an instant of the boot clock. The caller holds the exclusion until
/// the call is over.
pub(super) async fn admit(
    options: &Options,
    (url, project): (&Url, ProjectId),
    boot: u64,
) -> Result<Option<Exclusion>, SendError> {
    let patience = patience(options.connect_timeout);
    let admitted =
        options.member_guard.admit((url, project), &*options.lookup, (patience, boot)).await;
    let admitted = admitted.map_err(|error| match &error {
        member_guard::Error::Unknown(cause) => LocalError::find(&**cause)
            .map_or_else(|| SendError::NotSent(error.to_string()), SendError::Local),
        member_guard::Error::Member => SendError::NotSent(error.to_string()),
    })?;
    check_proxied(options, url, project).await?;
    Ok(admitted)
}

/// Checks every address of a target that goes by way of the proxy, as the proxy may take any of
/// them. A loopback address is the proxy itself there, so it is refused whatever `options` say.
async fn check_proxied(options: &Options, url: &Url, project: ProjectId) -> Result<(), SendError> {
    if options.proxy.is_none() || is_direct(url) {
        return Ok(());
    }
    let name = match url.host() {
        Some(Host::Domain(name)) => name,
        Some(Host::Ipv4(ip)) => return check_remote(options, ip.into()),
        Some(Host::Ipv6(ip)) => return check_remote(options, ip.into()),
        None => return Ok(()),
    };
    let unknown = |why: &dyn std::fmt::Display| {
        let why = format!("{name} cannot be resolved, so it is not handed to EgressProxy: {why}");
        SendError::NotSent(why)
    };
    let patience = patience(options.connect_timeout);
    let looking = look_up(&*options.lookup, (name, project), patience);
    let found = looking.await.map_err(|error| match LocalError::find(&*error) {
        Some(local) => SendError::Local(local),
        None => unknown(&error),
    })?;
    if found.is_empty() {
        return Err(unknown(&"it has no address"));
    }
    found.iter().try_for_each(|address| check_remote(options, address.ip()))
}

/// Checks that the proxy may connect to an address.
fn check_remote(options: &Options, ip: IpAddr) -> Result<(), SendError> {
    options.guard.check_address(ip).map_err(|error| SendError::NotSent(error.to_string()))?;
    let remote = TargetGuard { allow_loopback: false, ..options.guard.clone() };
    remote.check_address(ip).map_err(|error| {
        let instead = "to EgressProxy that is itself; localhost, 127.0.0.1 and [::1] go past it";
        SendError::NotSent(format!("{error}, and {instead}"))
    })
}

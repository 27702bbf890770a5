//! What is asked before a call leaves that the client's own resolver cannot see: whether it goes to a
//! member's Raft port, and, with a proxy (`EgressProxy`), whether that may have it. The proxy resolves
//! names itself, so each target is resolved and judged here before its name is handed over. Variables
//! such as `HTTP_PROXY` are not looked at. The executor calls it for every call.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use percent_encoding::percent_decode_str;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::guard::TargetGuard;
use super::local_error::LocalError;
use super::lookup::{look_up, patience};
use super::member_guard::{self, Exclusion};
use super::{Options, SendError};
use crate::config::EgressProxy;
use crate::model::ProjectId;

/// What `Proxy-Authorization` says to the proxy (RFC 7617), if its URL names somebody.
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

/// Whether a target is called directly all the same: it is this machine.
pub(super) fn is_direct(target: &Url) -> bool {
    match target.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => true,
    }
}

/// Whether [`admit`] has anything to ask of a call.
pub(super) fn is_checked(options: &Options, url: &Url, boot: u64) -> bool {
    options.proxy.is_some() || options.apart.concerns(url, boot)
}

/// Lets a call of a project out at an instant of the boot clock, or says why not. What it gives is to be held until
/// the call is over.
pub(super) async fn admit(
    options: &Options,
    (url, project): (&Url, ProjectId),
    boot: u64,
) -> Result<Option<Exclusion>, SendError> {
    let patience = patience(options.connect_timeout);
    let admitted = options.apart.admit((url, project), &*options.lookup, (patience, boot)).await;
    let admitted = admitted.map_err(|error| match &error {
        member_guard::Error::Unknown(cause) => LocalError::of(&**cause)
            .map_or_else(|| SendError::Here(error.to_string()), SendError::Lacking),
        member_guard::Error::Member => SendError::Here(error.to_string()),
    })?;
    judge(options, url, project).await?;
    Ok(admitted)
}

/// Judges every address of a target that goes by way of the proxy: nobody knows which one that will
/// take. A loopback address is the proxy's own there, so it is refused whatever `options` say.
async fn judge(options: &Options, url: &Url, project: ProjectId) -> Result<(), SendError> {
    if options.proxy.is_none() || is_direct(url) {
        return Ok(());
    }
    let name = match url.host() {
        Some(Host::Domain(name)) => name,
        Some(Host::Ipv4(ip)) => return beyond(options, ip.into()),
        Some(Host::Ipv6(ip)) => return beyond(options, ip.into()),
        None => return Ok(()),
    };
    let unknown = |why: &dyn std::fmt::Display| {
        let why = format!("{name} cannot be resolved, so it is not handed to EgressProxy: {why}");
        SendError::Here(why)
    };
    let patience = patience(options.connect_timeout);
    let looking = look_up(&*options.lookup, (name, project), patience);
    let found = looking.await.map_err(|error| match LocalError::of(&*error) {
        Some(own) => SendError::Lacking(own),
        None => unknown(&error),
    })?;
    if found.is_empty() {
        return Err(unknown(&"it has no address"));
    }
    found.iter().try_for_each(|address| beyond(options, address.ip()))
}

/// Whether the proxy may connect to an address.
fn beyond(options: &Options, ip: IpAddr) -> Result<(), SendError> {
    options.guard.check_address(ip).map_err(|error| SendError::Here(error.to_string()))?;
    let remote = TargetGuard { allow_loopback: false, ..options.guard.clone() };
    remote.check_address(ip).map_err(|error| {
        let instead = "to EgressProxy that is itself; localhost, 127.0.0.1 and [::1] go past it";
        SendError::Here(format!("{error}, and {instead}"))
    })
}

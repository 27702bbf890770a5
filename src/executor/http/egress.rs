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
use super::request::OutgoingRequest;
use super::send_error::SendError;
use crate::config::EgressProxy;
use crate::executor::outbound::guard::TargetGuard;
use crate::executor::outbound::local_error::LocalError;
use crate::executor::outbound::lookup::{look_up, patience};
use crate::executor::outbound::member_guard::{self, Asked, Exclusion};
use crate::model::target_pattern::Target;

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

/// A call that may leave. The caller holds it until the call is over.
#[derive(Default)]
pub(super) struct Admitted {
    _exclusion: Option<Exclusion>,
    /// Whether nobody is to read the answer.
    pub(super) is_hidden: bool,
}

/// Whether [`admit`] has anything to check for a call.
pub(super) fn is_checked(options: &Options, request: &OutgoingRequest, boot: u64) -> bool {
    let asked = asked(request);
    options.proxy.is_some() || options.member_guard.concerns(asked.url, asked.with_apis, boot)
}

fn asked(request: &OutgoingRequest) -> Asked<'_> {
    let OutgoingRequest { url, project, guard, .. } = request;
    Asked { url, project: *project, with_apis: guard.keeps_from_apis(url, url.scheme()) }
}

/// Checks a call at an instant of the boot clock.
pub(super) async fn admit(
    options: &Options,
    request: &OutgoingRequest,
    boot: u64,
) -> Result<Admitted, SendError> {
    let patience = patience(options.connect_timeout);
    let admitted =
        options.member_guard.admit(asked(request), &*options.lookup, (patience, boot)).await;
    let admitted = admitted.map_err(|error| match &error {
        member_guard::Error::Unknown(cause) => LocalError::find(&**cause)
            .map_or_else(|| SendError::NotSent(error.to_string()), SendError::Local),
        member_guard::Error::Member => SendError::NotAllowed(error.to_string()),
    })?;
    let is_hidden = check_proxied(options, request).await?;
    Ok(Admitted { _exclusion: admitted, is_hidden })
}

/// Checks every address of a target that goes by way of the proxy, as the proxy may take any of
/// them. A loopback address is the proxy itself there, so it is refused whatever the guard says.
/// Returns whether nobody is to read the answer.
async fn check_proxied(options: &Options, request: &OutgoingRequest) -> Result<bool, SendError> {
    let OutgoingRequest { url, project, guard, .. } = request;
    if options.proxy.is_none() || is_direct(url) {
        return Ok(false);
    }
    let Some(host) = url.host() else { return Ok(false) };
    let name = match host {
        Host::Domain(name) => name,
        // The guard has judged it as it is written.
        Host::Ipv4(ip) => return check_remote(guard, ip.into()),
        Host::Ipv6(ip) => return check_remote(guard, ip.into()),
    };
    let port = url.port_or_known_default().unwrap_or_default();
    let target = Target { scheme: url.scheme(), host: &host, port };
    let unknown = |why: &dyn std::fmt::Display| {
        let why = format!("{name} cannot be resolved, so it is not handed to EgressProxy: {why}");
        SendError::NotSent(why)
    };
    let patience = patience(options.connect_timeout);
    let looking = look_up(&*options.lookup, (name, *project), patience);
    let found = looking.await.map_err(|error| match LocalError::find(&*error) {
        Some(local) => SendError::Local(local),
        None => unknown(&error),
    })?;
    if found.is_empty() {
        return Err(unknown(&"it has no address"));
    }
    let mut is_hidden = false;
    for address in found {
        let allowed = guard.check_found(target, address.ip());
        allowed.map_err(|error| SendError::NotAllowed(error.of_attempt()))?;
        is_hidden |= check_remote(guard, address.ip())?;
    }
    Ok(is_hidden)
}

/// Checks that an address that is allowed is not the proxy itself. Returns whether nobody is to
/// read the answer.
fn check_remote(guard: &TargetGuard, ip: IpAddr) -> Result<bool, SendError> {
    let remote =
        TargetGuard { allow_loopback: false, allow_private: true, ..TargetGuard::default() };
    remote.check_address(ip).map_err(|error| {
        let instead = "to EgressProxy that is itself; localhost, 127.0.0.1 and [::1] go past it";
        SendError::NotAllowed(format!("{}, and {instead}", error.of_attempt()))
    })?;
    Ok(guard.hides_answers(ip))
}

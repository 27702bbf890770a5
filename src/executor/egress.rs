//! The proxy that calls leave by, where one is configured (`EgressProxy`). It resolves names itself, so
//! each target is resolved and judged here before its name is handed over. Variables such as
//! `HTTP_PROXY` are not looked at.

use reqwest::Proxy;
use url::{Host, Url};

use super::Options;
use super::guard::Error;
use crate::config::EgressProxy;

/// The client's proxy.
pub(super) fn proxy(proxy: &EgressProxy) -> Proxy {
    let url = proxy.url().clone();
    Proxy::custom(move |target| (!is_direct(target)).then(|| url.clone()))
}

/// Whether a target is called directly all the same: it is this machine.
fn is_direct(target: &Url) -> bool {
    match target.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => true,
    }
}

/// Judges every address of a target that goes by way of the proxy: nobody knows which one that will
/// take. The error says why the call is not made.
pub(super) async fn judge(options: &Options, url: &Url) -> Result<(), String> {
    let name = match url.host() {
        Some(Host::Domain(name)) if options.proxy.is_some() && !is_direct(url) => name,
        // An address was judged already.
        _ => return Ok(()),
    };
    let unknown = |why: &dyn std::fmt::Display| {
        format!("{name} cannot be resolved, so it is not handed to EgressProxy: {why}")
    };
    let found = options.lookup.lookup(name.to_owned()).await.map_err(|e| unknown(&e))?;
    if found.is_empty() {
        return Err(unknown(&"it has no address"));
    }
    let judged = found.iter().try_for_each(|address| options.guard.check_address(address.ip()));
    judged.map_err(|error: Error| error.to_string())
}

//! The site that the web UI is: which requests come from its own pages, and by which way. A session
//! is a cookie, and a browser sends cookies whoever made the request, so every change by a session
//! needs the answer. `api` and `ui` ask; nothing here knows a route.
//!
//! # Which way is secure
//!
//! A browser names the origin of the page with each form: its scheme is the browser's own word on
//! whether it used https, also behind a proxy, which no header of a proxy is needed for. An origin
//! on the browser's own machine is a tunnel (`ssh -L`, a published port of a container), whose
//! browser's end is on no network.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use url::Url;

/// The header in which a browser says where a request comes from (Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";

/// The origin of the web UI, as far as it is configured.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Scheme, host and port of `PublicUrl`.
    origin: Option<String>,
    /// People may sign in over plain http from other machines.
    allows_insecure: bool,
}

impl Site {
    /// The site at a public URL; without one, at whatever address a browser names.
    pub fn new(public_url: Option<&Url>) -> Self {
        let origin = public_url.map(|url| url.origin().ascii_serialization());
        Self { origin, allows_insecure: false }
    }

    /// Lets people sign in over plain http from other machines (`AllowInsecureSignIn`).
    #[must_use]
    pub fn allow_insecure(self, allows_insecure: bool) -> Self {
        Self { allows_insecure, ..self }
    }

    /// Says whether browsers reach it by https alone, so that its cookies may say so.
    pub fn is_secure(&self) -> bool {
        self.origin.as_deref().is_some_and(|origin| origin.starts_with("https://"))
    }

    /// The address to sign in at, where the browser that made a request would drop the cookie of a
    /// session: by http, where cookies say that they need https. Browsers trust their own machine.
    pub fn drops_cookies(&self, headers: &HeaderMap) -> Option<&str> {
        let public = self.origin.as_deref().filter(|_| self.is_secure())?;
        let host = text(headers, header::ORIGIN.as_str())?.strip_prefix("http://")?;
        (!is_local(host)).then_some(public)
    }

    /// Says whether what a form has in it could be read on its way here, and the cookie that is the
    /// answer on its way back; see the head of this file. `address` is where the request came from,
    /// which decides where no browser says anything.
    pub fn is_exposed(&self, headers: &HeaderMap, address: Option<IpAddr>) -> bool {
        if self.allows_insecure {
            return false;
        }
        if let Some(origin) = text(headers, header::ORIGIN.as_str()) {
            return origin.strip_prefix("http://").is_some_and(|host| !is_local(host));
        }
        let is_near = address.is_none_or(|address| address.is_loopback());
        // Browsers send it over https, and to their own machine.
        !is_near && !headers.contains_key(FETCH_SITE)
    }

    /// Says whether a browser made a request over https, so that cookies may say so.
    pub fn came_by_https(&self, headers: &HeaderMap) -> bool {
        let origin = text(headers, header::ORIGIN.as_str());
        self.is_secure() || origin.is_some_and(|origin| origin.starts_with("https://"))
    }

    /// Says whether a request was made by a page of this site, which a change needs. A request that
    /// does not say where it comes from was not.
    pub fn sent(&self, headers: &HeaderMap) -> bool {
        match text(headers, FETCH_SITE) {
            Some(from) => from == "same-origin",
            // Plain http has no such header. Unlike cookies, an origin has a port.
            None => text(headers, header::ORIGIN.as_str())
                .is_some_and(|origin| self.is_own(origin, headers)),
        }
    }

    /// Says whether a request names another site as its origin, which a read must not.
    pub fn is_foreign(&self, headers: &HeaderMap) -> bool {
        let fetch = text(headers, FETCH_SITE);
        let fetched = fetch.is_some_and(|from| !matches!(from, "same-origin" | "none"));
        let origin = text(headers, header::ORIGIN.as_str());
        fetched || origin.is_some_and(|origin| !self.is_own(origin, headers))
    }

    fn is_own(&self, origin: &str, headers: &HeaderMap) -> bool {
        if self.origin.as_deref() == Some(origin) {
            return true;
        }
        let host = text(headers, header::HOST.as_str()).unwrap_or_default();
        let named = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        !host.is_empty() && named.is_some_and(|named| named.eq_ignore_ascii_case(host))
    }
}

/// Says whether a host, with or without a port, is the machine of the browser itself.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    // A value that is no text names no origin of ours.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_change_comes_from_a_page_of_the_site() {
        let public = Url::parse("https://cron.example/").unwrap();
        let (open, named) = (Site::default(), Site::new(Some(&public)));
        assert!(named.is_secure() && !open.is_secure());
        for (given, by_host, by_name) in [
            (vec![], false, false),
            (vec![("sec-fetch-site", "same-origin")], true, true),
            (vec![("sec-fetch-site", "same-site")], false, false),
            (vec![("sec-fetch-site", "cross-site"), ("origin", "http://a:1")], false, false),
            (vec![("sec-fetch-site", "none")], false, false),
            (vec![("origin", "http://a:1")], true, true),
            (vec![("origin", "http://a:2")], false, false),
            (vec![("origin", "http://b:1")], false, false),
            (vec![("origin", "null")], false, false),
            (vec![("origin", "https://cron.example")], false, true),
        ] {
            let mut all = given.clone();
            all.push(("host", "a:1"));
            let headers = headers(&all);
            assert_eq!(open.sent(&headers), by_host, "{given:?}");
            assert_eq!(named.sent(&headers), by_name, "{given:?}");
        }
    }

    #[test]
    fn a_browser_that_came_by_http_is_told_where_cookies_work() {
        let public = Url::parse("https://cron.example/x").unwrap();
        let named = Site::new(Some(&public));
        let from = |origin| headers(&[("origin", origin), ("host", "a:1")]);
        assert_eq!(named.drops_cookies(&from("http://a:1")), Some("https://cron.example"));
        for fine in ["https://cron.example", "http://localhost:9091", "http://127.0.0.1:9091"] {
            assert_eq!(named.drops_cookies(&from(fine)), None, "{fine}");
        }
        assert_eq!(Site::default().drops_cookies(&from("http://a:1")), None);
        assert_eq!(named.drops_cookies(&headers(&[])), None);
    }

    #[test]
    fn a_form_is_exposed_that_came_over_plain_http_from_another_machine() {
        let (near, far) = ("127.0.0.1".parse().ok(), "192.0.2.7".parse().ok());
        let site = Site::default();
        for (given, address, exposed) in [
            (vec![("origin", "http://node1.example:9091")], far, true),
            // A proxy on the node's machine that speaks plain http.
            (vec![("origin", "http://node1.example")], near, true),
            (vec![("origin", "http://localhost.example")], far, true),
            (vec![("origin", "http://127.0.0.1.example:80")], far, true),
            (vec![("origin", "https://node1.example")], far, false),
            // A published port of a container, or a tunnel.
            (vec![("origin", "http://127.0.0.1:9091")], far, false),
            (vec![("origin", "http://localhost:9091")], far, false),
            (vec![("origin", "http://[::1]:9091")], far, false),
            (vec![("sec-fetch-site", "same-origin")], far, false),
            (vec![], far, true),
            (vec![], near, false),
            (vec![], None, false),
        ] {
            assert_eq!(site.is_exposed(&headers(&given), address), exposed, "{given:?}");
            let open = site.clone().allow_insecure(true);
            assert!(!open.is_exposed(&headers(&given), address), "{given:?}");
        }
        assert!(site.came_by_https(&headers(&[("origin", "https://a")])));
        assert!(!site.came_by_https(&headers(&[("origin", "http://a")])));
    }

    #[test]
    fn a_read_may_come_from_a_link_but_not_from_a_script_of_another_site() {
        let site = Site::default();
        for (given, foreign) in [
            (vec![], false),
            (vec![("sec-fetch-site", "none")], false),
            (vec![("sec-fetch-site", "same-origin")], false),
            (vec![("sec-fetch-site", "cross-site")], true),
            (vec![("origin", "http://a:2")], true),
            (vec![("origin", "http://a:1")], false),
        ] {
            let mut all = given.clone();
            all.push(("host", "a:1"));
            assert_eq!(site.is_foreign(&headers(&all)), foreign, "{given:?}");
        }
    }
}

//! `EgressProxy`: the proxy that callbacks leave by. Read by `build`, used by `executor`. Its password is
//! in no message and no listing.

use url::Url;

/// A proxy, with the credentials that it wants.
#[derive(Clone, PartialEq, Eq)]
pub struct EgressProxy {
    url: Url,
}

impl EgressProxy {
    /// From `http://user:password@host:port`; the error quotes nothing of it.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = || {
            "expected http://host:port or http://user:password@host:port (a password percent-encoded), \
             without path and query"
                .to_owned()
        };
        let url = Url::parse(text).map_err(|_| wrong())?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let sound = url.scheme() == "http" && url.has_host() && url.port() != Some(0);
        if bare && sound { Ok(Self { url }) } else { Err(wrong()) }
    }

    /// All of it, credentials too.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Its name or address.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

impl std::fmt::Debug for EgressProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let port = self.url.port_or_known_default().unwrap_or_default();
        write!(f, "EgressProxy(http://{}:{port})", self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_bare_http_url_and_its_password_is_never_shown() {
        let proxy = EgressProxy::read("http://u:hunter2@proxy:3128").unwrap();
        assert_eq!((proxy.host(), proxy.url().password()), ("proxy", Some("hunter2")));
        let shown = format!("{proxy:?}");
        assert!(shown.contains("proxy:3128") && !shown.contains("hunter2"), "{shown}");
        for bad in
            ["proxy:3128", "socks5://hunter2", "http://a/hunter2", "http://a:0", "https://a:1"]
        {
            let message = EgressProxy::read(bad).unwrap_err();
            assert!(
                message.contains("http://host:port") && !message.contains("hunter2"),
                "{message}"
            );
        }
    }
}

//! `EgressProxy`: the proxy that callbacks leave by. `build` reads it, `executor` uses it. No
//! message and no listing contains its password.

use url::Url;

/// A proxy, with the credentials that it wants.
#[derive(Clone, PartialEq, Eq)]
pub struct EgressProxy {
    url: Url,
}

impl EgressProxy {
    /// Parses `http://user:password@host:port`. The error quotes nothing of the text.
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

    /// The whole URL, with its credentials.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The name or address of the proxy.
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

//! The listeners of a port: the sockets of all addresses of a configured name, accepted from as
//! one. `node` binds them; `serve` accepts from them.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::Instant;

/// The time between two attempts to resolve a name.
const RESOLVE_RETRY: Duration = Duration::from_millis(250);

/// The reason why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name service knows no address.
    #[error("the name does not resolve ({0}): check it, and the name service of this machine")]
    Resolve(String),
    /// The system refuses to bind the address.
    #[error("it cannot be listened on: {0}")]
    Bind(String),
}

/// One or several sockets that are accepted from as one.
#[derive(Debug)]
pub struct Listeners(Vec<TcpListener>);

impl Listeners {
    /// Listens on each address of `host:port`. A name that does not resolve is looked up again
    /// until `patience` is over, since the names of containers appear with the containers.
    pub async fn bind(address: &str, patience: Duration) -> Result<Self, Error> {
        let deadline = Instant::now() + patience;
        let mut said = false;
        loop {
            let why = match lookup_host(address).await {
                // In order, IPv4 comes first: its port is the one that is shown.
                Ok(found) => match found.collect::<BTreeSet<_>>() {
                    found if found.is_empty() => "it has no address".to_owned(),
                    found => return Self::bind_all(found).await,
                },
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(Error::Resolve(why));
            }
            if !said {
                let seconds = patience.as_secs();
                tracing::warn!(
                    address,
                    why,
                    "a name to listen on does not resolve: trying again for {seconds} s"
                );
                said = true;
            }
            tokio::time::sleep(RESOLVE_RETRY).await;
        }
    }

    /// Binds all addresses. An address that this machine does not have is left out if another one
    /// can be bound, as a name may have an IPv6 address where IPv6 is switched off.
    async fn bind_all(addresses: BTreeSet<SocketAddr>) -> Result<Self, Error> {
        let mut bound: Vec<TcpListener> = Vec::new();
        let mut missing = None;
        for mut address in addresses {
            // Port 0 takes a free port, and all addresses have the same one.
            if let Some(first) = bound.first().and_then(|first| first.local_addr().ok()) {
                address.set_port(first.port());
            }
            match TcpListener::bind(address).await {
                Ok(listener) => bound.push(listener),
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    missing = Some(format!("{address} is no address of this machine"));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    let message = format!("another process listens on {address} ({error})");
                    return Err(Error::Bind(message));
                }
                Err(error) => return Err(Error::Bind(format!("{address}: {error}"))),
            }
        }
        match missing {
            Some(missing) if bound.is_empty() => Err(Error::Bind(missing)),
            Some(missing) => {
                tracing::warn!("{missing}: it is not listened on");
                Ok(Self(bound))
            }
            None => Ok(Self(bound)),
        }
    }

    /// The first of its addresses.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let first = self.0.first().ok_or(io::ErrorKind::NotConnected)?;
        first.local_addr()
    }

    /// The next connection on any of the addresses.
    pub async fn accept_any(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| {
            for listener in &self.0 {
                if let Poll::Ready(accepted) = listener.poll_accept(context) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The sockets, in non-blocking mode.
    pub fn into_std(self) -> Vec<std::net::TcpListener> {
        self.0.into_iter().filter_map(|listener| listener.into_std().ok()).collect()
    }
}

impl From<TcpListener> for Listeners {
    fn from(listener: TcpListener) -> Self {
        Self(vec![listener])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_are_listened_on_at_one_port() {
        let addresses = ["127.0.0.1:0", "127.0.0.2:0"].map(|a| a.parse().unwrap());
        let listeners = Listeners::bind_all(addresses.into()).await.unwrap();
        let port = listeners.address().unwrap().port();
        for host in ["127.0.0.1", "127.0.0.2"] {
            let (client, server) =
                tokio::join!(TcpStream::connect((host, port)), listeners.accept_any());
            assert_eq!(client.unwrap().local_addr().unwrap(), server.unwrap().1);
        }
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_left_out_if_one_is_there() {
        let elsewhere: SocketAddr = "192.0.2.1:0".parse().unwrap();
        let here: SocketAddr = "127.0.0.1:0".parse().unwrap();
        assert!(Listeners::bind_all([elsewhere, here].into()).await.is_ok());
        let refused = Listeners::bind_all([elsewhere].into()).await.unwrap_err().to_string();
        assert!(refused.contains("no address of this machine"), "{refused}");
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_said_to_be_that_once() {
        let patience = Duration::from_millis(300);
        let error = Listeners::bind("no.such.host.invalid:1", patience).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("does not resolve"), "{text}");
        assert!(std::error::Error::source(&error).is_none(), "it would be said twice");
        let taken = Listeners::bind("127.0.0.1:0", patience).await.unwrap();
        let address = taken.address().unwrap().to_string();
        let text = Listeners::bind(&address, patience).await.unwrap_err().to_string();
        assert!(text.contains("another process listens on"), "{text}");
        assert_eq!(text.matches("os error").count(), 1, "{text}");
    }
}

//! Opens connections: name, guard, TCP, the configured proxy, TLS. `client` calls it where no
//! connection is kept. It sends nothing of a request.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::Service as _;
use url::{Host, Position, Url};

use super::connection::Connection;
use super::egress;
use super::meter::Meter;
use super::options::Options;
use super::request::OutgoingRequest;
use crate::executor::outbound::guarded_resolver::GuardedResolver;
use crate::executor::outbound::lookup::patience;
use crate::executor::outbound::tcp;

/// The connector.
pub(super) struct Connector {
    resolver: GuardedResolver,
    proxy: Option<Proxy>,
    timeout: Duration,
}

/// The proxy, as a request needs it.
struct Proxy {
    uri: Uri,
    /// The value of `Proxy-Authorization`.
    credentials: Option<HeaderValue>,
}

/// The reason why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// None was made within the time for it.
    #[error("timeout: no connection")]
    Timeout,
    /// An error of the system, the guard, the proxy or TLS.
    #[error("no connection")]
    Failed(#[source] Box<dyn StdError + Send + Sync>),
}

impl Connector {
    /// A connector; an error where the proxy cannot be written as an address.
    pub(super) fn new(options: &Options) -> Result<Self, String> {
        let proxy = options.proxy.as_ref();
        let resolver = GuardedResolver {
            patience: patience(options.connect_timeout),
            guard: options.guard.clone(),
            lookup: Arc::clone(&options.lookup),
            member_guard: Arc::clone(&options.member_guard),
            proxy: proxy.map(|proxy| proxy.host().into()),
            // Each call sets its own.
            project: 0,
            scheme: "http",
            port: 0,
        };
        let proxy = proxy.map(|proxy| {
            let uri = origin(proxy.url()).map_err(|error| format!("EgressProxy: {error}"))?;
            Ok::<_, String>(Proxy { uri, credentials: egress::credentials(proxy) })
        });
        Ok(Self { resolver, proxy: proxy.transpose()?, timeout: options.connect_timeout })
    }

    /// A TCP connector for a request.
    fn tcp(&self, request: &OutgoingRequest) -> HttpConnector<GuardedResolver> {
        let OutgoingRequest { url, project, guard, .. } = request;
        tcp::connector(GuardedResolver {
            project: *project,
            guard: guard.clone(),
            scheme: if url.scheme() == "https" { "https" } else { "http" },
            port: url.port_or_known_default().unwrap_or_default(),
            ..self.resolver.clone()
        })
    }

    /// Whether a request goes to the proxy itself, which then wants the whole URL, and the value of
    /// `Proxy-Authorization` for it. (An `https` target is reached through a tunnel.)
    pub(super) fn forwards(&self, url: &Url) -> (bool, Option<&HeaderValue>) {
        let forwarded = url.scheme() == "http" && !egress::is_direct(url);
        let proxy = self.proxy.as_ref().filter(|_| forwarded);
        (proxy.is_some(), proxy.and_then(|proxy| proxy.credentials.as_ref()))
    }

    /// A connection to the origin of a request. An `https` URL needs `tls`.
    pub(super) async fn open(
        &self,
        to: &OutgoingRequest,
        tls: Option<Arc<ClientConfig>>,
        now: u64,
    ) -> Result<Connection, Error> {
        let open = tokio::time::timeout(self.timeout, self.connect(to, tls, now));
        open.await.map_err(|_| Error::Timeout)?.map_err(Error::Failed)
    }

    async fn connect(
        &self,
        request: &OutgoingRequest,
        tls: Option<Arc<ClientConfig>>,
        now: u64,
    ) -> Result<Connection, Box<dyn StdError + Send + Sync>> {
        let url = &request.url;
        let target = origin(url)?;
        let proxy = self.proxy.as_ref().filter(|_| !egress::is_direct(url));
        let mut tcp = self.tcp(request);
        let stream: TokioIo<TcpStream> = match proxy {
            None => tcp.call(target).await?,
            Some(proxy) if tls.is_none() => tcp.call(proxy.uri.clone()).await?,
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri.clone(), tcp);
                if let Some(credentials) = &proxy.credentials {
                    tunnel = tunnel.with_auth(credentials.clone());
                }
                tunnel.call(target).await?
            }
        };
        let stream = stream.into_inner();
        let is_hidden = match stream.peer_addr() {
            // What is behind the proxy was judged before.
            _ if proxy.is_some() => false,
            Ok(peer) => request.guard.hides_answers(peer.ip()),
            // It is broken already, and brings no answer.
            Err(_) => true,
        };
        let Some(tls) = tls else {
            let (stream, meter) = Meter::over(stream);
            let mut connection = Connection::over(stream, meter, now).await?;
            connection.is_hidden = is_hidden;
            return Ok(connection);
        };
        let (stream, below) = Meter::below_tls(stream);
        let stream = TlsConnector::from(tls).connect(name(url)?, stream).await?;
        let (stream, meter) = below.above(stream);
        let mut connection = Connection::over(stream, meter, now).await?;
        connection.is_hidden = is_hidden;
        Ok(connection)
    }
}

/// Scheme, host and port of a URL.
fn origin(url: &Url) -> Result<Uri, hyper::http::uri::InvalidUri> {
    format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPort]).parse()
}

/// The name that the certificate of the host of a URL must bear.
fn name(url: &Url) -> Result<ServerName<'static>, Box<dyn StdError + Send + Sync>> {
    match url.host() {
        Some(Host::Domain(name)) => Ok(ServerName::try_from(name.to_owned())?),
        Some(Host::Ipv4(ip)) => Ok(ServerName::IpAddress(ip.into())),
        Some(Host::Ipv6(ip)) => Ok(ServerName::IpAddress(ip.into())),
        None => Err("the URL names no host".into()),
    }
}

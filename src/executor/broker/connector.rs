//! Opens transports to brokers: name, guards, TCP, TLS. `connection` calls it. It sends nothing of
//! AMQP. A proxy (`EgressProxy`) is for HTTP: where one is set, nothing is connected to.

use std::sync::Arc;

use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::Service as _;
use url::{Host, Url};

use super::failure::Unconnected;
use super::options::ConnectOptions;
use super::returns::Returns;
use super::role::Role;
use super::transport::{Cut, Stream, Transport};
use crate::executor::amqp::Broker;
use crate::executor::outbound::error_text::chain;
use crate::executor::outbound::guarded_resolver::{GuardedResolver, Refused};
use crate::executor::outbound::local_error::LocalError;
use crate::executor::outbound::lookup::patience;
use crate::executor::outbound::member_guard::{self, Asked};
use crate::executor::outbound::{tcp, tls};
use crate::model::ProjectId;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A transport to a broker, for a call of a project. `cut` cuts it, `returns` takes what comes
/// back.
pub(crate) async fn connect(
    (options, role): (&ConnectOptions, Role),
    broker: &Broker,
    project: ProjectId,
    (cut, returns): (&Arc<Cut>, &Arc<Returns>),
) -> Result<Transport, Unconnected> {
    if options.by_proxy {
        return Err(Unconnected::ByProxy);
    }
    let place = options.places.take(project).ok_or(Unconnected::Full)?;
    let opening = tokio::time::timeout(options.connect_timeout, open(options, broker, project));
    let stream = match opening.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unconnected(&*error, broker)),
        Err(_) => {
            let text = format!("timeout: no connection within {:?}", options.connect_timeout);
            return Err(Unconnected::Unreached { text, anybody: false });
        }
    };
    Ok(Transport::new(stream, role, (Arc::clone(cut), Arc::clone(returns)), place))
}

fn unconnected(error: &(dyn std::error::Error + 'static), broker: &Broker) -> Unconnected {
    match LocalError::find(error) {
        Some(local) => Unconnected::Local(local),
        // With an authority of its own it may be the fault of the executor.
        None => Unconnected::Unreached {
            text: Refused::find(error)
                .map_or_else(|| format!("no connection: {}", chain(error)), ToString::to_string),
            anybody: broker.ca.is_empty(),
        },
    }
}

async fn open(
    options: &ConnectOptions,
    broker: &Broker,
    project: ProjectId,
) -> Result<Stream, BoxError> {
    let (url, address) = address(broker)?;
    let boot = options.clock.boot();
    let wait = patience(options.connect_timeout);
    options.guard.check_broker(&url).map_err(Refused)?;
    let scheme = if broker.tls { "amqps" } else { "amqp" };
    let with_apis = options.guard.keeps_from_apis(&url, scheme);
    let asked = Asked { url: &url, project, with_apis };
    // Held until the connection is made.
    let admitted = options.member_guard.admit(asked, &*options.lookup, (wait, boot));
    let _exclusion = admitted.await.map_err(|error| match error {
        member_guard::Error::Unknown(cause) => cause,
        member_guard::Error::Member => error.into(),
    })?;
    let resolver = GuardedResolver {
        patience: wait,
        guard: options.guard.clone(),
        lookup: Arc::clone(&options.lookup),
        project,
        scheme,
        port: broker.port,
        member_guard: Arc::clone(&options.member_guard),
        proxy: None,
    };
    let mut tcp: HttpConnector<GuardedResolver> = tcp::connector(resolver);
    let stream: TcpStream = tcp.call(address).await?.into_inner();
    if !broker.tls {
        return Ok(Stream::Plain(stream));
    }
    let ca = broker.ca.clone();
    // Reads the authorities of the machine.
    let config = tokio::task::spawn_blocking(move || tls::with_further_roots(&ca)).await??;
    let stream = TlsConnector::from(Arc::new(config)).connect(name(&url)?, stream).await?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// The address of a broker, for the guards and for the connector.
fn address(broker: &Broker) -> Result<(Url, Uri), BoxError> {
    let host = match broker.host.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]"),
        Err(_) => broker.host.clone(),
    };
    // The scheme makes the URL's host an address where it is one (WHATWG URL).
    let scheme = if broker.tls { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{host}:{}/", broker.port))?;
    let host = url.host_str().ok_or("the URL must name a host")?;
    let address = format!("amqp://{host}:{}", broker.port).parse()?;
    Ok((url, address))
}

/// The name that the broker's certificate must bear.
fn name(url: &Url) -> Result<ServerName<'static>, BoxError> {
    match url.host() {
        Some(Host::Domain(name)) => Ok(ServerName::try_from(name.to_owned())?),
        Some(Host::Ipv4(ip)) => Ok(ServerName::IpAddress(ip.into())),
        Some(Host::Ipv6(ip)) => Ok(ServerName::IpAddress(ip.into())),
        None => Err("the URL names no host".into()),
    }
}

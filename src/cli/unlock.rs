//! What somebody is told who talks to a node without its secrets. Called where a command has found
//! none; it writes nothing, and asks the node only whether it is there.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use super::Failure;
use crate::secret;

/// How long a node may take to say that it is there.
const PATIENCE: Duration = Duration::from_millis(500);

/// The error of a command that found no credentials. Where a node answers it has its own already: new
/// ones would not open it.
pub(super) fn advice(error: secret::Error, url: &str) -> anyhow::Error {
    let secret::Error::Missing { key, variable, places } = &error else { return error.into() };
    if !is_node(url) {
        return error.into();
    }
    Failure::Usage(format!(
        "{key} is not set, but a node runs at {url}: use its credentials. Run the command in the \
         folder that it was started in (or the one above `scheduler0-dev`), copy its {} here, or set \
         {variable} (looked in {places})",
        secret::FILE
    ))
    .into()
}

/// Whether a node answers at a URL.
fn is_node(url: &str) -> bool {
    let answer = || -> Option<bool> {
        let url = url::Url::parse(url).ok()?;
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        let address = (host.trim_matches(['[', ']']), port).to_socket_addrs().ok()?.next()?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let ask =
            format!("GET /livez HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).ok()?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).ok()?;
        Some(status.starts_with(b"HTTP/1.1 200"))
    };
    answer().unwrap_or(false)
}

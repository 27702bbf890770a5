//! Asks the node of this configuration whether it is alive or ready. For health checks of
//! containers, and for commands that find no credentials. It needs no secret, sends none, and reads
//! only the status line of the answer.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use clap::ValueEnum;

use super::Failure;
use super::output::say;

/// The longest time to connect, and again to an answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The questions that a probe can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Probe {
    /// The process answers
    Live,
    /// It can serve: it knows a leader, and has caught up
    Ready,
}

impl Probe {
    fn path(self) -> &'static str {
        match self {
            Self::Live => "/livez",
            Self::Ready => "/readyz",
        }
    }
}

/// Exit code 0 where the node says yes, 1 where it says no, 4 where nothing answers.
pub(super) fn run(probe: Probe, url: &str) -> anyhow::Result<()> {
    let path = probe.path();
    match status(url, path, TIMEOUT) {
        Ok(200) => {
            say(&format!("{url}{path}: yes"));
            Ok(())
        }
        Ok(status) => anyhow::bail!("{url}{path}: no (HTTP {status})"),
        Err(reason) => Err(Failure::Unreachable { url: url.to_owned(), reason }.into()),
    }
}

/// The status of a GET without credentials.
pub(super) fn status(url: &str, path: &str, patience: Duration) -> Result<u16, String> {
    let parsed = url::Url::parse(url).map_err(|e| e.to_string())?;
    let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else {
        return Err("it is no URL of a host".to_owned());
    };
    if parsed.scheme() != "http" {
        return Err("only http can be probed".to_owned());
    }
    let said = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            "no answer in time".to_owned()
        }
        _ => e.to_string(),
    };
    let mut addresses = (host.trim_matches(['[', ']']), port).to_socket_addrs().map_err(said)?;
    let address = addresses.next().ok_or_else(|| "the name has no address".to_owned())?;
    let mut stream = TcpStream::connect_timeout(&address, patience).map_err(said)?;
    stream.set_read_timeout(Some(patience)).map_err(said)?;
    stream.set_write_timeout(Some(patience)).map_err(said)?;
    let ask = format!("GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).map_err(said)?;
    let mut line = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut line).map_err(said)?;
    let digits = line.strip_prefix(b"HTTP/1.1 ").and_then(|d| std::str::from_utf8(d).ok());
    digits.and_then(|d| d.parse().ok()).ok_or_else(|| "it does not speak HTTP".to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers one request.
    fn answering(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 512];
            let n = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        (url, server)
    }

    #[test]
    fn a_probe_says_what_the_node_says() {
        for (answer, code) in [
            ("HTTP/1.1 200 OK\r\n\r\n", None),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Some(1)),
            ("SSH-2.0-OpenSSH_9.2", Some(4)),
            ("HT", Some(4)),
        ] {
            let (url, server) = answering(answer);
            let outcome = run(Probe::Ready, &url);
            assert_eq!(outcome.as_ref().err().map(Failure::code), code, "{answer}: {outcome:?}");
            let asked = server.join().unwrap();
            assert!(asked.starts_with("GET /readyz HTTP/1.1\r\nhost: 127.0.0.1:"), "{asked}");
            assert!(!asked.to_lowercase().contains("authorization"), "{asked}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = run(Probe::Live, &format!("http://{closed}")).unwrap_err();
        assert_eq!(Failure::code(&error), 4);
    }
}

//! The port on this machine to which the provider sends the browser back (RFC 8252, section 7.3).
//! It takes one answer, which `code_flow` checks, and shows the browser how that went.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use url::form_urlencoded;

use super::callback_page::page;
use crate::cli::Failure;

/// The longest time for the browser to get its page.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The path of the redirect URI.
const PATH: &str = "/callback";

/// The answer of the provider, as the browser brought it.
pub(super) struct Callback {
    parameters: Vec<(String, String)>,
    /// Takes the sentence that the browser shows.
    shown: oneshot::Sender<String>,
}

/// The open port.
pub(super) struct CallbackPort {
    port: u16,
    answers: mpsc::Receiver<Callback>,
    stop: watch::Sender<bool>,
    servers: JoinSet<io::Result<()>>,
}

impl Callback {
    /// A parameter of the answer.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Shows a sentence in the browser.
    pub(super) fn show(self, sentence: &str) {
        // A browser that has left is not told.
        let _ = self.shown.send(sentence.to_owned());
    }
}

impl CallbackPort {
    /// Opens the port on the loopback addresses alone; 0 is any free one.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] where another program has it.
    pub(super) async fn open(port: u16) -> anyhow::Result<Self> {
        let listen = async |ip: IpAddr, port: u16| TcpListener::bind((ip, port)).await;
        let taken = |e: &io::Error| Failure::Usage(not_free(port, e));
        let first = listen(Ipv4Addr::LOCALHOST.into(), port).await.map_err(|e| taken(&e))?;
        let port = first.local_addr()?.port();
        let mut listeners = vec![first];
        // `localhost` may be either. Another program there would get the code in our place.
        match listen(Ipv6Addr::LOCALHOST.into(), port).await {
            Ok(second) => listeners.push(second),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => return Err(taken(&e).into()),
            // The machine has no IPv6.
            Err(_) => {}
        }
        let (sender, answers) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let mut servers = JoinSet::new();
        for listener in listeners {
            let router = Router::new().route(PATH, get(take)).with_state(sender.clone());
            let mut stopped = stopped.clone();
            let ended = async move { drop(stopped.wait_for(|stop| *stop).await) };
            let server = axum::serve(listener, router).with_graceful_shutdown(ended);
            servers.spawn(async move { server.await });
        }
        Ok(Self { port, answers, stop, servers })
    }

    /// The redirect URI.
    pub(super) fn redirect_uri(&self) -> String {
        format!("http://localhost:{}{PATH}", self.port)
    }

    /// Waits for the answer.
    pub(super) async fn answer(&mut self) -> Option<Callback> {
        self.answers.recv().await
    }

    /// Closes the port, once the browser has its page.
    pub(super) async fn close(self) {
        let Self { stop, answers, mut servers, .. } = self;
        drop(answers);
        let _ = stop.send(true);
        let served = async { while servers.join_next().await.is_some() {} };
        // A browser that reads nothing is left without its page.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, served).await;
    }
}

fn not_free(port: u16, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        return format!(
            "port {port} of this machine is taken, and the provider would send the browser there: \
             end what uses it (`ss -ltnp` shows it; another login?), or give --port, if the client \
             is registered with http://localhost:PORT/callback for that port too"
        );
    }
    format!("port {port} of this machine cannot be used: {error}; give another one with --port")
}

/// Hands the first answer on. Later ones change nothing.
async fn take(
    State(answers): State<mpsc::Sender<Callback>>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let parameters = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let (shown, sentence) = oneshot::channel();
    let over = "This login is over already. You may close this page.";
    if answers.try_send(Callback { parameters, shown }).is_err() {
        return page(over);
    }
    page(&sentence.await.unwrap_or_else(|_| over.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_port_of_another_program_is_refused_with_the_way_out() {
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = other.local_addr().unwrap().port();
        let refused = CallbackPort::open(port).await.err().unwrap();
        assert_eq!(Failure::code(&refused), 2);
        let said = refused.to_string();
        assert!(said.contains(&format!("port {port} of this machine is taken")), "{said}");
        assert!(said.contains("--port"), "{said}");
    }

    #[tokio::test]
    async fn the_browser_is_shown_the_outcome_as_text() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut port = CallbackPort::open(0).await.unwrap();
        let url = port.redirect_uri().replace("localhost", "127.0.0.1");
        let browser = tokio::spawn(async move {
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            let answer = http.get(format!("{url}?code=c%20d&state=s")).send().await.unwrap();
            assert_eq!(answer.headers()["cache-control"], "no-store");
            answer.text().await.unwrap()
        });
        let callback = port.answer().await.unwrap();
        assert_eq!(callback.parameter("code"), Some("c d"));
        assert_eq!((callback.parameter("state"), callback.parameter("x")), (Some("s"), None));
        callback.show("<b>no</b>");
        port.close().await;
        let shown = browser.await.unwrap();
        assert!(shown.contains("&lt;b&gt;no"), "{shown}");
    }
}

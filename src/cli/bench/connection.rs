//! A keep-alive connection that posts one body after the other in one task. `load` has one for each
//! request under way when jobs are created one by one. Client and nodes share the machine, so the
//! client has to be cheap: its processor time is missing from the measurement.

use std::pin::Pin;

use anyhow::Context;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use hyper::client::conn::http1::{Connection as HttpConnection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

/// The longest answer that is read, in bytes.
const ANSWER: usize = 1 << 20;

type Wire = Pin<Box<HttpConnection<TokioIo<TcpStream>, Body>>>;

/// One connection to a node.
pub(super) struct Connection {
    sender: SendRequest<Body>,
    wire: Wire,
    path: String,
    headers: HeaderMap,
}

/// The answer to a request.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Connection {
    /// Connects. The headers go with each request; the URL has to be a plain `http` one.
    pub(super) async fn open(url: &Url, mut headers: HeaderMap) -> anyhow::Result<Self> {
        let host = url.host_str().context("a URL without a host")?;
        let port = url.port_or_known_default().context("a URL without a port")?;
        headers.insert(HOST, HeaderValue::from_str(&format!("{host}:{port}"))?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        stream.set_nodelay(true)?;
        let (sender, wire) = handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, wire: Box::pin(wire), path: url.path().to_owned(), headers })
    }

    /// Posts a body and reads the whole answer.
    pub(super) async fn post(&mut self, body: String) -> anyhow::Result<Answer> {
        let mut request = Request::post(self.path.as_str()).body(Body::from(body))?;
        request.headers_mut().clone_from(&self.headers);
        carried(&mut self.wire, self.sender.ready()).await??;
        let response = carried(&mut self.wire, self.sender.send_request(request)).await??;
        let (head, body) = response.into_parts();
        let body = carried(&mut self.wire, to_bytes(Body::new(body), ANSWER)).await??;
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

/// Waits for something that comes over the wire.
async fn carried<T>(wire: &mut Wire, what: impl Future<Output = T>) -> anyhow::Result<T> {
    let mut what = std::pin::pin!(what);
    tokio::select! {
        biased;
        ended = wire => {
            ended?;
            // An answer that was read before the end may be complete.
            tokio::select! {
                biased;
                done = &mut what => Ok(done),
                () = std::future::ready(()) => anyhow::bail!("the node closed the connection"),
            }
        }
        done = &mut what => Ok(done),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::post;

    use super::*;

    #[tokio::test]
    async fn bodies_go_over_one_connection_one_after_the_other() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/echo", listener.local_addr().unwrap());
        let echo = |headers: HeaderMap, body: String| async move {
            assert_eq!(headers[CONTENT_TYPE], "application/json");
            (StatusCode::ACCEPTED, [("location", headers["x-who"].clone())], body)
        };
        let router = Router::new().route("/echo", post(echo));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static("x-who"),
            HeaderValue::from_static("me"),
        )]);
        let mut connection = Connection::open(&Url::parse(&url).unwrap(), headers).await.unwrap();
        for body in ["one", "", "three"] {
            let answer = connection.post(body.to_owned()).await.unwrap();
            assert_eq!((answer.status, &answer.body[..]), (StatusCode::ACCEPTED, body.as_bytes()));
            assert_eq!(answer.headers["location"], "me");
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_connection_that_ends_is_an_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let (opened, accepted) =
            tokio::join!(Connection::open(&url, HeaderMap::new()), listener.accept());
        let mut connection = opened.unwrap();
        drop(accepted.unwrap());
        assert!(connection.post("one".to_owned()).await.is_err());
    }
}

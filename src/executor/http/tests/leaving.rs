//! The path between a node and a receiver: the TLS of a target, the proxy, and members' Raft ports.

use std::io::ErrorKind;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::*;
use crate::executor::member_guard::OwnAddresses;
use crate::executor::raft_addresses::RaftAddresses;
use crate::executor::tls::Identity;

/// Reads the head of a request and answers 200; returns the head.
async fn answer_one(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 1_024];
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&piece[..length]);
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    stream.write_all(answer).await?;
    stream.shutdown().await?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A receiver that shows a certificate, and requires one of `ca` if that is given.
async fn serve_tls(shown: (&str, &str), ca: Option<&str>) -> String {
    let acceptor = TlsAcceptor::from(Arc::new(certs::server(shown, ca)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The caller reports a handshake that fails.
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = answer_one(stream).await;
            }
        }
    });
    format!("https://{address}/")
}

#[expect(clippy::unnecessary_wraps, reason = "as a call has it")]
pub(super) fn identity(ca: &str, cert: &str, key: &str) -> Option<Arc<Identity>> {
    let key = Zeroizing::new(key.to_owned());
    Some(Arc::new(Identity::new(ca.to_owned(), cert.to_owned(), key)))
}

async fn ask(executor: &Executor, url: &str, tls: Option<Arc<Identity>>) -> Attempt {
    answer(within("an answer", executor.call(Call { tls, ..call(url) })).await)
}

#[tokio::test]
async fn a_receiver_is_verified_by_the_targets_own_authority_and_shown_its_certificate() {
    let executor = executor(Options::default());
    let plain = serve_tls(certs::SERVER, None).await;
    assert_eq!(ask(&executor, &plain, identity(certs::CA, "", "")).await.code.http_code(), 200);
    let unknown = ask(&executor, &plain, None).await;
    assert_eq!(unknown.code.http_code(), 0, "the machine knows no such authority: {unknown:?}");
    let other = ask(&executor, &plain, identity(certs::LEAF.0, "", "")).await;
    assert_eq!(other.code.http_code(), 0, "{other:?}");

    let strict = serve_tls(certs::SERVER, Some(certs::CA)).await;
    let shown = identity(certs::CA, certs::CLIENT.0, certs::CLIENT.1);
    assert_eq!(ask(&executor, &strict, shown).await.code.http_code(), 200);
    let bare = ask(&executor, &strict, identity(certs::CA, "", "")).await;
    assert_eq!(bare.code.http_code(), 0, "no certificate was shown: {bare:?}");
}

#[tokio::test]
async fn a_certificate_of_its_own_is_taken_or_refused_in_words() {
    let executor = executor(Options::default());
    let leaf = serve_tls(certs::LEAF, None).await;
    let taken = ask(&executor, &leaf, identity(certs::LEAF.0, "", "")).await;
    assert_eq!(taken.code.http_code(), 200, "{taken:?}");
    let own = serve_tls(certs::OWN, None).await;
    let refused = ask(&executor, &own, identity(certs::OWN.0, "", "")).await;
    let error = refused.error.unwrap();
    assert!(error.contains("CA:TRUE") && error.contains("CA:FALSE"), "{error}");
}

/// Names and their addresses; a name without addresses stands for a name server that is down.
pub(super) struct Names(pub(super) Vec<(&'static str, Vec<&'static str>)>);

impl Lookup for Names {
    fn lookup(&self, name: String, _: ProjectId) -> LookupFuture {
        let found = self.0.iter().find(|(known, _)| *known == name).map(|(_, ips)| ips.clone());
        Box::pin(async move {
            let ips = match found {
                Some(ips) if ips.is_empty() => {
                    return Err(std::io::Error::other("Temporary failure in name resolution"));
                }
                found => found.ok_or_else(|| std::io::Error::other("no such name"))?,
            };
            Ok(ips.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect())
        })
    }
}

#[tokio::test]
async fn calls_leave_by_the_proxy_after_their_target_was_checked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, mut heads) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(head) = answer_one(stream).await {
                tell.send(head).unwrap();
            }
        }
    });
    let names = vec![
        ("proxy.test", vec!["127.0.0.1"]),
        ("good.test", vec!["93.184.216.34"]),
        ("mixed.test", vec!["93.184.216.34", "169.254.169.254"]),
        ("private.test", vec!["10.0.0.1"]),
    ];
    let proxy = format!("http://user:p%40ss@proxy.test:{port}");
    let executor = executor(Options {
        guard: TargetGuard {
            allow_loopback: false,
            allow_private: false,
            ..TargetGuard::default()
        },
        lookup: Arc::new(Names(names)),
        proxy: Some(EgressProxy::read(&proxy).unwrap()),
        ..Options::default()
    });
    let done = ask(&executor, "http://good.test:81/x?y=z", None).await;
    assert_eq!(done.code.http_code(), 200, "{done:?}");
    let head = heads.recv().await.unwrap().to_lowercase();
    assert!(head.starts_with("post http://good.test:81/x?y=z http/1.1\r\n"), "{head}");
    // user:p@ss
    assert!(head.contains("\r\nproxy-authorization: basic dxnlcjpwqhnz\r\n"), "{head}");

    // The proxy is asked for a tunnel. Its answer is not TLS, so the call fails.
    let tunnel = ask(&executor, "https://good.test/", None).await;
    let error = tunnel.error.unwrap_or_default();
    assert!(
        tunnel.code.http_code() == 0 && !error.contains("p%40ss") && !error.contains("p@ss"),
        "{error}"
    );
    let head = heads.recv().await.unwrap().to_lowercase();
    assert!(head.starts_with("connect good.test:443 http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nproxy-authorization: basic dxnlcjpwqhnz\r\n"), "{head}");

    for (url, why) in [
        ("http://mixed.test/", "169.254.169.254"),
        ("http://private.test/", "a private address"),
        ("https://unknown.test/", "cannot be resolved"),
        ("http://10.0.0.1/", "a private address"),
    ] {
        let refused = ask(&executor, url, None).await;
        let error = refused.error.unwrap();
        assert!(!refused.sent && error.contains(why), "{url}: {error}");
    }
    assert!(heads.try_recv().is_err(), "nothing of these reached the proxy");
}

#[tokio::test]
async fn a_proxy_is_not_sent_to_its_own_machine() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let names = vec![("here.test", vec!["93.184.216.34", "127.0.0.1"]), ("down.test", vec![])];
    let executor = executor(Options {
        lookup: Arc::new(Names(names)),
        proxy: Some(EgressProxy::read(&format!("http://127.0.0.1:{port}")).unwrap()),
        ..Options::default()
    });
    for url in ["http://here.test/", "http://[::ffff:127.0.0.1]/", "https://here.test/"] {
        let refused = ask(&executor, url, None).await;
        let error = refused.error.unwrap();
        assert!(!refused.sent && error.contains("a loopback address"), "{url}: {error}");
    }
    let reply = within("an answer", executor.call(call("http://down.test/"))).await;
    assert!(matches!(reply, Reply::Refused { obstacle: Obstacle::Node(_), .. }), "{reply:?}");
    assert!(listener.accept().now_or_never().is_none(), "the proxy was not asked");
}

#[tokio::test]
async fn this_machine_is_called_past_the_proxy() {
    let address = serve(Router::new().route("/callback", post(async || "here"))).await;
    let executor = executor(Options {
        // Nothing listens there.
        proxy: Some(EgressProxy::read("http://127.0.0.1:9").unwrap()),
        ..Options::default()
    });
    let done = ask(&executor, &format!("http://{address}/callback"), None).await;
    assert_eq!((done.code.http_code(), &done.body[..]), (200, &b"here"[..]));
}

/// A resolver that answers differently each time; the last answer stays.
struct Rebinding(Mutex<Vec<&'static str>>);

impl Lookup for Rebinding {
    fn lookup(&self, _: String, _: ProjectId) -> LookupFuture {
        let mut answers = self.0.lock().unwrap();
        let ip = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
        Box::pin(async move { Ok(vec![SocketAddr::new(ip.parse().unwrap(), 0)]) })
    }
}

/// A guard of these Raft addresses.
fn guard_of(addresses: &[&str]) -> Arc<MemberGuard> {
    let raft = RaftAddresses::new(addresses.iter().copied());
    let members = OwnAddresses { raft, ..OwnAddresses::default() };
    Arc::new(MemberGuard::new(Arc::new(move || members.clone())))
}

#[tokio::test]
async fn a_name_that_leads_to_a_member_by_the_time_of_the_connection_is_not_followed() {
    let raft = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = raft.local_addr().unwrap().port();
    let url = format!("http://sly.test:{port}/raft/vote");
    for answers in [vec!["127.0.0.1"], vec!["93.184.216.34", "127.0.0.1"], vec!["::ffff:7f00:1"]] {
        let executor = executor(Options {
            member_guard: guard_of(&[&format!("127.0.0.1:{port}")]),
            lookup: Arc::new(Rebinding(Mutex::new(answers.clone()))),
            ..Options::default()
        });
        let refused = ask(&executor, &url, None).await;
        let error = refused.error.unwrap();
        assert!(
            !refused.sent && error.contains("Raft address of a member"),
            "{answers:?}: {error}"
        );
    }
    assert!(raft.accept().now_or_never().is_none(), "the member was not asked");
}

#[tokio::test]
async fn a_proxy_is_sent_to_no_member_by_any_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let names = vec![("node2.test", vec!["93.184.216.34"]), ("alias.test", vec!["93.184.216.34"])];
    let executor = executor(Options {
        member_guard: guard_of(&["node2.test:7070"]),
        lookup: Arc::new(Names(names)),
        proxy: Some(EgressProxy::read(&format!("http://127.0.0.1:{port}")).unwrap()),
        ..Options::default()
    });
    for url in [
        "http://node2.test:7070/",
        "https://NODE2.test.:7070/",
        "http://alias.test:7070/",
        "http://93.184.216.34:7070/",
        "http://[64:ff9b::5db8:d822]:7070/",
    ] {
        let refused = ask(&executor, url, None).await;
        let error = refused.error.unwrap();
        assert!(!refused.sent && error.contains("Raft address of a member"), "{url}: {error}");
    }
    assert!(listener.accept().now_or_never().is_none(), "the proxy was not asked");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        answer_one(stream).await
    });
    assert_eq!(
        ask(&executor, "http://alias.test:81/", None).await.code.http_code(),
        200,
        "another port"
    );
}

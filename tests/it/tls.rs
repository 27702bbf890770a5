//! TLS to receivers: a target with its own authority and client certificate, from the API to the
//! call; the authorities of the machine; a receiver whose certificate is that of an authority.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::harness::{PATIENCE, TestCluster};

#[path = "../fixtures/tls/server.rs"]
pub(crate) mod certs;

/// A receiver that reports the paths of its requests.
struct Receiver {
    url: String,
    asked: mpsc::UnboundedReceiver<String>,
}

impl Receiver {
    /// Starts it with a certificate; it requires a client certificate of the authority `ca`, if
    /// given.
    async fn start(shown: (&str, &str), ca: Option<&str>) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(certs::server(shown, ca)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (tell, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // The caller reports a failed handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = vec![0; 16 * 1_024];
                let Ok(length) = stream.read(&mut head).await else { continue };
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                // The caller may have closed the connection.
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                if tell.send(path).is_err() {
                    return;
                }
            }
        });
        Self { url, asked }
    }

    async fn is_asked_for(&mut self, path: &str) {
        let asked = async { while self.asked.recv().await.as_deref() != Some(path) {} };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("no {path}"));
    }
}

/// A job that fires soon, once and without a retry.
fn once(project: u64, target: &Value) -> Value {
    let mut job = json!({"projectId": project, "after": "1s", "retryMax": 0});
    for (name, value) in target.as_object().unwrap() {
        job[name] = value.clone();
    }
    json!([job])
}

/// Waits for the first recorded execution of a job.
async fn outcome(cluster: &TestCluster, job: u64) -> Value {
    let path = format!("/api/v1/executions?jobId={job}&limit=10");
    cluster
        .wait_until("an end", async |cluster: &TestCluster| {
            let page = cluster.get(1, &path).await;
            page["executions"].as_array()?.first().cloned()
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_target_has_an_authority_and_a_certificate_of_its_own() {
    let ca = certs::CA;
    let mut plain = Receiver::start(certs::SERVER, None).await;
    let mut strict = Receiver::start(certs::SERVER, Some(ca)).await;
    let cluster = TestCluster::start(1).await;
    let project = cluster.project(1, "tls").await;
    let own = json!({"http": {"url": format!("{}/own", plain.url), "ca": ca}});
    cluster.jobs(1, &once(project, &own)).await;
    plain.is_asked_for("/own").await;

    let executor = json!({
        "name": "strict", "webhookUrl": format!("{}/strict", strict.url), "ca": ca,
        "clientCert": certs::CLIENT.0, "clientKey": certs::CLIENT.1,
    });
    let (status, made) = cluster.post(1, "/api/v1/executors", &executor).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["data"]["clientKeySet"], true, "{made}");
    let secret = certs::CLIENT.1.lines().nth(1).unwrap();
    assert!(!made.to_string().contains(secret), "{made}");
    let to_it = json!({"executorId": made["data"]["id"]});
    cluster.jobs(1, &once(project, &to_it)).await;
    strict.is_asked_for("/strict").await;

    // The machine does not know the authority, and nothing turns the verification off.
    let bare = json!({"callbackUrl": format!("{}/bare", plain.url)});
    let jobs = cluster.jobs(1, &once(project, &bare)).await;
    let ended = outcome(&cluster, jobs[0]["id"].as_u64().unwrap()).await;
    assert_eq!((&ended["status"], &ended["httpCode"]), (&json!("dead"), &json!(0)), "{ended}");
    let wrong = json!({
        "name": "wrong", "webhookUrl": "https://a.example/", "clientCert": certs::CLIENT.0,
        "clientKey": certs::SERVER.1,
    });
    let (status, refused) = cluster.post(1, "/api/v1/executors", &wrong).await;
    assert_eq!((status, &refused["error"]["field"]), (400, &json!("clientKey")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_self_signed_certificate_in_ssl_cert_file_is_taken_or_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle.pem");
    std::fs::write(&bundle, [certs::OWN.0, certs::LEAF.0].concat()).unwrap();
    let mut leaf = Receiver::start(certs::LEAF, None).await;
    let own = Receiver::start(certs::OWN, None).await;
    let cluster = TestCluster::start_with(1, &[("SSL_CERT_FILE", bundle.to_str().unwrap())]).await;
    let project = cluster.project(1, "self-signed").await;
    let to = |url: &str| once(project, &json!({"callbackUrl": url}));
    cluster.jobs(1, &to(&format!("{}/leaf", leaf.url))).await;
    leaf.is_asked_for("/leaf").await;
    let jobs = cluster.jobs(1, &to(&own.url)).await;
    let ended = outcome(&cluster, jobs[0]["id"].as_u64().unwrap()).await;
    let error = ended["error"].as_str().unwrap_or_default();
    assert!(error.contains("CA:TRUE") && error.contains("CA:FALSE"), "{ended}");
}

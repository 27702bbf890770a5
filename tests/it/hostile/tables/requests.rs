//! Malformed credentials, and requests with an ambiguous end. They are written byte by byte, so
//! that no client library corrects them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::super::{Attacker, Port, RawConnection};
use crate::harness::TestCluster;

const PATHS: [&str; 5] = [
    "/api/v1/jobs",
    "/v1/projects",
    "/executions",
    "/api/v1/credentials",
    "/api/v1/cluster/status",
];

/// The status of a GET with these header lines; `None` where there is no answer.
async fn get(cluster: &TestCluster, path: &str, lines: &[u8]) -> Option<u16> {
    let mut connection = RawConnection::open(Port::Api.of(cluster, 1)).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    connection.send([head.as_bytes(), lines, b"\r\n"].concat()).await.unwrap();
    connection.status().await
}

fn basic(pair: &[u8]) -> String {
    format!("authorization: Basic {}\r\n", BASE64.encode(pair))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_shape_of_credentials_opens_anything_but_the_right_one() {
    let cluster = TestCluster::start(1).await;
    let Attacker { key, secret, .. } = Attacker::new(&cluster, 1, "shapes").await;
    let pair = |key: &str, secret: &str| format!("x-api-key: {key}\r\nx-secret-key: {secret}\r\n");
    let right = "admin:admin-password";
    let (other, cut) = (flipped(&secret), &secret[..secret.len() - 1]);
    let long = "k".repeat(4_000);
    let as_key = pair("admin", "admin-password");
    let cmd = |line: String| format!("x-peer: cmd\r\n{line}");
    let shapes = [
        String::new(),
        format!("x-api-key: {key}\r\n"),
        format!("x-secret-key: {secret}\r\n"),
        pair(&key, ""),
        pair("", &secret),
        pair(&key, cut),
        pair(&key, &format!("{secret}=")),
        pair(&key, &other),
        pair(&secret, &key),
        pair(&key, &key),
        pair(&long, &long),
        pair("' OR '1'='1", "' OR '1'='1"),
        pair(&format!("{key}%00"), &secret),
        as_key,
        format!("cookie: x-api-key={key}; x-secret-key={secret}\r\n"),
        format!("authorization: Bearer {secret}\r\n"),
        format!("authorization: Bearer {}\r\nx-peer: cmd\r\n", BASE64.encode(right)),
        // The operator's credentials from a client that does not send `x-peer: cmd`.
        basic(right.as_bytes()),
        format!("x-peer: browser\r\n{}", basic(right.as_bytes())),
        cmd(basic(b"")),
        cmd(basic(b":")),
        cmd(basic(b"admin")),
        cmd(basic(b"admin:")),
        cmd(basic(b":admin-password")),
        cmd(basic(b"admin:admin-password\0")),
        cmd(basic(b"admin:Admin-password")),
        cmd(basic(b"Admin:admin-password")),
        cmd(basic(b"admin:admin-password\n")),
        cmd(basic(b"\xff\xfe:\xff")),
        cmd(basic(format!("{key}:{secret}").as_bytes())),
        cmd("authorization: Basic\r\n".to_owned()),
        cmd("authorization: Basic %%%\r\n".to_owned()),
        cmd(format!("authorization: Basic {}\r\n", "A".repeat(4_000))),
        cmd(format!("authorization: Digest {}\r\n", BASE64.encode(right))),
    ];
    for (n, shape) in shapes.iter().enumerate() {
        let status = get(&cluster, PATHS[n % PATHS.len()], shape.as_bytes()).await;
        let refused = matches!(status, Some(401 | 429));
        assert!(refused, "{status:?} for {shape:?}");
    }
    let query = format!("/api/v1/jobs?x-api-key={key}&x-secret-key={secret}");
    assert_eq!(get(&cluster, &query, b"").await, Some(401));
    // Bytes that are no text in a header.
    let bytes = b"x-api-key: \xff\xff\r\nx-secret-key: \xff\xff\r\n";
    assert_eq!(get(&cluster, PATHS[0], bytes).await, Some(401));
    assert_eq!(get(&cluster, PATHS[0], pair(&key, &secret).as_bytes()).await, Some(200));
}

/// A text with another last letter before its padding.
fn flipped(text: &str) -> String {
    let bare = text.trim_end_matches('=');
    let (rest, last) = bare.split_at(bare.len() - 1);
    let last = if last == "A" { "B" } else { "A" };
    format!("{rest}{last}{}", &text[bare.len()..])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_an_ambiguous_end_hides_no_second_one() {
    let cluster = TestCluster::start(1).await;
    let attacker = Attacker::new(&cluster, 1, "smuggler").await;
    let hidden = format!("GET /api/v1/jobs HTTP/1.1\r\n{}\r\n", attacker.lines());
    let chunked = "transfer-encoding: chunked\r\n";
    for framing in [
        "content-length: 4\r\ncontent-length: 5\r\n\r\nabcd",
        "content-length: 4, 5\r\n\r\nabcd",
        "content-length: +4\r\n\r\nabcd",
        "content-length: -4\r\n\r\nabcd",
        "content-length: 0x4\r\n\r\nabcd",
        "content-length: 4 4\r\n\r\nabcd",
        "content-length: 99999999999999999999\r\n\r\nabcd",
        "transfer-encoding: identity\r\n\r\n",
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        " transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding:\u{b}chunked\r\n\r\n0\r\n\r\n",
        "x: a\r\n content-length: 4\r\n\r\nabcd",
        "x: a\0b\r\ncontent-length: 4\r\n\r\nabcd",
        "content-length\0: 4\r\n\r\nabcd",
    ] {
        let head = format!("POST /api/v1/jobs HTTP/1.1\r\n{}", attacker.lines());
        let said = exchange(&cluster, format!("{head}{framing}{hidden}")).await;
        assert_eq!(statuses(&said), [400], "{framing:?}: {said}");
    }
    // A body that contradicts its framing: what follows is never taken for a request.
    for body in [
        "4x\r\nabcd\r\n0\r\n\r\n",
        "ffffffffffffffff1\r\nabcd\r\n0\r\n\r\n",
        "-1\r\nabcd\r\n0\r\n\r\n",
        "4\nabcd\r\n0\r\n\r\n",
        "4\r\nabcdefgh\r\n0\r\n\r\n",
    ] {
        let head = format!("POST /api/v1/jobs HTTP/1.1\r\n{}{chunked}", attacker.lines());
        let said = exchange(&cluster, format!("{head}\r\n{body}{hidden}")).await;
        let statuses = statuses(&said);
        assert!(statuses.len() <= 1 && statuses.iter().all(|s| *s >= 400), "{body:?}: {said}");
    }
    // With both framings the connection is closed, or the chunks count (RFC 9112, 6.3): the length
    // hides nothing.
    let (both, last) = (hidden.len() + 5, "connection: close\r\n");
    let head =
        format!("POST /api/v1/jobs HTTP/1.1\r\n{}content-length: {both}\r\n", attacker.lines());
    let after = format!("GET /api/v1/jobs HTTP/1.1\r\n{last}{}\r\n", attacker.lines());
    let said = exchange(&cluster, format!("{head}{chunked}\r\n0\r\n\r\n{after}")).await;
    assert!(matches!(statuses(&said)[..], [] | [400] | [400, 200]), "{said}");
    // Chunks of an HTTP/1.0 client have no meaning (RFC 9112, 6.1).
    let head = format!("POST /api/v1/jobs HTTP/1.0\r\n{}{chunked}", attacker.lines());
    let said = exchange(&cluster, format!("{head}\r\n0\r\n\r\n{hidden}")).await;
    assert_eq!(statuses(&said), [400], "{said}");
}

/// All bytes that a node answers to these bytes until it closes.
async fn exchange(cluster: &TestCluster, bytes: String) -> String {
    let mut connection = RawConnection::open(Port::Api.of(cluster, 1)).await.unwrap();
    connection.send(bytes).await.unwrap();
    String::from_utf8_lossy(&connection.rest().await).into_owned()
}

/// The statuses of all answers in a text.
fn statuses(said: &str) -> Vec<u16> {
    let heads = said.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3));
    heads.filter_map(|status| status.parse().ok()).collect()
}

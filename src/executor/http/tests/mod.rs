//! The executor against receivers of its own, in this process. The parts of a test that several
//! files need are here; each file has the tests of one theme.

mod addresses;
mod answers;
mod calls;
#[path = "../../../../tests/fixtures/tls/server.rs"]
mod certs;
mod destinations;
mod evicted;
mod flood;
mod kept;
mod leaving;
mod policy;
mod raw;
mod replies;
mod withheld;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use calls::{Call, Executor, Options, flaw};

use super::{MAX_BATCH_BODY, MAX_BODY};
use crate::clock::{SchedulerTime, SystemClock};
use crate::config::EgressProxy;
use crate::delivery::attempt::{Acceptance, Attempt, Class};
use crate::delivery::availability::Availability;
use crate::delivery::breaker::Rules;
use crate::delivery::call_checks::Unwanted;
use crate::delivery::interruption::UNWANTED;
use crate::delivery::reply::Reply;
use crate::executor::outbound::guard::TargetGuard;
use crate::executor::outbound::lookup::{Lookup, LookupFuture};
use crate::executor::outbound::member_guard::MemberGuard;
use crate::model::ProjectId;
use crate::model::postponement::Obstacle;

/// Serves a router on a port of its own; returns its address.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

fn executor(options: Options) -> Executor {
    Executor::new(options, Arc::new(SchedulerTime::new(Arc::new(SystemClock))))
        .expect("an executor")
}

fn call(url: &str) -> Call {
    Call::new(url.into(), Vec::new(), Bytes::from_static(b"[{}]"), || true)
}

fn answer(reply: Reply) -> Attempt {
    match reply {
        Reply::Done(answer) => answer,
        _ => panic!("{reply:?}"),
    }
}

async fn within<T>(what: &str, fact: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), fact).await.expect(what)
}

/// The bytes that a connection brings until it is closed.
async fn received(listener: &TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

fn plain(method: Method, url: &str, check: impl FnMut() -> bool + Send + 'static) -> Call {
    Call { method, ..Call::new(url.into(), Vec::new(), Bytes::new(), check) }
}

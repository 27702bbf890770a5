//! Answers that cannot be read, and places that outlive their callers.

use std::sync::Arc;

use super::*;
use crate::model::process::Process;
use crate::peer::Identity;

#[tokio::test]
async fn an_answer_that_cannot_be_read_leaves_the_outcome_open() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // As a newer node may answer: with something that this one has no word for.
    let router = axum::Router::new().route("/x", axum::routing::post(async || vec![9_u8]));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let identity = Identity {
        node: 1,
        instance: 1,
        process: Process::default(),
        founder: false,
        level: 1,
        token: "a token".into(),
    };
    let patience = Duration::from_secs(10);
    let peers = Peers::new(identity, [(2, address)], 1, patience, patience).unwrap();
    let answer: Result<Result<u64, u64>, Error> = peers.call(2, "/x", &(), patience).await;
    let error = answer.unwrap_err();
    assert!(!error.is_unsent(), "it may have been carried out: {error}");
}

#[tokio::test]
async fn the_level_of_a_node_is_what_its_last_answer_announced_and_one_where_it_says_nothing() {
    use axum::http::HeaderValue;
    use axum::response::IntoResponse;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let says = |speaker: u64, level: u32| {
        axum::routing::post(async move || {
            let mut response = postcard::to_allocvec(&()).unwrap().into_response();
            response.headers_mut().insert(NODE, HeaderValue::from(speaker));
            response.headers_mut().insert(LEVEL, HeaderValue::from(level));
            response
        })
    };
    let nothing = axum::routing::post(async || postcard::to_allocvec(&()).unwrap());
    let router = axum::Router::new()
        .route("/new", says(2, 7))
        .route("/other", says(3, 5))
        .route("/old", nothing);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let identity = Identity {
        node: 1,
        instance: 1,
        process: Process::default(),
        founder: false,
        level: 1,
        token: "a token".into(),
    };
    let patience = Duration::from_secs(10);
    let peers = Peers::new(identity, [(2, address.clone())], 1, patience, patience).unwrap();
    assert_eq!(peers.level(2), None, "it was never heard");
    peers.call::<_, ()>(2, "/new", &(), patience).await.unwrap();
    assert_eq!(peers.level(2), Some(7));
    peers.call_at::<_, ()>(2, &address, "/other", &(), patience).await.unwrap();
    let both = (peers.level(2), peers.level(3));
    assert_eq!(both, (Some(7), Some(5)), "another node has answered there");
    peers.call::<_, ()>(2, "/old", &(), patience).await.unwrap();
    assert_eq!(peers.level(2), Some(1), "an older program took its place");
}

#[test]
fn a_place_is_taken_until_the_exchange_ends_though_nobody_waits_for_it() {
    let core = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let patience = Duration::from_secs(10);
    let (came, mut comes) = tokio::sync::mpsc::unbounded_channel();
    let answer = Arc::new(tokio::sync::Notify::new());
    let answers = answer.clone();
    let peers = core.block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let slow = axum::routing::post(async move || {
            came.send(()).unwrap();
            answers.notified().await;
        });
        let router = axum::Router::new().route("/x", slow);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let identity = Identity {
            node: 1,
            instance: 1,
            process: Process::default(),
            founder: false,
            level: 1,
            token: "a token".into(),
        };
        Peers::new(identity, [(2, address)], 1, patience, patience).unwrap()
    });
    let free = || peers.0.forwards.free(2, Origin::Client);
    let all = free();
    let callers = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    callers.block_on(async {
        let place = peers.place(2, Origin::Client).await;
        tokio::select! {
            answer = peers.call_in::<_, ()>(place, "/x", &(), patience) => panic!("{answer:?}"),
            came = comes.recv() => came.unwrap(),
        }
        assert_eq!(free(), all - 1, "the caller is gone, its request is not");
        answer.notify_one();
        while free() < all {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

//! A stranger guesses the operator's password: the 21st guess of a minute is not even checked.

use reqwest::StatusCode;
use serde_json::json;

use crate::harness::{TestCluster, client_of};
use crate::hostile::Attacker;

#[tokio::test(flavor = "multi_thread")]
async fn the_21st_wrong_password_of_a_minute_is_not_checked_and_keys_are() {
    let cluster = TestCluster::start(1).await;
    let Attacker { key, secret, .. } = Attacker::new(&cluster, 1, "beside").await;
    let url = cluster.url(1, "/api/v1/jobs");
    let status = async |headers: &[(&'static str, &str)]| {
        let answer = client_of(headers).get(&url).send().await.unwrap();
        let wait = answer.headers().get("retry-after");
        let wait: Option<u64> = wait.map(|wait| wait.to_str().unwrap().parse().unwrap());
        (answer.status(), wait)
    };
    let wrong = [("x-peer", "cmd"), ("authorization", "Basic YWRtaW46d3Jvbmc=")];
    for guess in 1..=20 {
        assert_eq!(status(&wrong).await, (StatusCode::UNAUTHORIZED, None), "{guess}");
    }
    let right = [("x-peer", "cmd"), ("authorization", "Basic YWRtaW46YWRtaW4tcGFzc3dvcmQ=")];
    for shown in [&wrong, &right] {
        let (status, wait) = status(shown).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        assert!(wait.is_some_and(|wait| (1..=60).contains(&wait)), "{wait:?}");
    }
    // Secrets of 256 bits need no throttle: nobody behind the same address is locked out.
    let pair = [("x-api-key", key.as_str()), ("x-secret-key", secret.as_str())];
    assert_eq!(status(&pair).await.0, StatusCode::OK);
    let bearer = format!("Bearer {key}.{secret}");
    assert_eq!(status(&[("authorization", &bearer)]).await.0, StatusCode::OK);
    let both = [pair[0], pair[1], ("authorization", &*bearer)];
    let answer = client_of(&both).get(&url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], json!("ambiguous_credentials"));
    // Another address is not concerned.
    let elsewhere = [right[0], right[1], ("x-forwarded-for", "203.0.113.9")];
    assert_eq!(status(&elsewhere).await.0, StatusCode::OK);
}

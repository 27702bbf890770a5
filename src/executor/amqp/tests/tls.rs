//! Connections over TLS: brokers are always verified.

use super::rabbitmq::{messages, queue, shared};
use super::*;

const CA: &str = include_str!("../../../../tests/fixtures/tls/ca.pem");

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_verified_by_the_authority_of_its_executor() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "", "").await;
    let publisher = Publisher::new();
    let secure = Broker {
        tls: true,
        port: rabbit.tls_port(),
        ca: CA.to_owned(),
        ..broker(rabbit, USER, &vhost)
    };
    let body = Bytes::from(vec![b'x'; 300_000]);
    let sent = vec![Message { body: body.clone(), ..message(1, "q") }, message(2, "q")];
    let reply = publisher.publish(chunk(secure.clone(), "", sent)).await;
    assert_eq!(delivered(&reply), [1, 2], "{reply:?}");
    assert_eq!(messages(&channel, "q").await[0].data, body);
    let unknown = Broker { ca: String::new(), ..secure.clone() };
    let reply = publisher.publish(chunk(unknown, "", vec![message(1, "q")])).await;
    let [(1, Class::Retry { .. }, ResultCode::None, why)] = &told(&reply)[..] else {
        panic!("{reply:?}")
    };
    assert!(why.contains("certificate"), "{why}");
    let plain = Broker { port: rabbit.port(), ..secure };
    let reply = publisher.publish(chunk(plain, "", vec![message(1, "q")])).await;
    let [(1, Class::Retry { .. }, _, why)] = &told(&reply)[..] else { panic!("{reply:?}") };
    assert!(why.contains("no connection"), "{why}");
}

//! What arrives is what was said, types included.

use std::collections::BTreeMap;

use lapin::types::{AMQPValue, ShortString};
use serde_json::json;

use super::super::broker::Declare;
use super::rabbitmq::{messages, queue, shared};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_field_arrives_as_it_was_said() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "amq.topic", "orders.#").await;
    let headers = json!({
        "text": "grün", "small": 7, "large": 1_i64 << 40, "fraction": 0.5, "yes": true,
        "nothing": null, "list": [1, "two"], "table": { "inner": -1 },
    });
    let mut sent = message(5, "orders.new.ü");
    sent.properties = Properties {
        content_type: "application/json".to_owned(),
        content_encoding: "utf-8".to_owned(),
        headers: headers.as_object().cloned().unwrap(),
        persistent: true,
        priority: Some(9),
        correlation_id: "c-1".to_owned(),
        reply_to: "answers".to_owned(),
        expiration: Some(60_000),
        timestamp: 1_700_000_000,
        kind: "order".to_owned(),
    };
    sent.body = Bytes::from_static(b"{\"a\":1}");
    let plain = Message { properties: Properties::default(), ..message(6, "orders") };
    let to = broker(rabbit, USER, &vhost);
    let reply = Publisher::new().publish(chunk(to, "amq.topic", vec![sent, plain])).await;
    assert_eq!(delivered(&reply), [5, 6], "{reply:?}");
    let found = messages(&channel, "q").await;
    assert_eq!(found.len(), 2);
    let (got, properties) = (&found[0], &found[0].properties);
    assert_eq!((got.routing_key.as_str(), &got.data[..]), ("orders.new.ü", &b"{\"a\":1}"[..]));
    let text = |text: &Option<ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
    let texts = [
        properties.content_type(),
        properties.content_encoding(),
        properties.correlation_id(),
        properties.reply_to(),
        properties.expiration(),
        properties.message_id(),
        properties.kind(),
        properties.app_id(),
    ];
    let expected = [
        "application/json",
        "utf-8",
        "c-1",
        "answers",
        "60000",
        "execution-5",
        "order",
        "scheduler0",
    ];
    assert_eq!(texts.map(text), expected.map(|text| Some(text.to_owned())));
    assert_eq!((properties.priority(), properties.delivery_mode()), (&Some(9), &Some(2)));
    assert_eq!(properties.timestamp(), &Some(1_700_000_000));
    let headers: BTreeMap<&str, &AMQPValue> = properties
        .headers()
        .iter()
        .flat_map(|table| table.into_iter().map(|(name, value)| (name.as_str(), value)))
        .collect();
    assert_eq!(headers["small"], &AMQPValue::LongInt(7));
    assert_eq!(headers["large"], &AMQPValue::LongLongInt(1 << 40));
    assert_eq!(headers["fraction"], &AMQPValue::Double(0.5));
    assert_eq!(headers["text"], &AMQPValue::LongString("grün".into()));
    assert_eq!(headers["yes"], &AMQPValue::Boolean(true));
    assert_eq!(headers["nothing"], &AMQPValue::Void);
    let list = vec![AMQPValue::LongInt(1), AMQPValue::LongString("two".into())];
    assert_eq!(headers["list"], &AMQPValue::FieldArray(list.into()));
    assert!(matches!(headers["table"], AMQPValue::FieldTable(_)), "{:?}", headers["table"]);
    let bare = &found[1].properties;
    assert_eq!((bare.content_type(), bare.priority(), bare.headers()), (&None, &None, &None));
    assert_eq!(bare.delivery_mode(), &None, "not persistent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_five_megabytes_and_an_empty_one_arrive() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "", "").await;
    let large = Bytes::from(vec![b'x'; 5 << 20]);
    let sent = vec![
        Message { body: large.clone(), ..message(1, "q") },
        Message { body: Bytes::new(), ..message(2, "q") },
    ];
    let to = broker(rabbit, USER, &vhost);
    let reply = Publisher::new().publish(chunk(to, "", sent)).await;
    assert_eq!(delivered(&reply), [1, 2], "{reply:?}");
    let found = messages(&channel, "q").await;
    assert!(found[0].data == large && found[1].data.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_is_declared_as_it_is_said_before_the_first_publish() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "rest", "amq.fanout", "").await;
    let declare = |kind: &str, durable| Declare {
        kind: kind.to_owned(),
        durable,
        auto_delete: false,
        internal: false,
        // What no queue is bound for goes on to that exchange.
        arguments: json!({ "alternate-exchange": "amq.fanout" }).as_object().cloned().unwrap(),
    };
    let publisher = Publisher::new();
    let publish = |declare| Publish {
        exchange: Exchange { name: "made".to_owned(), declare: Some(declare) },
        ..chunk(broker(rabbit, USER, &vhost), "", vec![message(1, "rest")])
    };
    let first = publisher.publish(publish(declare("topic", true))).await;
    assert_eq!(delivered(&first), [1], "{first:?}");
    assert_eq!(messages(&channel, "rest").await.len(), 1);
    // Declared otherwise: somebody may mend it, so it is tried again.
    let other = publisher.publish(publish(declare("fanout", true))).await;
    let [(1, Class::Retry { .. }, ResultCode::Amqp(406), why)] = &told(&other)[..] else {
        panic!("{other:?}")
    };
    assert!(why.contains("\"made\"") && why.contains("PRECONDITION_FAILED"), "{why}");
    let bare = Declare { arguments: no_fields(), ..declare("x-unknown", true) };
    let unknown = Publish {
        exchange: Exchange { name: "foreign".to_owned(), declare: Some(bare) },
        ..chunk(broker(rabbit, USER, &vhost), "", vec![message(1, "rest")])
    };
    let unknown = publisher.publish(unknown).await;
    let [(1, Class::Retry { .. }, ResultCode::Amqp(503), why)] = &told(&unknown)[..] else {
        panic!("{unknown:?}")
    };
    assert!(why.contains("x-unknown"), "{why}");
    let again = publisher.publish(publish(declare("topic", true))).await;
    assert_eq!(delivered(&again), [1], "the connection has lived on: {again:?}");
}

//! What a broker does not take, and what that does to the messages beside it.

use lapin::ExchangeKind;
use lapin::options::ExchangeDeclareOptions;
use lapin::types::FieldTable;

use super::rabbitmq::{READER, messages, queue, shared};
use super::*;
use crate::delivery::attempt::Judged;
use crate::executor::broker::failure::NO_ROUTE;

const RETRY: Class = Class::Retry { after: None };

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_messages_exactly_the_unroutable_ones_fail() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "amq.direct", "there").await;
    let publisher = Arc::new(Publisher::new());
    let key = |n: u64| if n.is_multiple_of(7) { "nowhere" } else { "there" };
    let all: Vec<Message> = (1..=10_000).map(|n| message(n, key(n))).collect();
    let chunks = all.chunks(Publish::MOST).map(|messages| {
        let publisher = Arc::clone(&publisher);
        let to = broker(rabbit, USER, &vhost);
        let chunk = chunk(to, "amq.direct", messages.to_vec());
        tokio::spawn(async move { publisher.publish(chunk).await })
    });
    let mut seen = 0;
    for reply in chunks.collect::<Vec<_>>() {
        for (job, class, code, why) in told(&reply.await.unwrap()) {
            seen += 1;
            let expected = if job.is_multiple_of(7) {
                (RETRY, ResultCode::Amqp(NO_ROUTE))
            } else {
                (Class::Success, ResultCode::Amqp(0))
            };
            assert_eq!((class, code), expected, "{job}: {why}");
            assert_eq!(why.contains("no queue is bound"), job.is_multiple_of(7), "{why}");
        }
    }
    assert_eq!(seen, 10_000);
    let arrived = messages(&channel, "q").await;
    assert_eq!(arrived.len(), (1..=10_000_u64).filter(|n| !n.is_multiple_of(7)).count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_nobody_is_delivered_where_that_is_all_right() {
    let Some(rabbit) = shared() else { return };
    let to = broker(rabbit, USER, &rabbit.vhost());
    let chunk = Publish { mandatory: false, ..chunk(to, "amq.direct", vec![message(1, "nobody")]) };
    let reply = Publisher::new().publish(chunk).await;
    assert_eq!(delivered(&reply), [1], "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_exchange_disturbs_no_other_one_and_is_found_when_it_is_made() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "", "").await;
    let publisher = Publisher::new();
    let to = |exchange: &str, job| {
        publisher.publish(chunk(broker(rabbit, USER, &vhost), exchange, vec![message(job, "q")]))
    };
    let (missing, there) = tokio::join!(to("missing", 1), to("", 2));
    let [(1, RETRY, ResultCode::Amqp(404), why)] = &told(&missing)[..] else {
        panic!("{missing:?}")
    };
    assert!(why.contains("\"missing\"") && why.contains("NOT_FOUND"), "{why}");
    assert_eq!(delivered(&there), [2], "{there:?}");
    let options = ExchangeDeclareOptions::default();
    let made = channel.exchange_declare(
        "missing".into(),
        ExchangeKind::Fanout,
        options,
        FieldTable::default(),
    );
    made.await.unwrap();
    queue(&channel, "bound", "missing", "").await;
    // A no is kept for five seconds.
    let mut reply = to("missing", 3).await;
    for _ in 0..100 {
        if delivered(&reply) == [3] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        reply = to("missing", 3).await;
    }
    assert_eq!(delivered(&reply), [3], "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_write_a_chunk_is_refused_as_one_and_others_go_on() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "amq.direct", "k").await;
    let options = ExchangeDeclareOptions { internal: true, ..ExchangeDeclareOptions::default() };
    let made = channel.exchange_declare(
        "inner".into(),
        ExchangeKind::Direct,
        options,
        FieldTable::default(),
    );
    made.await.unwrap();
    let publisher = Publisher::new();
    let many = |from: u64| (from..from + 500).map(|n| message(n, "k")).collect::<Vec<_>>();
    for (user, exchange) in [(READER, "amq.direct"), (USER, "inner")] {
        let refused = publisher.publish(chunk(broker(rabbit, user, &vhost), exchange, many(1)));
        let beside =
            publisher.publish(chunk(broker(rabbit, USER, &vhost), "amq.direct", many(1_000)));
        let (refused, beside) = tokio::join!(refused, beside);
        let Reply::PerJob { parts, .. } = &refused else { panic!("{refused:?}") };
        let [JobsAttempt { jobs, attempt }] = &parts[..] else { panic!("{refused:?}") };
        assert_eq!(jobs.first(), Some(&1), "those that were handed over");
        let verdict = (attempt.class, attempt.code, attempt.judged);
        assert_eq!(verdict, (Class::Refused, ResultCode::Amqp(403), Judged::AsOne), "{attempt:?}");
        assert_eq!(delivered(&beside).len(), 500, "{beside:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_that_the_broker_refuses_closes_the_channel_of_its_chunk_alone() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "", "").await;
    let publisher = Arc::new(Publisher::new());
    let mut messages: Vec<Message> = (1..=1_024).map(|n| message(n, "q")).collect();
    // RabbitMQ wants a list there.
    messages[99].properties.headers.insert("CC".to_owned(), "no list".into());
    let (to, others) = (broker(rabbit, USER, &vhost), broker(rabbit, USER, &vhost));
    let bad = publisher.publish(chunk(to, "", messages));
    let beside = async {
        for n in 0..20 {
            let many = (2_000..2_200).map(|n| message(n, "q")).collect();
            let reply = publisher.publish(chunk(others.clone(), "", many)).await;
            assert_eq!(delivered(&reply).len(), 200, "{n}: {reply:?}");
        }
    };
    let (bad, ()) = tokio::join!(bad, beside);
    let told = told(&bad);
    let refused = told.iter().find(|(job, ..)| *job == 100).expect("it was handed over");
    assert_eq!((refused.1, refused.2), (Class::Refused, ResultCode::Amqp(406)), "{refused:?}");
    for (job, class, code, why) in &told {
        let decided = matches!((class, code), (Class::Success, ResultCode::Amqp(0)))
            || matches!((class, code), (Class::Refused, ResultCode::Amqp(406)));
        assert!(decided && (*job <= 100 || *class == Class::Refused), "{job}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_or_a_virtual_host_that_is_refused_says_so_without_the_password() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let publisher = Publisher { password: "wrong-never-shown".to_owned(), ..Publisher::new() };
    let reply =
        publisher.publish(chunk(broker(rabbit, USER, &vhost), "", vec![message(1, "q")])).await;
    let [(1, RETRY, ResultCode::Amqp(403), why)] = &told(&reply)[..] else { panic!("{reply:?}") };
    assert!(why.contains("ACCESS_REFUSED"), "{why}");
    let publisher = Publisher::new();
    let nowhere = broker(rabbit, USER, "no such host");
    let reply = publisher.publish(chunk(nowhere, "", vec![message(1, "q")])).await;
    let [(1, RETRY, ResultCode::Amqp(530), why)] = &told(&reply)[..] else { panic!("{reply:?}") };
    assert!(why.contains("no such host"), "{why}");
    let nobody = Broker { port: 1, ..broker(rabbit, USER, &vhost) };
    let reply = publisher.publish(chunk(nobody.clone(), "", vec![message(1, "q")])).await;
    let [(1, RETRY, ResultCode::None, why)] = &told(&reply)[..] else { panic!("{reply:?}") };
    assert!(why.contains("no connection"), "{why}");
    // The next try has to wait, and is no attempt meanwhile.
    let reply = publisher.publish(chunk(nobody, "", vec![message(1, "q")])).await;
    assert!(matches!(reply, Reply::Refused { .. }), "{reply:?}");
}

//! Brokers that answer as no real one does, by malice or by a fault. None of them may harm this
//! node, or make it say of a message what is not so.

use super::fake_broker::{
    Asked, FakeBroker, Offer, PUBLISH, ack, close, method, returned, returned_over,
};
use super::*;
use crate::executor::broker::places::ConnectionPlaces;
use crate::executor::outbound::lookup::{Lookup, LookupFuture};
use crate::model::ProjectId;
use crate::model::postponement::Obstacle;

const RETRY: Class = Class::Retry { after: None };

fn three(broker: Broker) -> Publish {
    chunk(broker, "", (1..=3).map(|n| message(n, "q")).collect())
}

/// Tables within tables, six bytes each.
fn nested(depth: usize) -> Vec<u8> {
    let mut table = Vec::new();
    for _ in 0..depth {
        table = [&b"\0F"[..], &(table.len() as u32).to_be_bytes(), &table].concat();
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_within_tables_and_frames_without_a_bound_are_no_danger() {
    let offer = Offer { properties: nested(5_000), ..Offer::default() };
    let fake = FakeBroker::start(offer, |_| None).await;
    let reply = Publisher::new().publish(three(fake.broker())).await;
    assert_eq!(delivered(&reply), [1, 2, 3], "{reply:?}");
    let tuned = fake.tuned.borrow().clone();
    let bounds = (u16::from_be_bytes([tuned[0], tuned[1]]), &tuned[2..6], &tuned[6..8]);
    assert_eq!(bounds, (1_023, &(32_u32 << 10).to_be_bytes()[..], &[0, 30][..]));
    // The same in a method that the library would parse.
    let fake = FakeBroker::start(Offer::default(), |asked| {
        let table = nested(5_000);
        let length = (table.len() as u32).to_be_bytes();
        let declare = [&[0, 0, 1, b'q', 0][..], &length, &table].concat();
        (asked.of == PUBLISH).then(|| method(asked.channel, (50, 10), &declare))
    });
    let fake = fake.await;
    let reply = Publisher::new().publish(three(fake.broker())).await;
    for (_, class, code, why) in told(&reply) {
        assert_eq!((class, code), (RETRY, ResultCode::None), "{why}");
        assert!(why.contains("the broker sent a method that no publisher is sent"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_sends_back_more_than_it_was_sent_is_cut_off() {
    // The first channel looks for an alarm.
    let fake = FakeBroker::start(Offer::default(), |&Asked { channel, of, number, .. }| {
        (of == PUBLISH && number > 1).then(|| {
            let body = vec![0; 30_000];
            returned(channel, "nobody", &body).repeat(100)
        })
    });
    let fake = fake.await;
    let reply = Publisher::new().publish(three(fake.broker())).await;
    let told = told(&reply);
    // What was not handed over when it is cut off is no attempt.
    assert!(!told.is_empty(), "{reply:?}");
    for (_, class, code, why) in told {
        assert_eq!((class, code), (RETRY, ResultCode::None), "{why}");
        assert!(why.contains("more messages back than it was sent"), "{why}");
    }
    let mut ended = fake.ended.clone();
    ended.wait_for(|ended| *ended == 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_when_the_time_is_over_is_said_of_each_message() {
    // The first message of the chunk reached nobody, the second one arrived, and nothing is said
    // of the third: the confirms come in an order of their own.
    let fake = FakeBroker::start(Offer::default(), |&Asked { channel, of, number, .. }| {
        (of == PUBLISH && number > 1).then(|| match number {
            2 => Vec::new(),
            3 => [ack(channel, 3), returned(channel, "execution-1", b"body")].concat(),
            _ => ack(channel, 2),
        })
    });
    let fake = fake.await;
    let publisher = Publisher { timeout: Duration::from_millis(500), ..Publisher::new() };
    let reply = publisher.publish(three(fake.broker())).await;
    let told = told(&reply);
    let [first, second, third] = &told[..] else { panic!("{reply:?}") };
    assert_eq!((first.1, first.2), (RETRY, ResultCode::Amqp(312)), "{first:?}");
    assert_eq!((second.1, second.2), (Class::Success, ResultCode::Amqp(0)), "{second:?}");
    assert_eq!((third.1, third.2), (RETRY, ResultCode::None), "{third:?}");
    assert!(third.3.contains("did not confirm it within"), "{third:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirm_behind_one_that_never_comes_counts_when_the_time_is_over() {
    let fake = FakeBroker::start(Offer::default(), |&Asked { channel, of, number, .. }| {
        (of == PUBLISH && number > 1).then(|| match number {
            2 => Vec::new(),
            _ => ack(channel, number),
        })
    });
    let fake = fake.await;
    let publisher = Publisher { timeout: Duration::from_millis(500), ..Publisher::new() };
    let reply = publisher.publish(three(fake.broker())).await;
    assert_eq!(delivered(&reply), [2, 3], "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_no_frame_holds_are_the_fault_of_their_message_alone() {
    let offer = Offer { frame_max: 8_192, ..Offer::default() };
    let fake = FakeBroker::start(offer, |_| None).await;
    let mut publish = three(fake.broker());
    let long = "x".repeat(9_000);
    publish.messages[1].properties.headers.insert("long".to_owned(), long.into());
    let reply = Publisher::new().publish(publish).await;
    let told = told(&reply);
    assert_eq!(delivered(&reply), [1, 3], "{reply:?}");
    assert_eq!((told[1].1, told[1].2), (Class::Refused, ResultCode::None), "{told:?}");
    assert!(told[1].3.contains("the broker takes at most 8192"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_connection_is_no_refusal_of_a_message_whatever_its_code() {
    let fake = FakeBroker::start(Offer::default(), |&Asked { of, number, .. }| {
        (of == PUBLISH && number > 1).then(|| close(0, (10, 50), 403))
    });
    let fake = fake.await;
    let one = chunk(fake.broker(), "", vec![message(1, "q")]);
    let reply = Publisher::new().publish(one).await;
    let [(1, class, ResultCode::Amqp(403), why)] = &told(&reply)[..] else { panic!("{reply:?}") };
    assert_eq!(*class, RETRY, "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_the_broker_closed_is_not_taken_for_another_one() {
    let offer = Offer { channel_max: 8, ..Offer::default() };
    let fake = FakeBroker::start(offer, |asked| {
        let missing = asked.payload.windows(7).any(|name| name == b"missing");
        (asked.of == (40, 10) && missing).then(|| close(asked.channel, (20, 40), 404))
    });
    let fake = fake.await;
    let publisher = Publisher::new();
    for n in 0..20 {
        let to = |exchange: &str| chunk(fake.broker(), exchange, vec![message(1, "q")]);
        let refused = publisher.publish(to(&format!("missing-{n}"))).await;
        assert_eq!(told(&refused)[0].2, ResultCode::Amqp(404), "{n}: {refused:?}");
        let reply = publisher.publish(to(&format!("there-{n}"))).await;
        assert_eq!(delivered(&reply), [1], "{n}: {reply:?}");
    }
    let made = fake.made.load(std::sync::atomic::Ordering::SeqCst);
    assert!((5..20).contains(&made), "{made} connections");
    // Those that are used up are closed.
    let mut ended = fake.ended.clone();
    ended.wait_for(|ended| *ended >= made - 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_channels_are_used_as_the_broker_allows() {
    for (channel_max, at_a_time) in [(2, 10), (1, 1)] {
        let offer = Offer { channel_max, ..Offer::default() };
        let fake = FakeBroker::start(offer, |_| None).await;
        let publisher = Publisher::new();
        let to = |exchange| chunk(fake.broker(), exchange, vec![message(1, "q")]);
        let all = (0..at_a_time).map(|_| publisher.publish(to("")));
        for reply in futures_util::future::join_all(all).await {
            assert_eq!(delivered(&reply), [1], "{reply:?}");
        }
        // With one channel, the idle one has to go first.
        let mut reply = publisher.publish(to("e")).await;
        for _ in 0..100 {
            let Reply::Refused { obstacle, .. } = &reply else { break };
            assert_eq!(*obstacle, Obstacle::Full);
            tokio::time::sleep(Duration::from_millis(20)).await;
            reply = publisher.publish(to("e")).await;
        }
        assert_eq!(delivered(&reply), [1], "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_place_for_a_connection_messages_are_put_off() {
    let fake = FakeBroker::start(Offer::default(), |_| None).await;
    let time = Arc::new(SchedulerTime::new(Arc::new(SystemClock)));
    let places = Arc::new(ConnectionPlaces::default());
    let clock = Arc::clone(time.clock());
    let options = ConnectOptions { places: Arc::clone(&places), ..ConnectOptions::new(clock) };
    let publisher = Publisher::over(Pool::new(options), time);
    // The calls are those of project 1.
    let taken: Vec<_> = std::iter::from_fn(|| places.take(1)).collect();
    let reply = publisher.publish(three(fake.broker())).await;
    assert!(matches!(reply, Reply::Refused { obstacle: Obstacle::Full, .. }), "{reply:?}");
    drop(taken);
    let reply = publisher.publish(three(fake.broker())).await;
    assert_eq!(delivered(&reply), [1, 2, 3], "{reply:?}");
    let rest: Vec<_> = std::iter::from_fn(|| places.take(1)).collect();
    assert_eq!(rest.len(), 31, "one connection holds its place");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_many_reasons_of_a_broker_are_not_all_kept() {
    let fake = FakeBroker::start(Offer::default(), |&Asked { channel, of, number, .. }| {
        (of == PUBLISH && number > 1).then(|| {
            let (id, code) = (format!("execution-{}", number - 1), 1_000 + number as u16);
            [returned_over(channel, &id, code, b"body"), ack(channel, number)].concat()
        })
    });
    let fake = fake.await;
    let many = (1..=100).map(|n| message(n, "q")).collect();
    let reply = Publisher::new().publish(chunk(fake.broker(), "", many)).await;
    assert!(told(&reply).iter().all(|(_, class, ..)| *class == RETRY), "{reply:?}");
    assert_eq!(told(&reply).len(), 100);
    let Reply::PerJob { parts, .. } = reply else { unreachable!() };
    assert_eq!(parts.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_broker_that_opens_no_channel_loses_the_connection_also_where_no_call_waits_so_long() {
    let fake =
        FakeBroker::start(Offer::default(), |&Asked { of, .. }| (of == (20, 10)).then(Vec::new));
    let fake = fake.await;
    let publisher = Publisher { timeout: Duration::from_millis(300), ..Publisher::new() };
    let reply = publisher.publish(three(fake.broker())).await;
    assert!(told(&reply).iter().all(|(_, class, ..)| *class == RETRY), "{reply:?}");
    let mut ended = fake.ended.clone();
    ended.wait_for(|ended| *ended == 1).await.unwrap();
}

/// A resolver that fails as a program does, and then names the loopback.
#[derive(Default)]
struct PanicsOnce(std::sync::atomic::AtomicBool);

impl Lookup for PanicsOnce {
    fn lookup(&self, _: String, _: ProjectId) -> LookupFuture {
        let again = self.0.swap(true, std::sync::atomic::Ordering::SeqCst);
        Box::pin(async move {
            assert!(again, "a fault in this program");
            Ok(vec![([127, 0, 0, 1], 0).into()])
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_this_program_while_connecting_is_not_for_ever() {
    let fake = FakeBroker::start(Offer::default(), |_| None).await;
    let time = Arc::new(SchedulerTime::new(Arc::new(SystemClock)));
    let lookup = Arc::new(PanicsOnce::default());
    let options = ConnectOptions { lookup, ..ConnectOptions::new(Arc::clone(time.clock())) };
    let publisher = Publisher::over(Pool::new(options), time);
    let broker = Broker { host: "broker.example".to_owned(), ..fake.broker() };
    let reply = publisher.publish(three(broker.clone())).await;
    assert!(told(&reply).iter().all(|(.., why)| why.contains("has failed")), "{reply:?}");
    let mut reply = publisher.publish(three(broker.clone())).await;
    while let Reply::Refused { .. } = reply {
        tokio::time::sleep(Duration::from_millis(20)).await;
        reply = publisher.publish(three(broker.clone())).await;
    }
    assert_eq!(delivered(&reply), [1, 2, 3], "{reply:?}");
}

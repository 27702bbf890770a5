//! A broker that lacks memory takes no messages: jobs are put off, and no attempt is counted.

use super::rabbitmq::{messages, queue};
use super::*;
use crate::model::postponement::Obstacle;

#[tokio::test(flavor = "multi_thread")]
async fn while_a_broker_is_blocked_nothing_is_handed_over_and_afterwards_all_goes_on() {
    let Some(rabbit) = RabbitMq::start() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "", "").await;
    let to = || broker(&rabbit, USER, &vhost);
    rabbit.alarm(true);
    // A connection that is opened during the alarm finds it out without a job.
    let publisher = Publisher::new();
    for n in 0..3 {
        let reply = publisher.publish(chunk(to(), "", vec![message(n, "q")])).await;
        assert!(
            matches!(&reply, Reply::Refused { obstacle: Obstacle::Asked, .. }),
            "the destination counts as closed: {reply:?}"
        );
    }
    rabbit.alarm(false);
    let mut tries = 0;
    let reply = loop {
        let reply = publisher.publish(chunk(to(), "", vec![message(7, "q")])).await;
        tries += 1;
        if !matches!(reply, Reply::Refused { .. }) || tries > 300 {
            break reply;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(delivered(&reply), [7], "{reply:?}");
    assert_eq!(messages(&channel, "q").await.len(), 1, "nothing else was handed over");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_connection_that_is_blocked_with_messages_handed_over_is_cut() {
    let Some(rabbit) = RabbitMq::start() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "", "").await;
    let publisher = Publisher { timeout: Duration::from_mins(1), ..Publisher::new() };
    let to = || broker(&rabbit, USER, &vhost);
    let reply = publisher.publish(chunk(to(), "", vec![message(1, "q")])).await;
    assert_eq!(delivered(&reply), [1], "{reply:?}");
    rabbit.alarm(true);
    // The broker says that it is blocked only after this one.
    let reply = publisher.publish(chunk(to(), "", vec![message(2, "q")])).await;
    let [(2, Class::Retry { after: None }, ResultCode::None, why)] = &told(&reply)[..] else {
        panic!("{reply:?}")
    };
    assert!(why.contains("took no messages for 10 s"), "{why}");
    let mut tries = 0;
    while !matches!(
        publisher.publish(chunk(to(), "", vec![message(3, "q")])).await,
        Reply::Refused { obstacle: Obstacle::Asked, .. }
    ) {
        tries += 1;
        assert!(tries < 100, "the new connection finds the alarm");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    rabbit.alarm(false);
}

//! Messages to a real broker through whole nodes: jobs publish what they say, exactly the
//! unroutable ones fail, nothing is lost when connections are cut or the broker runs out of memory,
//! and the password is nowhere.

mod broker_kill;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lapin::message::Delivery;
use lapin::types::AMQPValue;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::harness::rabbitmq::{self, PASSWORD, RabbitMq, USER};
use crate::harness::tcp_proxy::{Backward, TcpProxy};
use crate::harness::{TestCluster, merged};

/// A node with a project, and a virtual host of a broker.
struct Fixture {
    vhost: String,
    channel: lapin::Channel,
    cluster: TestCluster,
    project: u64,
}

impl Fixture {
    /// Starts a node. Breakers are off, so that only a job's own terms decide when it is retried.
    async fn start(rabbit: &RabbitMq, more: &[(&str, &str)]) -> Self {
        let mut settings = vec![
            ("SCHEDULER0_BREAKER_FAILURES", "0"),
            ("SCHEDULER0_EXECUTION_LOG_FETCH_INTERVAL_SECONDS", "0.2"),
        ];
        settings.extend(more);
        let cluster = TestCluster::start_with(1, &settings).await;
        cluster.settled(1, &[1]).await;
        let project = cluster.project(1, "messages").await;
        let vhost = rabbit.vhost();
        let channel = rabbit.channel(&vhost).await;
        Self { vhost, channel, cluster, project }
    }

    /// The URL of the broker at a port, with the login.
    fn url(&self, port: u16) -> String {
        format!("amqp://{USER}:{}@127.0.0.1:{port}/{}", encoded(PASSWORD), encoded(&self.vhost))
    }

    /// Creates an executor for messages; returns its id.
    async fn executor(&self, port: u16, more: Value) -> u64 {
        let amqp = merged(json!({"url": self.url(port)}), more);
        let body = json!({"name": format!("broker at {port}"), "type": "amqp", "amqp": amqp});
        let (status, body) = self.cluster.post(1, "/api/v1/executors", &body).await;
        assert_eq!(status, 201, "{body}");
        assert!(!body.to_string().contains("never-shown"), "{body}");
        body["data"]["id"].as_u64().unwrap()
    }

    /// Creates jobs; returns their ids.
    async fn create(&self, jobs: Vec<Value>) -> Vec<u64> {
        let common = json!({"projectId": self.project, "timezone": "UTC"});
        let mut ids = Vec::new();
        for jobs in jobs.chunks(1_000) {
            let jobs: Vec<Value> =
                jobs.iter().map(|job| merged(common.clone(), job.clone())).collect();
            let made = self.cluster.jobs(1, &jobs.into()).await;
            ids.extend(made.iter().map(|job| job["id"].as_u64().unwrap()));
        }
        ids
    }

    /// Takes messages off a queue until so many different ones have come; returns them by id.
    async fn arrive(&self, queue: &str, count: usize) -> BTreeMap<String, Vec<Delivery>> {
        let mut found: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
        let until = std::time::Instant::now() + crate::harness::PATIENCE;
        while found.len() < count {
            for message in rabbitmq::messages(&self.channel, queue).await {
                let id = message.properties.message_id().as_ref().unwrap().as_str().to_owned();
                found.entry(id).or_default().push(message);
            }
            let late = std::time::Instant::now() > until;
            assert!(!late, "{} of {count} have come:\n{}", found.len(), self.cluster.log(1));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        found
    }

    /// Waits until an execution has a state; returns it.
    async fn becomes(&self, execution: &str, state: &str) -> Value {
        let path = format!("/api/v1/executions/{execution}");
        let is = async |cluster: &TestCluster| {
            let answer = cluster.http().get(cluster.url(1, &path)).send().await.ok()?;
            let body: Value = answer.json().await.ok()?;
            (body["data"]["state"] == state).then(|| body["data"].clone())
        };
        self.cluster.wait_until(&format!("{execution} becomes {state}"), is).await
    }

    /// The executions of jobs that were due in a time, when all of them are delivered.
    async fn delivered(&self, jobs: &[u64], from: i64, until: i64) -> BTreeSet<String> {
        let mut delivered = BTreeSet::new();
        let [from, until] = [from, until].map(scheduler0::model::time::rfc3339);
        for job in jobs {
            let path =
                format!("/api/v1/jobs/{job}/occurrences?from={from}&until={until}&limit=1000");
            let ended = async |cluster: &TestCluster| {
                let found = cluster.get(1, &path).await;
                let all = found["occurrences"].as_array()?.clone();
                all.iter().all(|o| o["state"] == "delivered").then_some(all)
            };
            let all = self.cluster.wait_until("all are delivered", ended).await;
            delivered
                .extend(all.iter().filter_map(|o| o["executionId"].as_str().map(str::to_owned)));
        }
        delivered
    }

    /// The jobs with dead letters, when there are so many.
    async fn dead(&self, count: usize) -> BTreeSet<u64> {
        let path = format!("/api/v1/dead-letters?projectId={}&limit=1000", self.project);
        let all = async |cluster: &TestCluster| {
            let page = cluster.get(1, &path).await;
            let letters = page["deadLetters"].as_array()?.clone();
            let sum: u64 = letters.iter().map(|letter| letter["count"].as_u64().unwrap()).sum();
            (sum == count as u64).then_some(letters)
        };
        let mut jobs = BTreeSet::new();
        for letter in self.cluster.wait_until("dead letters", all).await {
            // A list shows only the first members.
            let path = format!("/api/v1/dead-letters/{}", letter["id"]);
            let letter = self.cluster.get(1, &path).await;
            let members = letter["members"].as_array().unwrap().iter();
            jobs.extend(members.map(|member| member["jobId"].as_u64().unwrap()));
        }
        jobs
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn header<'a>(message: &'a Delivery, name: &str) -> &'a AMQPValue {
    &message.properties.headers().as_ref().expect("headers").inner()[name]
}

fn text(message: &Delivery, name: &str) -> String {
    let AMQPValue::LongString(text) = header(message, name) else { panic!("{name} is no text") };
    text.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_publishes_what_it_says_and_its_execution_shows_the_confirm() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let fixture = Fixture::start(rabbit, &[]).await;
    rabbitmq::queue(&fixture.channel, "orders", "amq.topic", "orders.*").await;
    let executor = fixture.executor(
        rabbit.port(),
        json!({
            "exchange": "amq.topic",
            "routingKey": "orders.{{jobId}}",
            "headers": {"tenant": "blue", "level": 3},
            "contentType": "application/json",
        }),
    );
    let executor = executor.await;
    let own = json!({"url": fixture.url(rabbit.port()), "exchange": "", "routingKey": "orders"});
    let jobs = vec![
        json!({"executorId": executor, "after": "1s", "data": {"order": 7}}),
        json!({"amqp": own, "after": "1s", "data": "plain"}),
    ];
    let ids = fixture.create(jobs).await;
    for (id, messages) in fixture.arrive("orders", 2).await {
        assert_eq!(messages.len(), 1, "once");
        let message = &messages[0];
        let shown = fixture.becomes(&id, "delivered").await;
        let attempt = &shown["attempts"][0];
        assert_eq!((&attempt["attempt"], &attempt["httpCode"]), (&json!(1), &json!(0)), "{shown}");
        assert_eq!(text(message, "scheduler-execution-id"), id);
        let job = attempt["jobId"].as_u64().unwrap();
        if job == ids[0] {
            assert_eq!(message.routing_key.as_str(), format!("orders.{job}"));
            assert_eq!(header(message, "level"), &AMQPValue::LongInt(3));
            assert_eq!(text(message, "tenant"), "blue");
            let body: Value = serde_json::from_slice(&message.data).unwrap();
            assert_eq!(body, json!({"order": 7}));
        } else {
            assert_eq!((job, message.routing_key.as_str()), (ids[1], "orders"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_reached_over_tls_and_verified_by_the_authority_of_the_executor() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let fixture = Fixture::start(rabbit, &[]).await;
    rabbitmq::queue(&fixture.channel, "q", "", "").await;
    let url = fixture.url(rabbit.tls_port()).replace("amqp://", "amqps://");
    let to = json!({"url": url, "exchange": "", "routingKey": "q"});
    let verified = merged(to.clone(), json!({"ca": include_str!("../fixtures/tls/ca.pem")}));
    let terms = json!({"after": "1s", "retryMax": 0});
    let jobs = [verified, to].map(|amqp| merged(json!({"amqp": amqp}), terms.clone()));
    let ids = fixture.create(jobs.to_vec()).await;
    let arrived = fixture.arrive("q", 1).await.into_keys().next().unwrap();
    assert_eq!(fixture.becomes(&arrived, "delivered").await["attempts"][0]["jobId"], ids[0]);
    assert_eq!(fixture.dead(1).await, BTreeSet::from([ids[1]]), "without it nothing is sent");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_message_that_is_not_confirmed_in_time_is_published_again_under_its_id() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let fixture = Fixture::start(rabbit, &[]).await;
    rabbitmq::queue(&fixture.channel, "q", "", "").await;
    let proxy = TcpProxy::start(rabbit.port()).await;
    let settings = json!({"exchange": "", "routingKey": "q"});
    let executor = fixture.executor(proxy.port(), settings).await;
    // The connection is there before its answers are lost.
    fixture.create(vec![json!({"executorId": executor, "after": "1s"})]).await;
    fixture.arrive("q", 1).await;
    proxy.backward(Backward::IsSwallowed);
    let terms = json!({"timeout": "1s", "retryMax": 50, "retryDelay": "300ms", "retryFactor": 1});
    let job = merged(json!({"executorId": executor, "after": "1s"}), terms);
    fixture.create(vec![job]).await;
    let first = fixture.arrive("q", 1).await.into_keys().next().unwrap();
    proxy.backward(Backward::Passes);
    let shown = fixture.becomes(&first, "delivered").await;
    let attempts = shown["attempts"].as_array().unwrap();
    let error = attempts[0]["error"].as_str().unwrap_or_default();
    assert!(attempts.len() > 1 && error.contains("did not confirm"), "{shown}");
    let again = fixture.arrive("q", 1).await;
    assert_eq!(again.into_keys().collect::<Vec<_>>(), [first], "no other id");
}

/// Publishes one-offs of which every seventh has a routing key that leads nowhere.
async fn every_seventh_fails(count: usize) {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let fixture = Fixture::start(rabbit, &[]).await;
    rabbitmq::queue(&fixture.channel, "q", "amq.direct", "there").await;
    let proxy = TcpProxy::start(rabbit.port()).await;
    let settings = json!({"exchange": "amq.direct", "routingKey": "there"});
    let executor = fixture.executor(proxy.port(), settings).await;
    let at = scheduler0::model::time::rfc3339(crate::harness::now() + 5_000 + count as i64);
    let job = |n: usize| {
        let key = if n.is_multiple_of(7) { "nowhere" } else { "there" };
        let message = json!({"routingKey": key});
        json!({"executorId": executor, "at": at, "retryMax": 0, "message": message})
    };
    let ids = fixture.create((1..=count).map(job).collect()).await;
    let wrong: BTreeSet<u64> = ids.iter().copied().skip(6).step_by(7).collect();
    assert_eq!(fixture.dead(wrong.len()).await, wrong, "exactly those");
    let arrived = fixture.arrive("q", count - wrong.len()).await;
    assert!(arrived.values().all(|copies| copies.len() == 1), "each once");
    assert_eq!(rabbitmq::messages(&fixture.channel, "q").await.len(), 0);
    assert_eq!(proxy.connections(), 1, "all chunks share a connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_messages_that_reach_no_queue_are_dead_letters() {
    every_seventh_fails(700).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn of_ten_thousand_jobs_of_one_instant_exactly_the_unroutable_ones_fail() {
    every_seventh_fails(10_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn connections_that_are_cut_before_the_confirm_lose_nothing() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let fixture = Fixture::start(rabbit, &[]).await;
    rabbitmq::queue(&fixture.channel, "q", "", "").await;
    let proxy = TcpProxy::start(rabbit.port()).await;
    let settings = json!({"exchange": "", "routingKey": "q"});
    let executor = fixture.executor(proxy.port(), settings).await;
    let terms = json!({
        "executorId": executor, "spec": "* * * * * *", "retryMax": 50, "retryDelay": "200ms",
        "retryFactor": 1,
    });
    let from = crate::harness::now();
    let jobs = fixture.create(vec![terms; 50]).await;
    for n in 0..200_u64 {
        tokio::time::sleep(Duration::from_millis(40 + n % 37)).await;
        proxy.cut();
    }
    let until = crate::harness::now();
    let sent = fixture.delivered(&jobs, from, until).await;
    assert!(sent.len() >= 50 * 8, "{} executions", sent.len());
    let arrived: BTreeSet<String> = fixture.arrive("q", sent.len()).await.into_keys().collect();
    assert!(sent.is_subset(&arrived), "delivered, and not there");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn an_alarm_of_the_broker_puts_jobs_off_and_counts_no_attempt() {
    let Some(rabbit) = RabbitMq::start() else { return };
    let fixture = Fixture::start(&rabbit, &[]).await;
    rabbitmq::queue(&fixture.channel, "q", "", "").await;
    let settings = json!({"exchange": "", "routingKey": "q"});
    let executor = fixture.executor(rabbit.port(), settings).await;
    rabbit.alarm(true);
    let job = json!({"executorId": executor, "after": "1s", "retryMax": 0});
    fixture.create(vec![job; 20]).await;
    let waits = async |cluster: &TestCluster| {
        let answer = cluster.http().get(cluster.url(1, "/metrics")).send().await.ok()?;
        answer.text().await.ok()?.contains("scheduler0_destination_paused{").then_some(())
    };
    fixture.cluster.wait_until("the broker counts as one that asked to wait", waits).await;
    assert!(rabbitmq::messages(&fixture.channel, "q").await.is_empty());
    rabbit.alarm(false);
    for id in fixture.arrive("q", 20).await.into_keys() {
        let shown = fixture.becomes(&id, "delivered").await;
        let attempts = shown["attempts"].as_array().unwrap();
        assert_eq!((attempts.len(), &attempts[0]["attempt"]), (1, &json!(1)), "{shown}");
        let waited = attempts[0]["waited"].as_str().unwrap_or_default();
        assert!(waited.contains("asked to wait"), "{shown}");
    }
    assert_eq!(fixture.dead(0).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_in_no_answer_no_log_and_no_file() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let fixture =
        Fixture::start(rabbit, &[("RUST_LOG", "info,scheduler0=debug,lapin=trace")]).await;
    rabbitmq::queue(&fixture.channel, "q", "", "").await;
    let settings = json!({"exchange": "", "routingKey": "q"});
    let good = fixture.executor(rabbit.port(), settings.clone()).await;
    let own = merged(json!({"url": fixture.url(rabbit.port())}), settings);
    let missing = json!({"exchange": "missing", "routingKey": "q"});
    let jobs = vec![
        json!({"executorId": good, "after": "1s"}),
        json!({"executorId": good, "after": "1s", "message": missing, "retryMax": 0}),
        json!({"amqp": own, "after": "1s"}),
    ];
    let ids = fixture.create(jobs).await;
    fixture.arrive("q", 2).await;
    fixture.dead(1).await;
    let (status, made) = fixture.cluster.post(1, "/api/v1/cluster/backup", &json!({})).await;
    assert_eq!(status, 200, "{made}");
    let mut told = String::new();
    for path in [
        "/api/v1/executors?limit=10".to_owned(),
        format!("/api/v1/executors/{good}"),
        format!("/api/v1/jobs/{}", ids[2]),
        format!("/api/v1/jobs/{}/explain", ids[1]),
        format!("/api/v1/dead-letters?projectId={}", fixture.project),
        "/api/v1/cluster/status".to_owned(),
        "/metrics".to_owned(),
    ] {
        let answer = fixture.cluster.http().get(fixture.cluster.url(1, &path)).send().await;
        told.push_str(&answer.unwrap().text().await.unwrap());
    }
    assert!(told.contains("***"), "the URL is shown without it: {told}");
    let login = format!("\0{USER}\0{PASSWORD}");
    let forms = [
        PASSWORD.to_owned(),
        encoded(PASSWORD),
        STANDARD.encode(PASSWORD),
        STANDARD.encode(login),
        // As `Debug` and URLs write some of its signs.
        "never-shown".to_owned(),
    ];
    for form in &forms {
        assert!(!told.contains(form), "{form} is told: {told}");
    }
    let mut files = 0;
    look_through(fixture.cluster.folder(), &mut |path, bytes| {
        files += 1;
        for form in &forms {
            let found = bytes.windows(form.len()).any(|part| part == form.as_bytes());
            assert!(!found, "{form} is in {}", path.display());
        }
    });
    assert!(files > 3, "log, state, journal");
}

fn look_through(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            look_through(&path, look);
        } else if let Ok(bytes) = std::fs::read(&path) {
            // A file may go meanwhile.
            look(&path, &bytes);
        }
    }
}

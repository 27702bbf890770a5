//! A reader of `GET /events`, which knows the format and nothing of what events mean.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{PATIENCE, TestCluster};

/// The operator of the nodes that tests start: admin, admin-password.
pub(super) const OPERATOR: [(&str, &str); 2] =
    [("x-peer", "cmd"), ("authorization", "Basic YWRtaW46YWRtaW4tcGFzc3dvcmQ=")];

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) id: Option<String>,
    pub(super) kind: String,
    pub(super) data: Value,
}

impl Event {
    fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let prefix = format!("{name}: ");
            text.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::to_owned)
        };
        let data = field("data").unwrap_or_else(|| panic!("an event without data: {text:?}"));
        let data = serde_json::from_str(&data).unwrap_or_else(|e| panic!("{e}: {data}"));
        Self { id: field("id"), kind: field("event").unwrap(), data }
    }
}

/// An open stream.
pub(super) struct EventReader {
    response: reqwest::Response,
    text: Vec<u8>,
    /// The id of the last event that had one.
    pub(super) last_id: String,
}

impl EventReader {
    /// Opens a stream as the operator and reads its `hello`.
    pub(super) async fn open(
        cluster: &TestCluster,
        node: u64,
        query: &str,
        seen: Option<&str>,
    ) -> Self {
        let url = cluster.url(node, &format!("/v1/events{query}"));
        let mut reader = match Self::ask(&url, &OPERATOR, seen).await {
            Ok(reader) => reader,
            Err(refused) => panic!("{refused:?}"),
        };
        let hello = reader.next().await.expect("a first event");
        assert_eq!((hello.kind.as_str(), &hello.data["nodeId"]), ("hello", &node.into()));
        reader
    }

    /// Opens a stream; a refusal as its status and body.
    pub(super) async fn ask(
        url: &str,
        headers: &[(&str, &str)],
        seen: Option<&str>,
    ) -> Result<Self, (u16, Value)> {
        // Without a timeout of the whole answer, which does not end.
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        if status != 200 {
            return Err((status, response.json().await.unwrap()));
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Ok(Self { response, text: Vec::new(), last_id: String::new() })
    }

    /// The next event; `None` when the stream has ended.
    pub(super) async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("an event or the end")
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let rest = self.text.split_off(end + 2);
                let text = String::from_utf8(std::mem::replace(&mut self.text, rest)).unwrap();
                let event = Event::parse(&text);
                if let Some(id) = &event.id {
                    self.last_id.clone_from(id);
                }
                return Some(event);
            }
            // An error is the end of a node that was killed.
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.text.extend_from_slice(&chunk);
        }
    }

    /// The next event that is no beat.
    pub(super) async fn next_fact(&mut self) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.kind != "beat" {
                return event;
            }
        }
    }

    /// Reads until an event of a type; the events before it are dropped.
    pub(super) async fn until(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.kind == kind {
                return event;
            }
        }
    }

    /// Reads until the stream ends; all events.
    pub(super) async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// The time between two looks at a metric.
const LOOK: Duration = Duration::from_millis(200);

/// Waits until a node has so many readers.
pub(super) async fn readers(cluster: &TestCluster, node: u64, count: u64) {
    let wanted = format!("scheduler0_event_streams {count}");
    let mut ticker = tokio::time::interval(LOOK);
    let wait = async {
        loop {
            ticker.tick().await;
            let response = cluster.http().get(cluster.url(node, "/metrics")).send().await.unwrap();
            if response.text().await.unwrap().lines().any(|line| line == wanted) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the number of readers");
}

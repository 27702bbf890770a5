//! The secrets that a cluster is given to keep, each in its place, and those that it is shown and
//! refuses. Each is random, so that it is found nowhere by chance.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::needle::Needle;
use crate::tls::certs;

/// The secrets of a run.
#[derive(Default)]
pub(super) struct Kept(pub(super) Vec<Needle>);

impl Kept {
    /// Adds a secret that the program made.
    pub(super) fn add(&mut self, name: &str, text: &str) {
        self.0.push(Needle::new(name, text));
    }

    /// Makes a secret of random letters.
    pub(super) fn make(&mut self, name: &str) -> String {
        let letters = (0..32).map(|_| char::from(b'g' + rand::random::<u8>() % 20));
        // None of them is a digit of a number: they would stand for bytes.
        let text: String = letters.collect();
        self.add(name, &text);
        text
    }

    /// Makes a key of hexadecimal digits.
    pub(super) fn make_hex(&mut self, name: &str) -> String {
        let text = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        self.add(name, &text);
        text
    }

    /// Makes a secret that signs.
    pub(super) fn make_signing(&mut self, name: &str) -> String {
        let text = format!("whsec_{}", BASE64.encode(rand::random::<[u8; 24]>()));
        self.add(name, &text);
        text
    }

    /// The executors that hold secrets, of every kind, by the URLs for batches and single calls.
    pub(super) fn executors(&mut self, batches: &str, receiver: &str) -> Vec<Value> {
        let broker = |password: &str| format!("amqp://app:{password}@127.0.0.1:9/shop");
        let key = certs::CLIENT.1.lines().nth(1).unwrap();
        self.add("the key to a client's certificate", key);
        vec![
            json!({"name": "signed", "type": "webhook_url", "webhookUrl": batches,
                "webhookMethod": "POST",
                "webhookSecret": self.make_signing("a signing secret of an executor")}),
            json!({"name": "basic", "http": {"url": receiver, "auth": {"type": "basic",
                "username": "app", "password": self.make("a password of an executor")},
                "secretHeaders": {"X-Api-Key": self.make("a secret header of an executor")}}}),
            json!({"name": "bearer", "http": {"url": receiver, "auth": {"type": "bearer",
                "token": self.make("a token of an executor")}}}),
            json!({"name": "certificate", "http": {"url": "https://127.0.0.1:9/",
                "clientCert": certs::CLIENT.0, "clientKey": certs::CLIENT.1}}),
            json!({"name": "broker", "type": "amqp", "amqp": {"exchange": "orders", "routingKey": "made",
                "url": broker(&self.make("a password of a broker"))}}),
            json!({"name": "queue", "type": "worker", "worker": {"bus": "rabbitmq",
                "url": broker(&self.make("a password of the broker of a queue"))}}),
            json!({"name": "cloud", "type": "cloud_function", "region": "eu", "cloudProvider": "gcp",
                "cloudResourceUrl": "https://cloud.example.com/f",
                "cloudApiKey": self.make("a key of a cloud"),
                "cloudApiSecret": self.make("a secret of a cloud")}),
        ]
    }

    /// Targets that jobs hold themselves, with secrets in them.
    pub(super) fn targets(&mut self, receiver: &str) -> Vec<Value> {
        let password = self.make("a password of the broker of a job");
        vec![
            json!({"http": {"url": receiver, "auth": {"type": "bearer",
                "token": self.make("a token of a job")},
                "secretHeaders": {"Cookie": format!("s={}", self.make("a secret header of a job"))}}}),
            // Nobody listens there: what is said of the failure is kept.
            json!({"http": {"url": "http://127.0.0.1:9/", "auth": {"type": "basic",
                "username": "app", "password": self.make("a password of a job that fails")}}}),
            json!({"amqp": {"exchange": "", "routingKey": "letters",
                "url": format!("amqp://app:{password}@127.0.0.1:9/")}}),
        ]
    }

    /// Requests that are refused, with a secret in each: path and body.
    pub(super) fn refused(&mut self) -> Vec<(&'static str, String)> {
        let mut make = |name: &str| self.make(name);
        let broker = |rest: String| json!({"name": "x", "type": "amqp", "amqp": {"url": rest}});
        let http = |http: Value| json!({"name": "x", "http": http}).to_string();
        vec![
            (
                "/executors",
                broker(format!("amqp://u:{}@127.0.0.1:99999/", make("a bad port"))).to_string(),
            ),
            (
                "/executors",
                broker(format!("amqp://u:{}@169.254.169.254/", make("a bad address"))).to_string(),
            ),
            (
                "/executors",
                broker(format!("http://u:{}@127.0.0.1/", make("a bad scheme"))).to_string(),
            ),
            (
                "/executors",
                http(json!({"url": format!("https://u:{}@a.example/", make("a user in a URL"))})),
            ),
            (
                "/executors",
                http(json!({"url": "https://a.example/", "auth":
                {"type": "basic", "username": "u", "password": [make("a password of another type")]}})),
            ),
            (
                "/executors",
                http(json!({"url": "https://a.example/", "auth":
                {"type": "bearer", "token": format!("{}\n", make("a token with a line"))}})),
            ),
            (
                "/executors",
                http(json!({"url": "https://a.example/", "auth":
                {"type": "basic", "token": make("a token with a wrong type")}})),
            ),
            (
                "/executors",
                http(json!({"url": "https://a.example/", "secretHeaders":
                {"X-Api-Key": {"a": make("a header of another type")}}})),
            ),
            (
                "/executors",
                http(json!({"url": "https://a.example/", "clientCert": certs::CLIENT.0,
                "clientKey": make("a key that is none")})),
            ),
            (
                "/projects",
                json!({"name": "x", "description": "d",
                "webhookSecret": format!("whsec_{}!", make("a bad signing secret"))})
                .to_string(),
            ),
            (
                "/projects",
                json!({"name": "x", "description": "d",
                "webhookSecret": {"a": make("a signing secret of another type")}})
                .to_string(),
            ),
            (
                "/projects",
                format!("{{\"name\": \"x\", \"webhookSecret\": \"{}", make("a body cut off")),
            ),
            (
                "/executors/1/rotate-secret",
                json!({"webhookSecret": [make("a signing secret in a list")]}).to_string(),
            ),
            (
                "/jobs",
                json!({"projectId": 1, "spec": "@daily", "timezone": "UTC", "callbackUrl":
                format!("https://u:{}@a.example/", make("a user in the URL of a job"))})
                .to_string(),
            ),
        ]
    }
}

//! The HTTP kind of target: what it tells the worker about a target, and which renderer writes the
//! requests for it. `executor::registry` makes one for a node.

use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::destination::address;
use super::options::{Error, Options};
use super::parts::Parts;
use super::renderers::{BatchRenderer, NoRenderer, SingleRenderer};
use crate::clock::Clock;
use crate::delivery::batch::Batch;
use crate::delivery::destination::{Address, Destination};
use crate::delivery::executor::{Executor, Grouping, Invalid, Renderer};
use crate::model::call_target::CallTarget;
use crate::model::target::WEBHOOK_URL;
use crate::model::target_pattern::TargetAddress;
use crate::secret::Keys;

/// The executor of HTTP targets. Cloning gives another handle to the same connections.
#[derive(Clone)]
pub struct HttpExecutor(pub(super) Arc<Parts>);

impl HttpExecutor {
    /// An executor without connections. `keys` open the credentials of targets.
    pub fn new(options: Options, keys: Arc<Keys>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Ok(Self(Arc::new(Parts::new(options, keys, clock)?)))
    }
}

impl Executor for HttpExecutor {
    fn kind(&self) -> &'static str {
        WEBHOOK_URL
    }

    /// Its target is in fields of the executor, not in settings.
    fn validate(&self, _: &Value, _: Option<&Value>) -> Result<Value, Invalid> {
        Err(Invalid::new("settings", "settings are for other types: give webhookUrl or http"))
    }

    fn show(&self, _: &Value) -> Value {
        Value::Null
    }

    fn address(&self, target: &CallTarget) -> Address {
        match target {
            CallTarget::Callback(callback) => address(&callback.url),
            CallTarget::Http(http) => address(&http.url),
            CallTarget::Settings(other) => Address {
                destination: Destination::new(other.kind.as_str()),
                path: 0,
                name: other.kind.as_str().into(),
            },
        }
    }

    fn call_address(&self, target: &CallTarget) -> Option<TargetAddress> {
        let url = match target {
            CallTarget::Callback(callback) => &callback.url,
            CallTarget::Http(http) => &http.url,
            CallTarget::Settings(_) => return None,
        };
        // Placeholders stand behind the host.
        let url = Url::parse(url).ok()?;
        let scheme = if url.scheme() == "https" { "https" } else { "http" };
        let (host, port) = (url.host()?.to_owned(), url.port_or_known_default()?);
        Some(TargetAddress { scheme, host, port })
    }

    fn grouping(&self, target: &CallTarget) -> Grouping {
        match target {
            CallTarget::Http(_) => Grouping::Single,
            CallTarget::Callback(_) | CallTarget::Settings(_) => Grouping::Batch,
        }
    }

    fn renderer<'r>(&'r self, target: &'r CallTarget, batch: Batch<'r>) -> Box<dyn Renderer + 'r> {
        match target {
            CallTarget::Callback(callback) => {
                Box::new(BatchRenderer::new(&self.0, callback, batch))
            }
            CallTarget::Http(http) => Box::new(SingleRenderer::new(&self.0, http, batch)),
            CallTarget::Settings(_) => Box::<NoRenderer>::default(),
        }
    }

    fn local_errors(&self) -> Vec<(&'static str, u64)> {
        self.0.runner.local_errors()
    }
}

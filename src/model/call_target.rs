//! The target of calls as an executor gets it: what a job and its executor say together, by kind.
//!
//! `worker` makes one for each definition and hands it on without a look inside. Only the executor
//! of its kind reads it. Pure; nothing here is stored.

use super::job::{Casing, JobDefinition};
use super::target::{Configured, Executor, HttpTarget, Tls, WEBHOOK_URL};

/// The target of calls. A kind whose jobs have fields of their own gets a variant of its own; for
/// any other kind its settings are enough.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallTarget {
    /// A URL that batches are sent to.
    Callback(Callback),
    /// An HTTP request for each occurrence.
    Http(Box<HttpTarget>),
    /// Settings, of an executor or of the job itself, that only their kind reads.
    Settings(Box<Configured>),
}

/// A URL that batches are sent to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Callback {
    /// The URL.
    pub url: String,
    /// `POST` or `PUT`.
    pub method: String,
    /// The casing of the body.
    pub casing: Casing,
    /// The TLS settings; `None` for those of the machine.
    pub tls: Option<Box<Tls>>,
}

impl CallTarget {
    /// The target of a definition's jobs. `executor` is the number of the executor that they go to,
    /// if they go to one, with its record. The error says to people why there is no target.
    pub fn of(
        definition: &JobDefinition,
        executor: Option<(u64, Option<&Executor>)>,
    ) -> Result<Self, String> {
        let callback = |url: &str, method: &str, tls: Option<&Tls>| {
            Self::Callback(Callback {
                url: url.to_owned(),
                method: if method.is_empty() { "POST" } else { method }.to_owned(),
                casing: definition.casing,
                tls: tls.cloned().map(Box::new),
            })
        };
        if let Some(http) = &definition.http {
            return Ok(Self::Http(http.clone()));
        }
        if let Some(own) = &definition.target {
            return Ok(Self::Settings(own.clone()));
        }
        let (id, executor) = match executor {
            Some(found) => found,
            None if definition.callback_url.is_empty() => {
                return Err(
                    "the job has no target: neither callback_url nor http nor amqp nor executor"
                        .to_owned(),
                );
            }
            None => return Ok(callback(&definition.callback_url, "", None)),
        };
        let executor =
            executor.ok_or_else(|| format!("executor {id} of the job does not exist"))?;
        let Executor { name, kind, http, webhook_url, settings, .. } = executor;
        if kind == WEBHOOK_URL {
            return match http {
                Some(http) => Ok(Self::Http(http.clone())),
                None if webhook_url.is_empty() => Err(format!(
                    "executor {name} has neither webhook_url nor http: set one of them"
                )),
                None => {
                    Ok(callback(webhook_url, &executor.webhook_method, executor.tls.as_deref()))
                }
            };
        }
        let settings = settings.as_deref().ok_or_else(|| {
            format!("executor {name} is of type {kind}: jobs can be sent to {WEBHOOK_URL} only")
        })?;
        let (kind, settings) = (kind.clone(), settings.clone());
        Ok(Self::Settings(Box::new(Configured { kind, settings })))
    }

    /// The kind, by which its executor is found.
    pub fn kind(&self) -> &str {
        match self {
            Self::Callback(_) | Self::Http(_) => WEBHOOK_URL,
            Self::Settings(configured) => &configured.kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: &str, change: impl FnOnce(&mut Executor)) -> Result<CallTarget, String> {
        let mut executor = Executor { name: "e".into(), kind: kind.into(), ..Executor::default() };
        change(&mut executor);
        CallTarget::of(&JobDefinition::default(), Some((7, Some(&executor))))
    }

    #[test]
    fn job_and_executor_say_together_where_calls_go() {
        let with_url = target(WEBHOOK_URL, |executor| executor.webhook_url = "http://a/".into());
        let Ok(CallTarget::Callback(callback)) = with_url else { panic!("{with_url:?}") };
        assert_eq!((callback.url.as_str(), callback.method.as_str()), ("http://a/", "POST"));
        let http = target(WEBHOOK_URL, |executor| executor.http = Some(Box::default()));
        assert!(matches!(http, Ok(CallTarget::Http(_))), "{http:?}");
        let own = target("other", |executor| executor.settings = Some(Box::new(3.into())));
        assert_eq!(own.map(|own| own.kind().to_owned()), Ok("other".to_owned()));
        let own = Configured { kind: "own".into(), settings: 3.into() };
        let definition = JobDefinition { target: Some(Box::new(own)), ..JobDefinition::default() };
        assert_eq!(CallTarget::of(&definition, None).unwrap().kind(), "own");
    }

    #[test]
    fn a_kind_without_settings_takes_no_jobs_and_says_so() {
        for (kind, part) in [("container", "is of type container"), (WEBHOOK_URL, "neither")] {
            let error = target(kind, |_| ()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let definition = JobDefinition::default();
        let error = CallTarget::of(&definition, Some((7, None))).unwrap_err();
        assert_eq!(error, "executor 7 of the job does not exist");
        assert!(CallTarget::of(&definition, None).unwrap_err().contains("has no target"));
    }
}

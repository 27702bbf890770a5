//! The bodies of claims and heartbeats.

use serde_json::Value;

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::app::warnings::Warnings;
use crate::app::workers::{ClaimInput, HeartbeatInput, RunAlive};
use crate::model::Millis;
use crate::model::claim::ClaimOrder;

/// The longest text of a field, in bytes, beyond which it is not looked at. The use cases check the
/// true bounds.
const LONGEST: usize = 4_096;
/// The longest wait that is read as such. The use cases check the true bound.
const LONGEST_WAIT: Millis = 86_400_000;

/// Reads a claim.
pub(super) fn read_claim(fields: &mut Fields) -> Result<ClaimInput, Error> {
    Ok(ClaimInput {
        worker: fields.text("workerId", LONGEST)?.unwrap_or_default(),
        queues: read_queues(fields.take("queues"))?,
        max: fields.number("max")?,
        wait: fields.duration("wait", (0, LONGEST_WAIT))?,
        order: read_order(fields.text("order", LONGEST)?.as_deref())?,
        key: fields.text("key", LONGEST)?,
    })
}

fn read_queues(given: Option<Value>) -> Result<Vec<String>, Error> {
    let wrong = || Error::invalid("queues", "queues must be a list of names of queues");
    let Some(Value::Array(all)) = given else { return Err(wrong()) };
    let name = |one: Value| match one {
        Value::String(name) => Ok(name),
        _ => Err(wrong()),
    };
    all.into_iter().map(name).collect()
}

fn read_order(given: Option<&str>) -> Result<ClaimOrder, Error> {
    match given {
        None | Some("fair") => Ok(ClaimOrder::Fair),
        Some("strict") => Ok(ClaimOrder::Strict),
        Some(_) => {
            let message = "order must be fair (in turns) or strict (the first queue that has some)";
            Err(Error::invalid("order", message))
        }
    }
}

/// Reads a heartbeat of a worker, and the warnings about its runs.
pub(super) fn read_heartbeat(
    fields: &mut Fields,
    worker: String,
) -> Result<(HeartbeatInput, Warnings), Error> {
    let wait = fields.duration("wait", (0, LONGEST_WAIT))?;
    let wrong = || Error::invalid("runs", "runs must be a list of objects with id and attempt");
    let mut warnings = Warnings::default();
    let mut runs = Vec::new();
    match fields.take("runs") {
        None => {}
        Some(Value::Array(all)) => {
            for (index, one) in all.into_iter().enumerate() {
                let Value::Object(run) = one else { return Err(wrong().at(index)) };
                let mut run = Fields::of(run);
                runs.push(read_run(&mut run).map_err(|error| error.at(index))?);
                warnings.merge(run.warnings());
            }
        }
        Some(_) => return Err(wrong()),
    }
    Ok((HeartbeatInput { worker, runs, wait }, warnings))
}

fn read_run(run: &mut Fields) -> Result<RunAlive, Error> {
    let missing = || Error::invalid("id", "id is missing: give the id or the runId of the claim");
    Ok(RunAlive {
        // A claim shows a run with both ids, and either will do.
        id: match run.text("id", LONGEST)? {
            Some(id) => id,
            None => run.text("runId", LONGEST)?.ok_or_else(missing)?,
        },
        attempt: run.number("attempt")?.unwrap_or(0),
        progress: run.number("progress")?,
        message: run.text("message", 64 * 1_024)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(body: &str) -> Result<ClaimInput, Error> {
        read_claim(&mut Fields::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn a_claim_is_read_in_either_casing() {
        let read = claim(
            r#"{"worker_id":"w","queues":["a","b"],"max":5,"wait":"20s","order":"strict",
                "key":"k"}"#,
        )
        .unwrap();
        assert_eq!(
            (read.worker.as_str(), read.queues, read.max),
            ("w", vec!["a".into(), "b".into()], Some(5))
        );
        assert_eq!(
            (read.wait, read.order, read.key),
            (Some(20_000), ClaimOrder::Strict, Some("k".into()))
        );
        let few = claim(r#"{"workerId":"w","queues":[]}"#).unwrap();
        assert_eq!((few.max, few.wait, few.order), (None, None, ClaimOrder::Fair));
        for bad in [
            r#"{"queues":["a"],"max":-1}"#,
            r#"{"queues":["a"],"max":1.5}"#,
            r#"{"queues":["a"],"wait":"soon"}"#,
            r#"{"queues":["a"],"wait":-1}"#,
            r#"{"queues":["a"],"order":"best"}"#,
            r#"{"queues":["a"],"key":7}"#,
            r#"{"queues":["a"],"workerId":7}"#,
            r#"{"queues":"a"}"#,
            r#"{"queues":[7]}"#,
            "{}",
        ] {
            assert_eq!(claim(bad).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn a_heartbeat_is_read_with_warnings_about_its_runs() {
        let read =
            |body: &str| read_heartbeat(&mut Fields::parse(body.as_bytes()).unwrap(), "w".into());
        let (input, warnings) = read(
            r#"{"runs":[{"id":"x","attempt":2,"progress":40,"message":"m","colour":1},
                {"run_id":"y","attempt":1}],"wait":5}"#,
        )
        .unwrap();
        assert_eq!((input.runs[0].id.as_str(), input.runs[1].id.as_str()), ("x", "y"));
        assert_eq!((input.runs[0].progress, input.wait), (Some(40), Some(5_000)));
        assert_eq!(warnings.first_unknown(), Some("colour"));
        assert!(read("{}").unwrap().0.runs.is_empty());
        for bad in [
            r#"{"runs":{}}"#,
            r#"{"runs":["x"]}"#,
            r#"{"runs":[{"attempt":1}]}"#,
            r#"{"runs":[{"id":"x","attempt":"1"}]}"#,
            r#"{"runs":[{"id":"x","attempt":1,"progress":-1}]}"#,
            r#"{"runs":[{"id":"x","attempt":1,"message":7}]}"#,
        ] {
            assert_eq!(read(bad).unwrap_err().status(), 400, "{bad}");
        }
    }
}

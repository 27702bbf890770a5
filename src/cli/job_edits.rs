//! `jobs edit`: edits all jobs that a filter finds, through a node's API. On a terminal it shows
//! what the edit would do, and asks. What the fields may be is the node's to say.

use clap::Args;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::output::{Output, cell, line, say, show};
use super::{Failure, ask};

pub(super) const EXAMPLES: &str = "\
Examples:
  scheduler0 jobs edit --filter project=1 --filter 'spec=0 9 * * *' --field 'spec=H 9 * * *' --dry-run
  scheduler0 jobs edit --filter label=team=shop --field jitter=30s --field retryMax=5 --yes
  scheduler0 jobs edit --all --field labels.tier=1 --field labels.old=null --dry-run --json";

/// Flags of `jobs edit`.
#[derive(Debug, Args)]
pub struct EditFlags {
    /// Only jobs of this project, status, label, spec, timezone, id or external-id; all must hold.
    /// Ids may be several, with commas between them
    #[arg(long, value_name = "NAME=VALUE", required_unless_present = "all")]
    filter: Vec<String>,
    /// All jobs
    #[arg(long, conflicts_with = "filter")]
    all: bool,
    /// A field as PATCH /jobs/{id} takes it: JSON, or a text. Null clears it; labels.NAME is one
    /// label
    #[arg(long, value_name = "NAME=VALUE", required = true)]
    field: Vec<String>,
    /// Only shows what would be changed
    #[arg(long)]
    dry_run: bool,
    /// Doesn't ask
    #[arg(long)]
    yes: bool,
}

/// Carries it out.
pub(super) async fn run(flags: &EditFlags, client: &Client, output: Output) -> anyhow::Result<()> {
    let mut body = json!({ "set": set_of(&flags.field)? });
    if flags.all {
        body["all"] = true.into();
    } else {
        body["filter"] = filter_of(&flags.filter)?;
    }
    if flags.dry_run || ask::will_ask(flags.yes) {
        body["dryRun"] = true.into();
        let envelope = client.post("/jobs/edit", &body).await?;
        let data = &envelope["data"];
        if flags.dry_run && output.is_json() {
            output.json(&envelope)?;
        } else {
            told(data, output)?;
        }
        if data["refused"].as_u64() != Some(0) {
            let refused = cell(data, &["refused"]);
            anyhow::bail!("{refused} jobs cannot be edited like this: nothing was changed");
        }
        if flags.dry_run {
            return Ok(());
        }
        let changed = cell(data, &["changed"]);
        ask::confirm(flags.yes, &format!("This changes {changed} jobs. Go on?"))?;
        body["dryRun"] = false.into();
    }
    let envelope = client.post("/jobs/edit", &body).await?;
    if output.is_json() {
        return output.json(&envelope);
    }
    told(&envelope["data"], output)
}

/// Says what was changed, or would be.
fn told(data: &Value, output: Output) -> anyhow::Result<()> {
    let would = if data["dryRun"] == true { "would change" } else { "changed" };
    line(&format!(
        "{} matched, {} {would}, {} so already, {} refused; {} definitions",
        cell(data, &["matched"]),
        cell(data, &["changed"]),
        cell(data, &["unchanged"]),
        cell(data, &["refused"]),
        cell(data, &["definitions"]),
    ))?;
    for problem in data["problems"].as_array().into_iter().flatten() {
        let (jobs, first) = (cell(problem, &["jobs"]), cell(problem, &["jobId"]));
        say(&format!("{jobs} refused, job {first} first: {}", show(&problem["message"])));
    }
    let samples = data["samples"].as_array().map_or(&[][..], Vec::as_slice);
    if samples.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = samples.iter().map(row).collect();
    line(&output.table(&["id", "name", "changes", "next before", "next after"], &rows))
}

fn row(sample: &Value) -> Vec<String> {
    let first = |name: &str| cell(&sample[name][0], &["dueAt", "utc"]);
    vec![
        cell(sample, &["id"]),
        cell(sample, &["externalId"]),
        changes(sample),
        first("nextBefore"),
        first("nextAfter"),
    ]
}

/// The fields that differ: name, before, after.
fn changes(sample: &Value) -> String {
    let (before, after) = (&sample["before"], &sample["after"]);
    let names = [before, after].into_iter().filter_map(Value::as_object).flat_map(Map::keys);
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    let shown = |value: &Value| if value.is_null() { "-".to_owned() } else { show(value) };
    let parts = names.iter().map(|name| {
        format!("{name}: {} -> {}", shown(&before[name.as_str()]), shown(&after[name.as_str()]))
    });
    parts.collect::<Vec<_>>().join("; ")
}

fn part<'a>(flag: &str, given: &'a str) -> anyhow::Result<(&'a str, &'a str)> {
    given.split_once('=').ok_or_else(|| {
        Failure::Usage(format!("--{flag} {given}: write a name and a value, NAME=VALUE")).into()
    })
}

/// The filter of the request.
fn filter_of(given: &[String]) -> anyhow::Result<Value> {
    let mut filter = Map::new();
    for one in given {
        let (name, value) = part("filter", one)?;
        let wrong = |what: &str| Failure::Usage(format!("--filter {one}: {what}"));
        let number = |text: &str| {
            let number = text.trim().parse::<u64>();
            number.map(Value::from).map_err(|_| wrong("its value must be a number"))
        };
        match name {
            "project" | "projectId" => {
                filter.insert("projectId".to_owned(), number(value)?);
            }
            "status" | "spec" | "timezone" => {
                filter.insert(name.to_owned(), value.into());
            }
            "label" => {
                let (key, text) =
                    value.split_once('=').ok_or_else(|| wrong("write label=KEY=TEXT"))?;
                let labels = filter.entry("labels").or_insert_with(|| json!({}));
                labels[key] = text.into();
            }
            "id" | "ids" => {
                let ids = value.split(',').map(number).collect::<Result<Vec<_>, _>>()?;
                filter.insert("ids".to_owned(), ids.into());
            }
            "external-id" | "externalIds" => {
                let names = value.split(',').map(|name| Value::from(name.trim()));
                filter.insert("externalIds".to_owned(), names.collect());
            }
            _ => {
                let known = "project, status, label, spec, timezone, id, external-id";
                return Err(wrong(&format!("there is no {name}, but {known}")).into());
            }
        }
    }
    Ok(Value::Object(filter))
}

/// The fields of the patch.
fn set_of(given: &[String]) -> anyhow::Result<Value> {
    let mut set = Map::new();
    for one in given {
        let (name, text) = part("field", one)?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        match name.split_once('.') {
            Some((field, part)) => {
                let object = set.entry(field).or_insert_with(|| json!({}));
                let Some(object) = object.as_object_mut() else {
                    let message = format!("--field {one}: {field} was given a value already");
                    return Err(Failure::Usage(message).into());
                };
                // The texts of labels may look like numbers.
                let is_text = field == "labels" && !value.is_null() && !value.is_string();
                object.insert(part.to_owned(), if is_text { text.into() } else { value });
            }
            None => {
                set.insert(name.to_owned(), value);
            }
        }
    }
    Ok(Value::Object(set))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(given: &[&str]) -> Vec<String> {
        given.iter().map(|one| (*one).to_owned()).collect()
    }

    #[test]
    fn a_filter_is_read_part_by_part() {
        let given = owned(&[
            "project=1",
            "label=team=shop",
            "label=tier=a=b",
            "spec=0 9 * * *",
            "id=3, 4",
            "external-id=a,b",
        ]);
        let wanted = json!({"projectId": 1, "labels": {"team": "shop", "tier": "a=b"},
            "spec": "0 9 * * *", "ids": [3, 4], "externalIds": ["a", "b"]});
        assert_eq!(filter_of(&given).unwrap(), wanted);
        for bad in ["project", "project=x", "colour=red", "label=team", "id=1,x"] {
            assert!(filter_of(&owned(&[bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_field_is_json_or_a_text() {
        let given = owned(&[
            "spec=H 9 * * *",
            "retryMax=3",
            "jitter=null",
            "labels.tier=1",
            "labels.old=null",
            "misfire={\"policy\":\"all\"}",
        ]);
        let wanted = json!({"spec": "H 9 * * *", "retryMax": 3, "jitter": null,
            "labels": {"tier": "1", "old": null}, "misfire": {"policy": "all"}});
        assert_eq!(set_of(&given).unwrap(), wanted);
        assert!(set_of(&owned(&["spec"])).is_err());
        assert!(set_of(&owned(&["labels=x", "labels.a=b"])).is_err());
    }
}

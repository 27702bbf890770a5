//! `accounts`: lists, makes, limits and deletes accounts, the tenants of a cluster, through the API
//! of a node.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::Client;
use super::output::{ComputedColumn, Output, cell, say, show};
use super::{Failure, ask};

const LIST_EXAMPLES: &str = "\
Examples:
  scheduler0 accounts list
  scheduler0 accounts list --json | jq '.data.accounts[].name'";

const CREATE_EXAMPLES: &str = "\
Examples:
  scheduler0 accounts create shop --feature http_targets --limit jobs=1000
  scheduler0 accounts create shop --all-features --json | jq .data.id";

const LIMIT_EXAMPLES: &str = "\
Examples:
  scheduler0 accounts limit 2 jobs=1000 executionsPerMonth=100000
  scheduler0 accounts limit 2 jobs=none

Limits: projects, jobs, executors, credentials, executionsPerMonth, requestsPerSecond, jobsPerRequest";

const FEATURE_EXAMPLES: &str = "\
Examples:
  scheduler0 accounts feature 2 sub_minute long_runs
  scheduler0 accounts feature 2 private_targets --off
  scheduler0 accounts feature 2 all";

const COLUMNS: &[ComputedColumn] = &[
    ComputedColumn { title: "id", cell: |a| cell(a, &["id"]), wide: false },
    ComputedColumn { title: "name", cell: |a| cell(a, &["name"]), wide: false },
    ComputedColumn { title: "projects", cell: |a| used(a, "projects", "projects"), wide: false },
    ComputedColumn { title: "jobs", cell: |a| used(a, "jobs", "jobs"), wide: false },
    ComputedColumn { title: "executors", cell: |a| used(a, "executors", "executors"), wide: true },
    ComputedColumn {
        title: "credentials",
        cell: |a| used(a, "credentials", "credentials"),
        wide: true,
    },
    ComputedColumn {
        title: "executions",
        cell: |a| used(a, "executions", "executionsPerMonth"),
        wide: false,
    },
    ComputedColumn {
        title: "paused until",
        cell: |a| cell(a, &["executionsPausedUntil"]),
        wide: false,
    },
    ComputedColumn { title: "features", cell: features, wide: false },
    ComputedColumn { title: "created", cell: |a| cell(a, &["dateCreated"]), wide: true },
];

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountsCommand {
    /// Accounts, each with what it has of its limits
    #[command(after_help = LIST_EXAMPLES)]
    List(AccountsPage),
    /// One account
    Get {
        /// Its number
        id: u64,
    },
    /// Makes an account; without --feature its jobs have no features
    #[command(after_help = CREATE_EXAMPLES)]
    Create(NewAccountFlags),
    /// Deletes an account, which must have no projects, executors and credentials
    Delete {
        /// Its number
        id: u64,
        /// Doesn't ask
        #[arg(long, visible_alias = "force")]
        yes: bool,
    },
    /// Sets limits of an account, or takes them away
    #[command(after_help = LIMIT_EXAMPLES)]
    Limit {
        /// Its number
        id: u64,
        /// Limits, each with its number, or with none
        #[arg(required = true, value_name = "NAME=NUMBER")]
        limit: Vec<String>,
    },
    /// Switches features of an account on, or off
    #[command(after_help = FEATURE_EXAMPLES)]
    Feature {
        /// Its number
        id: u64,
        /// Their names; all for all of them
        #[arg(required = true)]
        name: Vec<String>,
        /// Switches them off
        #[arg(long)]
        off: bool,
    },
    /// Grants executions for this month, beside the limit
    #[command(after_help = "Examples:\n  scheduler0 accounts grant 2 10000")]
    Grant {
        /// Its number
        id: u64,
        /// How many more
        count: u64,
    },
}

/// Flags of `accounts list`.
#[derive(Debug, Args)]
pub struct AccountsPage {
    /// At most so many, up to 1000
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// After so many
    #[arg(long, default_value_t = 0)]
    offset: u64,
}

/// Flags of `accounts create`.
#[derive(Debug, Args)]
pub struct NewAccountFlags {
    /// Its name
    name: String,
    /// A feature of its jobs; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "all_features")]
    feature: Vec<String>,
    /// All features
    #[arg(long)]
    all_features: bool,
    /// A limit; may be given several times
    #[arg(long, value_name = "NAME=NUMBER")]
    limit: Vec<String>,
}

/// Carries out `accounts`.
pub(super) async fn run(
    command: &AccountsCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let envelope = match command {
        AccountsCommand::List(page) => return list(page, client, output).await,
        AccountsCommand::Delete { id, yes } => return delete(*id, *yes, client).await,
        AccountsCommand::Feature { id, name, off } => {
            switch(*id, name, *off, client).await?;
            client.get(&format!("/accounts/{id}"), &[]).await?
        }
        AccountsCommand::Grant { id, count } => {
            let path = format!("/accounts/{id}/execution-count");
            client.put(&path, &json!({"count": count})).await?;
            client.get(&format!("/accounts/{id}"), &[]).await?
        }
        AccountsCommand::Get { id } => client.get(&format!("/accounts/{id}"), &[]).await?,
        AccountsCommand::Create(flags) => create(flags, client).await?,
        AccountsCommand::Limit { id, limit } => {
            let body = json!({"limits": limits(limit)?});
            client.put(&format!("/accounts/{id}"), &body).await?
        }
    };
    output.computed(&envelope, std::slice::from_ref(&envelope["data"]), COLUMNS)
}

async fn list(page: &AccountsPage, client: &Client, output: Output) -> anyhow::Result<()> {
    let query = [("limit", page.limit.to_string()), ("offset", page.offset.to_string())];
    let envelope = client.get("/accounts", &query).await?;
    let accounts = envelope["data"]["accounts"].as_array().map_or(&[][..], Vec::as_slice);
    output.computed(&envelope, accounts, COLUMNS)?;
    let (total, shown) = (envelope["data"]["total"].as_u64(), accounts.len() as u64 + page.offset);
    if !output.is_json() && total.is_some_and(|total| total > shown) {
        say(&format!("there are more: go on with --offset {shown}"));
    }
    Ok(())
}

async fn create(flags: &NewAccountFlags, client: &Client) -> anyhow::Result<Value> {
    let features = if flags.all_features {
        let envelope = client.get("/features", &[]).await?;
        let all = envelope["data"].as_array().into_iter().flatten();
        all.map(|feature| feature["name"].clone()).collect()
    } else {
        flags.feature.iter().map(|name| Value::from(name.as_str())).collect::<Vec<_>>()
    };
    let body = json!({
        "name": flags.name,
        "features": features,
        "limits": limits(&flags.limit)?,
    });
    client.post("/accounts", &body).await
}

async fn delete(id: u64, yes: bool, client: &Client) -> anyhow::Result<()> {
    let path = format!("/accounts/{id}");
    if ask::will_ask(yes) {
        let envelope = client.get(&path, &[]).await?;
        let name = show(&envelope["data"]["name"]);
        ask::confirm(yes, &format!("Delete account {id} ({name})?"))?;
    }
    client.delete(&path, &[]).await?;
    say(&format!("deleted account {id}"));
    Ok(())
}

async fn switch(id: u64, names: &[String], off: bool, client: &Client) -> anyhow::Result<()> {
    for name in names {
        let (path, body) = if name == "all" {
            (format!("/accounts/{id}/features/all"), json!({}))
        } else {
            (format!("/accounts/{id}/feature"), json!({"feature": name}))
        };
        if off {
            client.delete_with(&path, &body).await?;
        } else {
            client.put(&path, &body).await?;
        }
    }
    Ok(())
}

/// The limits of flags `NAME=NUMBER`. The node knows their names.
fn limits(flags: &[String]) -> anyhow::Result<Value> {
    let mut limits = Map::new();
    for flag in flags {
        let wrong = || {
            let message = format!("{flag:?} is no limit: write NAME=NUMBER, or NAME=none");
            anyhow::Error::from(Failure::Usage(message))
        };
        let (name, number) = flag.split_once('=').ok_or_else(wrong)?;
        let number = match number {
            "none" => Value::Null,
            number => number.parse::<u64>().map_err(|_| wrong())?.into(),
        };
        limits.insert(name.to_owned(), number);
    }
    Ok(Value::Object(limits))
}

/// What an account has of a kind, with its limit where it has one: `3 / 10`.
fn used(account: &Value, usage: &str, limit: &str) -> String {
    let has = show(&account["usage"][usage]);
    match account["limits"][limit].as_u64() {
        Some(limit) => format!("{has} / {limit}"),
        None => has,
    }
}

/// The names of the features; `-` for none.
fn features(account: &Value) -> String {
    let features = account["features"].as_array().into_iter().flatten();
    let names: Vec<_> = features.map(|feature| show(&feature["feature"])).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_or_none() {
        let flags = ["jobs=10".to_owned(), "executors=none".to_owned()];
        assert_eq!(limits(&flags).unwrap(), json!({"jobs": 10, "executors": null}));
        assert_eq!(limits(&[]).unwrap(), json!({}));
        for wrong in ["jobs", "jobs=", "jobs=-1", "jobs=many"] {
            assert!(limits(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn usage_stands_beside_its_limit() {
        let account = json!({"usage": {"jobs": 3}, "limits": {"jobs": 10, "projects": null}});
        assert_eq!(used(&account, "jobs", "jobs"), "3 / 10");
        let open = json!({"usage": {"jobs": 3}, "limits": {"jobs": null}});
        assert_eq!(used(&open, "jobs", "jobs"), "3");
        assert_eq!(features(&json!({"features": []})), "-");
        let two = json!({"features": [{"feature": "a"}, {"feature": "b"}]});
        assert_eq!(features(&two), "a,b");
    }
}

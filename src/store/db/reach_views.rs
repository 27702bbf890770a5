//! Reads within a reach: on the connection of such a read each table with rows of projects or
//! accounts is *shadowed* by a temporary view of the same name, which has the rows in reach and no
//! others. SQLite resolves a name in the temporary schema first, so every query of the store,
//! present and to come, finds what is in reach and nothing else. No query has to remember it.
//!
//! The pool keeps connections with views apart from those without, whose statements and plans know
//! nothing of this. A view is a plain filter, and SQLite flattens it into the query, so that the
//! indexes of the table are used. An index that a query *names* (`INDEXED BY`) is one of a table
//! and not of a view: such queries ask [`hint`].
//!
//! Each table of the schema is in one of the lists below; a test holds that. To make the views
//! takes half a millisecond, so a connection keeps them for the next read within the same reach.

use rusqlite::Connection;

use crate::model::FIRST_ACCOUNT;
use crate::model::reach::Reach;
use crate::store::cache::meta;

/// The tables with rows of projects, and what says a row's project.
const OF_PROJECTS: &[(&str, &str)] = &[
    ("projects", "id"),
    ("shapes", "json_extract(body, '$.project')"),
    ("jobs", "project_id"),
    ("staged_jobs", "project_id"),
    ("pending", "project"),
    ("blocks", "project"),
    ("dead_letters", "project"),
    ("tallies", "project"),
    ("project_pauses", "project"),
    ("shape_labels", "project"),
    ("runs", "project"),
    ("counts", "project"),
    ("templates", "project"),
];

/// The tables whose rows belong to a row of another table: the table, the other one, the column
/// that names its row, and what says the project of that.
const OF_OTHERS: &[(&str, &str, &str, &str)] = &[
    ("closed_plans", "shapes", "shape_id", "json_extract(other.body, '$.project')"),
    ("template_versions", "templates", "template", "other.project"),
    ("template_jobs", "templates", "template", "other.project"),
];

/// The tables with rows of accounts that belong to no project.
const OF_ACCOUNTS: &[&str] = &["executors", "credentials"];

/// The tables that concern everybody, or whose rows only their principal can name.
#[cfg(test)]
const OF_ALL: &[&str] = &[
    "meta",
    "idempotency",
    "shards",
    "nodes",
    "cursors",
    "gaps",
    // `app::accounts` shows each actor the accounts that it may see.
    "accounts",
    "quota_pauses",
    "ended_sessions",
];

/// A reach has most of the jobs from this part of all on: a list goes through the jobs in its own
/// order then, and leaves out what is beyond, rather than sort those of the projects.
const MOST: u64 = 8;

/// Tells whether a connection has views, and sees only a part of the state.
fn is_limited(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM temp.sqlite_schema)")?
        .query_row([], |row| row.get(0))
}

/// `INDEXED BY ...` as it is given; nothing on a connection with views, whose planner has the same
/// indexes to choose from.
pub(in crate::store) fn hint(
    conn: &Connection,
    hint: &'static str,
) -> rusqlite::Result<&'static str> {
    Ok(if is_limited(conn)? { "" } else { hint })
}

/// What of a reach limits anything in this state: all of the only account is everything.
pub fn in_force(conn: &Connection, reach: &Reach) -> rusqlite::Result<Reach> {
    let all = may_be_all(reach) && !has_other_accounts(conn)?;
    Ok(if all { Reach::all() } else { reach.clone() })
}

/// True for a reach that may have everything, as long as there is one account.
pub(super) fn may_be_all(reach: &Reach) -> bool {
    reach.account() == Some(FIRST_ACCOUNT) && reach.reaches_all_projects()
}

/// Tells whether there was ever another account than the first. What one that is gone has left in
/// the history is for nobody else to see.
fn has_other_accounts(conn: &Connection) -> rusqlite::Result<bool> {
    meta::had_accounts(conn)
}

/// Shadows the tables of a connection by views of what is in reach. It replaces those of another
/// reach. After an error the connection must not be used.
pub(super) fn install(conn: &Connection, reach: &Reach) -> rusqlite::Result<()> {
    let views = conditions(conn, reach)?.into_iter().map(|(table, condition)| {
        let drop = format!("DROP VIEW IF EXISTS temp.{table};");
        let create = condition.map(|condition| {
            format!("CREATE TEMP VIEW {table} AS SELECT * FROM main.{table} WHERE {condition};")
        });
        drop + &create.unwrap_or_default()
    });
    let views: String = views.collect();
    let sql = format!("PRAGMA query_only = OFF; BEGIN; {views} COMMIT; PRAGMA query_only = ON;");
    conn.execute_batch(&sql)
}

/// The tables that may be shadowed, each with the condition of what is in reach, where one is
/// needed.
fn conditions(
    conn: &Connection,
    reach: &Reach,
) -> rusqlite::Result<Vec<(&'static str, Option<String>)>> {
    let among = among(reach);
    let mut found = Vec::new();
    for (table, project) in OF_PROJECTS {
        // Without the plus, an index by project is used.
        let plus = if *table == "jobs" && has_most(conn, reach)? { "+" } else { "" };
        found.push((*table, among.as_ref().map(|among| format!("{plus}{project} {among}"))));
    }
    for (table, other, column, project) in OF_OTHERS {
        let condition = among.as_ref().map(|among| {
            format!(
                "EXISTS (SELECT 1 FROM main.{other} AS other
                     WHERE other.id = main.{table}.{column} AND {project} {among})"
            )
        });
        found.push((*table, condition));
    }
    for table in OF_ACCOUNTS {
        found.push((*table, reach.account().map(|account| format!("account = {account}"))));
    }
    found.push(("audit", of_audit(reach)));
    found.push(("tasks", among.map(|among| of_tasks(reach, &among))));
    Ok(found)
}

/// `IN (...)`: the ids of the projects in reach; `None` where all are.
fn among(reach: &Reach) -> Option<String> {
    let of_account = reach
        .account()
        .map(|account| format!("SELECT id FROM main.projects WHERE account = {account}"));
    let Some(ids) = reach.projects() else {
        return of_account.map(|of_account| format!("IN ({of_account})"));
    };
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    Some(format!("IN ({})", ids.join(", ")))
}

/// The condition of a row of the audit: it is of the account, and for who reaches some projects it
/// is about one of them.
fn of_audit(reach: &Reach) -> Option<String> {
    let account = reach.account().map(|account| format!("account = {account}"));
    let projects = reach.projects().and_then(|_| among(reach));
    let projects = projects.map(|among| format!("project {among}"));
    let conditions: Vec<_> = account.into_iter().chain(projects).collect();
    (!conditions.is_empty()).then(|| conditions.join(" AND "))
}

/// The condition of a task: all its projects are in reach. A task that names none was made before
/// there were reaches.
fn of_tasks(reach: &Reach, among: &str) -> String {
    let unknown =
        if may_be_all(reach) { "projects IS NULL OR" } else { "projects IS NOT NULL AND" };
    format!(
        "{unknown} NOT EXISTS (SELECT 1 FROM json_each(main.tasks.projects) AS one
             WHERE NOT one.value {among})"
    )
}

/// Tells whether a reach over several projects has a good part of all jobs.
fn has_most(conn: &Connection, reach: &Reach) -> rusqlite::Result<bool> {
    let Some(among) = among(reach).filter(|_| reach.projects().is_none_or(|ids| ids.len() > 1))
    else {
        return Ok(false);
    };
    let sql = format!(
        "SELECT COALESCE(SUM(jobs), 0), COALESCE(SUM(jobs) FILTER (WHERE id {among}), 0)
         FROM main.projects"
    );
    let number = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(i64::cast_unsigned);
    let (all, own) = conn.query_row(&sql, [], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
    Ok(own.saturating_mul(MOST) >= all)
}

#[cfg(test)]
#[path = "reach_views_tests.rs"]
mod tests;

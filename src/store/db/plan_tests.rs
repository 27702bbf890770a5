//! The plans of queries that are asked often, or over large tables: each uses its index, and sorts
//! nothing that the index has in order already.

use super::Store;
use crate::store::history::counters::{LATER_INSTANTS, SAME_INSTANT};

#[test]
fn hot_queries_use_their_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _writer) = Store::open(dir.path()).unwrap();
    let plan = |sql: &str| {
        let text: Vec<String> = store
            .read(|c| {
                let blanks = vec![1; c.prepare(sql)?.parameter_count()];
                c.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?
                    .query_map(rusqlite::params_from_iter(blanks), |row| row.get(3))?
                    .collect()
            })
            .unwrap();
        text.join("; ")
    };
    for (sql, index) in [
        (
            "SELECT members FROM blocks WHERE due = ?1 AND shard = ?2 AND lone = ?3",
            "blocks_by_shard (shard=? AND due=? AND lone=?)",
        ),
        (
            "SELECT members FROM blocks
          WHERE shard = ?1 AND due >= ?2 AND since IS NOT NULL AND since <= ?2",
            "blocks_ranges",
        ),
        ("SELECT id FROM blocks WHERE due < ?1 ORDER BY due, id LIMIT ?2", "blocks_by_due (due<?)"),
        (
            "SELECT id FROM pending WHERE shard = ?1 AND scheduled = ?2 AND lone = ?3",
            "pending_of_job (shard=? AND lone=? AND scheduled=?)",
        ),
        (
            "SELECT id FROM pending WHERE shard = ?1 AND next_at <= ?2 ORDER BY next_at, id LIMIT ?3",
            "pending_by_time (shard=? AND next_at<?)",
        ),
        ("SELECT id FROM jobs WHERE project_id = ?1 ORDER BY id", "jobs_by_project (project_id=?)"),
        (
            "SELECT id FROM pending WHERE shard = ?1 AND next_at = ?2 ORDER BY id",
            "pending_by_time (shard=? AND next_at=?)",
        ),
        (
            "SELECT id FROM pending WHERE expires < ?1 ORDER BY expires, id LIMIT ?2",
            "pending_by_expiry (expires<?)",
        ),
        (
            "SELECT id FROM pending WHERE lone = ?1 AND next_at = 9223372036854775807
             ORDER BY due, id LIMIT 1",
            "pending_parked_by_due (lone=?)",
        ),
        (
            "SELECT id FROM pending WHERE shard = ?1 AND next_at BETWEEN ?2 AND ?3
             ORDER BY next_at, id",
            "pending_by_time (shard=? AND next_at>? AND next_at<?)",
        ),
        (
            "SELECT id FROM blocks WHERE how <> 0 AND (due, id) < (?1, ?2)
             ORDER BY due DESC, id DESC LIMIT ?3",
            "blocks_reported (due<?",
        ),
        (
            "SELECT job FROM runs WHERE shard = ?1 AND scheduled = ?2 AND job >= ?3 AND job <= ?4
                 AND run = ?5 ORDER BY job",
            "runs_by_occurrence (shard=? AND scheduled=? AND job>? AND job<?)",
        ),
        (
            "SELECT job FROM runs WHERE worker = ?1 AND (scheduled, job, run) < (?2, ?3, ?4)
             ORDER BY scheduled DESC, job DESC, run DESC",
            "runs_of_worker (worker=? AND (scheduled,job,run)<(?,?,?))",
        ),
        (
            "SELECT MAX(scheduled) FROM pending WHERE shard = ?1 AND lone = ?2 AND scheduled <= ?3",
            "pending_of_job (shard=? AND lone=? AND scheduled<?)",
        ),
        (
            "SELECT scheduled FROM pending WHERE shard = ?1 AND lone = 0 AND scheduled <= ?2
             ORDER BY scheduled DESC",
            "pending_of_job (shard=? AND lone=? AND scheduled<?)",
        ),
        (
            "SELECT MAX(scheduled) FROM runs WHERE shard = ?1 AND scheduled <= ?2",
            "runs_by_occurrence (shard=? AND scheduled<?)",
        ),
        (
            "SELECT id FROM jobs WHERE status <> 0 AND status = 3 ORDER BY id DESC LIMIT ?1",
            "jobs_at_rest (status=?)",
        ),
        (
            "SELECT COUNT(*) FROM jobs INDEXED BY jobs_in_timed_pause WHERE status = 0
                 AND plan_from > coalesce(modified, created) AND plan_from >= ?1 AND project_id = ?2",
            "jobs_in_timed_pause (project_id=? AND plan_from>?)",
        ),
        (
            "SELECT id, refs FROM shapes WHERE json_extract(body, '$.end') IS NOT NULL
                 AND (?1 IS NULL OR json_extract(body, '$.project') = ?1) AND ?2 IS NULL",
            "shapes_with_end",
        ),
        (
            "SELECT id FROM blocks WHERE TRUE AND due >= ?1 AND verdict <> 0
                 AND (verdict = 1 OR verdict = 2) ORDER BY due DESC, id DESC",
            "blocks_not_delivered (due>?)",
        ),
        (
            "SELECT id FROM blocks WHERE TRUE AND verdict <> 0 AND (verdict = 1)
             ORDER BY due DESC, id DESC",
            "blocks_not_delivered",
        ),
        (SAME_INSTANT, "blocks_by_due (due=? AND rowid>? AND rowid<?)"),
        (LATER_INSTANTS, "blocks_by_due (due>?)"),
        ("SELECT COALESCE(MAX(id), 0) FROM blocks", "SEARCH blocks"),
        (
            "SELECT version FROM template_versions WHERE template = ?1 AND version <= ?2
             AND NOT EXISTS (SELECT 1 FROM template_jobs AS jobs
                 WHERE jobs.template = ?1 AND jobs.version = template_versions.version)",
            "template_jobs_by_version (template=? AND version=?)",
        ),
        (
            "SELECT id FROM template_jobs WHERE template = ?1 AND over > 0 ORDER BY over, id LIMIT 9",
            "template_jobs_by_end (template=? AND over>?)",
        ),
        ("SELECT id FROM template_jobs WHERE template = ?1 ORDER BY id", "template_jobs_by_template"),
    ] {
        let plan = plan(sql);
        assert!(plan.contains(index), "{sql}: {plan}");
        assert!(!plan.contains("TEMP B-TREE FOR ORDER BY"), "{sql}: {plan}");
    }
}

"""What a program does that uses the published Python client (`scheduler0` of PyPI), against a node.

Started by tests/it/clients.rs. The environment has NODE, RECEIVER, USERNAME and PASSWORD. It prints
a line a step, and fails by raising.
"""

import os
import time

import requests
import scheduler0 as s0

NODE, RECEIVER = os.environ["NODE"], os.environ["RECEIVER"]


def step(words):
    print(words, flush=True)


def status_of(call):
    """The status of a call that is refused."""
    try:
        call()
    except requests.HTTPError as error:
        return error.response.status_code
    raise AssertionError("it was not refused")


def page(answer, name):
    data = answer["data"]
    assert answer["success"] and {"total", "offset", "limit"} <= set(data), answer
    return data[name]


def credentials(operator):
    body = s0.CredentialCreateRequestBody(
        created_by="ops", scopes=["read", "write", "execute"], expires_in_seconds=3600)
    made = operator.create_credential(body)["data"]
    assert made["plaintextSecret"] and made["expiresAt"] and not made["archived"], made
    assert any(row["id"] == made["id"] for row in page(operator.list_credentials(), "credentials"))
    again = operator.get_credential(str(made["id"]))["data"]
    assert again["apiKey"] == made["apiKey"] and not again.get("plaintextSecret"), again

    spare = operator.create_credential(s0.CredentialCreateRequestBody("ops", ["read"]))["data"]
    spare_client = s0.NewAPIClient(NODE, "v1", spare["apiKey"], spare["plaintextSecret"])
    assert page(spare_client.list_projects(), "projects") == []
    refused = s0.ProjectRequestBody("p", "d", "ops")
    assert status_of(lambda: spare_client.create_project(refused)) == 403, "it only reads"
    operator.archive_credential(str(spare["id"]), s0.CredentialArchiveRequestBody("ops"))
    assert status_of(lambda: spare_client.list_projects()) == 401, "it is archived"
    operator.update_credential(str(spare["id"]), s0.CredentialUpdateRequestBody("ops"))
    assert page(spare_client.list_projects(), "projects") == [], "it is back"
    operator.delete_credential(str(spare["id"]), s0.CredentialDeleteRequestBody("ops"))
    assert status_of(lambda: operator.get_credential(str(spare["id"]))) == 404
    step("credentials")
    return s0.NewAPIClientWithAccount(NODE, "v1", made["apiKey"], made["plaintextSecret"], "1")


def projects(client):
    made = client.create_project(s0.ProjectRequestBody("shop", "of a test", "ada"))["data"]
    name = str(made["id"])
    assert made["createdBy"] == "ada" and made["dateCreated"], made
    changed = client.update_project(name, s0.ProjectUpdateRequestBody("changed", "ada"))["data"]
    assert (changed["name"], changed["description"]) == ("shop", "changed"), changed
    assert client.get_project(name)["data"]["description"] == "changed"
    listed = page(client.list_projects(limit=5, order_by="dateCreated", order_by_direction="DESC"),
                  "projects")
    assert [row["id"] for row in listed] == [made["id"]], listed
    step("projects")
    return made["id"]


def executors(client):
    made = client.create_executor(s0.ExecutorRequestBody(
        name="hook", type="webhook_url", created_by="ada", webhook_url=RECEIVER,
        webhook_secret="a secret of sixteen letters", webhook_method="POST"))["data"]
    name = str(made["id"])
    shown = client.get_executor(name)["data"]
    assert shown["webhookUrl"] == RECEIVER and not shown.get("webhookSecret"), shown
    changed = client.update_executor(name, s0.ExecutorUpdateRequestBody(
        name="hook2", type="webhook_url", modified_by="ada", webhook_url=RECEIVER,
        webhook_method="POST"))["data"]
    assert changed["name"] == "hook2", changed
    assert len(page(client.list_executors(), "executors")) == 1
    step("executors")
    return made["id"]


def jobs(client, project, executor):
    bodies = [
        s0.JobRequestBody(project_id=project, timezone="UTC", executor_id=executor, data=str(n),
                          spec="@every 1s", retry_max=1, created_by="ada")
        for n in range(3)
    ]
    task = client.batch_create_jobs(bodies)["data"]
    done = client.get_async_task(task)["data"]
    assert done["state"] == 2 and done["requestId"] == task, done
    client.create_job(s0.JobRequestBody(
        project_id=project, timezone="Europe/Berlin", executor_id=executor, spec="0 9 * * MON-FRI"))
    listed = page(client.list_jobs(project_id=str(project), limit=10), "jobs")
    assert len(listed) == 4, listed
    name = str(listed[0]["id"])
    body = s0.JobUpdateRequestBody(modified_by="ada", data="changed", status="inactive")
    changed = client.update_job(name, body)["data"]
    assert (changed["data"], changed["status"]) == ("changed", "inactive"), changed
    assert client.get_job(name)["data"]["modifiedBy"] == "ada"
    client.delete_job(name, s0.JobDeleteRequestBody("ada"))
    assert status_of(lambda: client.get_job(name)) == 404
    wrong = s0.JobRequestBody(project_id=project, timezone="Mars/Olympus", spec="@daily",
                              executor_id=executor)
    assert status_of(lambda: client.create_job(wrong)) == 400
    step("jobs")
    return [row["id"] for row in listed[1:]]


def executions(client, operator, project):
    until = time.monotonic() + 60
    while True:
        found = page(client.list_executions(project_id=project, state="success"), "executions")
        if found:
            break
        assert time.monotonic() < until, "nothing was executed"
        time.sleep(0.1)
    one = found[0]
    assert one["state"] == 1 and one["uniqueId"] and one["nodeId"] == 1, one
    ordered = client.list_executions(
        job_id=one["jobId"], start_date="2020-01-01T00:00:00Z", end_date="2199-01-01T00:00:00Z",
        order_by="lastExecutionDateTime", order_direction="ASC")
    assert page(ordered, "executions"), ordered
    totals = client.get_execution_totals(1)["data"]
    assert totals["success"] >= 1 and {"accountId", "scheduled", "failed"} <= set(totals), totals
    day = time.strftime("%Y-%m-%d", time.gmtime())
    points = client.get_date_range_analytics(day, "00:00")["data"]
    assert {"timezone", "startDate", "endDate", "points"} <= set(points), points
    assert status_of(lambda: client.cleanup_old_execution_logs("1", 1)) == 403
    assert "message" in operator.cleanup_old_execution_logs("1", 1)["data"]
    step("executions")


def node(client, operator):
    health = client.healthcheck()["data"]
    assert health["leaderAddress"] and health["raftStats"]["state"] == "Leader", health
    assert status_of(lambda: client.backup_database()) == 403, "a client makes no backups"
    step("the node")


def accounts(operator):
    """Accounts and features."""
    made = operator.create_account(s0.AccountCreateRequestBody("tenant"))["data"]
    name = str(made["id"])
    assert made["name"] == "tenant" and made["features"] == [], made
    feature = operator.list_features()["data"][0]
    operator.add_feature_to_account(name, s0.FeatureRequest(feature["id"]))
    features = operator.get_account(name)["data"]["features"]
    assert [row["featureId"] for row in features] == [feature["id"]], features
    operator.remove_feature_from_account(name, s0.FeatureRequest(feature["id"]))
    operator.add_all_features_to_account(name)
    operator.remove_all_features_from_account(name)
    before = operator.get_account_execution_count(name)["data"]
    assert {"accountId", "executionCount", "nextResetDate"} <= set(before), before
    assert "newExecutionCount" in operator.increase_account_execution_count(name, 5)["data"]
    step("accounts")


def main():
    operator = s0.NewBasicAuthClient(NODE, "v1", os.environ["USERNAME"], os.environ["PASSWORD"])
    client = credentials(operator)
    project = projects(client)
    executor = executors(client)
    made = jobs(client, project, executor)
    executions(client, operator, project)
    node(client, operator)
    assert status_of(lambda: client.delete_project(
        str(project), s0.ProjectDeleteRequestBody("ada"))) == 409, "it has jobs"
    for job in made:
        client.delete_job(str(job), s0.JobDeleteRequestBody("ada"))
    client.delete_executor(str(executor), s0.ExecutorDeleteRequestBody("ada"))
    client.delete_project(str(project), s0.ProjectDeleteRequestBody("ada"))
    step("the end of all")
    accounts(operator)


main()

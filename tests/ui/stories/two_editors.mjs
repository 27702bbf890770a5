// Two people edit one job. Who saves second is told so, loses nothing, and may save all the same.
import { api, makeJobs, makeProject } from "../lib/cluster.mjs";
import { at } from "../lib/receiver.mjs";
import { same } from "../lib/facts.mjs";

export async function story(test) {
  const project = await makeProject("Edited");
  const [job] = await makeJobs([
    { projectId: project, externalId: "edited", spec: "@daily", timezone: "UTC", callbackUrl: at("/ok") },
  ]);
  const [one, other] = await Promise.all([1, 2].map((node) => test.page({ node })));
  const edit = `/ui/jobs/${job.id}/edit`;
  await Promise.all([one.goto(edit), other.goto(edit)]);
  await one.getByLabel("Schedule", { exact: true }).fill("@hourly");
  await one.getByRole("button", { name: "Save the job" }).click();
  await one.waitForURL(`**/ui/jobs/${job.id}`);

  const mine = '{"note": "of the second editor"}';
  await other.getByLabel("Data", { exact: true }).fill(mine);
  test.allow(/status of 412/);
  await other.getByRole("button", { name: "Save the job" }).click();
  await other.getByText(/changed while you edited/).waitFor();
  same(await other.getByLabel("Data", { exact: true }).inputValue(), mine, "what was entered");
  same((await api("GET", `/jobs/${job.id}`)).spec, "@hourly", "the schedule of the first");
  await other.getByRole("button", { name: "Save the job" }).click();
  await other.waitForURL(`**/ui/jobs/${job.id}`);
  same((await api("GET", `/jobs/${job.id}`)).data, mine, "the data of the second");
}

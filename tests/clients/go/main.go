// What a program in Go does, in the bodies of the published Go client, against a node. That client
// is no longer on the module proxy, so this program speaks HTTP itself.
//
// Started by tests/it/clients.rs. The environment has NODE, RECEIVER, USERNAME and PASSWORD. It prints
// a line a step.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

type client struct {
	headers map[string]string
	http    *http.Client
}

type envelope struct {
	Data    json.RawMessage `json:"data"`
	Success bool            `json:"success"`
}

func fail(format string, words ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", words...)
	os.Exit(1)
}

func check(holds bool, format string, words ...any) {
	if !holds {
		fail(format, words...)
	}
}

// send sends a request under /api/v1, wants this status, and decodes the data of the answer.
func (c *client) send(method, path string, body any, want int, into any) {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		check(err == nil, "%s %s: %v", method, path, err)
		sent = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, os.Getenv("NODE")+"/api/v1"+path, sent)
	check(err == nil, "%s %s: %v", method, path, err)
	request.Header.Set("Content-Type", "application/json")
	for name, value := range c.headers {
		request.Header.Set(name, value)
	}
	answer, err := c.http.Do(request)
	check(err == nil, "%s %s: %v", method, path, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(err == nil, "%s %s: %v", method, path, err)
	check(answer.StatusCode == want, "%s %s: %d, not %d: %s", method, path, answer.StatusCode, want, text)
	if into == nil {
		return
	}
	var whole envelope
	err = json.Unmarshal(text, &whole)
	check(err == nil && whole.Success, "%s %s: %v: %s", method, path, err, text)
	err = json.Unmarshal(whole.Data, into)
	check(err == nil, "%s %s: %v: %s", method, path, err, text)
}

type credential struct {
	ID         uint64  `json:"id"`
	Archived   bool    `json:"archived"`
	APIKey     string  `json:"apiKey"`
	APISecret  string  `json:"apiSecret"`
	CreatedBy  *string `json:"createdBy"`
	ArchivedBy *string `json:"archivedBy"`
}

type project struct {
	ID          uint64 `json:"id,omitempty"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description"`
	CreatedBy   string `json:"createdBy,omitempty"`
	ModifiedBy  string `json:"modifiedBy,omitempty"`
	DateCreated string `json:"dateCreated,omitempty"`
}

type executor struct {
	ID            uint64 `json:"id,omitempty"`
	Name          string `json:"name"`
	Type          string `json:"type"`
	WebhookURL    string `json:"webhookUrl"`
	WebhookSecret string `json:"webhookSecret,omitempty"`
	WebhookMethod string `json:"webhookMethod"`
	CreatedBy     string `json:"createdBy,omitempty"`
	ModifiedBy    string `json:"modifiedBy,omitempty"`
}

type job struct {
	ID             uint64  `json:"id,omitempty"`
	ProjectID      uint64  `json:"projectId,omitempty"`
	ExecutorID     *uint64 `json:"executorId,omitempty"`
	Data           string  `json:"data,omitempty"`
	Spec           string  `json:"spec,omitempty"`
	Timezone       string  `json:"timezone,omitempty"`
	TimezoneOffset int64   `json:"timezoneOffset,omitempty"`
	RetryMax       int     `json:"retryMax,omitempty"`
	Status         string  `json:"status,omitempty"`
	CreatedBy      string  `json:"createdBy,omitempty"`
	ModifiedBy     string  `json:"modifiedBy,omitempty"`
}

type execution struct {
	ID       uint64 `json:"id"`
	UniqueID string `json:"uniqueId"`
	State    uint64 `json:"state"`
	NodeID   uint64 `json:"nodeId"`
	JobID    uint64 `json:"jobId"`
}

type asyncTask struct {
	RequestID string `json:"requestId"`
	State     int    `json:"state"`
	Output    string `json:"output"`
}

type page struct {
	Total       uint64       `json:"total"`
	Offset      uint64       `json:"offset"`
	Limit       uint64       `json:"limit"`
	Credentials []credential `json:"credentials"`
	Projects    []project    `json:"projects"`
	Executors   []executor   `json:"executors"`
	Jobs        []job        `json:"jobs"`
	Executions  []execution  `json:"executions"`
}

type by struct {
	DeletedBy  string `json:"deletedBy,omitempty"`
	ArchivedBy string `json:"archivedBy,omitempty"`
}

func credentials(operator *client) *client {
	var made, again, archived credential
	var listed page
	create := map[string]any{"archived": false, "createdBy": "ops"}
	operator.send("POST", "/credentials", create, 201, &made)
	check(made.APIKey != "" && made.APISecret != "", "a pair: %+v", made)
	operator.send("GET", fmt.Sprintf("/credentials/%d", made.ID), nil, 200, &again)
	check(again.APIKey == made.APIKey && again.APISecret == "", "without its secret: %+v", again)
	operator.send("GET", "/credentials?limit=10&offset=0", nil, 200, &listed)
	check(listed.Total == 1 && len(listed.Credentials) == 1, "one: %+v", listed)

	var spare credential
	operator.send("POST", "/credentials", create, 201, &spare)
	key := &client{map[string]string{"X-API-Key": spare.APIKey, "X-Secret-Key": spare.APISecret}, operator.http}
	key.send("GET", "/projects?limit=1&offset=0", nil, 200, nil)
	path := fmt.Sprintf("/credentials/%d", spare.ID)
	operator.send("POST", path+"/archive", by{ArchivedBy: "ops"}, 200, &archived)
	check(archived.Archived && archived.ArchivedBy != nil, "archived: %+v", archived)
	key.send("GET", "/projects?limit=1&offset=0", nil, 401, nil)
	operator.send("DELETE", path, by{DeletedBy: "ops"}, 204, nil)
	fmt.Println("credentials")
	return &client{map[string]string{
		"X-API-Key": made.APIKey, "X-Secret-Key": made.APISecret, "X-Account-ID": "1",
	}, operator.http}
}

func resources(c *client) {
	var p project
	var listed page
	c.send("POST", "/projects", project{Name: "shop", Description: "d", CreatedBy: "ada"}, 201, &p)
	path := fmt.Sprintf("/projects/%d", p.ID)
	c.send("PUT", path, project{Description: "changed", ModifiedBy: "ada"}, 200, &p)
	check(p.Name == "shop" && p.Description == "changed" && p.DateCreated != "", "a project: %+v", p)
	c.send("GET", "/projects?limit=10&offset=0&orderBy=dateCreated&orderByDirection=DESC", nil, 200, &listed)
	check(listed.Total == 1 && listed.Limit == 10, "one project: %+v", listed)
	fmt.Println("projects")

	var hook executor
	c.send("POST", "/executors", executor{
		Name: "hook", Type: "webhook_url", WebhookURL: os.Getenv("RECEIVER"),
		WebhookSecret: "a secret of sixteen letters", WebhookMethod: "POST", CreatedBy: "ada",
	}, 201, &hook)
	check(hook.WebhookSecret == "", "an executor without its secret: %+v", hook)
	hook.ModifiedBy, hook.Name = "ada", "hook2"
	executorPath := fmt.Sprintf("/executors/%d", hook.ID)
	c.send("PUT", executorPath, executor{
		Name: "hook2", Type: "webhook_url", WebhookURL: hook.WebhookURL, WebhookMethod: "POST", ModifiedBy: "ada",
	}, 200, &hook)
	check(hook.Name == "hook2", "a changed executor: %+v", hook)
	fmt.Println("executors")

	batch := make([]job, 3)
	for n := range batch {
		batch[n] = job{
			ProjectID: p.ID, ExecutorID: &hook.ID, Spec: "@every 1s", Timezone: "UTC",
			Data: fmt.Sprint(n), RetryMax: 1, CreatedBy: "ada",
		}
	}
	var task string
	var done asyncTask
	c.send("POST", "/jobs", batch, 202, &task)
	c.send("GET", "/async-tasks/"+task, nil, 200, &done)
	check(done.State == 2 && done.RequestID == task && done.Output != "", "a task: %+v", done)
	c.send("GET", fmt.Sprintf("/jobs?projectId=%d&limit=10&offset=0", p.ID), nil, 200, &listed)
	check(listed.Total == 3 && len(listed.Jobs) == 3, "three jobs: %+v", listed)
	var changed job
	first := fmt.Sprintf("/jobs/%d", listed.Jobs[0].ID)
	c.send("PUT", first, job{Data: "changed", Status: "inactive", ModifiedBy: "ada"}, 200, &changed)
	check(changed.Data == "changed" && changed.Status == "inactive", "a changed job: %+v", changed)
	fmt.Println("jobs")

	runs(c, p.ID)
	for _, one := range listed.Jobs {
		c.send("DELETE", fmt.Sprintf("/jobs/%d", one.ID), by{DeletedBy: "ada"}, 204, nil)
	}
	c.send("DELETE", executorPath, by{DeletedBy: "ada"}, 204, nil)
	c.send("DELETE", path, by{DeletedBy: "ada"}, 204, nil)
	c.send("GET", path, nil, 404, nil)
	fmt.Println("the end of all")
}

func runs(c *client, projectID uint64) {
	var found page
	path := fmt.Sprintf("/executions?limit=10&offset=0&projectId=%d&state=success", projectID)
	until := time.Now().Add(time.Minute)
	for len(found.Executions) == 0 {
		check(time.Now().Before(until), "nothing was executed")
		c.send("GET", path, nil, 200, &found)
		time.Sleep(100 * time.Millisecond)
	}
	one := found.Executions[0]
	check(one.State == 1 && one.UniqueID != "" && one.NodeID == 1, "an execution: %+v", one)
	var totals struct{ AccountID, Scheduled, Success, Failed *uint64 }
	c.send("GET", "/executions/totals", nil, 200, &totals)
	check(totals.AccountID != nil && totals.Success != nil && *totals.Success > 0, "totals: %+v", totals)
	day := time.Now().UTC().Format("2006-01-02")
	var points struct {
		Timezone string
		Points   []json.RawMessage
	}
	c.send("GET", "/executions/analytics?startDate="+day+"&startTime=00:00:00", nil, 200, &points)
	check(points.Timezone != "" && len(points.Points) > 0, "analytics: %+v", points)
	var health struct{ LeaderAddress string }
	c.send("GET", "/healthcheck", nil, 200, &health)
	check(health.LeaderAddress != "", "a leader: %+v", health)
	fmt.Println("executions")
}

// accounts uses accounts and features.
func accounts(operator *client) {
	var made struct {
		ID   uint64
		Name string
	}
	operator.send("POST", "/accounts", map[string]string{"name": "tenant"}, 201, &made)
	path := fmt.Sprintf("/accounts/%d", made.ID)
	var features []struct{ ID uint64 }
	operator.send("GET", "/features", nil, 200, &features)
	check(len(features) > 0, "features")
	feature := map[string]uint64{"featureId": features[0].ID}
	operator.send("PUT", path+"/feature", feature, 200, nil)
	var shown struct{ Features []struct{ FeatureID uint64 } }
	operator.send("GET", path, nil, 200, &shown)
	check(len(shown.Features) == 1 && shown.Features[0].FeatureID == features[0].ID, "one: %+v", shown)
	var count struct {
		ExecutionCount int64
		NextResetDate  string
	}
	operator.send("GET", path+"/execution-count", nil, 200, &count)
	check(count.NextResetDate != "", "a count: %+v", count)
	var raised struct{ NewExecutionCount *int64 }
	operator.send("PUT", path+"/execution-count", map[string]int{"count": 5}, 200, &raised)
	check(raised.NewExecutionCount != nil, "a new count: %+v", raised)
	fmt.Println("accounts")
}

func main() {
	operator := &client{map[string]string{"X-Peer": "cmd"}, &http.Client{Timeout: time.Minute}}
	request, _ := http.NewRequest("GET", os.Getenv("NODE"), nil)
	request.SetBasicAuth(os.Getenv("USERNAME"), os.Getenv("PASSWORD"))
	operator.headers["Authorization"] = request.Header.Get("Authorization")
	resources(credentials(operator))
	accounts(operator)
}

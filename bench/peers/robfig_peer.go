// robfig/cron: N entries on one cron line, each posting to URL/<job>. Arguments: URL, jobs.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/robfig/cron/v3"
)

func main() {
	url := os.Args[1]
	jobs, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	// Every entry runs in a goroutine of its own; the transport bounds the connections.
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 64, MaxIdleConnsPerHost: 64}}
	c := cron.New(cron.WithSeconds())
	for n := 1; n <= jobs; n++ {
		n := n
		_, err := c.AddFunc("*/10 * * * * *", func() {
			body := strings.NewReader(fmt.Sprintf(`{"n":%d}`, n))
			response, err := client.Post(fmt.Sprintf("%s/%d", url, n), "application/json", body)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		})
		if err != nil {
			panic(err)
		}
	}
	fmt.Println("ready")
	c.Run()
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"causeway/internal/api"
)

// healthcheckCmd asks a server whether it is ready; made for containers.
type healthcheckCmd struct {
	Server  string        `help:"Address of the server." default:"http://127.0.0.1:8080" env:"CAUSEWAY_SERVER" placeholder:"URL"`
	Timeout time.Duration `help:"How long to wait for the answer." default:"4s"`
}

// Run prints the checks; the answer is "no" when one fails, and when nobody
// answers.
func (c *healthcheckCmd) Run(cli *cliContext) error {
	base, err := serverURL(c.Server)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(cli.Ctx, http.MethodGet, base.String()+"/readyz", nil)
	if err != nil {
		return usageError(err.Error())
	}
	response, err := plainClient(c.Timeout).Do(request)
	if err != nil {
		return noError(fmt.Sprintf("%s does not answer: %v", c.Server, rootCause(err)))
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // the status says the answer
	var body struct{ Checks []api.Check }
	if err := json.Unmarshal(text, &body); err != nil {
		return noError(fmt.Sprintf("%s answers %s, but not as Causeway does", c.Server, response.Status))
	}
	for _, check := range body.Checks {
		word := "ok"
		if !check.OK {
			word = "FAILED: " + check.Detail
		}
		fmt.Fprintf(cli.Stdout, "%-10s %s\n", check.Name, word)
	}
	if response.StatusCode != http.StatusOK {
		return noError(fmt.Sprintf("%s is not ready", c.Server))
	}
	return nil
}

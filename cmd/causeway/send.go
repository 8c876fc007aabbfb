package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// sendCmd sends a Segment call through the real route.
type sendCmd struct {
	Track    sendTrackCmd    `cmd:"" help:"Somebody did something."`
	Identify sendIdentifyCmd `cmd:"" help:"Somebody has these traits."`
	Page     sendPageCmd     `cmd:"" help:"Somebody looked at a page."`
	Screen   sendScreenCmd   `cmd:"" help:"Somebody looked at a screen of an app."`
	Group    sendGroupCmd    `cmd:"" help:"Somebody belongs to a group that has these traits."`
}

// sendFlags are what every call has in common.
type sendFlags struct {
	To  string `help:"Address of the data routes." default:"http://127.0.0.1:8080" env:"CAUSEWAY_SERVER" placeholder:"URL"`
	Key string `required:"" help:"API key of a destination, as the write key." env:"CAUSEWAY_WRITE_KEY" placeholder:"WRITEKEY"`

	UserID      string `name:"user-id" help:"userId of the call." placeholder:"ID"`
	AnonymousID string `name:"anonymous-id" help:"anonymousId of the call." placeholder:"ID"`
	MessageID   string `name:"message-id" help:"messageId of the call; made when left out." placeholder:"ID"`
	Timestamp   string `help:"Time of the call, ISO 8601; now when left out." placeholder:"TIME"`
	Context     string `help:"context, a JSON object." placeholder:"JSON"`
}

type sendTrackCmd struct {
	sendFlags
	Event      string `arg:"" help:"Name of the event."`
	Properties string `help:"properties, a JSON object." placeholder:"JSON"`
}

type sendIdentifyCmd struct {
	sendFlags
	Traits string `help:"traits, a JSON object." placeholder:"JSON"`
}

type sendPageCmd struct {
	sendFlags
	Name       string `arg:"" help:"Name of the page."`
	Properties string `help:"properties, a JSON object." placeholder:"JSON"`
}

type sendScreenCmd struct {
	sendFlags
	Name       string `arg:"" help:"Name of the screen."`
	Properties string `help:"properties, a JSON object." placeholder:"JSON"`
}

type sendGroupCmd struct {
	sendFlags
	GroupID string `arg:"" help:"groupId of the call."`
	Traits  string `help:"traits, a JSON object." placeholder:"JSON"`
}

// Run sends the call.
func (c *sendTrackCmd) Run(cli *cliContext) error {
	return c.send(cli, "track", map[string]any{"event": c.Event}, map[string]string{"properties": c.Properties})
}

// Run sends the call.
func (c *sendIdentifyCmd) Run(cli *cliContext) error {
	return c.send(cli, "identify", map[string]any{}, map[string]string{"traits": c.Traits})
}

// Run sends the call.
func (c *sendPageCmd) Run(cli *cliContext) error {
	return c.send(cli, "page", map[string]any{"name": c.Name}, map[string]string{"properties": c.Properties})
}

// Run sends the call.
func (c *sendScreenCmd) Run(cli *cliContext) error {
	return c.send(cli, "screen", map[string]any{"name": c.Name}, map[string]string{"properties": c.Properties})
}

// Run sends the call.
func (c *sendGroupCmd) Run(cli *cliContext) error {
	return c.send(cli, "group", map[string]any{"groupId": c.GroupID}, map[string]string{"traits": c.Traits})
}

// send posts one call as Segment's libraries do, and prints its messageId,
// which "causeway trace" takes.
func (f *sendFlags) send(cli *cliContext, callType string, call map[string]any, objects map[string]string) error {
	base, err := serverURL(f.To)
	if err != nil {
		return err
	}
	if f.UserID == "" && f.AnonymousID == "" {
		return usageError("give --user-id or --anonymous-id: a call is about somebody")
	}
	objects["context"] = f.Context
	for name, text := range objects {
		if text == "" {
			continue
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
			return usageError(fmt.Sprintf("--%s is no JSON object: %s", name, text))
		}
		call[name] = object
	}
	if f.MessageID == "" {
		f.MessageID = newMessageID()
	}
	if f.Timestamp == "" {
		f.Timestamp = time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	}
	for name, text := range map[string]string{"userId": f.UserID, "anonymousId": f.AnonymousID, "messageId": f.MessageID, "timestamp": f.Timestamp} {
		if text != "" {
			call[name] = text
		}
	}
	body, err := json.Marshal(call)
	if err != nil {
		return err
	}
	if err := f.post(cli, base.String()+"/v1/"+callType, body); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cli.Stdout, f.MessageID)
	return err
}

func newMessageID() string {
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return "cli-" + hex.EncodeToString(random[:])
}

func (f *sendFlags) post(cli *cliContext, target string, body []byte) error {
	request, err := http.NewRequestWithContext(cli.Ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return usageError(err.Error())
	}
	request.SetBasicAuth(f.Key, "")
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "causeway-cli/"+version)
	response, err := plainClient(30 * time.Second).Do(request)
	if err != nil {
		return fmt.Errorf("send to %s: %w", target, rootCause(err))
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 4096)) // what came is enough to say
	switch {
	case response.StatusCode == http.StatusOK:
		return nil
	case response.StatusCode == http.StatusUnauthorized:
		return noError("the key is not known there: it must be the apiKey of a destination")
	}
	return noError(fmt.Sprintf("%s answered %s: %s", target, response.Status, bytes.TrimSpace(text)))
}

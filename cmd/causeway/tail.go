package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"causeway/internal/tail"
)

// tailCmd shows what happens, as it happens.
type tailCmd struct {
	serverFlags
	Query       string `short:"q" help:"Words that must all hold: text, or kind:, type:, outcome:, environment:, configuration: with a value; * for anything, - to turn a word round." placeholder:"WORDS"`
	Kind        string `help:"Only call, impression, event, delivery or refused." placeholder:"KIND"`
	Environment string `help:"Only this environment." placeholder:"PROJECT/ENVIRONMENT"`
	JSON        bool   `name:"json" help:"Print the whole of each item as one line of JSON."`
	Count       int    `short:"n" help:"Stop after this many items; 0 never stops." placeholder:"N"`
}

// Run prints until it is stopped. A stream that breaks is taken up again where
// it broke; what was missed is said on standard error.
func (c *tailCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	watch := watcher{cmd: c, cli: cli, retry: 2 * time.Second}
	connected := false
	for {
		err := watch.once(client, func() { connected = true })
		var refused *refusedError
		switch {
		case cli.Ctx.Err() != nil || errors.Is(err, errEnough):
			return nil
		case errors.As(err, &refused) && refused.Status != http.StatusServiceUnavailable:
			return err
		case !connected:
			return err
		}
		fmt.Fprintf(cli.Stderr, "causeway: the stream broke (%v); trying again\n", err)
		if !sleep(cli.Ctx, watch.retry) {
			return nil
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

var errEnough = errors.New("as many items as were asked for")

// watcher is one tail across its connections.
type watcher struct {
	cmd     *tailCmd
	cli     *cliContext
	lastID  string
	retry   time.Duration
	printed int
}

func (w *watcher) once(client *adminClient, connected func()) error {
	query := url.Values{}
	for name, value := range map[string]string{"q": w.cmd.Query, "kind": w.cmd.Kind, "environment": w.cmd.Environment} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if w.cmd.JSON {
		query.Set("detail", "true")
	}
	request := ask{path: "/tail", query: query, header: http.Header{}}
	if w.lastID != "" {
		request.header.Set("Last-Event-ID", w.lastID)
	}
	response, err := client.do(w.cli.Ctx, request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	connected()
	return w.read(response.Body)
}

// read takes server-sent events apart (WHATWG HTML, 9.2).
func (w *watcher) read(body io.Reader) error {
	lines := bufio.NewReader(body)
	var event, id, data string
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return errors.New("the server closed it")
		}
		if err != nil {
			return rootCause(err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			if data != "" {
				if err := w.handle(event, id, data); err != nil {
					return err
				}
			}
			event, id, data = "", "", ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			event = value
		case "id":
			id = value
		case "data":
			data = value
		case "retry":
			if ms, err := strconv.Atoi(value); err == nil {
				w.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
}

func (w *watcher) handle(event, id, data string) error {
	if id != "" {
		w.lastID = id
	}
	switch event {
	case "gap":
		var gap struct{ Missed *int64 }
		_ = json.Unmarshal([]byte(data), &gap) // without a number it is a gap all the same
		if gap.Missed != nil {
			fmt.Fprintf(w.cli.Stderr, "causeway: %d items were missed\n", *gap.Missed)
		} else {
			fmt.Fprintln(w.cli.Stderr, "causeway: items were missed, nobody knows how many")
		}
		return nil
	case "item":
	default:
		return nil // of a newer server
	}
	if err := w.print(data); err != nil {
		return err
	}
	if w.printed++; w.printed == w.cmd.Count {
		return errEnough
	}
	return nil
}

func (w *watcher) print(data string) error {
	if w.cmd.JSON {
		_, err := fmt.Fprintln(w.cli.Stdout, data)
		return err
	}
	var item tail.Item
	if err := json.Unmarshal([]byte(data), &item); err != nil {
		return fmt.Errorf("an item cannot be read: %w", err)
	}
	_, err := fmt.Fprintf(w.cli.Stdout, "%s  %-10s %-9s %s\n", item.Time.Local().Format("15:04:05"), item.Kind, item.Outcome, printable(item.Summary))
	return err
}

// printable takes out what could move a terminal's cursor: the text was sent
// by strangers.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '·'
		}
		return r
	}, text)
}

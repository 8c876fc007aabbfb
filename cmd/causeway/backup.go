package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"causeway/internal/backup"
)

// backupCmd makes a backup of a running server.
type backupCmd struct {
	serverFlags
	To            string `required:"" help:"File to write, or folder to write a file with the time in its name into." type:"path" placeholder:"FILE|DIR"`
	Processed     bool   `help:"Hold also the requests that are stored already and kept for trace (--keep-processed)."`
	MasterKeyFile string `help:"Put this master key (master.key of the data folder) into the archive too. Whoever has the archive can then read the sealed secrets." type:"path" placeholder:"FILE"`
}

// Run writes the archive under a name of its own until it is whole.
func (c *backupCmd) Run(cli *cliContext) (err error) {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	to := c.To
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		to = filepath.Join(to, "causeway-"+time.Now().UTC().Format("20060102T150405Z")+".backup.tar")
	}
	if _, err := os.Stat(to); err == nil {
		return usageError(to + " exists already; name another file")
	}
	query := url.Values{}
	if c.Processed {
		query.Set("processed", "true")
	}
	fmt.Fprintln(cli.Stderr, "the server copies its store ...")
	response, err := client.do(cli.Ctx, ask{method: http.MethodPost, path: "/backup", query: query})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	part := to + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(part)
		}
	}()
	if err := c.addMasterKey(file); err != nil {
		return err
	}
	progress := &progress{Writer: file, to: cli.Stderr}
	if _, err := io.Copy(progress, response.Body); err != nil {
		return fmt.Errorf("the backup was cut off, and what came of it is removed; the server's log says why: %w", err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if err := os.Rename(part, to); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	progress.say()
	if c.MasterKeyFile == "" {
		fmt.Fprintln(cli.Stderr, "the master key is not in it: keep a copy of master.key elsewhere, or the sealed secrets (write keys) are lost with the server")
	}
	_, err = fmt.Fprintln(cli.Stdout, to)
	return err
}

// addMasterKey puts the key before what the server writes. The server never
// gives it out: it is read from where the person who asks can read it.
func (c *backupCmd) addMasterKey(file io.Writer) error {
	if c.MasterKeyFile == "" {
		return nil
	}
	key, err := os.ReadFile(c.MasterKeyFile)
	if err != nil {
		return fmt.Errorf("read --master-key-file: %w", err)
	}
	archive := tar.NewWriter(file) // not closed: more entries follow
	err = archive.WriteHeader(&tar.Header{Name: "master.key", Size: int64(len(key)), Mode: 0o600, Format: tar.FormatPAX})
	if err == nil {
		_, err = archive.Write(key)
	}
	if err == nil {
		err = archive.Flush()
	}
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

// progress says every few seconds how much was written.
type progress struct {
	io.Writer
	to    io.Writer
	bytes int64
	said  time.Time
}

func (p *progress) Write(b []byte) (int, error) {
	n, err := p.Writer.Write(b)
	p.bytes += int64(n)
	if time.Since(p.said) > 2*time.Second {
		p.say()
	}
	return n, err
}

func (p *progress) say() {
	p.said = time.Now()
	fmt.Fprintf(p.to, "%.1f MiB\n", float64(p.bytes)/(1<<20))
}

// restoreCmd fills an empty data folder from a backup.
type restoreCmd struct {
	File string `arg:"" help:"Archive of \"causeway backup\", or -."`
	Data string `help:"Data folder to fill: missing or empty. A file master.key may be in it already." type:"path" required:"" placeholder:"DIR"`
}

// Run restores; the server is started afterwards.
func (c *restoreCmd) Run(cli *cliContext) error {
	in, err := openInput(cli, c.File)
	if err != nil {
		return err
	}
	defer in.Close()
	ownerOnly()
	restored, err := backup.Restore(cli.Ctx, in, c.Data, newLog(cli.Stderr, "auto", "error"), func(part string) { fmt.Fprintln(cli.Stderr, part) })
	if err != nil {
		return err
	}
	fmt.Fprintf(cli.Stderr, "restored the backup of %s: %d streams, %d messages, and the store\n", restored.StartedAt.Local().Format(time.DateTime), restored.Streams, restored.Messages)
	if _, err := os.Stat(filepath.Join(c.Data, "master.key")); err != nil {
		fmt.Fprintf(cli.Stderr, "the master key is not in the archive: put the file master.key of the old server into %s (mode 0600), or set CAUSEWAY_MASTER_KEY, before you start\n", c.Data)
	}
	fmt.Fprintf(cli.Stderr, "start it with: causeway serve --data %s\n", c.Data)
	return nil
}

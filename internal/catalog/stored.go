package catalog

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The keys in the bucket. Their names are on disk.
const (
	documentKey   = "document"
	adminTokenKey = "admin-token"
)

// storedFormat is the version of stored that this program writes. It grows
// when an older program would misread what a newer one wrote.
//
// Format 2 has change numbers; what it serves cannot be in a document of
// format 1, so that one is read as one without any.
const storedFormat = 2

// stored is the value under documentKey, as gzipped JSON: the whole document
// in one value, so that one compare-and-swap is the whole change.
type stored struct {
	Format   int             `json:"format"`
	KeyID    string          `json:"keyId"` // which master key sealed it
	Document json.RawMessage `json:"document"`
	Versions versions        `json:"versions,omitempty"`
}

// maxStored bounds what is unpacked from the store.
const maxStored = 256 << 20

func (c *Catalog) pack(doc *Document, v versions) ([]byte, error) {
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encode the configuration: %w", err)
	}
	text, err = json.Marshal(stored{Format: storedFormat, KeyID: c.sealer.keyID, Document: text, Versions: v})
	if err != nil {
		return nil, fmt.Errorf("encode the configuration: %w", err)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err = w.Write(text)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("compress the configuration: %w", err)
	}
	return b.Bytes(), nil
}

func (c *Catalog) unpack(value []byte) (*Document, versions, error) {
	r, err := gzip.NewReader(bytes.NewReader(value))
	if err != nil {
		return nil, nil, fmt.Errorf("the stored configuration is damaged (%w); restore a backup", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxStored))
	if err != nil {
		return nil, nil, fmt.Errorf("the stored configuration is damaged (%w); restore a backup", err)
	}
	var s stored
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, nil, fmt.Errorf("the stored configuration is damaged (%w); restore a backup", err)
	}
	if s.Format < 1 || s.Format > storedFormat {
		return nil, nil, fmt.Errorf("the stored configuration is of format %d and this program reads formats up to %d; start the newer program", s.Format, storedFormat)
	}
	if s.KeyID != c.sealer.keyID {
		return nil, nil, fmt.Errorf("the stored configuration was sealed with master key %s and this server has master key %s; start it with the master key it had before (CAUSEWAY_MASTER_KEY or the file master.key)", s.KeyID, c.sealer.keyID)
	}
	doc, found := decode("", s.Document, nil)
	if len(found) > 0 {
		return nil, nil, fmt.Errorf("the stored configuration cannot be read (%s); start the program that wrote it", found[0])
	}
	doc.source = nil // nobody will ask for lines of it
	return doc, s.Versions, nil
}

// snapshotOf makes a snapshot of what is stored under a revision.
func (c *Catalog) snapshotOf(value []byte, revision uint64) (*Snapshot, error) {
	doc, v, err := c.unpack(value)
	if err != nil {
		return nil, err
	}
	return c.compile(doc, v, doc.contents(), revision)
}

// refresh reads what is stored and installs it.
func (c *Catalog) refresh(ctx context.Context) error {
	for _, key := range []string{documentKey, adminTokenKey} {
		entry, err := c.kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the configuration: %w", err)
		}
		if err := c.take(entry); err != nil {
			return err
		}
	}
	return nil
}

// take installs one entry of the bucket.
func (c *Catalog) take(entry jetstream.KeyValueEntry) error {
	if entry.Operation() != jetstream.KeyValuePut {
		return nil
	}
	switch entry.Key() {
	case documentKey:
		if entry.Revision() <= c.Snapshot().Revision {
			return nil
		}
		s, err := c.snapshotOf(entry.Value(), entry.Revision())
		if err != nil {
			return err
		}
		c.install(s)
	case adminTokenKey:
		return c.installToken(entry.Value(), entry.Revision())
	}
	return nil
}

// How long the watch waits after it broke: the first time, and at most.
const (
	watchAgainFirst = 50 * time.Millisecond
	watchAgainMost  = 5 * time.Second
)

// watch installs what other nodes write, until ctx ends. An entry that cannot
// be read is reported and leaves the present snapshot in use.
func (c *Catalog) watch(ctx context.Context) {
	defer close(c.stopped)
	wait := watchAgainFirst
	for ctx.Err() == nil {
		began := time.Now()
		err := c.watchOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > watchAgainMost { // it worked for a while
			wait = watchAgainFirst
		}
		c.log.Warn("the configuration is not being watched; changes made on other nodes are seen later", "error", err, "retry", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, watchAgainMost)
	}
}

func (c *Catalog) watchOnce(ctx context.Context) error {
	w, err := c.kv.WatchFiltered(ctx, []string{documentKey, adminTokenKey})
	if err != nil {
		return fmt.Errorf("watch the configuration: %w", err)
	}
	defer func() { _ = w.Stop() }() // the connection may be gone; there is nothing left to stop then
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-w.Updates():
			if !ok {
				return errors.New("watch the configuration: the watch ended")
			}
			if entry == nil { // everything stored was seen
				continue
			}
			if err := c.take(entry); err != nil {
				c.log.Error("a changed configuration was not taken over; the one before it stays in use", "revision", entry.Revision(), "error", err)
			}
		}
	}
}

// errConflict means that the stored document is not of the revision that the
// change was made from.
var errConflict = errors.New("conflict")

// write stores a document and its change numbers over the given revision and returns its own.
//
// An error may mean that the document was stored and the answer was lost.
// Then what is stored is compared with what was written, so that generated
// secrets, which exist nowhere else, are not reported as failed.
func (c *Catalog) write(ctx context.Context, doc *Document, v versions, over uint64) (uint64, error) {
	value, err := c.pack(doc, v)
	if err != nil {
		return 0, err
	}
	revision, err := c.kv.Update(ctx, documentKey, value, over)
	if err == nil {
		return revision, nil
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if entry, getErr := c.kv.Get(asking, documentKey); getErr == nil && entry.Revision() > over && bytes.Equal(entry.Value(), value) {
		return entry.Revision(), nil
	}
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return 0, errConflict
	}
	return 0, fmt.Errorf("store the configuration (%d bytes): %w", len(value), err)
}

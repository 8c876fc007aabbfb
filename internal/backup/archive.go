package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"

	"causeway/internal/stream"
)

// format is the version of the archive that this program writes.
const format = 1

// The entries of an archive, in their order: a tar file.
const (
	masterKeyEntry = "master.key" // only when the person who asked put it there
	manifestEntry  = "manifest.json"
	storeFolder    = "store/"
	streamsFolder  = "streams/" // one entry for each stream, then its messages
	endEntry       = "end.json"
)

// Manifest is what an archive says of itself.
type Manifest struct {
	Format    int       `json:"format"`
	Version   string    `json:"version"` // of the program that wrote it
	StartedAt time.Time `json:"startedAt"`
}

// ending is the last entry. What lacks it is not whole.
type ending struct {
	Entries int    `json:"entries"`
	SHA256  string `json:"sha256"` // over the contents of all entries before
}

// messages is the entry of some messages of a stream: gzipped lines of JSON.
type messages struct {
	stream string
	number int
}

func (m messages) name() string { return fmt.Sprintf("%s%s/%06d", streamsFolder, m.stream, m.number) }

// writer writes an archive; it takes the streams in.
type writer struct {
	tar     *tar.Writer
	bytes   *counter
	sum     hash.Hash
	entries int
	now     messages
}

type counter struct {
	io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += int64(n)
	return n, err
}

func newWriter(w io.Writer) *writer {
	bytes := &counter{Writer: w}
	return &writer{tar: tar.NewWriter(bytes), bytes: bytes, sum: sha256.New()}
}

func (w *writer) entry(name string, size int64, content io.Reader) error {
	header := &tar.Header{Name: name, Size: size, Mode: 0o600, Format: tar.FormatPAX}
	if err := w.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := io.Copy(io.MultiWriter(w.tar, w.sum), content); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	w.entries++
	return nil
}

func (w *writer) json(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return w.entry(name, int64(len(text)), bytes.NewReader(text))
}

func (w *writer) manifest(m Manifest) error { return w.json(manifestEntry, m) }

// files writes the files of a folder, as the store's.
func (w *writer) files(folder string) error {
	list, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, one := range list {
		if err := w.file(folder, one.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) file(folder, name string) error {
	file, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return w.entry(storeFolder+name, info.Size(), file)
}

// Stream begins a stream.
func (w *writer) Stream(_ context.Context, begun stream.Copied) error {
	w.now = messages{stream: begun.Config.Name}
	return w.json(streamsFolder+begun.Config.Name, begun)
}

// Messages writes some of its messages.
func (w *writer) Messages(_ context.Context, list []stream.Message) error {
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(zip)
	for _, m := range list {
		if err := lines.Encode(m); err != nil {
			return err
		}
	}
	if err := zip.Close(); err != nil {
		return err
	}
	w.now.number++
	return w.entry(w.now.name(), int64(packed.Len()), &packed)
}

// end makes the archive whole and returns its size.
func (w *writer) end() (int64, error) {
	if err := w.json(endEntry, ending{w.entries, hex.EncodeToString(w.sum.Sum(nil))}); err != nil {
		return 0, err
	}
	if err := w.tar.Close(); err != nil {
		return 0, err
	}
	return w.bytes.n, nil
}

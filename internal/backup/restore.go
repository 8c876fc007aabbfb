package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"

	"causeway/internal/stream"
)

// Bounds of what an archive may hold, against a hostile one.
const (
	maxSmallEntry = 1 << 20
	maxMessages   = 256 << 20 // of one entry, unpacked
)

// Restored is what a restore did.
type Restored struct {
	Manifest
	MasterKey bool // the archive held it
	Streams   int
	Messages  int
}

// Restore fills a folder that is missing or empty (a file master.key may be in
// it) from an archive. progress, unless nil, hears of each part. When it fails
// it takes away what it put there.
func Restore(ctx context.Context, archive io.Reader, folder string, log *slog.Logger, progress func(string)) (_ Restored, err error) {
	if progress == nil {
		progress = func(string) {}
	}
	if err := emptyFolder(folder); err != nil {
		return Restored{}, err
	}
	r := &reader{tar: tar.NewReader(archive), sum: sha256.New(), folder: folder, log: log, progress: progress}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("restore: %w", err), r.undo())
		}
	}()
	err = r.all(ctx)
	return r.done, err
}

// emptyFolder makes the folder, or refuses one that is in use.
func emptyFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	list, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("read the data folder: %w", err)
	}
	for _, one := range list {
		if one.Name() != masterKeyEntry {
			return fmt.Errorf("the folder %s is not empty (%s is in it): restore into a new one, then start the server with --data on that", folder, one.Name())
		}
	}
	return nil
}

// reader reads an archive into a folder.
type reader struct {
	tar      *tar.Reader
	sum      hash.Hash
	entries  int
	folder   string
	log      *slog.Logger
	progress func(string)

	streams *stream.Restoring
	now     messages
	made    []string // in the folder
	done    Restored
}

// errCut means that the archive ends before its end.
var errCut = errors.New("the archive is not whole: it ends early. The backup was interrupted, or the file was cut; make another one")

// all reads the entries in their order.
func (r *reader) all(ctx context.Context) (err error) {
	defer func() {
		if r.streams != nil {
			err = errors.Join(err, r.streams.Close())
		}
	}()
	for {
		header, err := r.tar.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errCut
		}
		if err != nil {
			return fmt.Errorf("this is no archive of \"causeway backup\": %w", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		finished, err := r.entry(ctx, header.Name)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return errCut
		}
		if finished || err != nil {
			return err
		}
		r.entries++
	}
}

func (r *reader) entry(ctx context.Context, name string) (finished bool, err error) {
	if name == endEntry {
		return true, r.end()
	}
	if name == masterKeyEntry { // put before what the server wrote
		r.entries--
		r.done.MasterKey = true
		return false, r.file(masterKeyEntry, r.tar)
	}
	if r.done.Format == 0 {
		return false, r.manifest(name)
	}
	content := io.TeeReader(r.tar, r.sum)
	if file, ok := strings.CutPrefix(name, storeFolder); ok && filepath.Base(file) == file {
		r.progress("store: " + file)
		return false, r.file(file, content)
	}
	path, ok := strings.CutPrefix(name, streamsFolder)
	if !ok {
		return false, fmt.Errorf("the archive holds %q, which this program does not know; use the one that wrote it", name)
	}
	if name == r.next().name() && strings.Contains(path, "/") {
		r.now = r.next()
		return false, r.messages(ctx, content)
	}
	return false, r.stream(ctx, path, content)
}

func (r *reader) next() messages { return messages{r.now.stream, r.now.number + 1} }

// small reads an entry of JSON.
func (r *reader) small(content io.Reader, value any) error {
	text, err := io.ReadAll(io.LimitReader(content, maxSmallEntry))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("the archive is damaged: %w", err)
	}
	return nil
}

func (r *reader) manifest(name string) error {
	if name != manifestEntry {
		return errors.New("this is no archive of \"causeway backup\": it does not begin with a manifest")
	}
	if err := r.small(io.TeeReader(r.tar, r.sum), &r.done.Manifest); err != nil {
		return err
	}
	if r.done.Format < 1 || r.done.Format > format {
		return fmt.Errorf("the archive is of format %d, written by Causeway %s; this program reads formats up to %d", r.done.Format, r.done.Version, format)
	}
	return nil
}

// file writes a file of the folder.
func (r *reader) file(name string, content io.Reader) error {
	path := filepath.Join(r.folder, name)
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("there is a file %s already; take it away first", path)
	}
	if err != nil {
		return err
	}
	r.made = append(r.made, path)
	_, err = io.Copy(out, content)
	return errors.Join(err, out.Sync(), out.Close())
}

func (r *reader) stream(ctx context.Context, name string, content io.Reader) error {
	var begun stream.Copied
	if err := r.small(content, &begun); err != nil {
		return err
	}
	if begun.Config.Name != name {
		return fmt.Errorf("the archive is damaged: %q describes stream %q", name, begun.Config.Name)
	}
	if r.streams == nil {
		folder := filepath.Join(r.folder, "streams")
		r.made = append(r.made, folder)
		var err error
		if r.streams, err = stream.Restore(ctx, stream.Options{Dir: folder, Log: r.log}); err != nil {
			return err
		}
	}
	r.progress("stream: " + name)
	r.now = messages{stream: name}
	r.done.Streams++
	return r.streams.Stream(ctx, begun)
}

func (r *reader) messages(ctx context.Context, content io.Reader) error {
	packed, err := io.ReadAll(io.LimitReader(content, maxMessages))
	if err != nil {
		return err
	}
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return fmt.Errorf("the archive is damaged: %w", err)
	}
	var list []stream.Message
	for lines := json.NewDecoder(io.LimitReader(zip, maxMessages)); ; {
		var m stream.Message
		err := lines.Decode(&m)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("the archive is damaged: messages of %s: %w", r.now.stream, err)
		}
		list = append(list, m)
	}
	r.done.Messages += len(list)
	return r.streams.Messages(ctx, list)
}

// end compares what was read with what was written.
func (r *reader) end() error {
	want, sum := ending{}, hex.EncodeToString(r.sum.Sum(nil))
	if err := r.small(r.tar, &want); err != nil {
		return err
	}
	if want.Entries != r.entries || want.SHA256 != sum {
		return errors.New("the archive was changed after it was written: its checksum is another one")
	}
	return nil
}

// undo takes away what was put into the folder.
func (r *reader) undo() error {
	var errs []error
	for _, path := range r.made {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

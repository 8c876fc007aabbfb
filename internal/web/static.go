package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// assets are the console's static files, each served under a path that names
// its content, so that browsers may keep it for ever.
type assets struct {
	byName map[string]*asset
}

type asset struct {
	url, contentType, hash string
	plain, gzipped         []byte
}

func loadAssets() (*assets, error) {
	a := &assets{byName: map[string]*asset{}}
	err := fs.WalkDir(staticFiles, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := staticFiles.ReadFile(name)
		if err != nil {
			return err
		}
		short := strings.TrimPrefix(name, "static/")
		sum := sha256.Sum256(data)
		hash := hex.EncodeToString(sum[:8])
		one := &asset{url: "/static/" + hash + "/" + short, hash: hash, plain: data, contentType: mime.TypeByExtension(path.Ext(name))}
		var packed bytes.Buffer
		w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if _, err := w.Write(data); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		one.gzipped = packed.Bytes()
		a.byName[short] = one
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the static files: %w", err)
	}
	return a, nil
}

// url is where a file is served. A page that names a missing file is a mistake
// that its test finds.
func (a *assets) url(name string) string {
	if one, ok := a.byName[name]; ok {
		return one.url
	}
	panic("web: there is no static file " + name)
}

func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	one, ok := a.byName[r.PathValue("name")]
	if !ok || r.PathValue("hash") != one.hash {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Content-Type", one.contentType)
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("Vary", "Accept-Encoding")
	body := one.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && len(one.gzipped) < len(one.plain) {
		header.Set("Content-Encoding", "gzip")
		body = one.gzipped
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // who left hears nothing either way
}

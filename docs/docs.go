// Package docs holds the pages of this folder, so that the binary can show
// them where there is no network.
package docs

import "embed"

// Files are the pages by their path in this folder. README.md is the table of
// contents.
//
//go:embed *.md guides/*.md decisions/*.md
var Files embed.FS

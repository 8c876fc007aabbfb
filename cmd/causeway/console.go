package main

import (
	"context"
	"fmt"
	"io"

	"causeway/internal/app"
)

// announceConsole says where people sign in, and how the first of them does.
func announceConsole(ctx context.Context, w io.Writer, running *app.App) error {
	setup, err := running.SetupURL(ctx)
	if err != nil {
		return fmt.Errorf("make a setup link: %w", err)
	}
	if setup != "" {
		fmt.Fprintf(w, "open %s\n  to make the first account (works once, for one hour; or: causeway user add ADDRESS)\n", setup)
	}
	return nil
}

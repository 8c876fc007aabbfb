//go:build unix

package main

import "syscall"

// ownerOnly makes every file and folder that the process creates from now on
// its owner's alone: the engines choose wider rights by themselves.
func ownerOnly() { syscall.Umask(0o077) }

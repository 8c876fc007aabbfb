//go:build !unix

package main

// ownerOnly does nothing here: the rights of the data folder are inherited.
func ownerOnly() {}

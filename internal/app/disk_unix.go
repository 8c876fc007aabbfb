//go:build unix

package app

import "syscall"

// freeBytes is what an ordinary process may still write on a folder's disk.
func freeBytes(folder string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

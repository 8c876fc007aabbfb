//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of the processor times in /proc: Linux shows them in
// hundredths of a second on every architecture (USER_HZ).
const clockTick = 10 * time.Millisecond

// cpuOf is the processor time that a process has used, user and system, of all
// its threads: the operating system's accounting, not the process's own.
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the processor time: %w", err)
	}
	return parseStat(string(text))
}

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // it knows no errors for its own process
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// parseStat reads utime and stime of proc_pid_stat(5), fields 14 and 15.
func parseStat(text string) (time.Duration, error) {
	// The second field is the command's name and may hold blanks and brackets.
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:])
	if end < 0 || len(fields) < 13 {
		return 0, errors.New("not a /proc/PID/stat")
	}
	var sum time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("processor time in /proc/PID/stat: %w", err)
		}
		sum += time.Duration(ticks) * clockTick
	}
	return sum, nil
}

// residentOf is the resident memory of a process in bytes, now and at its peak.
func residentOf(pid int) (now, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read the resident memory: %w", err)
	}
	if now, err = parseStatus(string(text), "VmRSS"); err != nil {
		return 0, 0, err
	}
	peak, err = parseStatus(string(text), "VmHWM")
	return now, peak, err
}

// parseStatus reads one size, in bytes, of proc_pid_status(5).
func parseStatus(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, name+":")
		if !found {
			continue
		}
		size, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || unit != "kB" {
			return 0, fmt.Errorf("%s in /proc/PID/status: %q", name, strings.TrimSpace(rest))
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("no %s in /proc/PID/status", name)
}

// machine says what the figures were measured on.
type machine struct {
	Processors int    `json:"processors"`
	Model      string `json:"model"`
	Go         string `json:"go"`
	Kernel     string `json:"kernel"`
	Load       string `json:"load"` // one-minute load average when the run began
}

func thisMachine() machine {
	m := machine{Processors: runtime.NumCPU(), Go: runtime.Version(), Kernel: "unknown", Model: "unknown", Load: "unknown"}
	// What cannot be read stays unknown; no figure depends on it.
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _, _ = strings.Cut(string(text), " ")
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				m.Model = strings.TrimSpace(value)
				break
			}
		}
	}
	return m
}

// inMemory reports whether a folder lies on a file system without a disk, on
// which a sync costs nothing.
func inMemory(folder string) (bool, error) {
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return false, fmt.Errorf("look at the file system of %s: %w", folder, err)
	}
	return uint32(s.Type) == tmpfs || uint32(s.Type) == ramfs, nil
}

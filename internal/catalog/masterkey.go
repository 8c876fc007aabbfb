package catalog

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// masterKeyFile is the master key's file in the data folder.
const masterKeyFile = "master.key"

// LoadMasterKey returns the key that seals secrets at rest: fromEnv when it is
// given, as 32 bytes in hex or base64, else the one in the file master.key of
// dir, which is made when it is not there (created).
//
// The file must be readable by its owner only. Whoever has it and the data
// folder can read the sealed secrets; without it they are lost, so it belongs
// in a backup of its own.
func LoadMasterKey(dir, fromEnv string) (key [32]byte, created bool, err error) {
	if fromEnv = strings.TrimSpace(fromEnv); fromEnv != "" {
		if key, err = parseMasterKey(fromEnv); err != nil {
			return key, false, fmt.Errorf("the master key that was given (CAUSEWAY_MASTER_KEY) %w", err)
		}
		return key, false, nil
	}
	path := filepath.Join(dir, masterKeyFile)
	key, err = readMasterKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	switch created, err = createMasterKey(dir, path); {
	case err != nil:
		return key, false, fmt.Errorf("make the master key: %w", err)
	case created:
		key, err = readMasterKey(path)
		return key, true, err
	}
	key, err = readMasterKey(path) // somebody else made it just now
	return key, false, err
}

func readMasterKey(path string) (key [32]byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return key, fmt.Errorf("read the master key: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return key, fmt.Errorf("read the master key: %w", err)
	}
	// Windows has no such permissions; the data folder's own rights apply there.
	if wide := info.Mode().Perm() & 0o077; wide != 0 && runtime.GOOS != "windows" {
		return key, fmt.Errorf("the master key %s can be read by others than its owner (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(file, 4096))
	if err != nil {
		return key, fmt.Errorf("read the master key: %w", err)
	}
	if key, err = parseMasterKey(strings.TrimSpace(string(text))); err != nil {
		return key, fmt.Errorf("the master key %s %w", path, err)
	}
	return key, nil
}

// createMasterKey makes the file. It appears under its name only when it is
// whole and durable; false: another process was first.
func createMasterKey(dir, path string) (created bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	var key [32]byte
	_, _ = rand.Read(key[:])                               // never fails: the runtime stops instead
	temporary, err := os.CreateTemp(dir, ".master-*.part") // made with mode 0600
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.WriteString(hex.EncodeToString(key[:]) + "\n")
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return false, err
	}
	switch err = os.Link(temporary.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil: // not every file system has links; then two first starts at once are not told apart
		if err = os.Rename(temporary.Name(), path); err != nil {
			return false, err
		}
	}
	return true, syncFolder(dir)
}

// syncFolder makes a new name in a folder durable.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" { // folders cannot be synced there
		return nil
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func parseMasterKey(text string) (key [32]byte, err error) {
	if b, err := hex.DecodeString(text); err == nil && len(b) == len(key) {
		return [32]byte(b), nil
	}
	unpadded := strings.TrimRight(text, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := encoding.DecodeString(unpadded); err == nil && len(b) == len(key) {
			return [32]byte(b), nil
		}
	}
	return key, errors.New("is not 32 bytes in hex or base64; make one with: openssl rand -hex 32")
}

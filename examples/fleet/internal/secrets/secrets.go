// Package secrets says where the devices' secrets come from. They are never in the stream of reports.
package secrets

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/tokens"
)

// ErrUnknown is the error for a device of which a source knows no secret.
var ErrUnknown = errors.New("register the device's secret: its source knows none")

// Source finds the secret of a device. For any number of goroutines.
type Source interface {
	Secret(ctx context.Context, device string) (string, error)
}

// Open makes a source of its description:
//
//	file:PATH     a file with a line DEVICE=SECRET for each device, read again when it has changed
//	kv:BUCKET     a bucket with a key for each device, sealed like the tokens
//	command:PATH  a program that is given the device as its argument and prints the secret
func Open(ctx context.Context, description string, stream jetstream.JetStream, sealer *tokens.Sealer) (Source, error) {
	kind, argument, _ := strings.Cut(description, ":")
	switch {
	case kind == "file" && argument != "":
		file := &File{path: argument}
		return file, file.read()
	case kind == "kv" && argument != "":
		bucket, err := stream.KeyValue(ctx, argument)
		if err != nil {
			return nil, fmt.Errorf("create the bucket %s: %w", argument, err)
		}
		return &Bucket{bucket, sealer}, nil
	case kind == "command" && argument != "":
		return Command(argument), nil
	}
	return nil, fmt.Errorf("write file:PATH, kv:BUCKET or command:PATH: %q is no source of secrets", kind)
}

// File reads secrets from a file.
type File struct {
	path string

	lock    sync.Mutex
	secrets map[string]string
	changed time.Time
	size    int64
}

// Secret finds a device's secret; it reads the file again if that has changed and does not know the device.
func (f *File) Secret(_ context.Context, device string) (string, error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return "", err
	}
	if !info.ModTime().Equal(f.changed) || info.Size() != f.size {
		if err := f.load(info); err != nil {
			return "", err
		}
	}
	if secret, known := f.secrets[device]; known {
		return secret, nil
	}
	return "", ErrUnknown
}

func (f *File) read() error {
	f.lock.Lock()
	defer f.lock.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	return f.load(info)
}

func (f *File) load(info os.FileInfo) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	secrets := make(map[string]string)
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		device, secret, found := strings.Cut(line, "=")
		if !found || device == "" || secret == "" {
			return fmt.Errorf("write DEVICE=SECRET: line %d of %s is something else", number, f.path)
		}
		secrets[device] = secret
	}
	if err := lines.Err(); err != nil {
		return err
	}
	f.secrets, f.changed, f.size = secrets, info.ModTime(), info.Size()
	return nil
}

// Bucket reads sealed secrets from a bucket.
type Bucket struct {
	bucket jetstream.KeyValue
	sealer *tokens.Sealer
}

// Secret finds a device's secret.
func (b *Bucket) Secret(ctx context.Context, device string) (string, error) {
	entry, err := b.bucket.Get(ctx, device)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", ErrUnknown
	}
	if err != nil {
		return "", err
	}
	return b.sealer.Open(Sealed(device), entry.Value())
}

// Command runs a program for each secret.
type Command string

// Secret runs the program, which has 10 s. What it writes to the standard error is not read: it could be a secret.
func (c Command) Secret(ctx context.Context, device string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	output, err := exec.CommandContext(ctx, string(c), device).Output()
	if err != nil {
		return "", fmt.Errorf("run `%s DEVICE` by hand: it failed: %w", string(c), err)
	}
	if secret := strings.TrimRight(string(output), "\r\n"); secret != "" {
		return secret, nil
	}
	return "", ErrUnknown
}

// Sealed is what a device's secret is sealed for: a sealed token can not be put in its place.
func Sealed(device string) string { return "secret of " + device }

// Secrets from a file, from a command and from a bucket.

package secrets_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/natstest"
	"github.com/libiotda/libiotda/examples/fleet/internal/secrets"
	"github.com/libiotda/libiotda/examples/fleet/internal/tokens"
)

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestAFileIsReadAgainWhenItHasChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	write(t, path, "# devices\n\na=secret a\nb=x=y\n", 0o600)
	source, err := secrets.Open(t.Context(), "file:"+path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string]string{"a": "secret a", "b": "x=y", "c": ""} {
		got, err := source.Secret(t.Context(), device)
		if got != want || want == "" && !errors.Is(err, secrets.ErrUnknown) {
			t.Errorf("%s: %q, %v", device, got, err)
		}
	}
	write(t, path, "a=another secret\nc=new\n", 0o600)
	for device, want := range map[string]string{"a": "another secret", "b": "", "c": "new"} {
		if got, _ := source.Secret(t.Context(), device); got != want {
			t.Errorf("after the change, %s: %q", device, got)
		}
	}
}

func TestACommandPrintsTheSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "command")
	write(t, path, "#!/bin/sh\ncase $1 in known) echo 'its secret';; none) ;; *) echo oops >&2; exit 3;; esac\n", 0o700)
	source, err := secrets.Open(t.Context(), "command:"+path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := source.Secret(t.Context(), "known"); got != "its secret" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := source.Secret(t.Context(), "none"); !errors.Is(err, secrets.ErrUnknown) {
		t.Error(err)
	}
	if _, err := source.Secret(t.Context(), "other"); err == nil || !strings.Contains(err.Error(), "exit status 3") ||
		strings.Contains(err.Error(), "oops") {
		t.Error(err)
	}
}

func TestABucketHoldsSealedSecrets(t *testing.T) {
	_, stream := natstest.Start(t, 1)
	sealer, err := tokens.NewSealer(make([]byte, tokens.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := secrets.Open(t.Context(), "kv:secrets", stream, sealer); err == nil || !strings.Contains(err.Error(), "create the bucket") {
		t.Error(err)
	}
	bucket, err := stream.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "secrets"})
	if err != nil {
		t.Fatal(err)
	}
	for key, sealed := range map[string][]byte{
		"a": sealer.Seal(secrets.Sealed("a"), "secret of a"),
		"b": sealer.Seal(secrets.Sealed("a"), "another's"),
		"c": sealer.Seal("c", "a token"),
		"d": []byte("not sealed"),
	} {
		if _, err := bucket.Put(t.Context(), key, sealed); err != nil {
			t.Fatal(err)
		}
	}
	source, err := secrets.Open(t.Context(), "kv:secrets", stream, sealer)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := source.Secret(t.Context(), "a"); got != "secret of a" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, device := range []string{"b", "c", "d", "e"} {
		got, err := source.Secret(t.Context(), device)
		if unknown := errors.Is(err, secrets.ErrUnknown); got != "" || err == nil || unknown != (device == "e") {
			t.Errorf("%s: %q, %v", device, got, err)
		}
	}
}

func TestWhatIsNoSourceIsExplained(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	write(t, path, "a=secret\nthis is my secret\n", 0o600)
	for description, says := range map[string]string{
		"":             "file:PATH",
		"file:":        "file:PATH",
		"vault:x":      "file:PATH",
		"file:/none/x": "no such file",
		"file:" + path: "line 2",
	} {
		_, err := secrets.Open(t.Context(), description, nil, nil)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "my secret") {
			t.Errorf("%q: %v", description, err)
		}
	}
}

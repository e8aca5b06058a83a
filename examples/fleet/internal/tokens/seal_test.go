// What opens a sealed token, and which files are keys.

package tokens_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libiotda/libiotda/examples/fleet/internal/tokens"
)

func sealer(t *testing.T, fill byte) *tokens.Sealer {
	t.Helper()
	s, err := tokens.NewSealer(bytes.Repeat([]byte{fill}, tokens.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOnlyTheSameKeyAndDeviceOpen(t *testing.T) {
	s := sealer(t, 1)
	const text = "a token"
	sealed := s.Seal("device", text)
	if got, err := s.Open("device", sealed); err != nil || got != text {
		t.Fatalf("%q, %v", got, err)
	}
	if bytes.Contains(sealed, []byte(text)) || bytes.Equal(sealed, s.Seal("device", text)) {
		t.Error("it is not sealed, or not each time anew")
	}
	if got, err := s.Open("device2", sealed); err == nil {
		t.Errorf("another device's is %q", got)
	}
	if got, err := sealer(t, 2).Open("device", sealed); err == nil {
		t.Errorf("another key opens %q", got)
	}
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 1
		if got, err := s.Open("device", damaged); err == nil {
			t.Errorf("with byte %d damaged it is %q", i, got)
		}
		if got, err := s.Open("device", sealed[:i]); err == nil {
			t.Errorf("%d bytes of it are %q", i, got)
		}
	}
}

func TestAKeyIsReadOrExplained(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	key := bytes.Repeat([]byte{7}, tokens.KeySize)
	right := base64.StdEncoding.EncodeToString(key)
	for _, test := range []struct {
		name, text string
		mode       os.FileMode
		says       string
	}{
		{"right", right + "\n", 0o600, ""},
		{"for a group", right, 0o640, ""},
		{"for everybody", right, 0o644, "chmod 0600"},
		{"short", right[:40], 0o600, "openssl rand"},
		{"no base64", "?" + right, 0o600, "openssl rand"},
		{"empty", "", 0o600, "openssl rand"},
	} {
		if err := os.WriteFile(file, []byte(test.text), test.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, test.mode); err != nil {
			t.Fatal(err)
		}
		got, err := tokens.ReadKey(file)
		switch {
		case test.says == "" && (err != nil || !bytes.Equal(got, key)):
			t.Errorf("%s: %v", test.name, err)
		case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
			t.Errorf("%s: %v", test.name, err)
		case err != nil && test.text != "" && strings.Contains(err.Error(), test.text):
			t.Errorf("%s: the message shows the key: %v", test.name, err)
		}
	}
}

// Package tokens keeps the devices' access tokens where every worker finds them, so that a partition that moves is no
// reason to authenticate: a new authentication ends the old token after 30 s. This file seals them; store.go keeps them
// in the bucket `tokens`.
package tokens

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

// KeySize is the size of a key in bytes: AES-256.
const KeySize = 32

// version is the first byte of what is sealed: AES-256-GCM, a random nonce of 12 bytes before the text.
const version = 1

// Sealer seals texts by AES-GCM. What was sealed for one device cannot be opened as another's.
type Sealer struct{ aead cipher.AEAD }

// NewSealer makes one of a key of KeySize bytes.
func NewSealer(key []byte) (*Sealer, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("give a key of %d bytes: this one has %d", KeySize, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead}, nil
}

// ReadKey reads a key from a file that holds it in base64, as `openssl rand -base64 32` prints it. Others than the file's
// owner must not be able to read it.
func ReadKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("chmod 0600 %s: everybody may read or write the key", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != KeySize {
		// Without the decoder's error, which shows where in the key it failed.
		return nil, fmt.Errorf("write a key by `openssl rand -base64 %d > %s`: what is there is none", KeySize, path)
	}
	return key, nil
}

// Seal seals a text for a device.
func (s *Sealer) Seal(device, text string) []byte {
	sealed := make([]byte, 1+s.aead.NonceSize(), 1+s.aead.NonceSize()+len(text)+s.aead.Overhead())
	sealed[0] = version
	nonce := sealed[1:]
	rand.Read(nonce) // never fails
	return s.aead.Seal(sealed, nonce, []byte(text), []byte(device))
}

var errSealed = errors.New("use the key and the device that it was sealed with: the text cannot be opened")

// Open opens what was sealed for the same device.
func (s *Sealer) Open(device string, sealed []byte) (string, error) {
	size := s.aead.NonceSize()
	if len(sealed) < 1+size || sealed[0] != version {
		return "", errSealed
	}
	text, err := s.aead.Open(nil, sealed[1:1+size], sealed[1+size:], []byte(device))
	if err != nil {
		return "", errSealed
	}
	return string(text), nil
}

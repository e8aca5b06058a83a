//go:build cgo

// The platform that the examples report to.

package iotda_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "iotda")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	p, err := startPlatform(filepath.Join(dir, "ca.pem"), "--strict-model", "--registry", filepath.Join("testdata", "examples.toml"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer p.stop()
	for name, value := range map[string]string{
		"IOTDA_ENDPOINT":      p.endpoint,
		"IOTDA_CA_FILE":       p.caFile,
		"IOTDA_DEVICE_ID":     "weather_mast",
		"IOTDA_DEVICE_SECRET": "secret",
	} {
		os.Setenv(name, value)
	}
	return m.Run()
}

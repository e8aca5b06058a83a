//go:build cgo

// The platform that the examples report to. Where there is none, what needs one is skipped, and the reason said.

package iotda_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv("IOTDA_PLATFORM") == "" {
		flag.Parse()
		fmt.Fprintln(os.Stderr, "skipped: the examples:", noPlatform)
		skipped := "^Example"
		if given := flag.Lookup("test.skip").Value.String(); given != "" {
			skipped += "|" + given
		}
		if err := flag.Set("test.skip", skipped); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}
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

// Package standin runs the stand-in platform, the command iotda-platform, for the demonstration and the tests, and asks it
// what has arrived.
package standin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Standin is a running stand-in platform.
type Standin struct {
	Endpoint, CAFile, Inspect string

	command *exec.Cmd
	stdin   io.Closer
}

// Program is the command: named in IOTDA_PLATFORM, or where `cargo build -p iotda-platform` puts it.
func Program() (string, error) {
	if program := os.Getenv("IOTDA_PLATFORM"); program != "" {
		return program, nil
	}
	for _, built := range []string{"../../target/release/iotda-platform", "../../target/debug/iotda-platform"} {
		if info, err := os.Stat(built); err == nil && info.Mode().IsRegular() {
			return filepath.Abs(built)
		}
	}
	return "", fmt.Errorf("name the stand-in platform in IOTDA_PLATFORM: `cargo build --release -p iotda-platform` builds it")
}

// Start starts one, which ends with this process. Its certificate is written below dir.
func Start(dir string, arguments ...string) (*Standin, error) {
	program, err := Program()
	if err != nil {
		return nil, err
	}
	s := &Standin{CAFile: filepath.Join(dir, "ca.pem")}
	arguments = append([]string{"--quiet", "--exit-with-stdin", "--ca-out", s.CAFile}, arguments...)
	s.command = exec.Command(program, arguments...)
	s.command.Stderr = os.Stderr
	if s.stdin, err = s.command.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch key {
		case "IOTDA_ENDPOINT":
			s.Endpoint = value
		case "IOTDA_INSPECT":
			s.Inspect = value
		case "ready":
			go io.Copy(io.Discard, stdout)
			return s, nil
		}
	}
	s.Stop()
	return nil, fmt.Errorf("%s ended before it was ready", program)
}

// Stop ends it.
func (s *Standin) Stop() {
	s.stdin.Close()
	s.command.Wait()
}

// Ask makes a request of the inspection API and reads the answer into out, unless that is nil.
func (s *Standin) Ask(method, path, body string, out any) error {
	request, err := http.NewRequest(method, s.Inspect+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	if out == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(out)
}

// Counters are what it has counted.
type Counters struct {
	Connections     int `json:"connections"`
	Requests        int `json:"requests"`
	Refusals        int `json:"refusals"`
	Authentications int `json:"authentications"`
	Messages        int `json:"messages"`
	PropertyReports int `json:"property_reports"`
	Batches         int `json:"batches"`
}

// Counters asks what it has counted.
func (s *Standin) Counters() (counted Counters, err error) {
	err = s.Ask("GET", "/counters", "", &counted)
	return counted, err
}

// Request is a request that it has answered.
type Request struct {
	Number     uint64 `json:"number"`
	Call       string `json:"call"`
	Body       string `json:"body"`
	Status     int    `json:"status"`
	ErrorCode  string `json:"error_code"`
	Device     string `json:"device_id"`
	ReceivedAt int64  `json:"received_at_ms"`
	Connection uint64 `json:"connection"`
}

// Registry is a registry file of devices whose secrets are Secret's, and which are of a product, if it is named; head comes
// before them.
func Registry(path, head, product string, devices ...string) error {
	var text strings.Builder
	text.WriteString(head)
	for _, device := range devices {
		fmt.Fprintf(&text, "\n[[device]]\nid = %q\nsecret = %q\n", device, Secret(device))
		if product != "" {
			fmt.Fprintf(&text, "product = %q\n", product)
		}
	}
	return os.WriteFile(path, []byte(text.String()), 0o600)
}

// Secrets is a file of these secrets for the workers.
func Secrets(path string, devices ...string) error {
	var text strings.Builder
	for _, device := range devices {
		fmt.Fprintf(&text, "%s=%s\n", device, Secret(device))
	}
	return os.WriteFile(path, []byte(text.String()), 0o600)
}

// Secret is a device's secret at the stand-in.
func Secret(device string) string { return "secret-of-" + device }

// Package report knows the forms of a report: the subject that it is published to, and the body of properties, of which
// several become one request. What a body means is for the library and the platform.
package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Kind is which of the platform's calls a report is for.
type Kind byte

// The kinds; their names are the last token of a subject.
const (
	Properties Kind = iota
	Message
	Batch
)

var kinds = [...]string{"properties", "message", "batch"}

func (k Kind) String() string { return kinds[k] }

// Prefix is the first token of the subjects to publish to.
const Prefix = "iotda"

// Subjects are those that the stream takes. They are listed, so that a report to a misspelt subject is refused.
func Subjects() []string {
	var subjects []string
	for _, kind := range kinds {
		subjects = append(subjects, Prefix+".*."+kind)
	}
	return subjects
}

// Subject is where to publish a report.
func Subject(device string, kind Kind) string { return Prefix + "." + device + "." + kind.String() }

var deviceID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// IsDevice reports whether the text can be a device id.
func IsDevice(id string) bool { return deviceID.MatchString(id) }

// ParseStored reads the subject of a report as the stream keeps it: with its partition before it.
func ParseStored(subject string) (device string, kind Kind, err error) {
	tokens := strings.Split(subject, ".")
	if len(tokens) == 4 && tokens[1] == Prefix && IsDevice(tokens[2]) {
		if _, err := strconv.ParseUint(tokens[0], 10, 16); err == nil {
			for kind, name := range kinds {
				if name == tokens[3] {
					return tokens[2], Kind(kind), nil
				}
			}
		}
	}
	return "", 0, fmt.Errorf("publish to %s.<device>.<kind>: %q is no such subject", Prefix, subject)
}

// Unit is how many bytes of a body the platform counts as one report.
const Unit = 4096

// Units is how often a body counts against the rate: once per started 4 KB, and at least once.
func Units(size int) int { return max((size+Unit-1)/Unit, 1) }

const (
	head = `{"services":[`
	tail = `]}`
)

// Entries is the inside of a body of properties: its services, one after the other with commas. An entry without an event
// time gets `stored`, when the stream received it, since the platform would take the time of the delivery, which can be
// hours later. All else is kept byte for byte.
//
// It fails for what is not {"services":[{…},…]}. The library's own check is the stricter one.
func Entries(body []byte, stored time.Time) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	var whole struct {
		Services []json.RawMessage `json:"services"`
	}
	if err := decoder.Decode(&whole); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	if len(whole.Services) == 0 {
		return nil, errors.New("there are no services")
	}
	entries := make([]byte, 0, len(body)+len(whole.Services)*len(`,"event_time":"2006-01-02T15:04:05.000Z"`))
	for i, service := range whole.Services {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(service, &members); err != nil {
			return nil, err
		}
		if i > 0 {
			entries = append(entries, ',')
		}
		if _, timed := members["event_time"]; timed || len(members) == 0 {
			entries = append(entries, service...)
			continue
		}
		entries = append(entries, service[:len(service)-1]...)
		entries = append(entries, `,"event_time":"`...)
		entries = stored.UTC().AppendFormat(entries, "2006-01-02T15:04:05.000Z")
		entries = append(entries, `"}`...)
	}
	return entries, nil
}

// Joined is how long the body of these entries is.
func Joined(sizes ...int) int {
	length := len(head) + len(tail) + max(len(sizes)-1, 0)
	for _, size := range sizes {
		length += size
	}
	return length
}

// Join makes one body of the entries of several.
func Join(entries ...[]byte) []byte {
	length := len(head) + len(tail) + len(entries)
	for _, each := range entries {
		length += len(each)
	}
	body := make([]byte, 0, length)
	body = append(body, head...)
	for i, each := range entries {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, each...)
	}
	return append(body, tail...)
}

// Children picks the children at these places out of the body of a batch. It fails if there is no such child.
func Children(body []byte, places []int) ([]byte, error) {
	var whole struct {
		Devices []json.RawMessage `json:"devices"`
	}
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, err
	}
	picked := []byte(`{"devices":[`)
	for i, place := range places {
		if place < 0 || place >= len(whole.Devices) {
			return nil, fmt.Errorf("the batch has no child %d", place)
		}
		if i > 0 {
			picked = append(picked, ',')
		}
		picked = append(picked, whole.Devices[place]...)
	}
	return append(picked, tail...), nil
}

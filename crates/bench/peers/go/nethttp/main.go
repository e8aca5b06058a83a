// Reports with Go's net/http and encoding/json: one client, which keeps its connection; the request's
// headers and address made once; buffers kept. The jobs and settings are those of ../../bench.h.
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/libiotda/libiotda/crates/bench/peers/go/cost"
)

const (
	childrenPerRequest = 50
	timeout            = 30 * time.Second
)

type properties struct {
	Height int
	Speed  float64
}

type service struct {
	ID         string     `json:"service_id"`
	Properties properties `json:"properties"`
	Time       string     `json:"event_time"`
}

type report struct {
	Services []service `json:"services"`
}

type child struct {
	ID       string    `json:"device_id"`
	Services []service `json:"services"`
}

type batch struct {
	Devices []child `json:"devices"`
}

// A session is an authenticated device.
type session struct {
	client *http.Client
	base   string
	device string
	header http.Header
	body   bytes.Buffer
}

func newSession() (*session, error) {
	pem, err := os.ReadFile(cost.Setting("IOTDA_CA_FILE"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{
		DisableCompression: true, // nothing is sent that the platform does not ask for
		TLSClientConfig:    &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
	}
	s := &session{
		client: &http.Client{Transport: transport, Timeout: timeout},
		base:   cost.Setting("IOTDA_ENDPOINT"),
		device: cost.Setting("IOTDA_DEVICE_ID"),
		header: http.Header{"Content-Type": {"application/json"}, "User-Agent": nil},
	}
	return s, s.authenticate()
}

func (s *session) authenticate() error {
	hour := time.Now().UTC().Format("2006010215")
	mac := hmac.New(sha256.New, []byte(hour))
	mac.Write([]byte(cost.Setting("IOTDA_DEVICE_SECRET")))
	body, err := json.Marshal(map[string]any{
		"device_id": s.device,
		"sign_type": 0,
		"timestamp": hour,
		"password":  hex.EncodeToString(mac.Sum(nil)),
	})
	if err != nil {
		return err
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	address, err := url.Parse(s.base + "/v5/device-auth")
	if err != nil {
		return err
	}
	err = s.post(address, body, func(answer io.Reader) error {
		return json.NewDecoder(answer).Decode(&token)
	})
	// Set as it is spelt: the platform's name has no capitals.
	s.header["access_token"] = []string{token.AccessToken}
	return err
}

func drain(answer io.Reader) error {
	_, err := io.Copy(io.Discard, answer)
	return err
}

func (s *session) post(to *url.URL, body []byte, read func(io.Reader) error) error {
	request := &http.Request{
		Method:        http.MethodPost,
		URL:           to,
		Host:          to.Host,
		Header:        s.header,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
	}
	answer, err := s.client.Do(request.WithContext(context.Background()))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the platform answered %s", answer.Status)
	}
	return read(answer.Body)
}

func (s *session) postValue(to *url.URL, value any) error {
	s.body.Reset()
	if err := json.NewEncoder(&s.body).Encode(value); err != nil {
		return err
	}
	return s.post(to, s.body.Bytes(), drain)
}

func eventTime() string {
	return time.UnixMilli(cost.TimeMS).UTC().Format("2006-01-02T15:04:05.000Z")
}

func services(height int) []service {
	return []service{{"serviceId", properties{height, 23.24}, eventTime()}}
}

func (s *session) reportChildren(to *url.URL, ids []string) error {
	devices := make([]child, 0, childrenPerRequest)
	for from := 0; from < len(ids); from += childrenPerRequest {
		devices = devices[:0]
		for i := from; i < min(len(ids), from+childrenPerRequest); i++ {
			devices = append(devices, child{ids[i], services(124 + i)})
		}
		if err := s.postValue(to, batch{devices}); err != nil {
			return err
		}
	}
	return nil
}

func run(s *session, job string, count, size int) error {
	device := s.base + "/v5/devices/" + s.device
	reports, err := url.Parse(device + "/sys/properties/report")
	if err != nil {
		return err
	}
	batches, err := url.Parse(device + "/sys/gateway/sub-devices/properties/report")
	if err != nil {
		return err
	}
	messages, err := url.Parse(device + "/sys/messages/up")
	if err != nil {
		return err
	}
	if err := s.postValue(reports, report{services(124)}); err != nil {
		return err
	}
	var once func() error
	switch job {
	case "values":
		once = func() error { return s.postValue(reports, report{services(124)}) }
	case "text":
		body := []byte(cost.Text)
		once = func() error { return s.post(reports, body, drain) }
	case "message":
		body := cost.Message(size)
		once = func() error { return s.post(messages, body, drain) }
	case "batch":
		ids := cost.Children(size)
		once = func() error { return s.reportChildren(batches, ids) }
	default:
		return fmt.Errorf("no such job: %s", job)
	}
	return cost.Of(once, count)
}

func main() {
	log.SetFlags(0)
	job, count, size := cost.Arguments()
	s, err := newSession()
	if err == nil {
		err = run(s, job, count, size)
	}
	if err != nil {
		log.Fatal(err)
	}
}

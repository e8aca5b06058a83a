// Package embedded runs NATS servers with JetStream in this process: for the demonstration and the tests. In production
// they are processes of their own.
package embedded

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Servers are one or several servers that know each other.
type Servers struct {
	options []*server.Options
	servers []*server.Server
}

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
)

// Start starts so many servers on loopback, with their files below dir.
func Start(dir string, count int) (*Servers, error) {
	s := &Servers{}
	routes, err := freePorts(count)
	if err != nil {
		return nil, err
	}
	for i := range count {
		options := &server.Options{
			ServerName: fmt.Sprintf("n%d", i+1),
			Host:       "127.0.0.1",
			Port:       server.RANDOM_PORT,
			NoLog:      true,
			NoSigs:     true,
			MaxPayload: 2 << 20,
			JetStream:  true,
			StoreDir:   filepath.Join(dir, fmt.Sprintf("n%d", i+1)),
		}
		if count > 1 {
			options.Cluster = server.ClusterOpts{Name: "fleet", Host: "127.0.0.1", Port: routes[i]}
			for _, port := range routes {
				options.Routes = append(options.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
			}
		}
		started, err := begin(options)
		if err != nil {
			s.Stop()
			return nil, err
		}
		s.options, s.servers = append(s.options, options), append(s.servers, started)
	}
	for i, started := range s.servers {
		if err := ready(started); err != nil {
			s.Stop()
			return nil, err
		}
		// It has the same address when it is started again.
		s.options[i].Port = started.Addr().(*net.TCPAddr).Port
	}
	if err := s.awaitLeader(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// freePorts finds ports that nobody has: servers of a cluster must know each other's before they start.
func freePorts(count int) (ports []int, err error) {
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // when all are found
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func begin(options *server.Options) (*server.Server, error) {
	// The server changes its options.
	started, err := server.NewServer(options.Clone())
	if err == nil {
		started.Start()
	}
	return started, err
}

func ready(started *server.Server) error {
	if !started.ReadyForConnections(startTimeout) {
		return errors.New("the NATS server does not start")
	}
	return nil
}

// awaitLeader waits until the servers have elected a leader that knows them all.
func (s *Servers) awaitLeader() error {
	if len(s.servers) == 1 {
		return nil
	}
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, one := range s.servers {
			if one.JetStreamIsLeader() && len(one.JetStreamClusterPeers()) == len(s.servers) {
				return nil
			}
		}
	}
	return errors.New("the NATS servers elect no leader")
}

// URL is where clients connect.
func (s *Servers) URL() string {
	var urls []string
	for _, options := range s.options {
		urls = append(urls, fmt.Sprintf("nats://%s:%d", options.Host, options.Port))
	}
	return strings.Join(urls, ",")
}

// LeaderOf is the place of the server that leads a stream; -1 if none does.
func (s *Servers) LeaderOf(stream string) int {
	for i, one := range s.servers {
		if one.Running() && one.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
			return i
		}
	}
	return -1
}

// StopOne stops a server as if it had crashed: without handing over what it leads.
func (s *Servers) StopOne(place int) {
	end(s.servers[place], stopTimeout)
}

// StartOne starts a server again, with what it had stored.
func (s *Servers) StartOne(place int) error {
	started, err := begin(s.options[place])
	if err != nil {
		return err
	}
	s.servers[place] = started
	return ready(started)
}

// Stop stops all.
func (s *Servers) Stop() {
	var ends sync.WaitGroup
	for _, one := range s.servers {
		ends.Add(1)
		go func() {
			defer ends.Done()
			end(one, stopTimeout)
		}()
	}
	ends.Wait()
}

// end stops a server, and does not wait for it for ever: server 2.12.4 keeps a lock when it cannot shorten the log of its
// votes (fileStore.Truncate returns early), and then one of its goroutines never ends. By that time its ports and
// connections are closed.
func end(one interface{ Shutdown() }, limit time.Duration) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		one.Shutdown()
	}()
	select {
	case <-ended:
	case <-time.After(limit):
	}
}

// That servers end, and that one that never does is left.

package embedded

import (
	"sync"
	"testing"
	"time"
)

// stuck is a server that waits for a goroutine of its own that never ends.
type stuck struct{ begun sync.WaitGroup }

func (s *stuck) Shutdown() {
	s.begun.Done()
	select {}
}

func TestAServerThatNeverEndsIsLeft(t *testing.T) {
	server := &stuck{}
	server.begun.Add(1)
	end(server, time.Millisecond)
	server.begun.Wait()
}

func TestServersEnd(t *testing.T) {
	servers, err := Start(t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	servers.Stop()
	if one := servers.servers[0]; one.Running() || one.Addr() != nil {
		t.Error("the server still runs")
	}
}

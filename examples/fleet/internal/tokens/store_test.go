// Tokens in the bucket: kept while they are valid, one for each device.

package tokens_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libiotda/libiotda/examples/fleet/internal/broker"
	"github.com/libiotda/libiotda/examples/fleet/internal/natstest"
	"github.com/libiotda/libiotda/examples/fleet/internal/tokens"
)

func stores(t *testing.T, sealers ...*tokens.Sealer) (stores []*tokens.Store) {
	t.Helper()
	_, stream := natstest.Setup(t, 1, func(*broker.Layout) {})
	for _, sealer := range sealers {
		store, err := tokens.Open(t.Context(), stream, sealer)
		if err != nil {
			t.Fatal(err)
		}
		stores = append(stores, store)
	}
	return stores
}

func TestATokenIsKeptWhileItIsValid(t *testing.T) {
	store := stores(t, sealer(t, 1))[0]
	if saved, err := store.Get(t.Context(), "d"); err != nil || saved != (tokens.Saved{}) {
		t.Fatalf("%+v, %v", saved, err)
	}
	put, kept, err := store.Put(t.Context(), "d", "token", tokens.Saved{}, time.Hour)
	if err != nil || !kept {
		t.Fatalf("%v, %v", kept, err)
	}
	if saved, err := store.Get(t.Context(), "d"); err != nil || saved != put || saved.Text != "token" {
		t.Fatalf("%+v, %v", saved, err)
	}
	put, kept, err = store.Put(t.Context(), "d", "short", put, time.Second)
	if err != nil || !kept {
		t.Fatalf("%v, %v", kept, err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		saved, err := store.Get(t.Context(), "d")
		if err != nil {
			t.Fatal(err)
		}
		if saved == (tokens.Saved{}) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a token that was valid for a second is still there")
		}
	}
	// In its place, whether one knew of the old one or not.
	if saved, kept, err := store.Put(t.Context(), "d", "next", put, time.Hour); err != nil || !kept || saved.Text != "next" {
		t.Errorf("%+v, %v, %v", saved, kept, err)
	}
}

func TestOfManyTokensOneIsKept(t *testing.T) {
	store := stores(t, sealer(t, 1))[0]
	last := tokens.Saved{}
	for round := range 5 {
		var running sync.WaitGroup
		results := make([]tokens.Saved, 8)
		kept := make([]bool, len(results))
		for i := range results {
			running.Add(1)
			go func() {
				defer running.Done()
				var err error
				results[i], kept[i], err = store.Put(t.Context(), "d", fmt.Sprintf("%d of %d", i, round), last, time.Hour)
				if err != nil {
					t.Error(err)
				}
			}()
		}
		running.Wait()
		winners := 0
		for i := range results {
			if results[i] != results[0] {
				t.Errorf("one uses %q, another %q", results[i].Text, results[0].Text)
			}
			if kept[i] {
				winners++
			}
		}
		if winners != 1 {
			t.Errorf("%d tokens were kept", winners)
		}
		last = results[0]
	}
}

// After a change of the key, what was sealed by the old one is replaced.
func TestATokenOfAnotherKeyIsReplaced(t *testing.T) {
	both := stores(t, sealer(t, 1), sealer(t, 2))
	if _, _, err := both[0].Put(t.Context(), "d", "old", tokens.Saved{}, time.Hour); err != nil {
		t.Fatal(err)
	}
	seen, err := both[1].Get(t.Context(), "d")
	if err != nil || seen.Text != "" || seen.Revision == 0 {
		t.Fatalf("%+v, %v", seen, err)
	}
	for _, last := range []tokens.Saved{seen, {}} {
		if saved, kept, err := both[1].Put(t.Context(), "d2", "new", last, time.Hour); err != nil || saved.Text != "new" {
			t.Errorf("%+v, %v, %v", saved, kept, err)
		}
	}
	if saved, kept, err := both[1].Put(t.Context(), "d", "new", tokens.Saved{}, time.Hour); err != nil || !kept || saved.Text != "new" {
		t.Errorf("%+v, %v, %v", saved, kept, err)
	}
}

//go:build cgo

// Whatever Go can say in JSON arrives as it would be decoded from encoding/json, and what it cannot say is refused.

package iotda_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

func FuzzProperties(f *testing.F) {
	f.Add("Name", "", 0.0, int64(0), true)
	f.Add("Größe", "\"\\/\b\f\n\r\t\u2028<&>", math.SmallestNonzeroFloat64, int64(math.MaxInt64), false)
	f.Add("\x00", "\x00\x1f\x7f", -math.MaxFloat64, int64(math.MinInt64), true)
	f.Add("not UTF-8 \xff", "\xed\xa0\x80", 0.1, int64(1<<53+1), false)
	f.Add("", "🜁", math.Copysign(0, -1), int64(-1), true)
	f.Add("NaN", "NaN", math.NaN(), int64(7), true)
	f.Add("Inf", "Inf", math.Inf(-1), int64(7), true)
	p := newPlatform(f)
	client := p.client(f)
	f.Fuzz(func(t *testing.T, name, text string, float float64, integer int64, boolean bool) {
		properties := map[string]any{
			"p" + name: text, "float": float, "integer": integer, "boolean": boolean, "null": nil,
			"list": []any{text, float}, "object": map[string]any{name: text},
		}
		err := client.ReportProperties(t.Context(), iotda.Service{ID: "s" + text, Properties: properties})
		encoded, encodeErr := json.Marshal(properties)
		if encodeErr != nil {
			if !errors.Is(err, iotda.ErrInvalidArgument) {
				t.Fatal(err)
			}
			return
		}
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			// An id is never changed, as encoding/json changes texts that are not UTF-8.
			if !errors.Is(err, iotda.ErrInvalidArgument) {
				t.Fatal(err)
			}
			return
		}
		must(t, err)
		reports := p.reports(t)
		if len(reports) != 1 || reports[0].Services[0].ID != "s"+text {
			t.Fatalf("%+v", reports)
		}
		if got, want := decoded(t, reports[0].Services[0].Properties), decoded(t, encoded); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\ninstead of\n%v", got, want)
		}
	})
}

// decoded is JSON with its numbers as they are written.
func decoded(t *testing.T, text []byte) (value map[string]any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	must(t, decoder.Decode(&value))
	return value
}

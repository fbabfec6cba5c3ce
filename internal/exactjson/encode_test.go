package exactjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEncode_KeepsTheErrorOfJSON(t *testing.T) {
	t.Parallel()
	_, err := Encode(map[string]any{"a": []any{math.NaN()}})
	var unsupported *json.UnsupportedValueError
	require.ErrorAs(t, err, &unsupported)
	assert.Equal(t, "NaN", unsupported.Str)
	_, err = Encode(map[string]any{"a": failing{}})
	var marshaler *json.MarshalerError
	require.ErrorAs(t, err, &marshaler)
}

// TestEncode_OmitZero checks a field without JSON beside text that has to be looked at.
func TestEncode_OmitZero(t *testing.T) {
	t.Parallel()
	value := struct {
		None chan int `json:",omitzero"`
		Text string
	}{Text: `\ufffd`}
	if _, err := marshal(value); err != nil {
		return // encoding/json has no omitzero before Go 1.24
	}
	_, err := Encode(map[string]any{"k": value})
	require.NoError(t, err)
}

func TestEncode_Batches(t *testing.T) {
	t.Parallel()
	for want, items := range map[string][]json.RawMessage{
		`[]`:           {},
		`[{"a":"<"}]`:  {json.RawMessage(`{"a":"<"}`)},
		`[1,"\u003c"]`: {json.RawMessage(`1`), json.RawMessage(`"\u003c"`)},
	} {
		data, err := Encode(items)
		require.NoError(t, err)
		assert.Equal(t, want, string(data))
	}
}

func BenchmarkEncode(b *testing.B) {
	metadata := map[string]any{}
	for i := range 20 {
		metadata[fmt.Sprintf("key_%02d", i)] = "a value of a usual length"
	}
	req := map[string]any{"user_id": "jane", "metadata": metadata}
	b.ReportAllocs()
	for range b.N {
		if _, err := Encode(req); err != nil {
			b.Fatal(err)
		}
	}
}

// failing is a json.Marshaler that fails.
type failing struct{}

func (failing) MarshalJSON() ([]byte, error) { return nil, errors.New("no JSON") }

package jsonscan

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOrdinary tries every byte in every place, among bytes from either end of the ordinary ones.
func TestOrdinary(t *testing.T) {
	t.Parallel()
	fillers := []string{
		" !#[]~\x7f\x80", "\xff\x7f~][#! ", "!!!!!!!!", "        ", "]]]]]]]]",
		"\x80\x80\x80\x80\x80\x80\x80\x80",
	}
	for _, filler := range fillers {
		for place := range 8 {
			for c := range 256 {
				for _, after := range []byte{'!', '"', '#', ' ', '\\', ']', 0, 0x80, 0xff} {
					text := []byte(filler)
					text[place] = byte(c)
					if place < 7 {
						text[place+1] = after
					}
					want := 8
					for i, c := range text {
						if c < ' ' || c == '"' || c == '\\' {
							want = i
							break
						}
					}
					require.Equalf(t, want, ordinary(binary.LittleEndian.Uint64(text)), "%q", text)
				}
			}
		}
	}
}

// FuzzText encodes any text as Go does, and scans it: all but what is not UTF-8 comes back, at any
// offset in the words that the scanner reads.
func FuzzText(f *testing.F) {
	for _, text := range []string{
		"", "plain", "12345678", "<a & b>",
		"a\"b\\c/d\b\f\n\r\t\x00\x1f\x7f", "é日本😀\u2028\ufffd",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		encoded, err := json.Marshal(text)
		require.NoError(t, err)
		var want string
		require.NoError(t, json.Unmarshal(encoded, &want))
		for offset := range 8 {
			data := append(bytes.Repeat([]byte{' '}, offset), encoded...)
			got, ok := Scan(data, (*Scanner).Text)
			require.True(t, ok, "%q", data)
			require.Equal(t, want, got)
		}
		check(t, `"`+text+`"`, (*Scanner).Text)
	})
}

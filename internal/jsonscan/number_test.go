package jsonscan

import (
	"encoding/json"
	"math"
	"math/big"
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// numberTexts are texts, and whether they are numbers in JSON that a float64, a float32 and an
// int64 can hold.
var numberTexts = []struct {
	text                      string
	float64s, float32s, int64 bool
}{
	{"0", true, true, true},
	{"-0", true, true, true},
	{"7", true, true, true},
	{"-12", true, true, true},
	{"2147483647", true, true, true},
	{"2147483648", true, true, true},
	{"9223372036854775807", true, true, true},
	{"-9223372036854775808", true, true, true},
	{"9223372036854775808", true, true, false},
	{"18446744073709551615", true, true, false},
	{"18446744073709551616", true, true, false},
	{"12345678901234567890123", true, true, false},
	{"9007199254740993", true, true, true},
	{"16777217", true, true, true},
	{"16777219", true, true, true},
	{"0.0", true, true, false},
	{"-0.0", true, true, false},
	{"1.0", true, true, false},
	{"-1.5", true, true, false},
	{"1e2", true, true, false},
	{"1E+3", true, true, false},
	{"1.25e-3", true, true, false},
	{"0e999", true, true, false},
	{"1e22", true, true, false},
	{"1e23", true, true, false},
	{"1e-22", true, true, false},
	{"1e-23", true, true, false},
	{"1e38", true, true, false},
	{"1e39", true, false, false},
	{"3.4028235677973367e38", true, false, false},
	{"3.4028235677973366e38", true, true, false},
	{"1e308", true, false, false},
	{"1e309", false, false, false},
	{"-1e400", false, false, false},
	{"1e-400", true, true, false},
	{"1.401298464324817e-45", true, true, false},
	{"1e0000000000000000000002", true, true, false},
	{"1e-0000000000000000000002", true, true, false},
	{"1e99999999999999999999", false, false, false},
	{"1e-99999999999999999999", true, true, false},
	{"0." + strings.Repeat("0", 400) + "1", true, true, false},
	{strings.Repeat("1", 300), true, false, false},
	{strings.Repeat("1", 400), false, false, false},
	{"0.1" + strings.Repeat("0", 400) + "e1", true, true, false},

	{"", false, false, false},
	{"-", false, false, false},
	{"+1", false, false, false},
	{"01", false, false, false},
	{"-01", false, false, false},
	{"00", false, false, false},
	{"1.", false, false, false},
	{"1.e1", false, false, false},
	{".5", false, false, false},
	{"-.5", false, false, false},
	{"1e", false, false, false},
	{"1e+", false, false, false},
	{"1e-", false, false, false},
	{"1e1.5", false, false, false},
	{"1 2", false, false, false},
	{"1_000", false, false, false},
	{"0x10", false, false, false},
	{"1%", false, false, false},
	{"Inf", false, false, false},
	{"NaN", false, false, false},
	{"--1", false, false, false},
	{"1\x00", false, false, false},
	{"1\x01", false, false, false},
	{"1\x25", false, false, false},
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for _, test := range numberTexts {
		assert.Equalf(t, test.float64s, check(t, test.text, (*Scanner).Float64), "%q", test.text)
		assert.Equalf(t, test.int64, check(t, test.text, (*Scanner).Int64), "%q", test.text)
		if strconv.IntSize == 64 {
			assert.Equalf(t, test.int64, check(t, test.text, (*Scanner).Int), "%q", test.text)
		}
		if test.text == "" {
			continue // an empty array is valid
		}
		list := "[" + test.text + " ," + test.text + "]"
		assert.Equalf(t, test.float32s, check(t, list, (*Scanner).Float32s), "%q", list)
	}
	assert.True(t, check(t, "[]", (*Scanner).Float32s))
	assert.False(t, check(t, "[", (*Scanner).Float32s))
	assert.False(t, check(t, "[1", (*Scanner).Float32s))
}

func TestFloat32s_ExactCapacity(t *testing.T) {
	t.Parallel()
	scan := func(s *Scanner) (lists [][]float32) {
		for more := s.BeginArray(); more; more = s.NextElement() {
			lists = append(lists, s.Float32s())
		}
		return lists
	}
	lists, ok := Scan([]byte(`[[],[1],[1,2,3],[ 1 , 2 ],[]]`), scan)
	require.True(t, ok)
	for i, want := range []int{0, 1, 3, 2, 0} {
		assert.Len(t, lists[i], want)
		assert.Equal(t, want, cap(lists[i]))
	}
}

// checkNumber compares the numbers that a text holds with those that strconv parses, by their bits.
func checkNumber(t testing.TB, text string) {
	t.Helper()
	want, err := strconv.ParseFloat(text, 32)
	list, ok := Scan([]byte("["+text+"]"), (*Scanner).Float32s)
	require.Equalf(t, err == nil, ok, "%q", text)
	if ok {
		got := math.Float32bits(list[0])
		require.Equalf(t, math.Float32bits(float32(want)), got, "float32 %q", text)
	}
	want, err = strconv.ParseFloat(text, 64)
	value, ok := Scan([]byte(text), (*Scanner).Float64)
	require.Equalf(t, err == nil, ok, "%q", text)
	if ok {
		require.Equalf(t, math.Float64bits(want), math.Float64bits(value), "float64 %q", text)
	}
}

// TestNumbers_NearHalfway tries numbers that are just between two floats, or next to that.
func TestNumbers_NearHalfway(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewSource(1))
	for range 3000 {
		low := float32(math.Ldexp(1+random.Float64(), random.Intn(60)-30))
		high := math.Nextafter32(low, math.MaxFloat32)
		middle := (float64(low) + float64(high)) / 2
		exact := new(big.Float).SetFloat64(middle).Text('f', 80)
		exact = strings.TrimRight(strings.TrimRight(exact, "0"), ".")
		for _, text := range []string{
			exact, "-" + exact, exact[:len(exact)-1] + "3", exact[:len(exact)-1] + "7",
			strconv.FormatFloat(middle, 'g', -1, 64), strconv.FormatFloat(middle, 'e', 15, 64),
			strconv.FormatFloat(math.Nextafter(middle, 0), 'g', -1, 64),
			strconv.FormatFloat(math.Nextafter(middle, math.Inf(1)), 'g', -1, 64),
		} {
			checkNumber(t, text)
		}
	}
}

func TestNumbers_Random(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewSource(2))
	for range 20_000 {
		bits := random.Uint64()
		for _, text := range []string{
			strconv.FormatUint(bits>>random.Intn(64), 10),
			strconv.FormatFloat(random.NormFloat64(), 'g', random.Intn(20)-1, 64),
			strconv.FormatUint(bits>>random.Intn(64), 10) + "e" + strconv.Itoa(random.Intn(60)-30),
		} {
			checkNumber(t, text)
		}
		for _, bitSize := range []int{32, 64} {
			f := math.Float64frombits(bits)
			if bitSize == 32 {
				f = float64(math.Float32frombits(uint32(bits)))
			}
			if !math.IsInf(f, 0) && !math.IsNaN(f) {
				checkNumber(t, strconv.FormatFloat(f, 'e', -1, bitSize))
				data, err := json.Marshal(f)
				require.NoError(t, err)
				checkNumber(t, string(data))
			}
		}
	}
}

func FuzzNumber(f *testing.F) {
	for _, test := range numberTexts {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var floats64 float64
		wantErr := json.Unmarshal([]byte(text), &floats64)
		if isNumber := check(t, text, (*Scanner).Float64); text != "null" {
			require.Equalf(t, wantErr == nil, isNumber, "%q: %v", text, wantErr)
		}
		var integer int64
		wantErr = json.Unmarshal([]byte(text), &integer)
		if isInteger := check(t, text, (*Scanner).Int64); text != "null" {
			require.Equalf(t, wantErr == nil, isInteger, "%q: %v", text, wantErr)
		}
		check(t, text, (*Scanner).Int)
		check(t, "["+text+"]", (*Scanner).Float32s)
		check(t, "[1,"+text+"]", (*Scanner).Float32s)
	})
}

package jsonscan

import (
	"bytes"
	"math"
	"strconv"
)

// number is a JSON number: mantissa × 10^exponent, negative or not, if exact.
type number struct {
	text     []byte
	mantissa uint64
	exponent int
	negative bool
	integer  bool // it has neither a fraction nor an exponent
	exact    bool // the mantissa and the exponent did not overflow
}

// number reads a number. Its grammar is stricter than that of strconv.
func (s *Scanner) number() number {
	s.peek()
	data, start, i := s.data, s.pos, s.pos
	n := number{integer: true, exact: true}
	if i < len(data) && data[i] == '-' {
		n.negative = true
		i++
	}
	first := i
	i = n.digits(data, i)
	ok := i > first && (data[first] != '0' || i == first+1)
	if i < len(data) && data[i] == '.' {
		n.integer = false
		first = i + 1
		i = n.digits(data, first)
		n.exponent = first - i
		ok = ok && i > first
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		n.integer = false
		i++
		negative := i < len(data) && data[i] == '-'
		if negative || i < len(data) && data[i] == '+' {
			i++
		}
		var exponent number
		first = i
		i = exponent.digits(data, first)
		ok = ok && i > first
		n.exact = n.exact && exponent.mantissa <= 1000
		if n.exact && negative {
			n.exponent -= int(exponent.mantissa)
		} else if n.exact {
			n.exponent += int(exponent.mantissa)
		}
	}
	s.pos = i
	if !ok {
		s.fail()
	}
	n.text = data[start:i]
	return n
}

// digits adds the digits at i to the mantissa, and returns the index after them.
func (n *number) digits(data []byte, i int) int {
	mantissa := n.mantissa
	for ; i < len(data); i++ {
		digit := data[i] - '0'
		if digit > 9 {
			break
		}
		if mantissa > (math.MaxUint64-9)/10 {
			n.exact = false
			continue
		}
		mantissa = mantissa*10 + uint64(digit)
	}
	n.mantissa = mantissa
	return i
}

// powersOf10 are those that a float64 holds exactly.
var powersOf10 = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// float64 returns the nearest float64, or false if it takes more than one operation to find it.
// The mantissa and the power of 10 are exact in a float64, so that their product or quotient is
// rounded once: to the nearest.
func (n *number) float64() (float64, bool) {
	if !n.exact || n.mantissa > 1<<53 || n.exponent > 22 || n.exponent < -22 {
		return 0, false
	}
	f := float64(n.mantissa)
	if n.exponent < 0 {
		f /= powersOf10[-n.exponent]
	} else {
		f *= powersOf10[n.exponent]
	}
	if n.negative {
		f = -f
	}
	return f, true
}

// float32 returns the nearest float32, or false if that is not known from the nearest float64.
//
// The float64 and the number itself are on the same side of every point that is halfway between
// two float32s, because such points are float64s and rounding is monotonic; unless the float64 is
// such a point, which its last 29 bits tell. So both have the same nearest float32. Every number
// but 0 is between 1e-22 and 1e38 here: neither subnormal nor infinite as a float32.
func (n *number) float32() (float32, bool) {
	const halfway = 1 << 28
	f, ok := n.float64()
	return float32(f), ok && math.Float64bits(f)&(2*halfway-1) != halfway
}

// Int reads an integer, without a fraction or an exponent.
func (s *Scanner) Int() int { return int(s.integer(strconv.IntSize)) }

// Int64 reads an integer, without a fraction or an exponent.
func (s *Scanner) Int64() int64 { return s.integer(64) }

func (s *Scanner) integer(bits int) int64 {
	n := s.number()
	if n.integer && n.mantissa <= math.MaxInt32 {
		if n.negative {
			return -int64(n.mantissa)
		}
		return int64(n.mantissa)
	}
	i, err := strconv.ParseInt(string(n.text), 10, bits)
	if err != nil {
		s.fail()
	}
	return i
}

// Float64 reads a number.
func (s *Scanner) Float64() float64 {
	n := s.number()
	f, ok := n.float64()
	if !ok {
		f = s.parseFloat(n.text, 64)
	}
	return f
}

// Float32s reads an array of numbers. The slice is never nil, and has no spare capacity.
func (s *Scanner) Float32s() []float32 {
	if !s.BeginArray() {
		return []float32{}
	}
	rest := s.data[s.pos:]
	end := max(0, bytes.IndexByte(rest, ']'))
	list := make([]float32, 0, 1+bytes.Count(rest[:end], []byte(",")))
	for more := true; more; more = s.NextElement() {
		n := s.number()
		f, ok := n.float32()
		if !ok {
			f = float32(s.parseFloat(n.text, 32))
		}
		list = append(list, f)
	}
	return list
}

func (s *Scanner) parseFloat(text []byte, bits int) float64 {
	f, err := strconv.ParseFloat(string(text), bits)
	if err != nil {
		s.fail()
	}
	return f
}

package bench

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" {
		describe()
	}
	goleak.VerifyTestMain(m)
}

// describe prints the machine that the figures are from, as "key: value" lines of benchmark
// output.
func describe() {
	fmt.Printf("go: %s\n", runtime.Version())
	fmt.Printf("os: %s\n", system())
	fmt.Printf("cores: %d\n", runtime.NumCPU())
	fmt.Printf("date: %s\n", time.Now().UTC().Format(time.DateOnly))
}

// system returns the name of the operating system.
func system() string {
	release, _ := os.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(release)) {
		if name, found := strings.CutPrefix(line, "PRETTY_NAME="); found {
			return strings.Trim(name, "\"\n")
		}
	}
	return runtime.GOOS
}

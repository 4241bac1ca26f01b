//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command driftd-worker renders and reads what Git content and users' rules can make a
// program do. It has no files, no network and no credentials: requests and answers are
// length-prefixed JSON on standard input and output, one at a time.
package main

import (
	"bufio"
	"io"
	"log"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

// sourceHash names the sources this binary was built from; the linker sets it.
var sourceHash = "unknown"

// defaultMemory is the hard limit on memory in bytes unless the daemon gives another one as
// the only argument. The collector begins to work harder at half of it.
const defaultMemory = 3 << 29

// collectorPercent is how much the heap may grow until garbage is collected. Measured on 10,000
// objects: 400 took 130 MB a worker and no less CPU time than 150 with 53.
const collectorPercent = 150

// ballastBytes is what the collector counts beside the real heap.
const ballastBytes = 24 << 20

func main() {
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Clearenv()
	// What engines print is nobody's; a crash report does not pass through this.
	os.Stderr = nil
	debug.SetGCPercent(collectorPercent)
	// Never touched, so it takes no memory; but the collector counts it, and works half as often
	// while the heap is small.
	ballast := make([]byte, ballastBytes)
	defer runtime.KeepAlive(ballast)
	memory := memoryLimit(os.Args[1:])
	debug.SetMemoryLimit(memory / 2)
	debug.SetMaxStack(256 << 20)
	warmUp()
	isolation := isolate(uint64(memory))

	server := &server{
		in:        bufio.NewReaderSize(os.Stdin, 1<<16),
		out:       os.Stdout,
		trees:     newTreeStore(),
		isolation: isolation,
	}
	if err := server.run(); err != nil {
		os.Exit(1)
	}
}

func memoryLimit(arguments []string) int64 {
	if len(arguments) == 1 {
		if limit, err := strconv.ParseInt(arguments[0], 10, 64); err == nil && limit > 0 {
			return limit
		}
	}
	return defaultMemory
}

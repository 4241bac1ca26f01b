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
	"runtime/debug"
)

// sourceHash names the sources this binary was built from; the linker sets it.
var sourceHash = "unknown"

// softMemory is where the collector begins to work harder; the daemon's own limit on resident
// memory lies above it, the hard limit of the process (maxData) above that.
const softMemory = 768 << 20

func main() {
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Clearenv()
	debug.SetGCPercent(200)
	debug.SetMemoryLimit(softMemory)
	debug.SetMaxStack(256 << 20)
	warmUp()
	isolation := isolate()

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

// Command registry is an OCI registry for tests: go-containerregistry's own, in memory.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
)

// main listens on a free port of the loopback interface and prints it.
func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	quiet := log.New(os.Stderr, "", 0)
	handler := registry.New(registry.Logger(quiet), registry.WithReferrersSupport(true))
	log.Fatal(http.Serve(listener, handler))
}

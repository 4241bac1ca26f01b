// Command simulation serves many simulated Kubernetes clusters over real HTTPS.
//
// Everything that answers a request is the API server's own code: routes, discovery,
// OpenAPI, defaulting, validation, patches, server-side apply with its managed fields,
// and the words of refusals. Only what lies below it is simulated: instead of etcd and the
// watch cache there is a storage that generates objects from a number whenever they are
// read, keeps changes alone, and forgets its history on request. In front of it, rules of
// a test break answers: they delay, refuse, cut, silence, slow down or falsify them.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"k8s.io/klog/v2"
)

// parentVariable, when set, ties this program to the process that started it.
const parentVariable = "CONTROLPLANE_TIED_TO_STDIN"

// options are what a test chooses once.
type options struct {
	folder       string
	clusters     int
	namespaces   int
	perNamespace int
	seed         string
	bookmarks    time.Duration
	history      int
}

func main() {
	klog.InitFlags(nil)
	var chosen options
	flag.StringVar(&chosen.folder, "folder", "", "where templates.json lies and ready.json is written")
	flag.IntVar(&chosen.clusters, "clusters", 1, "simulated clusters")
	flag.IntVar(&chosen.namespaces, "namespaces", 0, "generated namespaces of a cluster")
	flag.IntVar(&chosen.perNamespace, "objects", 0, "generated objects of a namespace")
	flag.StringVar(&chosen.seed, "seed", "0", "what the generated values depend on")
	flag.DurationVar(&chosen.bookmarks, "bookmarks", time.Minute, "time between two bookmarks of a watch")
	flag.IntVar(&chosen.history, "history", 10_000, "changes that a cluster remembers")
	flag.Parse()
	if os.Getenv(parentVariable) != "" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	}
	if err := run(chosen); err != nil {
		fmt.Fprintf(os.Stderr, "simulation: %v\n", err)
		os.Exit(1)
	}
}

// run serves until the process ends; an error says why it could not begin.
func run(chosen options) error {
	templates, err := readTemplates(chosen.folder)
	if err != nil {
		return err
	}
	sim, err := newSimulation(chosen)
	if err != nil {
		return err
	}
	if err := sim.generate(templates); err != nil {
		return err
	}
	ready, err := sim.serve()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(ready, "", " ")
	if err != nil {
		return err
	}
	path := chosen.folder + "/ready.json"
	if err := os.WriteFile(path+".unfinished", text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".unfinished", path); err != nil {
		return err
	}
	select {}
}
